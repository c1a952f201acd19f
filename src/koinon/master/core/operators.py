"""What operators ask for, and the care of the registry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

from koinon.master.core import departures, frameworks, registry, removals, tasks
from koinon.master.core.context import Core
from koinon.master.core.events import AgentGoneRequested, Refused, TeardownRequested, WeightsUpdated
from koinon.mesos import v1
from koinon.mesos.names import role_problem

#: Agents forgotten with one write: what ZooKeeper takes at once has an end (1 MB).
_FORGOTTEN_TOGETHER = 1000


def load(core: Core, entries: Mapping[str, bytes], epoch: int) -> None:
    """This master leads from now on, and knows what the registry knows."""
    registry.read(core.state, entries)
    core.state.recovered = True
    core.state.elected_s, core.state.epoch = core.now, epoch
    if not core.state.cluster:
        core.state.cluster = core.master_info.id
        core.store((registry.cluster_change(core.state.cluster),), lambda ticket: None)
    for role, weight in core.state.weights.items():
        core.allocator.set_weight(role, weight)
    removals.await_all(core)
    core.alarms.set(core.now + core.config.heartbeat_interval_s, frameworks.send_heartbeats)
    core.alarms.set(core.now + core.config.registry_gc_interval_s, collect_garbage)


def tear_down(core: Core, event: TeardownRequested) -> None:
    """Ends a framework."""
    framework = core.state.frameworks.get(event.framework_id)
    if framework is None:
        raise Refused(400, f"No framework with id {event.framework_id} is known.")
    core.decide(framework, "torn_down", "torn down by an operator")
    frameworks.remove(core, framework)


def set_weights(core: Core, event: WeightsUpdated) -> None:
    """Sets weights of roles, all or none; in force when the registry has them."""
    weights: dict[str, float] = {}
    for weight in event.weights:
        role = "" if weight.role is None else weight.role
        if (problem := _weight_problem(role, weight)) is not None:
            raise Refused(400, problem)
        weights[role] = weight.weight
    changes = [registry.weight_change(role, weight) for role, weight in weights.items()]
    if not registry.fits(changes):
        raise Refused(
            400, f"That is too much to be set at once, in {len(changes)} weights: set some hundred at a time."
        )
    if changes:
        core.store(changes, partial(_weights_stored, core, weights))


def _weight_problem(role: str, weight: v1.WeightInfo) -> str | None:
    if (problem := role_problem(role)) is not None:
        return f"The weight's role is not valid: {problem}."
    if not (math.isfinite(weight.weight) and weight.weight > 0):
        return f"The weight of role '{role}' must be more than 0, not {weight.weight}."
    return None


def _weights_stored(core: Core, weights: dict[str, float], ticket: int) -> None:
    for role, weight in weights.items():
        core.allocator.set_weight(role, weight)
    core.state.weights.update(weights)


def declare_gone(core: Core, event: AgentGoneRequested) -> None:
    """The agent is gone for good, wherever it is; one that is gone already stays gone."""
    state, agent_id = core.state, event.agent_id
    if agent_id in state.gone_agents:
        return
    if agent_id in state.leaving or agent_id in state.joining:
        raise Refused(503, f"Agent {agent_id} is being registered or removed right now: try again.")
    if (agent := state.agents.get(agent_id)) is not None:
        departures.leave(core, agent, departures.GONE)
    elif agent_id in state.recovered_agents or agent_id in state.unreachable_agents:
        departures.leave_known(core, agent_id, departures.GONE)
    else:
        raise Refused(404, f"No agent with id {agent_id} is known.")


# ── garbage ───────────────────────────────────────────────────────────────────────────────────────
def collect_garbage(core: Core, _: str) -> None:
    """The registry forgets agents that have been unreachable or gone for long, and the oldest of too many."""
    config = core.config
    core.alarms.set(core.now + config.registry_gc_interval_s, collect_garbage)
    old: list[str] = []
    for table in (core.state.unreachable_agents, core.state.gone_agents):
        by_age = sorted(table, key=lambda agent_id, table=table: table[agent_id].since_s)  # type: ignore[misc]
        excess = len(by_age) - config.registry_max_agent_count
        old += [
            agent_id
            for place, agent_id in enumerate(by_age)
            if place < excess or table[agent_id].since_s + config.registry_max_agent_age_s < core.now
        ]
    coming_or_going = core.state.joining.keys() | core.state.leaving.keys()
    old = [agent_id for agent_id in old if agent_id not in coming_or_going]
    for begin in range(0, len(old), _FORGOTTEN_TOGETHER):
        some = old[begin : begin + _FORGOTTEN_TOGETHER]
        core.store([registry.agent_removal(agent_id) for agent_id in some], partial(_forgotten, core, some))


def _forgotten(core: Core, agent_ids: list[str], ticket: int) -> None:
    state = core.state
    for agent_id in agent_ids:
        if agent_id in state.leaving:  # it was declared gone meanwhile, which is written next
            continue
        state.gone_agents.pop(agent_id, None)
        if state.unreachable_agents.pop(agent_id, None) is not None:
            # Who asks for its tasks hears from now on that nothing is known of them.
            for framework_id, task_id in list(state.lost_tasks.get(agent_id, ())):
                tasks.find_again(core, state.frameworks[framework_id], task_id)
