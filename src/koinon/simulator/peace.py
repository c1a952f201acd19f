"""The second act: everything is healed, nothing new is wanted, and all must agree before long.

- *Agreement*: framework, master and agent know the same tasks in the same states, and nothing waits to be said.
- *Rest*: when frameworks kill what is left, every task comes to an end that everybody knows, and nothing is used any more.
- *Flow*: each agent is offered, whole, to who wants it.
- *Fairness*: when everybody wants everything, roles get what their weights say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from koinon.agent.core.tables import AgentState
from koinon.master.core.events import TeardownRequested
from koinon.master.core.tables import HOLDING
from koinon.mesos.v1 import TaskState
from koinon.simulator.frameworks import Mood

if TYPE_CHECKING:
    from koinon.simulator.agents import AgentNode
    from koinon.simulator.cluster import Cluster
    from koinon.simulator.frameworks import FrameworkNode
    from koinon.simulator.masters import MasterNode

#: How long each may take.
AGREEMENT_S = 300.0
REST_S = 150.0
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
    set_mood(cluster, Mood.CALM)
    wait(cluster, "all agree", AGREEMENT_S, lambda: _disagreements(cluster))
    peace_s = cluster.world.now - begun_s
    set_mood(cluster, Mood.LEAVING)
    _tear_down_orphans(cluster)
    wait(cluster, "it comes to rest", REST_S, lambda: _unrest(cluster))
    set_mood(cluster, Mood.CURIOUS)
    wait(cluster, "offers flow", FLOW_S, lambda: _not_offered(cluster))
    if cluster.plan.seed % _FAIR_ONES == 0:
        set_mood(cluster, Mood.GREEDY)
        _share(cluster)
    return peace_s


#: Fairness is looked at with one seed of so many.
_FAIR_ONES = 8


def set_mood(cluster: Cluster, mood: Mood) -> None:
    """Of all frameworks."""
    cluster.world.tell("-", f"*** everybody is {mood.value}")
    for framework in cluster.frameworks.values():
        framework.set_mood(mood)


def wait(cluster: Cluster, law: str, patience_s: float, matters: Callable[[], Iterator[_Matter]]) -> None:
    """Let time pass until nothing is the matter. Raises Violation after `patience_s`."""
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


# ── agreement ─────────────────────────────────────────────────────────────────────────────────────
def _disagreements(cluster: Cluster) -> Iterator[_Matter]:
    """What one knows and another does not."""
    leader = cluster.leader
    if leader is None or leader.core is None:
        yield "no master leads", ""
        return
    for agent in cluster.agents.values():
        yield from _of_agent(cluster, leader, agent)
    yield from _strangers(cluster, leader)
    for framework in cluster.frameworks.values():
        yield from _of_framework(cluster, leader, framework)


def _framework_ids(cluster: Cluster) -> set[str]:
    """Those of frameworks that are not removed. What is left of the others nobody will acknowledge."""
    return {
        node.book.framework_id for node in cluster.frameworks.values() if node.book.framework_id is not None
    }


def _agent_ids(cluster: Cluster) -> set[str]:
    """Those of agents that there are.

    An agent that died before its first id was on disk came back as another one; the first is unreachable for ever.
    """
    return {one.core.state.agent_id for one in cluster.agents.values() if one.core is not None}


def _of_agent(cluster: Cluster, leader: MasterNode, node: AgentNode) -> Iterator[_Matter]:
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
    for update in node.core.streams.updates_without(()):
        if update.framework_id in ours:
            task_id = update.status.task_id.value
            yield f"{node.name} waits for the acknowledgement of {task_id}", task_id
    here = {
        (framework_id, task_id): task.state
        for framework_id, framework in state.frameworks.items()
        for task_id, task in framework.tasks.items()
        if not task.terminal
    }
    believed = {
        (framework_id, task_id): task.state
        for framework_id, of_framework in known.tasks.items()
        for task_id, task in of_framework.items()
        if task.state in HOLDING
    }
    for key in sorted({*here, *believed}):
        if here.get(key) is not believed.get(key):
            yield f"{node.name} has {key[1]} {here.get(key)}, and {leader.name} {believed.get(key)}", key[1]


def _strangers(cluster: Cluster, leader: MasterNode) -> Iterator[_Matter]:
    assert leader.core is not None
    state, ours = leader.core.state, _agent_ids(cluster)
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


def _of_framework(cluster: Cluster, leader: MasterNode, node: FrameworkNode) -> Iterator[_Matter]:
    assert leader.core is not None
    mind, framework_id = node.mind, node.book.framework_id
    known = leader.core.state.frameworks.get(framework_id or "")
    if mind is None or not mind.is_subscribed or known is None or not known.connected:
        yield f"{node.name} is not subscribed", node.name
        return
    there = _agent_ids(cluster)
    believed: dict[str, TaskState | None] = {}
    for entry in node.book.living.values():
        if entry.agent_id in there:
            believed[entry.task_id] = entry.state
        elif entry.state is not TaskState.TASK_UNREACHABLE:
            yield (
                f"{node.name} believes that {entry.task_id} is {entry.state} on an agent that is gone",
                entry.task_id,
            )
    at_master = {task_id: task.state for task_id, task in known.tasks.items()}
    for task_id in sorted({*believed, *at_master}):
        if believed.get(task_id) is not at_master.get(task_id):
            text = f"{node.name} believes that {task_id} is {believed.get(task_id)}, {leader.name} {at_master.get(task_id)}"
            yield text, task_id
    for task in known.unreachable_tasks.values():
        if task.agent_id in there:
            yield f"{leader.name} awaits {task.task_id}", task.task_id


# ── rest ──────────────────────────────────────────────────────────────────────────────────────────
def _tear_down_orphans(cluster: Cluster) -> None:
    """Operators end what was left of frameworks that another master has removed, and this one knows from agents only."""
    leader = cluster.leader
    assert leader is not None
    assert leader.core is not None
    assert leader.process is not None
    assert leader.runtime is not None
    for framework in list(leader.core.state.frameworks.values()):
        if framework.recovered and framework.id not in _framework_ids(cluster):
            leader.process.within(leader.runtime.tell, TeardownRequested(framework.id))


def _unrest(cluster: Cluster) -> Iterator[_Matter]:
    """What lives, or is used."""
    yield from _disagreements(cluster)
    leader, there = cluster.leader, _agent_ids(cluster)
    assert leader is not None
    assert leader.core is not None
    for agent in cluster.agents.values():
        assert agent.core is not None
        if agent.core.state.containers:
            yield f"{agent.name} has containers", next(iter(agent.core.state.containers))
        if agent.launcher.runs:
            yield f"the launcher of {agent.name} has containers", next(iter(agent.launcher.runs))
    for known in leader.core.state.agents.values():
        if known.executors or known.used_sum():
            yield f"{leader.name} believes that {known.hostname} has work", known.id
    for framework in leader.core.state.frameworks.values():
        if framework.used_sum():
            yield f"{framework.id} uses {framework.used_sum().format()}", framework.id
    for node in cluster.frameworks.values():
        for entry in node.book.living.values():
            if entry.agent_id in there:
                yield f"{node.name} believes that {entry.task_id} is {entry.state}", entry.task_id


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
