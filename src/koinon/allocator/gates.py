"""The gates between what is free on an agent and the clients that might have it.

*Standing gates* stand before agents that ask something of frameworks. Each holds the mask of the clients that
it keeps out, so passing all clients through all gates of an agent is a few operations on integers.

*Peers* are clients that would be offered exactly the same on any agent: of one role (its own reservations and
those of its ancestors are for it), with the same of three capabilities and the same minimum. What is found out
for one of them holds for all, and need not be asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import Struct

from koinon.allocator.agents import Agent
from koinon.allocator.constraints import RoleConstraints
from koinon.allocator.frameworks import Framework, Minimum
from koinon.allocator.sorter import Client
from koinon.mesos import v1
from koinon.mesos.resources import Resources

# A gate is named for the capability of the framework that opens it, or for the one that the agent lacks.
GPU_RESOURCES = "GPU_RESOURCES"
REGION_AWARE = "REGION_AWARE"
NO_MULTI_ROLE = "no MULTI_ROLE"
NO_HIERARCHICAL_ROLE = "no HIERARCHICAL_ROLE"


class Wants(Struct, frozen=True):
    """What a client can and wants to be offered."""

    role: str
    revocable: bool
    shared: bool
    refined: bool
    minimum: Minimum


class Peers:
    """All clients with the same wants, as a mask."""

    __slots__ = ("_alternatives", "mask", "wants")

    def __init__(self, wants: Wants) -> None:
        self.wants = wants
        self.mask = 0
        self._alternatives = wants.minimum

    def part_of(self, free: Resources, shared: Resources) -> Resources:
        """Return what of an agent's free and shared resources may be offered to these clients."""
        wants = self.wants
        part = (free + shared if wants.shared else free).allocatable_to(wants.role)
        if not wants.revocable:
            part = part.nonrevocable()
        return part if wants.refined else part.without_reservation_refinements()

    def welcome(self, part: Resources) -> bool:
        """Say whether this is enough to be worth an offer."""
        if not self._alternatives:
            return bool(part)
        scalars = part.scalars
        for alternative in self._alternatives:
            for name, quantity in alternative:
                if scalars.get(name, 0) < quantity:
                    break
            else:
                return True
        return False


class Gates:
    """The standing gates, and all clients by what they want."""

    def __init__(self, minimum: Minimum, *, filter_gpu_resources: bool, region: str | None) -> None:
        #: By gate, the mask of clients that it keeps out.
        self.closed = dict.fromkeys((GPU_RESOURCES, REGION_AWARE, NO_MULTI_ROLE, NO_HIERARCHICAL_ROLE), 0)
        #: By minimum, the mask of clients that have it.
        self.minima: dict[Minimum, int] = {}
        self.constrained = 0  #: mask of the clients with offer constraints
        self._constraints: dict[Client, RoleConstraints] = {}
        self._peers: dict[Wants, Peers] = {}
        self._minimum = minimum
        self._filter_gpu_resources = filter_gpu_resources
        self._region = region

    def before(
        self, total: Resources, capabilities: Collection[str], domain: v1.DomainInfo | None
    ) -> Iterator[str]:
        """Yield the gates that stand before an agent with these traits."""
        if self._filter_gpu_resources and total.scalars.get("gpus"):
            yield GPU_RESOURCES
        if domain and domain.fault_domain and domain.fault_domain.region.name != self._region:
            yield REGION_AWARE
        if "MULTI_ROLE" not in capabilities:
            yield NO_MULTI_ROLE
        if "HIERARCHICAL_ROLE" not in capabilities:
            yield NO_HIERARCHICAL_ROLE

    def enter(self, client: Client, framework: Framework) -> None:
        """Note what the client wants and which gates keep it out, in place of what was known."""
        self.leave(client)
        capabilities = framework.capabilities
        wants = Wants(
            role=client.role,
            revocable="REVOCABLE_RESOURCES" in capabilities,
            shared="SHARED_RESOURCES" in capabilities,
            refined="RESERVATION_REFINEMENT" in capabilities,
            minimum=framework.minima.get(client.role, self._minimum),
        )
        client.wants = self._peers.setdefault(wants, Peers(wants))
        client.wants.mask |= client.bit
        self.minima[wants.minimum] = self.minima.get(wants.minimum, 0) | client.bit
        kept_out = {
            GPU_RESOURCES: GPU_RESOURCES not in capabilities,
            REGION_AWARE: REGION_AWARE not in capabilities,
            NO_MULTI_ROLE: "MULTI_ROLE" in capabilities,
            NO_HIERARCHICAL_ROLE: "/" in client.role,
        }
        for gate, is_kept_out in kept_out.items():
            if is_kept_out:
                self.closed[gate] |= client.bit
        if (constraints := framework.constraints.get(client.role)) is not None:
            self.constrained |= client.bit
            self._constraints[client] = constraints

    def leave(self, client: Client) -> None:
        """Forget the client."""
        peers: Peers | None = client.wants
        if peers is None:
            return
        client.wants = None
        for gate in self.closed:
            self.closed[gate] &= ~client.bit
        self.constrained &= ~client.bit
        self._constraints.pop(client, None)
        minimum = peers.wants.minimum
        peers.mask &= ~client.bit
        if not peers.mask:
            del self._peers[peers.wants]
        self.minima[minimum] &= ~client.bit
        if not self.minima[minimum]:
            del self.minima[minimum]

    def exclude(self, client: Client, agent: Agent) -> bool:
        """Say whether the client's offer constraints exclude the agent; they are asked once, the agent remembers."""
        if not agent.judged & client.bit:
            agent.judged |= client.bit
            if client in self._constraints and not self._constraints[client].allow(agent.traits):
                agent.excluded |= client.bit
        return bool(agent.excluded & client.bit)
