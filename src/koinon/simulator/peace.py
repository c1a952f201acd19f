"""The second act: everything is healed, nothing new is wanted, and all must agree before long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from koinon.agent.core.tables import AgentState
from koinon.mesos.resources import Resources

if TYPE_CHECKING:
    from koinon.simulator.agents import AgentNode
    from koinon.simulator.cluster import Cluster
    from koinon.simulator.frameworks import FrameworkNode
    from koinon.simulator.masters import MasterNode

#: All must agree within this time.
PATIENCE_S = 300.0
_LOOK_S = 1.0


def make_peace(cluster: Cluster) -> float:
    """Waits until nothing is open; returns how long that took. Raises Violation."""
    world = cluster.world
    begun_s = world.now
    first: tuple[str, str] | None = None
    while world.now < begun_s + PATIENCE_S:
        world.run(world.now + _LOOK_S)
        first = next(open_matters(cluster), None)
        if first is None:
            return world.now - begun_s
    text, subject = first or ("", "")
    world.accuse("it comes to rest", f"after {PATIENCE_S:g} s of peace {text}", subject)


def open_matters(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """What is not as it should be: a sentence, and what it is about."""
    leader = cluster.leader
    if leader is None or leader.core is None:
        yield "no master leads", ""
        return
    for agent in cluster.agents.values():
        yield from _agent(leader, agent)
    yield from _strangers(cluster, leader)
    for framework in cluster.frameworks.values():
        yield from _framework(cluster, leader, framework)


def _agent(leader: MasterNode, node: AgentNode) -> Iterator[tuple[str, str]]:
    assert leader.core is not None
    if node.core is None:
        yield f"{node.name} does not run", node.name
        return
    state = node.core.state
    if state.state is not AgentState.REGISTERED:
        yield f"{node.name} is {state.state.name}", node.name
        return
    known = leader.core.state.agents.get(state.agent_id)
    if known is None or not known.connected:
        yield f"{node.name} believes to be registered, and {leader.name} does not", state.agent_id
        return
    for framework_id, framework in state.frameworks.items():
        for task_id, task in framework.tasks.items():
            if task.terminal:
                yield f"{node.name} waits for the acknowledgement of {task_id}'s end", task_id
            else:
                at_master = known.tasks.get(framework_id, {}).get(task_id)
                if at_master is None or at_master.state is not task.state:
                    believed = None if at_master is None else at_master.state.name
                    yield f"{node.name} has {task_id} {task.state.name}, {leader.name} {believed}", task_id
    for update in node.core.streams.updates_without(()):
        task_id = update.status.task_id.value
        yield f"{node.name} waits for the acknowledgement of {task_id}", task_id
    if state.containers:
        yield f"{node.name} has containers", next(iter(state.containers))
    if node.launcher.runs:
        yield f"the launcher of {node.name} has containers", next(iter(node.launcher.runs))
    if known.tasks or known.executors or known.used_sum():
        yield f"{leader.name} believes that {node.name} has work", state.agent_id


def _strangers(cluster: Cluster, leader: MasterNode) -> Iterator[tuple[str, str]]:
    assert leader.core is not None
    state = leader.core.state
    ours = {node.core.state.agent_id for node in cluster.agents.values() if node.core is not None}
    for agent_id in state.agents:
        if agent_id not in ours:
            yield f"{leader.name} has agent {agent_id}, which is nowhere", agent_id
    for table, what in (
        (state.joining, "joining"),
        (state.leaving, "leaving"),
        (state.recovered_agents, "awaited"),
    ):
        for agent_id in table:
            yield f"agent {agent_id} is {what} for ever", agent_id
    for agent_id in state.unreachable_agents:
        if agent_id in ours:
            yield f"agent {agent_id} is unreachable", agent_id


def _framework(cluster: Cluster, leader: MasterNode, node: FrameworkNode) -> Iterator[tuple[str, str]]:
    assert leader.core is not None
    mind, framework_id = node.mind, node.book.framework_id
    known = leader.core.state.frameworks.get(framework_id or "")
    if mind is None or not mind.is_subscribed or known is None or not known.connected:
        yield f"{node.name} is not subscribed", node.name
        return
    for entry in node.book.living.values():
        yield f"{node.name} believes that {entry.task_id} is {entry.state}", entry.task_id
    for task in known.tasks.values():
        yield f"{leader.name} has {task.task_id} {task.state.name}", task.task_id
    for task in known.unreachable_tasks.values():
        yield f"{leader.name} awaits {task.task_id}", task.task_id
    if known.used_sum() != Resources():
        yield f"{node.name} uses {known.used_sum().format()}", node.name
