"""The launch queue: what waits to be launched, the offers that are held, and what came of trying. Data only.

Waiting   instances of one app or pod (of one configuration) that want an agent, and why they got none so far
Held      all offers of one agent for one role, and what was placed on it; the master has not been told yet
RoleWish  whether offers are wanted for a role, and what the master was told about that
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from msgspec import Struct, field

from koinon.marathon.matching import REASONS, Match, Placements, Remaining, Settings, Unmatched, Wanted
from koinon.marathon.model.root import RunSpec
from koinon.mesos import v1

#: Of no more agents the last offer that was no use is remembered whole.
_UNUSED_MAX = 100

#: Stands in `Core.queued` for no app or pod in particular: launch tokens have come back.
ANY = ""

_CODES = {reason: code for code, reason in enumerate(REASONS, 1)}
_UNKNOWN = 255


class UnusedOffer(Struct, frozen=True, gc=False):
    """An offer that was no use, and why."""

    offer: v1.Offer
    refusal: Unmatched
    at: float


class Waiting(Struct, kw_only=True, eq=False):
    """Instances that wait for an agent."""

    spec: RunSpec
    config: str  #: version of the configuration
    wanted: Wanted
    since: float
    delayed_until: float | None = None  #: it takes no offers before
    instances: deque[str] = field(default_factory=deque)  #: ids of those that nothing was found for yet
    placed: set[str] = set()  #: ids of those that have a place, on offers that are held
    # ── trying ──
    demands: bool = False  #: counted in the wish of its role
    rotates: bool = False  #: is in `Launches.rotation`
    untried: list[list[int]] = []  #: numbers of held offers, as [next, end)
    known: int = 0  #: offers with smaller numbers were tried, or are in `untried`
    again: deque[Held] = field(
        default_factory=deque
    )  #: where one found a place: perhaps there is room for more
    later: list[Held] = []  #: refused for GROUP_BY alone, which may allow it when others are placed
    shifted: bool = False  #: GROUP_BY may allow in the next round what it refused in this one
    placements: Placements | None = None  #: made when they are looked at, forgotten at the end of a round
    # ── what came of it ──
    processed: int = 0
    unused: int = 0
    last_used_at: float | None = None
    last_unused_at: float | None = None
    attempt: dict[str, int] = {}  #: how many offers were refused for which reason, since it waits
    latest: list[int] = field(
        default_factory=lambda: [0] * (len(REASONS) + 1)
    )  #: agents by reason; [0]: used
    codes: bytearray = field(default_factory=bytearray)  #: by number of the agent, its place in `latest`
    last_unused: dict[str, UnusedOffer] = {}  #: by agent; not of all, if there are many
    examples: dict[str, UnusedOffer] = {}  #: the newest for each reason

    @property
    def count(self) -> int:
        """How many instances wait."""
        return len(self.instances) + len(self.placed)

    # ── statistics ────────────────────────────────────────────────────────────────────────────────
    def refused(self, agent: int, offer: v1.Offer, refusal: Unmatched, now: float) -> None:
        """An offer is of no use; `agent` is the number of the agent."""
        reason = refusal.refusals[0].reason
        self.processed += 1
        self.unused += 1
        self.last_unused_at = now
        self.attempt[reason] = self.attempt.get(reason, 0) + 1
        self._note(agent, _CODES[reason])
        example = self.examples.get(reason)
        if example is None or example.at != now:
            self.examples[reason] = UnusedOffer(offer, refusal, now)
        last = self.last_unused
        if len(last) < _UNUSED_MAX or offer.agent_id.value in last:
            last[offer.agent_id.value] = UnusedOffer(offer, refusal, now)

    def used(self, agent: int, offer: v1.Offer, now: float) -> None:
        """An instance was placed."""
        self.processed += 1
        self.last_used_at = now
        self._note(agent, 0)
        self.last_unused.pop(offer.agent_id.value, None)

    def _note(self, agent: int, code: int) -> None:
        codes = self.codes
        if agent >= len(codes):
            codes.extend(bytes([_UNKNOWN]) * (agent + 1 - len(codes)))
        if (before := codes[agent]) != _UNKNOWN:
            self.latest[before] -= 1
        codes[agent] = code
        self.latest[code] += 1

    @property
    def summary_of_attempt(self) -> list[dict[str, Any]]:
        """`rejectSummaryLaunchAttempt` of the API: over all offers since it waits."""
        return _funnel(self.processed, [self.attempt.get(reason, 0) for reason in REASONS])

    @property
    def summary_of_latest(self) -> list[dict[str, Any]]:
        """`rejectSummaryLastOffers` of the API: over the latest offer of each agent."""
        return _funnel(sum(self.latest), self.latest[1:])

    def explanations(self) -> Iterator[tuple[str, int, str, str]]:
        """(reason, how many agents, name of one of them, what is missing there): the most frequent reason first."""
        numbers = dict(zip(REASONS, self.latest[1:], strict=True))
        for reason in sorted(REASONS, key=lambda reason: -numbers[reason]):
            if numbers[reason] and (example := self.examples.get(reason)) is not None:
                yield reason, numbers[reason], example.offer.hostname, example.refusal.reasons[reason]


def _funnel(processed: int, declined: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for reason, number in zip(REASONS, declined, strict=True):
        rows.append({"reason": reason, "declined": number, "processed": processed})
        processed -= number
    return rows


class Placed(Struct, frozen=True, gc=False):
    """An instance that goes to an agent when its offers are accepted."""

    instance: str
    waiting: Waiting
    spec: RunSpec
    match: Match


class Held(Struct, eq=False):
    """Offers of one agent."""

    remaining: Remaining
    agent: int  #: number of the agent
    since: float
    number: int = -1  #: the place in `Launches.order`, counted from the first that ever was; -1: gone
    offers: list[v1.Offer] = []
    placed: list[Placed] = []


class RoleWish(Struct):
    """Of one role."""

    demands: int = 0  #: how many entries of the queue want offers now
    suppressed: bool = False  #: the master was told that no offers are wanted
    owed: bool = False  #: a revival is to go out as soon as it may
    repeats: int = 0  #: how often it is to be said again
    credit: float = 0.0  #: how many revivals may go out now
    credited_at: float | None = None


class Launches(Struct, kw_only=True):
    """All of it."""

    queue: dict[str, dict[str, Waiting]] = {}  #: by app or pod, by configuration (nearly always one)
    incoming: dict[str, v1.Offer] = {}  #: by id: those that nobody has looked at yet
    held: dict[tuple[str, str], Held] = {}  #: by agent and role
    offers: dict[str, Held] = {}  #: by id
    order: list[Held | None] = []  #: by number, less `first`; None: gone
    first: int = 0
    rotation: deque[Waiting] = field(default_factory=deque)  #: those that may find a place, in turn
    used: list[Held] = []  #: those that something was placed on in this round
    kept_until: float = 0.0  #: none of those that are held now goes back unused before
    in_round: bool = False  #: a round goes on in the next turn
    tried: list[Waiting] = []  #: those that were looked at in this round
    wishes: dict[str, RoleWish] = {}  #: by role
    roles: frozenset[str] = frozenset()  #: that the master knows to be ours
    new_role: bool = False  #: something waits for one that the master does not know to be ours
    wanted_at: float = 0.0  #: when something began to wait, or was placed, last
    returning_until: float = 0.0  #: so long the rest of offers that were used is awaited
    tokens: int = 0  #: launches that may go out
    starved: bool = False  #: more could be launched if there were tokens
    settings: Settings | None = None  #: of matching, with the region of the master that has taken us in
    agents: dict[str, int] = {}  #: numbers of agents

    def waiting(self) -> Iterator[Waiting]:
        """All that waits."""
        for of_spec in self.queue.values():
            yield from of_spec.values()

    def waiting_of(self, spec: str) -> list[Waiting]:
        """What waits of an app or pod: nearly always one entry at most."""
        return list(self.queue.get(spec, {}).values())

    # ── held offers ───────────────────────────────────────────────────────────────────────────────
    def hold(self, offer: v1.Offer, now: float) -> None:
        """One more offer; with others of its agent it is tried anew."""
        if offer.id.value in self.offers:
            return
        remaining = Remaining([offer])
        key = remaining.agent.agent_id, remaining.role
        held = self.held.get(key)
        if held is None:
            number = self.agents.setdefault(remaining.agent.agent_id, len(self.agents))
            held = self.held[key] = Held(remaining, number, now)
        else:
            held.remaining.add(offer)
            self.order[held.number - self.first] = None
        held.offers.append(offer)
        self.offers[offer.id.value] = held
        if len(self.order) > 2 * len(self.held) + 64:
            self._trim()
        held.number = self.first + len(self.order)
        self.order.append(held)

    def _trim(self) -> None:
        """Forget the places of the oldest, as far as they are gone: none is held for long."""
        gone = next((at for at, held in enumerate(self.order) if held is not None), len(self.order))
        del self.order[:gone]
        self.first += gone

    def let_go(self, held: Held) -> None:
        """It is not ours any more."""
        self.order[held.number - self.first] = None
        held.number = -1
        del self.held[held.remaining.agent.agent_id, held.remaining.role]
        for offer in held.offers:
            del self.offers[offer.id.value]
        if not self.held:
            self.first += len(self.order)
            self.order = []

    def next_held(self, waiting: Waiting, random: Random) -> Held | None:
        """One that it was not tried with yet, then those where it found room.

        New ones are gone through from anywhere on: so the instances of different apps spread over the agents.
        """
        start, end = max(waiting.known, self.first), self.first + len(self.order)
        if start < end:
            middle = random.randrange(start, end)
            waiting.untried += [[middle, end], [start, middle]]
            waiting.known = end
        while waiting.untried:
            span = waiting.untried[0]
            span[0] = max(span[0], self.first)
            at = span[0] - self.first
            span[0] += 1
            if span[0] >= span[1]:
                del waiting.untried[0]
            if 0 <= at < len(self.order) and at + self.first < span[1]:
                held = self.order[at]
                if held is not None and held.remaining.role == waiting.wanted.role:
                    return held
        while waiting.again:
            held = waiting.again.popleft()
            if held.number >= 0:
                return held
        return None
