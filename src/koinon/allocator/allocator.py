"""Who is offered what.

    candidates ──▶ gates ──▶ order ──▶ allocation: agent × role × framework
    agents with     who may     whose     all that is free on the agent
    something free  have it     turn      and allowed to the role

A *run* (`allocate`) takes agents about which something changed, in random order, and gives each to the
client (framework × role) whose turn it is by fair share among those that pass the gates. All a client may
have on an agent goes to it in one piece. A run takes no more than a thousand agents; the next one, which is due
at once, goes on. Every `allocation_interval_s` it is the turn of all agents, as a safety net.

Gates, each a mask of clients that are kept away from an agent:

    standing     capabilities that the agent asks for; offer constraints (asked once per client and agent)
    for what is  the client's role may have none of it; it is less than the client's minimum; the client
    free now     has refused as much or more

What follows the gates is in stages.py; maintenance windows will be a matter of who is a candidate.

Time and randomness come in from outside. Calls about unknown ids raise KeyError, except `recover`: resources
may come back after their agent or framework is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from random import Random

from msgspec import Struct

from koinon.allocator.agents import Agent
from koinon.allocator.constraints import RoleConstraints
from koinon.allocator.decisions import Decision
from koinon.allocator.explain import Explainer
from koinon.allocator.filters import REFUSE_S_MAX, Ends
from koinon.allocator.frameworks import Framework, Minimum, parse_minimum
from koinon.allocator.gates import Gates
from koinon.allocator.sorter import Client, RoleTree
from koinon.allocator.stages import Allocation, fair_stage
from koinon.mesos import v1
from koinon.mesos.resources import ResourceError, Resources

#: So many agents in one run. Who runs us has other things to do, and writing an offer takes longer than making it.
_AGENTS_AT_ONCE = 1000
#: Of a client that refuses on more agents than this nobody lists them: all are looked at when it revives.
_LISTED_MAX = 1000


class AllocatorConfig(Struct, frozen=True):
    """What does not change while an allocator lives."""

    allocation_interval_s: float = 1.0
    minimum: Minimum = parse_minimum("cpus:0.01|mem:32")  #: leftovers below it are not offered
    filter_gpu_resources: bool = True  #: agents with GPUs only to frameworks that ask for them
    excluded_resource_names: tuple[str, ...] = ()  #: these do not count for shares
    region: str | None = None  #: the master's own


class Allocator:
    """Allocates the agents' resources to frameworks. One instance per leading master."""

    def __init__(self, config: AllocatorConfig, rng: Random) -> None:
        self.config = config
        self.tree = RoleTree(config.excluded_resource_names)  #: shares and order, to be read
        self._rng = rng
        self._frameworks: dict[str, Framework] = {}
        self._agents: dict[str, Agent] = {}
        self._whitelist: frozenset[str] | None = None
        self._gates = Gates(
            config.minimum, filter_gpu_resources=config.filter_gpu_resources, region=config.region
        )
        self._candidates: dict[str, None] = {}  #: agents for the next run, in order of their arrival
        self._all_candidates = False
        self._batch_s = float("-inf")  #: when the next batch is due
        self._ends = Ends(config.allocation_interval_s)
        self._refusals: dict[str, int] = {}  #: how many stand, by role

    # ── frameworks ────────────────────────────────────────────────────────────────────────────────

    def add_framework(
        self,
        framework_id: str,
        roles: Iterable[str],
        *,
        suppressed: Iterable[str] = (),
        capabilities: Collection[str] = (),
        minima: Mapping[str, Minimum] | None = None,
        constraints: Mapping[str, RoleConstraints] | None = None,
        active: bool = True,
        used: Mapping[str, Resources] | None = None,
    ) -> None:
        """Add a framework. `minima` and `constraints` are by role, `capabilities` by their enum names.

        `used` is what it holds, by agent id. Only what no `add_agent` has told yet is taken from it.
        Raises ValueError if the framework is known.
        """
        framework = self._frameworks.get(framework_id)
        if framework is not None and framework.added:
            raise ValueError(f"framework {framework_id} is already known")
        if framework is None:
            framework = self._frameworks[framework_id] = Framework(framework_id)
        told = {agent.id for client in framework.clients.values() for agent in self._holders(client)}
        for agent_id, resources in (used or {}).items():
            if agent_id in self._agents and agent_id not in told:
                self._note_used(self._agents[agent_id], framework, resources)
                self._agents[agent_id].settle()
        framework.added = True
        framework.active = active
        self._set_framework(framework, roles, suppressed, capabilities, minima, constraints)

    def update_framework(
        self,
        framework_id: str,
        roles: Iterable[str],
        *,
        suppressed: Iterable[str] = (),
        capabilities: Collection[str] = (),
        minima: Mapping[str, Minimum] | None = None,
        constraints: Mapping[str, RoleConstraints] | None = None,
    ) -> None:
        """Replace all that is known about a framework besides what it holds and whether it is active.

        Refusals of roles that it no longer has, or has newly revived, are cleared.
        """
        framework = self._frameworks[framework_id]
        self._set_framework(framework, roles, suppressed, capabilities, minima, constraints)

    def activate_framework(self, framework_id: str) -> None:
        """Let the framework be offered things again, but for its suppressed roles."""
        framework = self._frameworks[framework_id]
        framework.active = True
        self._set_activity(framework)

    def deactivate_framework(self, framework_id: str) -> None:
        """Offer nothing more to the framework; its refusals are cleared, what it holds it keeps."""
        framework = self._frameworks[framework_id]
        framework.active = False
        for client in framework.clients.values():
            self._clear_everywhere(client)
        self._set_activity(framework)

    def remove_framework(self, framework_id: str) -> None:
        """Remove the framework and free all that it still holds."""
        framework = self._frameworks[framework_id]
        framework.roles = frozenset()
        for client in list(framework.clients.values()):
            for agent in self._holders(client):
                agent.take_back(client, agent.used[client])
                self._candidates[agent.id] = None
            self.tree.recovered(client, dict(client.held))
            self._drop_client(framework, client)
        self._frameworks.pop(framework_id, None)

    def suppress(self, framework_id: str, roles: Iterable[str] | None = None) -> None:
        """Offer nothing more for these roles (None: all) until they are revived."""
        framework = self._frameworks[framework_id]
        framework.suppressed.update(framework.roles if roles is None else roles)
        self._set_activity(framework)

    def revive(self, framework_id: str, roles: Iterable[str] | None = None) -> None:
        """Lift suppression and clear refusals of these roles (None: all)."""
        framework = self._frameworks[framework_id]
        for role in sorted(framework.roles) if roles is None else roles:
            framework.suppressed.discard(role)
            if role in framework.clients:
                self._clear_everywhere(framework.clients[role])
        self._set_activity(framework)
        self._all_candidates = True

    def set_weight(self, role: str, weight: float) -> None:
        """Set a role's weight; it takes effect with the next run."""
        self.tree.set_weight(role, weight)

    # ── agents ────────────────────────────────────────────────────────────────────────────────────

    def add_agent(
        self,
        agent_id: str,
        *,
        hostname: str,
        total: Resources,
        attributes: Iterable[v1.Attribute] = (),
        used: Mapping[str, Resources] | None = None,
        capabilities: Collection[str] = ("MULTI_ROLE", "HIERARCHICAL_ROLE"),
        domain: v1.DomainInfo | None = None,
        active: bool = True,
    ) -> None:
        """Add an agent with what frameworks use on it, by framework id (known already or still to come).

        Raises ValueError if the agent is known, or if what is used carries no role.
        """
        if agent_id in self._agents:
            raise ValueError(f"agent {agent_id} is already known")
        for framework_id, resources in (used or {}).items():
            if not all(_held_by(resources, role) for role in resources.allocation_roles or ("",)):
                raise ValueError(
                    f"framework {framework_id} uses '{resources.format()}' of agent {agent_id} in no role"
                )
        agent = self._agents[agent_id] = Agent(agent_id)
        agent.active = active
        self.tree.add_total(total.scalars)
        for framework_id, resources in (used or {}).items():
            framework = self._frameworks.get(framework_id)
            if framework is None:
                framework = self._frameworks[framework_id] = Framework(framework_id)
            self._note_used(agent, framework, resources)
        agent.describe(hostname, attributes, domain, total, self._gates.before(total, capabilities, domain))
        self._candidates[agent_id] = None

    def update_agent(
        self,
        agent_id: str,
        *,
        hostname: str,
        total: Resources,
        attributes: Iterable[v1.Attribute] = (),
        capabilities: Collection[str] = ("MULTI_ROLE", "HIERARCHICAL_ROLE"),
        domain: v1.DomainInfo | None = None,
    ) -> None:
        """Replace what an agent is and has; what is used there stays, all refusals are cleared."""
        agent = self._agents[agent_id]
        self.tree.add_total(agent.total.scalars, -1)
        self.tree.add_total(total.scalars)
        self._clear_refusals(agent, -1)
        agent.describe(hostname, attributes, domain, total, self._gates.before(total, capabilities, domain))
        self._candidates[agent_id] = None

    def activate_agent(self, agent_id: str) -> None:
        """Let the agent be offered."""
        self._agents[agent_id].active = True
        self._candidates[agent_id] = None

    def deactivate_agent(self, agent_id: str) -> None:
        """Offer the agent no more; what is used there stays."""
        self._agents[agent_id].active = False

    def remove_agent(self, agent_id: str) -> None:
        """Remove the agent with all that is used there."""
        agent = self._agents.pop(agent_id)
        self._clear_refusals(agent, -1)
        self.tree.add_total(agent.total.scalars, -1)
        for client, held in agent.used.items():
            self.tree.recovered(client, held.scalars)
        for client in agent.used:
            self._drop_if_idle(client)

    def set_whitelist(self, hostnames: Iterable[str] | None) -> None:
        """Offer only agents on these hosts; None: all."""
        self._whitelist = None if hostnames is None else frozenset(hostnames)
        self._all_candidates = True

    # ── a run ─────────────────────────────────────────────────────────────────────────────────────

    def next_wakeup(self, now: float) -> float:
        """Return when `allocate` is to be called next: `now` if something changed since the last run."""
        if self._candidates or self._all_candidates:
            return now
        return min(self._batch_s, self._ends.next_s())

    def allocate(self, now: float) -> list[Allocation]:
        """Do a run and return what was allocated; it counts as used from now on.

        While `next_wakeup` still returns `now`, there may be more to allocate.
        """
        self._end_refusals(now)
        if now >= self._batch_s:
            self._batch_s = now + self.config.allocation_interval_s
            self._all_candidates = True
        return fair_stage(self._take_candidates(), self.tree, self._gates, self._rng, now)

    def _take_candidates(self) -> list[Agent]:
        known = self._agents
        if not self.tree.root.mask:  # nobody wants anything; who does so again makes candidates of all
            self._candidates.clear()
            self._all_candidates = False
            return []
        if self._all_candidates:
            ids = list(known)
            first = self._rng.randrange(len(ids)) if len(ids) > _AGENTS_AT_ONCE else 0
            self._candidates = dict.fromkeys(ids[first:] + ids[:first])
            self._all_candidates = False
        taken = list(islice(self._candidates, _AGENTS_AT_ONCE))
        for agent_id in taken:
            del self._candidates[agent_id]
        agents, hosts = [known[id] for id in taken if id in known], self._whitelist
        return [agent for agent in agents if agent.active and (hosts is None or agent.hostname in hosts)]

    def recover(
        self,
        framework_id: str,
        agent_id: str,
        resources: Resources,
        *,
        refuse_s: float | None,
        now: float,
    ) -> None:
        """Take back what was allocated. With `refuse_s` the framework does not want it again for that long.

        A refusal lasts at least to the next batch, so that a framework that declines without one is not
        offered the same again at once. Raises ResourceError if the framework does not hold the resources.
        """
        agent, framework = self._agents.get(agent_id), self._frameworks.get(framework_id)
        if agent is None or framework is None:
            return  # they were freed with their agent or framework
        roles = resources.allocation_roles
        for role in roles:
            part = resources if len(roles) == 1 else _held_by(resources, role)
            client = framework.clients.get(role)
            if client is None or client not in agent.used:
                raise ResourceError(
                    f"framework {framework_id} gives back '{part.format()}' of agent {agent_id}, but holds nothing there"
                )
            part = agent.take_back(client, part)
            self.tree.recovered(client, part.scalars)
            if refuse_s is not None and client.mask:
                self._refuse(agent, client, part, refuse_s, now)
            self._drop_if_idle(client)
        self._candidates[agent_id] = None

    # ── what can be read ──────────────────────────────────────────────────────────────────────────

    def why(self, framework_id: str, now: float) -> list[Decision]:
        """Return why the framework is not offered more, by role and reason, as decided in the latest runs."""
        framework, agents = self._frameworks[framework_id], self._agents.values()
        return Explainer(framework, agents, self._gates, self._ends, self._whitelist, now).explain()

    @property
    def totals(self) -> Mapping[str, int]:
        """What the cluster has, in thousandths by name."""
        return self.tree.totals

    @property
    def allocated(self) -> dict[str, int]:
        """What of it is offered or in use, in thousandths by name."""
        return self.tree.allocated_totals()

    @property
    def refusals_by_role(self) -> Mapping[str, int]:
        """How many refusals stand, by role."""
        return self._refusals

    def shares(self) -> dict[str, float]:
        """Return the dominant share of every role in use, not divided by weights."""
        self.tree.refresh()
        return {node.path: node.share for node in self.tree.roles()}

    def order(self) -> list[tuple[str, str]]:
        """Return (framework id, role) of all that take part, the one whose turn it is first."""
        return [(client.framework_id, client.role) for client in self.tree.in_order()]

    def excluded_agents(self, framework_id: str, role: str) -> list[str]:
        """Return the ids of the agents that the framework's offer constraints exclude for the role."""
        constraints = self._frameworks[framework_id].constraints.get(role)
        if constraints is None:
            return []
        return [agent.id for agent in self._agents.values() if not constraints.allow(agent.traits)]

    # ── frameworks, inside ────────────────────────────────────────────────────────────────────────

    def _set_framework(
        self,
        framework: Framework,
        roles: Iterable[str],
        suppressed: Iterable[str],
        capabilities: Collection[str],
        minima: Mapping[str, Minimum] | None,
        constraints: Mapping[str, RoleConstraints] | None,
    ) -> None:
        revived = framework.suppressed.difference(suppressed)
        roles, constraints = list(roles), constraints or {}
        judged_anew = [
            role for role in framework.clients if framework.constraints.get(role) != constraints.get(role)
        ]
        framework.roles = frozenset(roles)
        framework.suppressed = set(suppressed)
        framework.capabilities = frozenset(capabilities)
        framework.constraints = constraints
        framework.minima = minima or {}
        for role in judged_anew:
            client = framework.clients[role]
            for agent in self._agents.values():
                agent.judged &= ~client.bit
                agent.excluded &= ~client.bit
        for role in roles:
            if role not in framework.clients:
                framework.clients[role] = self.tree.add_client(framework.id, role)
            self._gates.enter(framework.clients[role], framework)
        for role, client in list(framework.clients.items()):
            if role not in framework.roles or role in revived:
                self._clear_everywhere(client)
        self._set_activity(framework)
        self._all_candidates = True
        for client in list(framework.clients.values()):
            self._drop_if_idle(client)

    def _set_activity(self, framework: Framework) -> None:
        for role, client in framework.clients.items():
            if not framework.is_offered(role):
                self.tree.deactivate(client)
            elif not client.mask:
                self.tree.activate(client)
                self._all_candidates = True

    def _drop_if_idle(self, client: Client) -> None:
        """Drop the client if its framework has left the role, and it holds nothing any more."""
        framework = self._frameworks[client.framework_id]
        if client.role not in framework.roles and not any(self._holders(client)):
            self._drop_client(framework, client)

    def _drop_client(self, framework: Framework, client: Client) -> None:
        self._clear_everywhere(client)
        self._gates.leave(client)
        self.tree.remove_client(client)
        del framework.clients[client.role]
        for agent in self._agents.values():  # another client gets its bit
            agent.judged &= ~client.bit
            agent.excluded &= ~client.bit
            agent.open &= ~client.bit
            agent.won &= ~client.bit
            if agent.winner is client:
                agent.winner = None
                agent.open = 0
        if not framework.added and not framework.clients:
            del self._frameworks[framework.id]

    # ── agents, inside ────────────────────────────────────────────────────────────────────────────

    def _note_used(self, agent: Agent, framework: Framework, resources: Resources) -> None:
        for role in sorted(resources.allocation_roles):
            if role not in framework.clients:
                framework.clients[role] = self.tree.add_client(framework.id, role)
            client = framework.clients[role]
            part = _held_by(resources, role)
            agent.used[client] = agent.used[client] + part if client in agent.used else part
            self.tree.allocated(client, part.scalars)

    def _holders(self, client: Client) -> list[Agent]:
        """Return the agents on which the client holds something."""
        return [agent for agent in self._agents.values() if client in agent.used]

    # ── refusals, inside ──────────────────────────────────────────────────────────────────────────

    def _refuse(
        self, agent: Agent, client: Client, resources: Resources, refuse_s: float, now: float
    ) -> None:
        if refuse_s > 0:
            until_s = now + min(max(refuse_s, self.config.allocation_interval_s), REFUSE_S_MAX)
        else:
            until_s = max(now, self._batch_s)
        tick = self._ends.tick_at(until_s)
        self._ends.add(tick, agent.id)
        if client.refused_on is not None:
            client.refused_on[agent.id] = None
            if len(client.refused_on) > _LISTED_MAX:
                client.refused_on = None
        if agent.refusals.add(client.bit, resources, tick):
            self._refusals[client.role] = self._refusals.get(client.role, 0) + 1

    def _end_refusals(self, now: float) -> None:
        for tick, agent_id in self._ends.due(now):
            agent = self._agents.get(agent_id)
            if agent is not None:
                for ended in agent.refusals.end(tick):
                    self._uncount(ended)
                    self._candidates[agent_id] = None

    def _clear_refusals(self, agent: Agent, mask: int) -> None:
        for cleared in agent.refusals.clear(mask):
            self._uncount(cleared)

    def _clear_everywhere(self, client: Client) -> None:
        bit, listed, known = client.bit, client.refused_on, self._agents
        for agent in known.values() if listed is None else [known[id] for id in listed if id in known]:
            if agent.refusals.clients & bit:
                self._clear_refusals(agent, bit)
        client.refused_on = {}

    def _uncount(self, refused: int) -> None:
        for client in self.tree.clients(refused):
            self._refusals[client.role] -= 1


def _held_by(resources: Resources, role: str) -> Resources:
    """Return the part that is allocated to the role."""
    return resources.filter(lambda kind: kind.allocation_role == role)
