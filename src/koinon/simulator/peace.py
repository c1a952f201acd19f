"""The second act: everything is healed, nothing new is wanted, and all must agree before long.

- *Rest*: every task comes to an end that everybody knows, and nothing is used any more.
- *Flow*: each agent is offered, whole, to who wants it.
- *Fairness*: when everybody wants everything, roles get what their weights say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from koinon.agent.core.tables import AgentState
from koinon.master.core.tables import HOLDING
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState
from koinon.simulator.frameworks import Mood

if TYPE_CHECKING:
    from koinon.simulator.agents import AgentNode
    from koinon.simulator.cluster import Cluster
    from koinon.simulator.frameworks import FrameworkNode
    from koinon.simulator.masters import MasterNode

#: How long each may take.
REST_S = 300.0
FLOW_S = 60.0
#: How long everybody wants everything before it is looked who has what, and for how long then.
GREED_S = 15.0
SHARING_S = 20.0
_LOOK_S = 1.0
#: So many tasks a role may have more than its share, on average.
_TOLERANCE = 1.5

_Matter = tuple[str, str]  #: a sentence, and what it is about


def make_peace(cluster: Cluster) -> float:
    """Waits until nothing is open; returns how long that took. Raises Violation."""
    begun_s = cluster.world.now
    _set(cluster, Mood.CALM)
    _wait(cluster, "it comes to rest", REST_S, lambda: open_matters(cluster))
    peace_s = cluster.world.now - begun_s
    _set(cluster, Mood.CURIOUS)
    _wait(cluster, "offers flow", FLOW_S, lambda: _not_offered(cluster))
    if cluster.plan.seed % _FAIR_ONES == 0:
        _set(cluster, Mood.GREEDY)
        _share(cluster)
    return peace_s


#: Fairness is looked at with one seed of so many.
_FAIR_ONES = 8


def _set(cluster: Cluster, mood: Mood) -> None:
    cluster.world.tell("-", f"*** everybody is {mood.value}")
    for framework in cluster.frameworks.values():
        framework.set_mood(mood)


def _wait(cluster: Cluster, law: str, patience_s: float, matters: Callable[[], Iterator[_Matter]]) -> None:
    world = cluster.world
    end_s = world.now + patience_s
    first: _Matter | None = None
    while world.now < end_s:
        world.run(world.now + _LOOK_S)
        first = next(matters(), None)
        if first is None:
            return
    text, subject = first or ("", "")
    world.accuse(law, f"after {patience_s:g} s of peace {text}", subject)


# ── rest ──────────────────────────────────────────────────────────────────────────────────────────
def open_matters(cluster: Cluster) -> Iterator[_Matter]:
    """What is not as it should be: a sentence, and what it is about."""
    leader = cluster.leader
    if leader is None or leader.core is None:
        yield "no master leads", ""
        return
    for agent in cluster.agents.values():
        yield from _agent(cluster, leader, agent)
    yield from _strangers(cluster, leader)
    for framework in cluster.frameworks.values():
        yield from _framework(cluster, leader, framework)


def _framework_ids(cluster: Cluster) -> set[str]:
    """Those of frameworks that are not removed. What is left of the others nobody will acknowledge."""
    return {
        node.book.framework_id for node in cluster.frameworks.values() if node.book.framework_id is not None
    }


def _agent(cluster: Cluster, leader: MasterNode, node: AgentNode) -> Iterator[_Matter]:
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
    ours = _framework_ids(cluster)
    for framework_id, framework in state.frameworks.items():
        for task_id, task in framework.tasks.items():
            if task.terminal:
                if framework_id in ours:
                    yield f"{node.name} waits for the acknowledgement of {task_id}'s end", task_id
            else:
                at_master = known.tasks.get(framework_id, {}).get(task_id)
                if at_master is None or at_master.state is not task.state:
                    believed = None if at_master is None else at_master.state.name
                    yield f"{node.name} has {task_id} {task.state.name}, {leader.name} {believed}", task_id
    for update in node.core.streams.updates_without(()):
        if update.framework_id in ours:
            task_id = update.status.task_id.value
            yield f"{node.name} waits for the acknowledgement of {task_id}", task_id
    if state.containers:
        yield f"{node.name} has containers", next(iter(state.containers))
    if node.launcher.runs:
        yield f"the launcher of {node.name} has containers", next(iter(node.launcher.runs))
    if known.executors or known.used_sum() or known.tasks.keys() & ours:
        yield f"{leader.name} believes that {node.name} has work", state.agent_id


def _strangers(cluster: Cluster, leader: MasterNode) -> Iterator[_Matter]:
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


def _framework(cluster: Cluster, leader: MasterNode, node: FrameworkNode) -> Iterator[_Matter]:
    assert leader.core is not None
    mind, framework_id = node.mind, node.book.framework_id
    known = leader.core.state.frameworks.get(framework_id or "")
    if mind is None or not mind.is_subscribed or known is None or not known.connected:
        yield f"{node.name} is not subscribed", node.name
        return
    # An agent that died before its first id was on disk came back as another one; its tasks are unreachable for ever.
    there = {one.core.state.agent_id for one in cluster.agents.values() if one.core is not None}
    for entry in node.book.living.values():
        if entry.agent_id not in there and entry.state is TaskState.TASK_UNREACHABLE:
            continue
        yield f"{node.name} believes that {entry.task_id} is {entry.state}", entry.task_id
    for task in known.tasks.values():
        yield f"{leader.name} has {task.task_id} {task.state.name}", task.task_id
    for task in known.unreachable_tasks.values():
        if task.agent_id in there:
            yield f"{leader.name} awaits {task.task_id}", task.task_id
    if known.used_sum() != Resources():
        yield f"{node.name} uses {known.used_sum().format()}", node.name


# ── flow and fairness ─────────────────────────────────────────────────────────────────────────────
def _not_offered(cluster: Cluster) -> Iterator[_Matter]:
    """Agents that nobody was offered as a whole since everybody is curious."""
    seen = {agent_id for node in cluster.frameworks.values() for agent_id in node.seen_whole}
    for node in cluster.agents.values():
        if node.core is None or node.core.state.agent_id not in seen:
            yield f"{node.name} was not offered as a whole", node.name


def _share(cluster: Cluster) -> None:
    """Everybody wants everything, and all tasks end soon: on average roles have what their weights say."""
    world = cluster.world
    world.run(world.now + GREED_S)
    end_s = world.now + SHARING_S
    samples: Counter[str] = Counter()
    looks = 0
    while world.now < end_s:
        world.run(world.now + _LOOK_S)
        samples.update(_tasks_by_role(cluster))
        looks += 1
    leader = cluster.leader
    if leader is None or leader.core is None:
        world.accuse("shares are fair", "no master leads")
    weights = leader.core.state.weights
    shares = {role: number / looks / weights.get(role, 1.0) for role, number in samples.items()}
    most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
    if (shares[most] - shares[least]) * min(weights.get(role, 1.0) for role in shares) > _TOLERANCE:
        world.accuse("shares are fair", f"on average roles have, by their weights, {shares} tasks", most)


def _tasks_by_role(cluster: Cluster) -> Counter[str]:
    tasks: Counter[str] = Counter()
    leader = cluster.leader
    for node in cluster.frameworks.values():
        known = None
        if leader is not None and leader.core is not None:
            known = leader.core.state.frameworks.get(node.book.framework_id or "")
        living = () if known is None else [task for task in known.tasks.values() if task.state in HOLDING]
        tasks[node.plan.role.partition("/")[0]] += len(living)
    return tasks
