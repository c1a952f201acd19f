"""Each test is one sentence of the life of a candidate; time is a number."""

from __future__ import annotations

from hypothesis import given
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
LEASE_S = 7.5


def seen(*sequences: int, own: int | None) -> MembershipSeen:
    return MembershipSeen(tuple(Member(sequence, b"") for sequence in sequences), own)


def standing(candidate: Candidate, *sequences: int, own: int, now_s: float = 0.0) -> None:
    """Brings a candidate into the election."""
    assert candidate.handle(SessionMade(TIMEOUT_S), now_s) == [Join()]
    candidate.handle(seen(*sequences, own=own), now_s)


def leading(own: int = 3, now_s: float = 0.0) -> Candidate:
    candidate = Candidate()
    standing(candidate, own, own=own, now_s=now_s)
    assert candidate.handle(ContactConfirmed(own, now_s), now_s) == [Lead(own + 1)]
    return candidate


def test_the_lowest_leads_once_its_contact_is_confirmed() -> None:
    candidate = Candidate()
    assert candidate.handle(SessionMade(TIMEOUT_S), 1.0) == [Join()]
    assert candidate.handle(seen(4, 5, own=4), 2.0) == [Confirm(4)]
    assert not candidate.held(2.0)
    assert candidate.handle(ContactConfirmed(4, 2.0), 2.1) == [Lead(5)]
    assert (candidate.phase, candidate.epoch) == (Phase.LEADING, 5)
    assert candidate.held(2.1)


def test_the_first_epoch_is_not_zero() -> None:
    assert leading(own=0).epoch == 1


def test_the_others_follow_the_lowest() -> None:
    candidate = Candidate()
    candidate.handle(SessionMade(TIMEOUT_S), 0.0)
    assert candidate.handle(seen(4, 9, own=9), 0.0) == [Follow(Member(4, b""))]
    assert candidate.handle(seen(4, 9, 10, own=9), 0.0) == []
    assert candidate.handle(seen(5, 9, 10, own=9), 0.0) == [Follow(Member(5, b""))]
    assert candidate.handle(seen(9, 10, own=9), 0.0) == [Follow(None), Confirm(9)]
    assert candidate.next_wakeup_s() == 1.0


def test_a_lease_counts_from_when_the_contact_was_sent() -> None:
    candidate = leading(now_s=100.0)
    candidate.handle(ContactConfirmed(3, 101.0), 103.0)
    assert candidate.held(101.0 + LEASE_S - 0.001)
    assert not candidate.held(101.0 + LEASE_S)
    assert candidate.lease_end_s == 101.0 + LEASE_S


def test_an_older_contact_does_not_shorten_the_lease() -> None:
    candidate = leading(now_s=100.0)
    candidate.handle(ContactConfirmed(3, 102.0), 103.0)
    candidate.handle(ContactConfirmed(3, 101.0), 103.0)
    assert candidate.lease_end_s == 102.0 + LEASE_S


def test_a_leader_asks_for_contact_ten_times_a_session() -> None:
    candidate = leading()
    assert candidate.next_wakeup_s() == 1.0
    assert candidate.handle(ClockTicked(), 0.9) == []
    assert candidate.handle(ClockTicked(), 1.0) == [Confirm(3)]
    assert candidate.handle(ClockTicked(), 1.5) == []
    assert candidate.handle(ClockTicked(), 2.0) == [Confirm(3)]


def test_a_leader_whose_lease_is_over_steps_down_for_good() -> None:
    candidate = leading()
    (effect,) = candidate.handle(ClockTicked(), LEASE_S)
    assert isinstance(effect, StepDown)
    assert "7.500 s" in effect.reason
    assert candidate.phase is Phase.DEPOSED
    assert candidate.handle(SessionMade(TIMEOUT_S), 9.0) == []
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
    assert candidate.handle(SessionMade(TIMEOUT_S), 3.0) == [Confirm(3)]
    assert candidate.handle(ContactConfirmed(3, 3.0), 3.1) == []
    assert candidate.held(10.0)


def test_a_leader_whose_session_is_lost_steps_down() -> None:
    candidate = leading()
    assert candidate.handle(SessionLost(), 1.0) == [StepDown("ZooKeeper has ended our session")]


def test_a_leader_that_somebody_removed_steps_down() -> None:
    assert leading().handle(seen(7, own=None), 1.0) == [StepDown("somebody has removed us from the election")]
    assert leading().handle(seen(own=None), 1.0) == [StepDown("somebody has removed us from the election")]


def test_a_leader_steps_down_when_sequences_begin_anew() -> None:
    assert leading().handle(seen(0, 3, own=3), 1.0) == [StepDown("somebody has begun the election anew")]


def test_a_standby_that_is_forgotten_joins_again() -> None:
    candidate = Candidate()
    standing(candidate, 1, 2, own=2)
    assert candidate.handle(SessionLost(), 1.0) == []
    assert candidate.handle(SessionMade(TIMEOUT_S), 2.0) == [Join()]
    assert candidate.handle(seen(1, 3, own=3), 2.0) == []
    assert candidate.handle(seen(1, own=None), 3.0) == [Join()]


def test_a_contact_of_a_membership_before_makes_no_leader() -> None:
    candidate = Candidate()
    standing(candidate, 1, own=1)
    candidate.handle(SessionLost(), 1.0)
    candidate.handle(SessionMade(TIMEOUT_S), 2.0)
    candidate.handle(seen(2, own=2), 2.0)
    assert candidate.handle(ContactConfirmed(1, 0.5), 2.1) == []
    assert candidate.handle(ContactConfirmed(2, 2.0), 2.1) == [Lead(3)]


def test_a_contact_that_took_longer_than_the_lease_makes_no_leader() -> None:
    candidate = Candidate()
    standing(candidate, 1, own=1)
    assert candidate.handle(ContactConfirmed(1, 0.0), LEASE_S) == []
    assert candidate.phase is Phase.STANDBY
    assert candidate.handle(ClockTicked(), LEASE_S) == [Confirm(1)]


def test_a_session_that_comes_back_shorter_shortens_the_lease() -> None:
    candidate = leading()
    candidate.handle(SessionMade(4.0), 1.0)
    assert candidate.lease_end_s == 3.0
    assert isinstance(candidate.handle(ClockTicked(), 3.0)[0], StepDown)


def test_a_margin_is_never_shorter_than_a_tenth_of_a_second() -> None:
    assert margin_s(0.2) == 0.1


class _Ensemble:
    """What ZooKeeper knows of one client: it forgets the client `TIMEOUT_S` after it has last heard from it."""

    def __init__(self) -> None:
        self.heard_s = 0.0
        self.joined = False

    def ended(self, now_s: float) -> bool:
        return now_s >= self.heard_s + TIMEOUT_S


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 4.0),  # time that passes
            st.sampled_from(["tick", "ask", "answer", "suspend", "resume", "nothing"]),
            st.floats(0.0, 1.0),  # of what happens meanwhile, how far the request has come
        ),
        max_size=60,
    )
)
def test_nobody_leads_whose_session_has_ended(story: list[tuple[float, str, float]]) -> None:
    """Answers come late or never, the process freezes: a lease ends before the session that it stands on."""
    now_s, ensemble, candidate = 0.0, _Ensemble(), leading(own=1)
    answers: list[ContactConfirmed] = []
    for passed_s, what, part in story:
        before_s, now_s = now_s, now_s + passed_s
        event: Event | None = None
        match what:
            case (
                "ask"
            ):  # the request arrives some time after it was sent, if there is a session to be heard in
                arrives_s = before_s + part * passed_s
                if not ensemble.ended(arrives_s):
                    ensemble.heard_s = max(ensemble.heard_s, arrives_s)
                    answers.append(ContactConfirmed(1, before_s))
            case "answer" if answers:
                event = answers.pop(int(part * (len(answers) - 1)))
            case "suspend":
                event = SessionSuspended()
            case "resume":
                event = SessionLost() if ensemble.ended(now_s) else SessionMade(TIMEOUT_S)
            case "tick":
                event = ClockTicked()
        if event is not None:
            candidate.handle(event, now_s)
        assert not (candidate.held(now_s) and ensemble.ended(now_s))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_epochs_grow_from_leader_to_leader(ends: list[int]) -> None:
    """Whoever of the members goes, the next to lead has a greater epoch than all before."""
    members, following, epochs = list(range(4)), 4, []
    candidates: dict[int, Candidate] = {}
    for end in ends:
        for own in members:
            if own not in candidates:
                candidates[own] = Candidate()
                candidates[own].handle(SessionMade(TIMEOUT_S), 0.0)
            candidates[own].handle(seen(*members, own=own), 0.0)
            for effect in candidates[own].handle(ContactConfirmed(own, 0.0), 0.0):
                assert isinstance(effect, Lead)
                epochs.append(effect.epoch)
        members.pop(end % len(members))
        members.append(following)
        following += 1
    assert epochs == sorted(set(epochs))
