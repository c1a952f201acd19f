"""The stages of a run: how agents that have something to give find their takers.

So far there is one, the *fair stage*: everything goes by fair share, all of an agent that a client may have in
one piece. The stage that serves quota guarantees will come before it; ceilings and headroom will be a matter of
how large a part of an agent a client may have.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from msgspec import Struct

from koinon.allocator.agents import NOTHING, Agent
from koinon.allocator.gates import Gates, Peers
from koinon.allocator.sorter import Client, RoleTree
from koinon.mesos.resources import Resources


class Allocation(Struct, frozen=True, gc=False):
    """Resources of one agent, given to one framework in one role, which they carry."""

    framework_id: str
    role: str
    agent_id: str
    resources: Resources


def fair_stage(
    agents: Iterable[Agent], tree: RoleTree, gates: Gates, rng: Random, now: float
) -> list[Allocation]:
    """Give all that is free on these agents, in random order, to those whose turn it is by fair share."""
    tree.refresh()
    giving = _agents_with_takers(agents, tree, gates, now)
    rng.shuffle(giving)
    made: list[Allocation] = []
    for agent in giving:
        if agent.plain:
            _give_whole(agent, tree, gates, made)
        else:
            _give_parts(agent, tree, gates, made)
    return made


def _agents_with_takers(agents: Iterable[Agent], tree: RoleTree, gates: Gates, now: float) -> list[Agent]:
    """Return the agents that somebody might take something of, having noted on each who cannot or will not.

    It does not depend on shares, so that what nobody takes need not be looked at in its turn.
    """
    everybody = tree.root.mask
    closed = gates.closed
    giving = []
    for agent in agents:
        free = agent.free
        agent.seen_s, agent.seen, agent.open, agent.won = now, free, 0, 0
        barred = agent.excluded
        for gate in agent.gates:
            barred |= closed[gate]
        if agent.plain:
            if not free:
                continue
            barred |= agent.refusals.covering(free)
        elif not free and not agent.shared:
            continue
        if everybody & ~barred:
            agent.barred = barred
            giving.append(agent)
    return giving


def _give_whole(agent: Agent, tree: RoleTree, gates: Gates, made: list[Allocation]) -> None:
    """Give an agent of which everybody may have everything; who refused it is among the barred."""
    free, barred = agent.free, agent.barred
    while wanted := tree.root.mask & ~barred:
        client = tree.first(wanted)
        peers: Peers = client.wants
        if not peers.welcome(free):
            barred |= gates.minima[peers.wants.minimum]
        elif client.bit & gates.constrained and gates.exclude(client, agent):
            barred |= client.bit
        else:
            agent.winner, agent.open = client, wanted
            _give(agent, client, free, tree, made)
            return


def _give_parts(agent: Agent, tree: RoleTree, gates: Gates, made: list[Allocation]) -> None:
    """Give away an agent of which some may have more than others, until nobody may have the rest."""
    shared, barred = agent.shared, agent.barred
    parts: dict[Peers, Resources] = {}  #: of what is free now
    while wanted := tree.root.mask & ~barred:
        client = tree.first(wanted)
        peers: Peers = client.wants
        if peers not in parts:
            parts[peers] = part = peers.part_of(agent.free, shared)
            barred |= agent.refusals.covering(part) & peers.mask if peers.welcome(part) else peers.mask
        elif client.bit & gates.constrained and gates.exclude(client, agent):
            barred |= client.bit
        else:
            if not agent.won:
                agent.winner, agent.open = client, wanted
            _give(agent, client, parts[peers], tree, made)
            if peers.wants.shared:
                shared = NOTHING  # once in a run
            if not agent.free and not shared:
                return
            parts = {}


def _give(agent: Agent, client: Client, part: Resources, tree: RoleTree, made: list[Allocation]) -> None:
    agent.won |= client.bit
    given = agent.give(client, part)
    tree.allocated(client, part.scalars)
    made.append(Allocation(client.framework_id, client.role, agent.id, given))
