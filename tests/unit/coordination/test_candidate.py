"""Each test is one sentence of the life of a candidate; time is a number."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.coordination.candidate import (
    Candidate,
    ClockTicked,
    Confirm,
    ContactConfirmed,
    Event,
    Follow,
    Join,
    Lead,
    Member,
    MembershipSeen,
    Phase,
    SessionLost,
    SessionMade,
    SessionSuspended,
    StepDown,
    margin_s,
)

TIMEOUT_S = 10.0
LEASE_S = 9.0  #: from when we were heard
QUARTER_S = 2.5


def seen(*sequences: int, own: int | None) -> MembershipSeen:
    return MembershipSeen(tuple(Member(sequence, b"") for sequence in sequences), own)


def standing(candidate: Candidate, *sequences: int, own: int, now_s: float = 0.0) -> None:
    """Brings a candidate into the election."""
    assert candidate.handle(SessionMade(TIMEOUT_S, now_s), now_s) == [Join()]
    candidate.handle(seen(*sequences, own=own), now_s)


def leading(own: int = 3, now_s: float = 0.0) -> Candidate:
    """It has been heard at `now_s`."""
    candidate = Candidate()
    standing(candidate, own, own=own, now_s=now_s)
    assert candidate.handle(ContactConfirmed(own, now_s), now_s) == [Lead(own + 1)]
    return candidate


# ── election ──────────────────────────────────────────────────────────────────────────────────────
def test_the_lowest_leads_once_its_contact_is_confirmed() -> None:
    candidate = Candidate()
    assert candidate.handle(SessionMade(TIMEOUT_S, 0.5), 1.0) == [Join()]
    assert candidate.handle(seen(4, 5, own=4), 2.0) == [Confirm(4)]
    assert not candidate.held(2.0)
    assert candidate.handle(ContactConfirmed(4, 2.0), 2.1) == [Lead(5)]
    assert (candidate.phase, candidate.epoch) == (Phase.LEADING, 5)
    assert candidate.held(2.1)


def test_the_first_epoch_is_not_zero() -> None:
    assert leading(own=0).epoch == 1


def test_the_others_follow_the_lowest() -> None:
    candidate = Candidate()
    candidate.handle(SessionMade(TIMEOUT_S, 0.0), 0.0)
    assert candidate.handle(seen(4, own=None), 0.0) == [Follow(Member(4, b""))]
    assert candidate.handle(seen(4, 9, own=9), 0.0) == [Confirm(9)]
    assert candidate.handle(seen(4, 9, 10, own=9), 0.0) == []
    assert candidate.handle(seen(5, 9, 10, own=9), 0.0) == [Follow(Member(5, b""))]
    assert candidate.handle(seen(9, 10, own=9), 0.0) == [Follow(None), Confirm(9)]


def test_every_member_makes_contact_ten_times_a_session() -> None:
    """A standby, too: when it is elected it must have been heard."""
    for own in (3, 4):
        candidate = Candidate()
        standing(candidate, 3, 4, own=own)
        assert candidate.next_wakeup_s() == 1.0
        assert candidate.handle(ClockTicked(), 0.9) == []
        assert candidate.handle(ClockTicked(), 1.0) == [Confirm(own)]
        assert candidate.handle(ClockTicked(), 1.5) == []
        assert candidate.handle(ClockTicked(), 2.0) == [Confirm(own)]


def test_a_standby_that_is_elected_late_leads_at_once() -> None:
    candidate = Candidate()
    standing(candidate, 3, 4, own=4)
    for second in range(1, 60):
        candidate.handle(ContactConfirmed(4, float(second)), second + 0.1)
    candidate.handle(seen(4, own=4), 59.2)
    assert candidate.handle(ContactConfirmed(4, 59.2), 59.3) == [Lead(5)]
    assert candidate.lease_end_s == 56.0 + LEASE_S  # 57.0 was confirmed a little too late


def test_a_standby_that_is_forgotten_joins_again() -> None:
    candidate = Candidate()
    standing(candidate, 1, 2, own=2)
    assert candidate.handle(SessionLost(), 1.0) == []
    assert candidate.handle(SessionMade(TIMEOUT_S, 2.0), 2.0) == [Join()]
    assert candidate.handle(seen(1, 3, own=3), 2.0) == [Confirm(3)]
    assert candidate.handle(seen(1, own=None), 3.0) == [Join()]


def test_a_contact_of_a_membership_before_makes_no_leader() -> None:
    candidate = Candidate()
    standing(candidate, 1, own=1)
    candidate.handle(SessionLost(), 1.0)
    candidate.handle(SessionMade(TIMEOUT_S, 2.0), 2.0)
    candidate.handle(seen(2, own=2), 2.0)
    assert candidate.handle(ContactConfirmed(1, 0.5), 2.1) == []
    assert candidate.handle(ContactConfirmed(2, 2.0), 2.1) == [Lead(3)]


def test_who_was_not_heard_for_longer_than_a_lease_is_no_leader_yet() -> None:
    candidate = Candidate()
    standing(candidate, 1, own=1)
    assert candidate.handle(ContactConfirmed(1, LEASE_S), LEASE_S) == []
    assert candidate.phase is Phase.STANDBY
    assert candidate.handle(ClockTicked(), LEASE_S) == [Confirm(1)]
    assert candidate.handle(ContactConfirmed(1, LEASE_S + QUARTER_S), LEASE_S + QUARTER_S) == [Lead(2)]


# ── lease ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_contact_counts_once_a_later_one_shows_that_it_was_told_of() -> None:
    candidate = leading(now_s=100.0)
    candidate.handle(ContactConfirmed(3, 101.0), 101.1)
    candidate.handle(ContactConfirmed(3, 101.1 + QUARTER_S - 0.01), 104.0)
    assert candidate.lease_end_s == 100.0 + LEASE_S
    candidate.handle(ContactConfirmed(3, 101.1 + QUARTER_S), 104.0)
    assert candidate.lease_end_s == 101.0 + LEASE_S  # from when it was sent


def test_a_contact_after_a_long_silence_does_not_hide_it() -> None:
    """The server that has heard it may die before it tells anybody, and the session ends as if nothing had been heard."""
    candidate = leading(now_s=100.0)
    candidate.handle(ContactConfirmed(3, 106.0), 106.1)
    assert candidate.lease_end_s == 100.0 + LEASE_S


def test_a_lease_ends_on_time() -> None:
    candidate = leading(now_s=100.0)
    assert candidate.held(100.0 + LEASE_S - 0.001)
    assert not candidate.held(100.0 + LEASE_S)


def test_an_older_contact_does_not_shorten_the_lease() -> None:
    candidate = leading(now_s=100.0)
    for sent_s, now_s in ((102.0, 102.1), (105.0, 105.1), (101.0, 105.2), (104.9, 106.0)):
        candidate.handle(ContactConfirmed(3, sent_s), now_s)
    assert candidate.lease_end_s == 102.0 + LEASE_S


def test_a_leader_whose_lease_is_over_steps_down_for_good() -> None:
    candidate = leading()
    (effect,) = candidate.handle(ClockTicked(), LEASE_S)
    assert isinstance(effect, StepDown)
    assert "9.000 s" in effect.reason
    assert candidate.phase is Phase.DEPOSED
    assert candidate.handle(SessionMade(TIMEOUT_S, 9.0), 9.0) == []
    assert candidate.handle(ContactConfirmed(3, 9.0), 9.0) == []
    assert not candidate.held(1.0)


def test_a_leader_that_wakes_up_steps_down_though_a_confirmation_waits_for_it() -> None:
    candidate = leading()
    assert not candidate.held(60.0)
    (effect,) = candidate.handle(ContactConfirmed(3, 59.9), 60.0)
    assert isinstance(effect, StepDown)


def test_a_suspended_leader_goes_on_until_its_lease_is_over() -> None:
    candidate = leading()
    assert candidate.handle(SessionSuspended(), 1.0) == []
    assert candidate.handle(ClockTicked(), 2.0) == []  # there is nobody to ask
    assert candidate.next_wakeup_s() == LEASE_S
    assert candidate.held(2.0)


def test_a_leader_that_connects_again_is_heard_at_once() -> None:
    candidate = leading()
    candidate.handle(SessionSuspended(), 1.0)
    assert candidate.handle(SessionMade(TIMEOUT_S, 6.0), 6.5) == [Confirm(3)]
    assert candidate.lease_end_s == 6.0 + LEASE_S


def test_a_session_that_comes_back_shorter_shortens_the_lease() -> None:
    candidate = leading()
    candidate.handle(SessionMade(4.0, 1.0), 1.0)
    assert candidate.lease_end_s == 1.0 + 3.6
    assert isinstance(candidate.handle(ClockTicked(), 4.6)[0], StepDown)


def test_a_leader_whose_session_is_lost_steps_down() -> None:
    candidate = leading()
    assert candidate.handle(SessionLost(), 1.0) == [StepDown("ZooKeeper has ended our session")]


def test_a_leader_that_somebody_removed_steps_down() -> None:
    assert leading().handle(seen(7, own=None), 1.0) == [StepDown("somebody has removed us from the election")]
    assert leading().handle(seen(own=None), 1.0) == [StepDown("somebody has removed us from the election")]


def test_a_leader_steps_down_when_sequences_begin_anew() -> None:
    assert leading().handle(seen(0, 3, own=3), 1.0) == [StepDown("somebody has begun the election anew")]


def test_a_margin_is_never_shorter_than_a_tenth_of_a_second() -> None:
    assert margin_s(0.2) == 0.1


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────
class _Ensemble:
    """What ZooKeeper knows of one client.

    The leading server ends the session `TIMEOUT_S` after it was last told that the client was heard. The one that the
    client is connected with tells it every quarter of a session, unless it dies.
    """

    def __init__(self) -> None:
        self.told_s = 0.0  #: as the leading server has it
        self.heard = False  #: since the last telling
        self.next_telling_s = QUARTER_S
        self.now_s = 0.0

    def until(self, now_s: float) -> None:
        while self.next_telling_s <= now_s:
            if self.heard and not self.ended(self.next_telling_s):
                self.told_s = self.next_telling_s
            self.heard = False
            self.next_telling_s += QUARTER_S
        self.now_s = now_s

    def ended(self, at_s: float) -> bool:
        return at_s >= self.told_s + TIMEOUT_S


@settings(max_examples=500)
@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 3.0),  # time that passes
            st.sampled_from(["tick", "ask", "answer", "contact", "die", "connect"]),
            st.floats(0.0, 1.0),  # of what happens meanwhile, how far the request has come
        ),
        max_size=60,
    )
)
def test_nobody_leads_longer_than_its_session_lasts(story: list[tuple[float, str, float]]) -> None:
    """Answers come late or never, servers die with what they heard, the process freezes."""
    now_s, ensemble, candidate = 0.0, _Ensemble(), leading(own=1)
    connected, answers = True, list[ContactConfirmed]()
    for passed_s, what, part in story:
        before_s, now_s = now_s, now_s + passed_s
        event: Event | None = None
        ensemble.until(before_s + part * passed_s)
        match what:
            case "ask" | "contact" if connected and not ensemble.ended(ensemble.now_s):
                ensemble.heard = True
                answers.append(ContactConfirmed(1, before_s))
                if what == "contact":
                    event = answers.pop(0)
            case "answer" if answers:
                event = answers.pop(0)
            case "die":
                ensemble.heard, connected, event = False, False, SessionSuspended()
                answers.clear()
            case "connect" if not connected:
                if ensemble.ended(ensemble.now_s):
                    event = SessionLost()
                else:
                    ensemble.told_s, connected = ensemble.now_s, True
                    event = SessionMade(TIMEOUT_S, before_s)
            case "tick":
                event = ClockTicked()
        ensemble.until(now_s)
        if event is not None:
            candidate.handle(event, now_s)
        if candidate.held(now_s):  # even if from now on nothing is told any more
            assert candidate.lease_end_s <= ensemble.told_s + TIMEOUT_S


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_epochs_grow_from_leader_to_leader(ends: list[int]) -> None:
    """Whoever of the members goes, the next to lead has a greater epoch than all before."""
    members, following, epochs = list(range(4)), 4, []
    candidates: dict[int, Candidate] = {}
    for end in ends:
        for own in members:
            if own not in candidates:
                candidates[own] = Candidate()
                candidates[own].handle(SessionMade(TIMEOUT_S, 0.0), 0.0)
            candidates[own].handle(seen(*members, own=own), 0.0)
            for effect in candidates[own].handle(ContactConfirmed(own, 0.0), 0.0):
                assert isinstance(effect, Lead)
                epochs.append(effect.epoch)
        members.pop(end % len(members))
        members.append(following)
        following += 1
    assert epochs == sorted(set(epochs))
