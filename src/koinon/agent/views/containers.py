"""Containers and what they use: `/containers`, `/monitor/statistics` and GET_CONTAINERS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from koinon.agent.core.disk import limit_bytes
from koinon.agent.core.state import Executor, Kind, Nested, State, Task
from koinon.agent.views.records import executor_resources, executors, task_resources
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import ContainerID, ContainerStatus, ResourceStatistics
from koinon.mesos.v1.agent import Response

Container = Response.GetContainers.Container

_SUMMED = ("processes", "threads", "cpus_user_time_secs", "cpus_system_time_secs", "mem_rss_bytes")


def containers(
    state: State,
    usage: Mapping[str, ResourceStatistics],
    now: float,
    *,
    nested: bool = False,
    standalone: bool = False,
) -> list[Container]:
    """Containers of executors; also those of the tasks in groups and all below when `nested`; and `standalone` ones."""
    found = []
    below = _by_root(state)
    for framework, executor in executors(state):
        inner = below.pop(executor.container_id, [])
        ids = [*_container_ids(executor), *(one.key for one in inner)]
        if not any(id_ in state.containers for id_ in ids):
            continue
        statistics = _sum([usage[id_] for id_ in ids if id_ in usage], executor_resources(executor), now)
        if executor.disk_used_bytes is not None:
            statistics.disk_used_bytes = executor.disk_used_bytes
            statistics.disk_limit_bytes = limit_bytes(executor)
        found.append(
            Container(
                framework_id=v1.FrameworkID(framework.framework_id),
                executor_id=v1.ExecutorID(executor.executor_id),
                executor_name=executor.info.name or "",
                container_id=ContainerID(value=executor.container_id),
                container_status=_status(ContainerID(value=executor.container_id), _pid(executor)),
                resource_statistics=statistics,
            )
        )
        if nested and executor.kind is Kind.DEFAULT:
            found += [_nested(executor, task, usage, now) for task in executor.live_tasks if task.pid]
        if nested:
            found += [_requested(one, usage, now, executor) for one in inner]
    for root, *inner in below.values():
        if standalone:
            found.append(_requested(root, usage, now))
            if nested:
                found += [_requested(one, usage, now) for one in inner]
    return found


def _by_root(state: State) -> dict[str, list[Nested]]:
    """Running containers that were asked for over the API, by the id of the outermost; a standalone one goes first."""
    found: dict[str, list[Nested]] = {}
    for one in state.nested.values():
        if one.pid and not one.ended:
            root = one.container_id
            while root.parent is not None:
                root = root.parent
            found.setdefault(root.value, []).append(one)
    return found


def _requested(
    one: Nested, usage: Mapping[str, ResourceStatistics], now: float, executor: Executor | None = None
) -> Container:
    measured = [usage[one.key]] if one.key in usage else []
    shown = Container(
        container_id=one.container_id,
        container_status=_status(one.container_id, one.pid),
        resource_statistics=_sum(measured, Resources.from_v1(one.resources), now),
    )
    if executor is not None:
        shown.framework_id = v1.FrameworkID(executor.framework_id)
        shown.executor_id = v1.ExecutorID(executor.executor_id)
        shown.executor_name = executor.info.name or ""
    return shown


def _nested(executor: Executor, task: Task, usage: Mapping[str, ResourceStatistics], now: float) -> Container:
    container_id = ContainerID(value=task.container_id, parent=ContainerID(value=executor.container_id))
    measured = [usage[task.container_id]] if task.container_id in usage else []
    return Container(
        framework_id=v1.FrameworkID(task.framework_id),
        executor_id=v1.ExecutorID(task.executor_id),
        executor_name=executor.info.name or "",
        container_id=container_id,
        container_status=_status(container_id, task.pid),
        resource_statistics=_sum(measured, task_resources(task), now),
    )


def classic(found: Iterable[Container], sources: Mapping[str, str]) -> list[dict[str, Any]]:
    """As `/containers` shows them. `sources`: the executors' field of that name, by container."""
    return [{**_statistics(one, sources), **_identity(one)} for one in found]


def statistics(found: Iterable[Container], sources: Mapping[str, str]) -> list[dict[str, Any]]:
    """As `/monitor/statistics` shows them."""
    return [_statistics(one, sources) for one in found]


def sources(state: State) -> dict[str, str]:
    """The field `source` of executors by container."""
    return {executor.container_id: executor.info.source or "" for _, executor in executors(state)}


def _identity(one: Container) -> dict[str, Any]:
    return {"container_id": one.container_id.value, "status": one.container_status}


def _statistics(one: Container, sources: Mapping[str, str]) -> dict[str, Any]:
    assert one.framework_id is not None
    assert one.executor_id is not None
    return {
        "executor_id": one.executor_id.value,
        "executor_name": one.executor_name,
        "framework_id": one.framework_id.value,
        "source": sources.get(one.container_id.value, ""),
        "statistics": one.resource_statistics,
    }


def _container_ids(executor: Executor) -> list[str]:
    if executor.kind is Kind.DEFAULT:
        return [task.container_id for task in executor.tasks.values()]
    return [executor.container_id]


def _pid(executor: Executor) -> int:
    if executor.kind is Kind.COMMAND:
        return next((task.pid for task in executor.tasks.values()), 0)
    return executor.pid


def _status(container_id: ContainerID, pid: int) -> ContainerStatus:
    return ContainerStatus(container_id=container_id, executor_pid=pid or None)


def _sum(measured: list[ResourceStatistics], resources: Resources, now: float) -> ResourceStatistics:
    """All that is measured, with what the container may use; the soft limits are what it was given."""
    total = ResourceStatistics(
        timestamp=measured[0].timestamp if measured else now,
        cpus_soft_limit=resources.cpus,
        mem_soft_limit_bytes=int(resources.mem * 1024 * 1024),
        cpus_user_time_secs=0.0,
        cpus_system_time_secs=0.0,
        mem_rss_bytes=0,
    )
    for one in measured:
        for name in _SUMMED:
            setattr(total, name, (getattr(total, name) or 0) + (getattr(one, name) or 0))
    return total
