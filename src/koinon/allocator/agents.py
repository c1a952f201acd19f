"""An agent as the allocator sees it: what is free, who holds the rest, who cannot have it or does not want it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from koinon.allocator.constraints import Traits
from koinon.allocator.filters import Refusals
from koinon.allocator.sorter import Client
from koinon.mesos import v1
from koinon.mesos.resources import Kind, Resources

NOTHING = Resources()


class Agent:
    """One agent. Of its total, `free` can be offered, `used` is offered or in use, by client.

    Shared volumes stand apart in `shared`: they may be offered while they are used.
    """

    __slots__ = (
        "_given",
        "_part",
        "active",
        "barred",
        "excluded",
        "free",
        "gates",
        "hostname",
        "id",
        "judged",
        "open",
        "overcommitted",
        "plain",
        "refusals",
        "seen",
        "seen_s",
        "shared",
        "total",
        "traits",
        "used",
        "winner",
        "won",
    )  # fmt: skip

    def __init__(self, agent_id: str) -> None:
        self.id = agent_id
        self.active = True
        self.used: dict[Client, Resources] = {}
        self.refusals = Refusals()
        self.judged = 0  #: clients whose offer constraints were asked about this agent
        self.excluded = 0  #: those of them that do not want it
        self.barred = 0  #: clients that cannot or will not have any of it, in the present run
        # The last decision about this agent: when, about what, for whom, and who might have had it, too.
        self.seen_s = 0.0
        self.seen = NOTHING
        self.winner: Client | None = None  #: the first to be given something
        self.won = 0  #: all who were
        self.open = 0
        # What was given last, with and without its role. While frameworks decline, the very same object is free
        # again and again, and so need not be compared.
        self._given = self._part = NOTHING

    def describe(
        self,
        hostname: str,
        attributes: Iterable[v1.Attribute],
        domain: v1.DomainInfo | None,
        total: Resources,
        gates: Iterable[str],
    ) -> None:
        """Set what the agent is and has. What was known about who wants it is forgotten."""
        self.hostname = hostname
        self.traits = Traits.of(hostname, attributes, domain)
        self.total = total
        self.gates = tuple(gates)
        self.shared = total.shared()
        #: Everybody may have everything: nothing is reserved, revocable or shared.
        self.plain = not self.shared and not total.reservations() and not total.revocable()
        self.refusals = Refusals()
        self.judged = self.excluded = 0
        self.settle()

    def settle(self) -> None:
        """Work out what is free from what there is and who uses it.

        More may be used than there is, when an agent comes back with less: then nothing of that kind is free.
        """
        used = Resources.sum(self.used.values()).unallocated().filter(lambda kind: not kind.shared)
        have = self.total.filter(lambda kind: not kind.shared)
        self.overcommitted = not have.contains(used)
        if self.overcommitted:

            def fits(kind: Kind) -> bool:
                return have.contains(used.filter(lambda other: other is kind))

            self.free = have.filter(fits) - used.filter(fits)
        else:
            self.free = have - used

    def give(self, client: Client, part: Resources) -> Resources:
        """Hand a part of what is free to the client; return it with the client's role on it."""
        given = _allocated(part, client.role)
        self._given, self._part = given, part
        self.used[client] = self.used[client] + given if client in self.used else given
        if part is self.free:
            self.free = NOTHING
        else:
            self.free = self.free - part.filter(lambda kind: not kind.shared)
        return given

    def take_back(self, client: Client, given: Resources) -> Resources:
        """Take from the client what it was given; return it as it was. Raises ResourceError if it has less."""
        held = self.used[client]
        if given is held or not (rest := held - given):
            del self.used[client]
        else:
            self.used[client] = rest
        part = self._part if given is self._given else given.unallocated()
        if self.overcommitted:
            self.settle()
        elif not self.free and not self.shared:
            self.free = part
        else:
            self.free = self.free + (part.filter(lambda kind: not kind.shared) if self.shared else part)
        return part


@lru_cache(8192)
def _allocated(part: Resources, role: str) -> Resources:
    # Agents that are alike have the same to give: so the messages that say it are made once.
    return part.allocated(role)
