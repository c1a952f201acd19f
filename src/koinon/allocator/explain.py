"""Why was it not offered? Reads the decisions that runs left behind on the agents, for one framework.

A run notes on each agent what was free, who got it and who else might have had it. With the gates that stand
between them (the same the run asked), this tells for every agent the first thing that was in the way; agents
with the same reason are told together. Nothing is kept for the purpose, so nothing grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from koinon.allocator.agents import Agent
from koinon.allocator.decisions import Decision, Reason
from koinon.allocator.frameworks import Framework, Minimum
from koinon.allocator.gates import Gates, Peers
from koinon.allocator.sorter import Client, RoleTree


def explain(
    framework: Framework,
    agents: Iterable[Agent],
    tree: RoleTree,
    gates: Gates,
    hosts: frozenset[str] | None,
    now: float,
) -> list[Decision]:
    """Return the reasons of a framework, by role and in the order of the gates; none if it was offered all."""
    return [
        decision
        for role in sorted(framework.roles)
        for decision in _explain_role(
            framework, framework.clients[role], list(agents), tree, gates, hosts, now
        )
    ]


def _explain_role(
    framework: Framework,
    client: Client,
    agents: list[Agent],
    tree: RoleTree,
    gates: Gates,
    hosts: frozenset[str] | None,
    now: float,
) -> Iterator[Decision]:
    role = client.role
    if not framework.active:
        yield Decision(
            now,
            role,
            Reason.FRAMEWORK_INACTIVE,
            "The framework is not connected, so nothing is offered to it.",
        )
    elif role in framework.suppressed:
        sentence = (
            f"The framework has suppressed offers for role '{role}'; it gets none until it revives them."
        )
        yield Decision(now, role, Reason.SUPPRESSED, sentence)
    elif not agents:
        yield Decision(now, role, Reason.NO_AGENTS, "No agent is registered.")
    else:
        found: dict[Reason, list[Agent]] = {}
        for agent in agents:
            reason = _reason(framework, client, agent, gates, hosts, now)
            if reason is not None:
                found.setdefault(reason, []).append(agent)
        for reason in Reason:
            if (those := found.get(reason)) is not None:
                latest = max(those, key=lambda agent: agent.seen_s)
                sentence = f"{_where(those)}: {_say(reason, framework, client, latest, tree, gates, now)}."
                yield Decision(latest.seen_s, role, reason, sentence, len(those), latest.id)


def _reason(
    framework: Framework,
    client: Client,
    agent: Agent,
    gates: Gates,
    hosts: frozenset[str] | None,
    now: float,
) -> Reason | None:
    """Return the first thing between the client and what was free on the agent; None if it got it."""
    if not agent.active:
        return Reason.AGENT_INACTIVE
    if hosts is not None and agent.hostname not in hosts:
        return Reason.NOT_WHITELISTED
    if any(gates.closed[gate] & client.bit for gate in agent.gates):
        return Reason.CAPABILITY
    constraints = framework.constraints.get(client.role)
    if constraints is not None and not constraints.allow(agent.traits):
        return Reason.CONSTRAINT
    if agent.won & client.bit and client in agent.used:
        return None
    if agent.open & client.bit and agent.winner is not None:
        return Reason.OTHERS_FIRST
    if not agent.seen and not agent.shared:
        return Reason.NEXT_RUN if agent.free else Reason.NOTHING_FREE
    peers: Peers = client.wants
    part = peers.part_of(agent.seen, agent.shared)
    if not part:
        return Reason.NOT_FOR_ROLE
    if not peers.welcome(part):
        return Reason.TOO_LITTLE
    if agent.refusals.until_s(client, part) > now:
        return Reason.REFUSED
    return Reason.NEXT_RUN


def _where(agents: list[Agent]) -> str:
    names = ", ".join(agent.hostname for agent in agents[:3])
    return f"{len(agents)} agent{'s' if len(agents) > 1 else ''} ({names}{', …' if len(agents) > 3 else ''})"


def _say(
    reason: Reason,
    framework: Framework,
    client: Client,
    agent: Agent,
    tree: RoleTree,
    gates: Gates,
    now: float,
) -> str:
    """Return the reason in words; details are those of `agent`, the one decided about last."""
    peers: Peers = client.wants
    match reason:
        case Reason.AGENT_INACTIVE:
            return "deactivated or not connected"
        case Reason.NOT_WHITELISTED:
            return "the host is not on the whitelist"
        case Reason.CAPABILITY:
            closed = next(gate for gate in agent.gates if gates.closed[gate] & client.bit)
            if closed.startswith("no "):
                return (
                    f"the agent lacks the capability {closed[3:]}, which the framework or its role asks for"
                )
            return f"only for frameworks with the capability {closed}"
        case Reason.CONSTRAINT:
            return f"the framework's offer constraints ask for: {framework.constraints[client.role]}"
        case Reason.NOTHING_FREE:
            return "nothing was free"
        case Reason.NOT_FOR_ROLE:
            return f"what was free is reserved for other roles than '{client.role}', or revocable"
        case Reason.TOO_LITTLE:
            return f"less was free than the minimum of {_say_minimum(peers.wants.minimum)}"
        case Reason.REFUSED:
            left_s = agent.refusals.until_s(client, peers.part_of(agent.seen, agent.shared)) - now
            return f"the framework refused what was free; it is offered again in {left_s:.0f} s, on REVIVE, or when there is more"
        case Reason.OTHERS_FIRST if agent.winner is not None:
            winner = agent.winner
            return (
                f"it went to framework {winner.framework_id} in role '{winner.role}', whose turn it was"
                f" by fair share (theirs now {winner.share:.1%}, this one's {client.share:.1%})"
            )
        case _:
            return "free; decided in the next run"


def _say_minimum(minimum: Minimum) -> str:
    return " or ".join(
        " and ".join(f"{name} {quantity / 1000:g}" for name, quantity in alternative)
        for alternative in minimum
    )
