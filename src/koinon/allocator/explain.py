"""Why was it not offered? Reads the decisions that runs left behind on the agents, for one framework.

A run notes on each agent what was free, who got it and who else might have had it. With the gates that stand
between them (the same the run asked), this tells for every agent the first thing that was in the way; agents
with the same reason are told together. Nothing is kept for the purpose, so nothing grows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from koinon.allocator.agents import Agent
from koinon.allocator.decisions import Decision, Reason
from koinon.allocator.filters import Ends
from koinon.allocator.frameworks import Framework, Minimum
from koinon.allocator.gates import Gates, Peers
from koinon.allocator.sorter import Client
from koinon.mesos.resources import Resources


@dataclass(frozen=True)
class Explainer:
    """Tells why one framework is not offered more."""

    framework: Framework
    agents: Collection[Agent]
    gates: Gates
    ends: Ends
    hosts: frozenset[str] | None  #: the whitelist
    now: float

    def explain(self) -> list[Decision]:
        """Return the reasons by role and in the order of the gates; none if the framework was offered all."""
        return [
            decision
            for role in sorted(self.framework.roles)
            for decision in self._explain_role(role, self.framework.clients[role])
        ]

    def _explain_role(self, role: str, client: Client) -> Iterator[Decision]:
        if not self.framework.active:
            sentence = "The framework is not connected, so nothing is offered to it."
            yield Decision(self.now, role, Reason.FRAMEWORK_INACTIVE, sentence)
        elif role in self.framework.suppressed:
            sentence = "The framework has suppressed offers; it gets none until it revives them."
            yield Decision(self.now, role, Reason.SUPPRESSED, sentence)
        elif not self.agents:
            yield Decision(self.now, role, Reason.NO_AGENTS, "No agent is registered.")
        else:
            found: dict[Reason, list[Agent]] = {}
            for agent in self.agents:
                if (reason := self._reason(client, agent)) is not None:
                    found.setdefault(reason, []).append(agent)
            for reason in sorted(found, key=list(Reason).index):
                those = found[reason]
                latest = max(those, key=lambda agent: (agent.seen_s, agent.seen.cpus))
                sentence = f"{_where(those)}: {self._say(reason, client, latest, alone=len(those) == 1)}."
                yield Decision(latest.seen_s, role, reason, sentence, len(those), latest.id)

    def _reason(self, client: Client, agent: Agent) -> Reason | None:
        """Return the first thing between the client and what was free on the agent; None if it got it."""
        if not agent.active:
            return Reason.AGENT_INACTIVE
        if self.hosts is not None and agent.hostname not in self.hosts:
            return Reason.NOT_WHITELISTED
        if any(self.gates.closed[gate] & client.bit for gate in agent.gates):
            return Reason.CAPABILITY
        constraints = self.framework.constraints.get(client.role)
        if constraints is not None and not constraints.allow(agent.traits):
            return Reason.CONSTRAINT
        if agent.won & client.bit and client in agent.used:
            return None
        if agent.open & client.bit and agent.winner is not client:
            return Reason.OTHERS_FIRST
        if not agent.seen and not agent.shared:
            return Reason.NEXT_RUN if agent.free else Reason.NOTHING_FREE
        peers: Peers = client.wants
        part = peers.part_of(agent.seen, agent.shared)
        if not part:
            return Reason.NOT_FOR_ROLE
        if not peers.welcome(part):
            return Reason.TOO_LITTLE
        if agent.refusals.covering(part) & client.bit:
            return Reason.REFUSED
        return Reason.NEXT_RUN

    def _say(self, reason: Reason, client: Client, agent: Agent, *, alone: bool) -> str:
        """Return the reason in words; details are those of `agent`: decided about last, with the most CPUs."""
        peers: Peers = client.wants
        match reason:
            case Reason.AGENT_INACTIVE:
                return "deactivated or not connected"
            case Reason.NOT_WHITELISTED:
                return "the host is not on the whitelist"
            case Reason.CAPABILITY:
                closed = next(gate for gate in agent.gates if self.gates.closed[gate] & client.bit)
                if closed.startswith("no "):
                    return f"the agent lacks the capability {closed[3:]}, which the framework or its role asks for"
                return f"only for frameworks with the capability {closed}"
            case Reason.CONSTRAINT:
                return f"the framework's offer constraints ask for: {self.framework.constraints[client.role]}"
            case Reason.NOTHING_FREE:
                return "nothing was free"
            case Reason.NOT_FOR_ROLE:
                return f"what was free is reserved for other roles than '{client.role}', or revocable"
            case Reason.TOO_LITTLE:
                return f"less was free than the minimum of {_say_minimum(peers.wants.minimum)}"
            case Reason.REFUSED:
                part = peers.part_of(agent.seen, agent.shared)
                tick = agent.refusals.last_tick(client.bit, part)
                left_s = max(0.0, self.ends.time_of(tick) - self.now)
                amounts = _say_quantities(part) if alone else f"on {agent.id}: {_say_quantities(part)}"
                return (
                    f"what is free ({amounts}) was offered to the framework, which"
                    f" declined it; it is offered again in {left_s:.0f} s, on REVIVE, or when there is more"
                )
            case Reason.OTHERS_FIRST if agent.winner is not None:
                winner = agent.winner
                return (
                    f"it went to framework {winner.framework_id} in role '{winner.role}', whose turn it was"
                    f" by fair share (theirs now {winner.share:.1%}, this one's {client.share:.1%})"
                )
            case _:
                return "free; decided in the next run"


def _where(agents: list[Agent]) -> str:
    hosts = list(dict.fromkeys(agent.hostname for agent in agents))
    names = ", ".join(hosts[:3]) + (", …" if len(hosts) > 3 else "")
    return f"agent {agents[0].id} on {names}" if len(agents) == 1 else f"{len(agents)} agents on {names}"


def _say_quantities(resources: Resources) -> str:
    amounts = (f"{name} {quantity / 1000:g}" for name, quantity in sorted(resources.scalars.items()))
    return ", ".join(amounts) or resources.format()


def _say_minimum(minimum: Minimum) -> str:
    return " or ".join(
        " and ".join(f"{name} {quantity / 1000:g}" for name, quantity in alternative)
        for alternative in minimum
    )
