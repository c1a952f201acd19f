"""The life of one who stands for election, of whom only one may act at a time.

    STANDBY ──lowest sequence, contact confirmed──▶ LEADING ──lease over, or no longer the lowest──▶ DEPOSED

Candidates join under a path of ZooKeeper; each gets a *sequence* number, from 0 on, and the lowest one leads. The
*epoch* of its leadership is one more, so it only grows from leader to leader, and is never 0. Joining ends with the
session: ZooKeeper forgets a client that it has not heard from for the session's timeout, which both have agreed on.

A leader holds a **lease**: so long ZooKeeper certainly keeps our session. Once it is over the leader is deposed, whatever
else it hears: so a process that was frozen, or cut off, stops before another one may begin. Deposed is final: the
process ends, and a new one stands as a new candidate. A standby that is forgotten has promised nothing, and joins again.

The lease counts from when we were surely *heard*. A *contact* is a question about our own membership that only a quorum
can answer. But what ends sessions is the leading server's list of who was heard when, and the other servers tell it only
every half tick: a contact may be confirmed, and the server that heard it die with the news. As no session is shorter
than two ticks, a contact has been heard when another one was confirmed that was sent a quarter of a session after the
answer to the first (`RELAYED`). A connection is heard at once: the leading server itself takes it up. From there the lease has the session's
timeout, less a margin for clocks that run unequally.

Pure: `now_s` comes from a clock that only goes forward and goes on while the machine sleeps.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from enum import Enum

from msgspec import Struct

#: So often within a session's timeout each member makes a contact; standbys, too, to be heard when they are elected.
_CONTACTS = 10
#: So much of a session after the answer to a contact its server has told of it.
RELAYED = 0.25
_MARGIN = 0.1
_MARGIN_MIN_S = 0.1


def margin_s(timeout_s: float) -> float:
    """How much of a session of `timeout_s` a leader does not use."""
    return max(_MARGIN * timeout_s, _MARGIN_MIN_S)


def epoch_of(sequence: int) -> int:
    """The epoch in which the candidate with that sequence leads; 0 is left for clusters without election."""
    return sequence + 1


class Phase(Enum):
    """A standby may stand again and again; a leader that is deposed ends its process."""

    STANDBY = "standby"
    LEADING = "leading"
    DEPOSED = "deposed"


MOVES: Mapping[Phase, frozenset[Phase]] = {
    Phase.STANDBY: frozenset({Phase.LEADING}),
    Phase.LEADING: frozenset({Phase.DEPOSED}),
    Phase.DEPOSED: frozenset(),
}


class Member(Struct, frozen=True):
    """One who stands for election, as the others see it."""

    sequence: int
    info: bytes  #: who it is, in its own words

    @property
    def epoch(self) -> int:
        """Of its leadership, if it comes to that."""
        return epoch_of(self.sequence)


# ── events ────────────────────────────────────────────────────────────────────────────────────────
class Event(Struct, frozen=True, tag=True):
    """A fact."""


class SessionMade(Event, frozen=True):
    """Connected with ZooKeeper: for the first time, again within the same session, or with a new one."""

    timeout_s: float  #: as the server granted it
    sent_s: float  #: when the connection was asked for


class SessionSuspended(Event, frozen=True):
    """The connection broke. The session may live on."""


class SessionLost(Event, frozen=True):
    """ZooKeeper has ended our session, and our membership with it."""


class MembershipSeen(Event, frozen=True):
    """Who stands for election, by ascending sequence; `own` is ours, or None when we are not among them."""

    members: tuple[Member, ...]
    own: int | None


class ContactConfirmed(Event, frozen=True):
    """A quorum has answered that we are member `sequence`; the question was sent at `sent_s`."""

    sequence: int
    sent_s: float


class ClockTicked(Event, frozen=True):
    """Time has passed."""


# ── effects ───────────────────────────────────────────────────────────────────────────────────────
class Effect(Struct, frozen=True, tag=True):
    """A command for the shell."""


class Join(Effect, frozen=True):
    """See to it that we are a member, once; answered by MembershipSeen."""


class Confirm(Effect, frozen=True):
    """Ask whether we are still member `sequence`; answered by ContactConfirmed, or by what happened instead."""

    sequence: int


class Follow(Effect, frozen=True):
    """Somebody else leads (its info), or nobody (None)."""

    leader: Member | None


class Lead(Effect, frozen=True):
    """We lead, in `epoch`, as long as `Candidate.held` says so."""

    epoch: int


class StepDown(Effect, frozen=True):
    """We lead no more: end at once."""

    reason: str


class Candidate:
    """One candidate, from its start to the end of its process."""

    def __init__(self) -> None:
        self.phase = Phase.STANDBY
        self.epoch: int | None = None  #: of our leadership; None until we lead
        self._connected = False
        self._timeout_s = 0.0
        self._own: int | None = None  #: our sequence
        self._lowest = False  #: whether ours is the lowest
        self._heard_s = -math.inf  #: since when we are not heard from, at the worst
        #: When contacts were sent, and confirmed, that may not have been told of.
        self._contacts_s: deque[tuple[float, float]] = deque()
        self._asked_s = -math.inf  #: when we last asked for one
        self._followed: Member | None = None

    def held(self, now_s: float) -> bool:
        """Whether we may act as the leader now."""
        return self.phase is Phase.LEADING and now_s < self.lease_end_s

    @property
    def lease_end_s(self) -> float:
        """Until when we may lead, by what is confirmed so far."""
        # A session that came back with another timeout counts with that.
        return self._heard_s + self._timeout_s - margin_s(self._timeout_s)

    def next_wakeup_s(self) -> float:
        """When a ClockTicked is wanted next; infinity if never."""
        wanted = []
        if self.phase is Phase.LEADING:
            wanted.append(self.lease_end_s)
        if self._wants_contacts():
            wanted.append(self._asked_s + self._contact_interval_s())
        return min(wanted, default=math.inf)

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """Take in what happened. Who was deposed does nothing any more."""
        if self.phase is Phase.DEPOSED:
            return []
        if self.phase is Phase.LEADING and now_s >= self.lease_end_s:
            # First of all, even if the event would renew the lease: another one may lead since.
            return self._step_down(
                f"not heard by ZooKeeper for {now_s - self._heard_s:.3f} s, of a session of {self._timeout_s:g} s"
            )
        match event:
            case SessionMade(timeout_s, sent_s):
                return self._session_made(timeout_s, sent_s, now_s)
            case SessionSuspended():
                self._connected = False
                return []
            case SessionLost():
                self._connected, self._own, self._lowest = False, None, False
                if self.phase is Phase.LEADING:
                    return self._step_down("ZooKeeper has ended our session")
                return []
            case MembershipSeen(members, own):
                return self._membership(members, own, now_s)
            case ContactConfirmed(sequence, sent_s):
                return self._contact(sequence, sent_s, now_s)
            case ClockTicked():
                if self._wants_contacts() and now_s >= self._asked_s + self._contact_interval_s():
                    return [self._confirm(now_s)]
                return []
        raise TypeError(f"not an event of a candidate: {event!r}")

    def _session_made(self, timeout_s: float, sent_s: float, now_s: float) -> list[Effect]:
        self._connected, self._timeout_s = True, timeout_s
        self._heard_s = max(self._heard_s, sent_s)
        return [Join()] if self._own is None else [self._confirm(now_s)]

    def _membership(self, members: tuple[Member, ...], own: int | None, now_s: float) -> list[Effect]:
        if self.phase is Phase.LEADING:
            if own != self._own:
                return self._step_down("somebody has removed us from the election")
            if not self._is_lowest(members):  # the path was removed, sequences count from the beginning again
                return self._step_down("somebody has begun the election anew")
            return []
        fresh = own is not None and own != self._own
        left, self._own = self._own is not None and own is None, own
        self._lowest = self._is_lowest(members)
        effects: list[Effect] = []
        leader = members[0] if members and not self._lowest else None
        if leader != self._followed:
            self._followed = leader
            effects.append(Follow(leader))
        if left and self._connected:  # somebody removed us, who have promised nothing
            effects.append(Join())
        if (fresh or self._lowest) and self._connected:
            effects.append(self._confirm(now_s))
        return effects

    def _contact(self, sequence: int, sent_s: float, now_s: float) -> list[Effect]:
        if sequence != self._own:  # of a session before this one
            return []
        while self._contacts_s and self._contacts_s[0][1] <= sent_s - RELAYED * self._timeout_s:
            self._heard_s = max(self._heard_s, self._contacts_s.popleft()[0])
        self._contacts_s.append((sent_s, now_s))
        if self.phase is Phase.STANDBY and self._lowest and now_s < self.lease_end_s:
            self._become(Phase.LEADING)
            self.epoch = epoch_of(sequence)
            return [Lead(self.epoch)]
        return []

    def _is_lowest(self, members: tuple[Member, ...]) -> bool:
        return bool(members) and members[0].sequence == self._own

    def _wants_contacts(self) -> bool:
        return self._connected and self._own is not None

    def _contact_interval_s(self) -> float:
        return self._timeout_s / _CONTACTS

    def _confirm(self, now_s: float) -> Effect:
        assert self._own is not None
        self._asked_s = now_s
        return Confirm(self._own)

    def _become(self, phase: Phase) -> None:
        assert phase in MOVES[self.phase], f"{self.phase} to {phase}"
        self.phase = phase

    def _step_down(self, reason: str) -> list[Effect]:
        self._become(Phase.DEPOSED)
        return [StepDown(reason)]
