"""The classic endpoints that show the master's state, as slices of JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from koinon.edge.listings import SLICE
from koinon.edge.system import version_object
from koinon.master.core.state import Framework, State, Task
from koinon.master.views.about import About
from koinon.master.views.objects import (
    AgentBytes,
    Object,
    Quantities,
    agent_in_full,
    encode,
    framework_object,
    framework_summary,
    recovered_agent,
    task_bytes,
)
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.resources.kinds import Kind

T = TypeVar("T")

#: A framework may use thousands of agents, which are to be added up.
_FRAMEWORKS_AT_ONCE = 5

#: The states that `/state-summary` counts.
_COUNTED = (
    "TASK_STAGING",
    "TASK_STARTING",
    "TASK_RUNNING",
    "TASK_KILLING",
    "TASK_FINISHED",
    "TASK_KILLED",
    "TASK_FAILED",
    "TASK_LOST",
    "TASK_ERROR",
    "TASK_UNREACHABLE",
)


def state(about: About, found: State, agents: AgentBytes) -> Iterator[bytes]:
    """`/state`: everything."""
    snapshot = [_with_tasks(framework) for framework in found.frameworks.values()]
    completed = [_with_tasks(framework) for framework in found.completed_frameworks.values()]
    live = list(found.agents.values())
    yield encode(_top(about, found))[:-1]
    yield b',"recovered_slaves":' + encode([recovered_agent(e) for e in found.recovered_agents.values()])
    yield from _array("slaves", live, agents)
    yield b',"frameworks":['
    yield from _frameworks(snapshot)
    yield b'],"completed_frameworks":['
    yield from _frameworks(completed)
    yield b'],"orphan_tasks":[],"unregistered_frameworks":[]}'
    agents.forget(found.agents)


def frameworks(found: State, framework_id: str | None) -> Iterator[bytes]:
    """`/frameworks`: all, or the one asked for."""

    def wanted(table: Iterable[Framework]) -> list[_WithTasks]:
        return [_with_tasks(one) for one in table if framework_id is None or one.id == framework_id]

    live, completed = wanted(found.frameworks.values()), wanted(found.completed_frameworks.values())
    yield b'{"frameworks":['
    yield from _frameworks(live)
    yield b'],"completed_frameworks":['
    yield from _frameworks(completed)
    yield b'],"unregistered_frameworks":[]}'


def slaves(found: State, agent_id: str | None) -> Iterator[bytes]:
    """`/slaves`: all agents, or the one asked for."""
    live = [one for one in found.agents.values() if agent_id is None or one.id == agent_id]
    recovered = [
        recovered_agent(entry)
        for id_, entry in found.recovered_agents.items()
        if agent_id is None or id_ == agent_id
    ]
    yield b'{"recovered_slaves":' + encode(recovered)
    yield from _array("slaves", live, lambda agent: encode(agent_in_full(agent)))
    yield b"}"


def state_summary(about: About, found: State, agent_bytes: AgentBytes) -> Iterator[bytes]:
    """`/state-summary`: agents and frameworks with how many tasks they have in which state."""
    live = list(found.frameworks.values())
    agents = list(found.agents.values())
    of_framework: dict[str, _Counts] = {}
    of_agent: defaultdict[str, _Counts] = defaultdict(_Counts)
    for one in (*live, *found.completed_frameworks.values()):
        counts = of_framework[one.id] = _Counts()
        for tasks in _sliced(_tasks_of(one)):
            for task in tasks:
                counts.count(task, task.agent_id)
                of_agent[task.agent_id].count(task, one.id)
            yield b""
    top: Object = {"hostname": about.hostname}
    if about.cluster:
        top["cluster"] = about.cluster
    yield encode(top)[:-1]
    yield from _array(
        "slaves",
        agents,
        lambda agent: _joined_objects(agent_bytes(agent), encode(of_agent[agent.id].object("framework_ids"))),
    )
    yield from _array(
        "frameworks",
        live,
        lambda one: encode(framework_summary(one) | of_framework[one.id].object("slave_ids")),
        at_once=_FRAMEWORKS_AT_ONCE,
    )
    yield b"}"


def tasks(
    found: State,
    *,
    limit: int,
    offset: int,
    ascending: bool,
    framework_id: str | None,
    task_id: str | None,
) -> Iterator[bytes]:
    """`/tasks`: all tasks, the newest first unless `ascending`; `limit` -1 means all from `offset`."""
    keyed: list[tuple[float, int, Task]] = []
    for framework in [*found.frameworks.values(), *found.completed_frameworks.values()]:
        if framework_id is not None and framework.id != framework_id:
            continue
        for some in _sliced(_tasks_of(framework)):
            for task in some:
                if task_id is None or task.task_id == task_id:
                    keyed.append((_first_seen_s(task), len(keyed), task))
            yield b""
    keyed.sort(reverse=not ascending)
    chosen = keyed[offset : None if limit < 0 else offset + limit]
    yield b'{"tasks":['
    yield from _joined(chosen, lambda entry: task_bytes(entry[2]))
    yield b"]}"


def roles(found: State) -> Iterator[bytes]:
    """`/roles`: what each known role has, by kind of resource."""
    weights = found.weights
    shares = RoleShares()
    for _ in shares.gather(found):
        yield b""
    yield b'{"roles":' + encode(
        [shares.object(name, weights.get(name, 1.0)) for name in shares.names(weights)]
    )
    yield b"}"


class RoleShares:
    """What roles have been given, are offered, and have reserved."""

    def __init__(self) -> None:
        self.allocated: defaultdict[str, Quantities] = defaultdict(Quantities)
        self.offered: defaultdict[str, Quantities] = defaultdict(Quantities)
        self.reserved: defaultdict[str, Quantities] = defaultdict(Quantities)
        self.frameworks: defaultdict[str, list[str]] = defaultdict(list)

    def gather(self, found: State) -> Iterator[None]:
        """Look through the state; stops now and then for others to go on."""
        frameworks, agents = list(found.frameworks.values()), list(found.agents.values())
        for framework in frameworks:
            for role in framework.roles:
                self.frameworks[role].append(framework.id)
            for some in _sliced(framework.used.values()):
                for used in some:
                    self._give(used)
                yield
            for offer in framework.offers.values():
                self.offered[offer.role].add(offer.resources)
        for some_agents in _sliced(agents):
            for agent in some_agents:
                for role, part in agent.total.reservations().items():
                    self.reserved[role].add(part)
            yield

    def _give(self, used: Resources) -> None:
        roles = used.allocation_roles
        if len(roles) == 1:
            self.allocated[next(iter(roles))].add(used)
            return
        for role in roles:
            self.allocated[role].add(used.filter(partial(_is_held_by, role)))

    def names(self, weights: Iterable[str]) -> list[str]:
        """The roles that are known: with frameworks, resources, reservations or a weight."""
        return sorted({*self.frameworks, *self.allocated, *self.reserved, *weights})

    def object(self, name: str, weight: float) -> Object:
        """One role as `/roles` shows it."""
        allocated, offered = self.allocated[name], self.offered[name]
        return {
            "name": name,
            "weight": weight,
            "quota": {"role": name, "guarantee": {}, "limit": {}, "consumed": allocated.object()},
            "resources": (allocated + offered).object(),
            "allocated": allocated.object(),
            "offered": offered.object(),
            "reserved": self.reserved[name].object(),
            "frameworks": self.frameworks.get(name, []),
        }


def _is_held_by(role: str, kind: Kind) -> bool:
    return kind.allocation_role == role


# ── parts of the answers ──────────────────────────────────────────────────────────────────────────
#: A framework with the tasks it had when the answer was begun.
_WithTasks = tuple[Framework, list[Task], list[Task], list[Task]]


def _with_tasks(framework: Framework) -> _WithTasks:
    return (
        framework,
        list(framework.tasks.values()),
        list(framework.unreachable_tasks.values()),
        list(framework.completed_tasks),
    )


def _tasks_of(framework: Framework) -> list[Task]:
    return [*framework.tasks.values(), *framework.unreachable_tasks.values(), *framework.completed_tasks]


def _top(about: About, found: State) -> Object:
    info = about.master_info()
    active = sum(agent.active for agent in found.agents.values())
    result: Object = version_object() | {
        "start_time": about.started_s,
        "elected_time": found.elected_s,
        "id": about.master_id,
        "pid": about.pid,
        "hostname": about.hostname,
        "capabilities": [one.type.value for one in info.capabilities if one.type is not None],
        "activated_slaves": active,
        "deactivated_slaves": len(found.agents) - active,
        "unreachable_slaves": len(found.unreachable_agents),
        "leader": about.pid,
        "leader_info": {
            "id": about.master_id,
            "pid": about.pid,
            "port": about.port,
            "hostname": about.hostname,
        },
        "flags": about.flags,
    }
    if about.cluster:
        result["cluster"] = about.cluster
    return result


def _frameworks(snapshot: Sequence[_WithTasks]) -> Iterator[bytes]:
    for index, (framework, live, unreachable, completed) in enumerate(snapshot):
        yield (b"," if index else b"") + encode(framework_object(framework))[:-1]
        yield from _array("tasks", live, task_bytes)
        yield from _array("unreachable_tasks", unreachable, task_bytes)
        yield from _array("completed_tasks", completed, task_bytes)
        yield b"}"


def _joined_objects(one: bytes, other: bytes) -> bytes:
    return one[:-1] + b"," + other[1:]


def _array(
    name: str, items: Sequence[T], render: Callable[[T], bytes], at_once: int = SLICE
) -> Iterator[bytes]:
    """A further key of an object, with an array."""
    yield f',"{name}":['.encode()
    yield from _joined(items, render, at_once)
    yield b"]"


def _joined(items: Sequence[T], render: Callable[[T], bytes], at_once: int = SLICE) -> Iterator[bytes]:
    for index in range(0, len(items), at_once):
        piece = b",".join([render(item) for item in items[index : index + at_once]])
        yield b"," + piece if index else piece


def _sliced(items: Iterable[T]) -> Iterator[list[T]]:
    whole = list(items)
    for index in range(0, len(whole), SLICE):
        yield whole[index : index + SLICE]


def _first_seen_s(task: Task) -> float:
    return (task.statuses[0].timestamp or 0.0) if task.statuses else 0.0


class _Counts:
    """Tasks by state, and with whom they are."""

    def __init__(self) -> None:
        self._by_state: defaultdict[v1.TaskState, int] = defaultdict(int)
        self._others: dict[str, None] = {}

    def count(self, task: Task, other_id: str) -> None:
        self._by_state[task.state] += 1
        self._others[other_id] = None

    def object(self, others: str) -> dict[str, Any]:
        counts = {state.value: count for state, count in self._by_state.items()}
        return {name: counts.get(name, 0) for name in _COUNTED} | {others: list(self._others)}
