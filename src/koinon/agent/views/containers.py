"""Containers and what they use: `/containers`, `/monitor/statistics` and GET_CONTAINERS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from koinon.agent.core.state import Executor, Kind, State, Task
from koinon.agent.views.records import executor_resources, executors
from koinon.edge.listings import SLICE, Group, Listing
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import ContainerID, ContainerStatus, ResourceStatistics
from koinon.mesos.v1.agent import Response

Container = Response.GetContainers.Container

encode = msgspec.json.Encoder().encode

_SUMMED = ("processes", "threads", "cpus_user_time_secs", "cpus_system_time_secs", "mem_rss_bytes")


class Found(NamedTuple):
    """A container: an executor's, or that of a task in a group."""

    executor: Executor
    task: Task | None = None


def find(state: State, *, nested: bool = False) -> list[Found]:
    """Containers of executors, and those of the tasks in groups when `nested`."""
    found = []
    for _, executor in executors(state):
        if any(id_ in state.containers for id_ in _container_ids(executor)):
            found.append(Found(executor))
            if nested and executor.kind is Kind.DEFAULT:
                found += [Found(executor, task) for task in executor.live_tasks if task.pid]
    return found


# ── as messages ───────────────────────────────────────────────────────────────────────────────────
def listing(found: list[Found], usage: Mapping[str, ResourceStatistics], now: float) -> Listing:
    """`get_containers`."""
    group = Group("containers", found, partial(_message, usage, now))
    return Listing("get_containers", Response.GetContainers, [group])


def _message(usage: Mapping[str, ResourceStatistics], now: float, found: Found) -> Container:
    executor, task = found
    container_id = ContainerID(value=executor.container_id)
    if task is None:
        ids, resources, pid = _container_ids(executor), executor_resources(executor), _pid(executor)
    else:
        container_id = ContainerID(value=task.container_id, parent=container_id)
        ids, resources, pid = (task.container_id,), task.resources, task.pid
    return Container(
        framework_id=v1.FrameworkID(executor.framework_id),
        executor_id=v1.ExecutorID(executor.executor_id),
        executor_name=executor.info.name or "",
        container_id=container_id,
        container_status=ContainerStatus(container_id=container_id, executor_pid=pid or None),
        resource_statistics=_sum([usage[id_] for id_ in ids if id_ in usage], resources, now),
    )


# ── as classic endpoints show them ────────────────────────────────────────────────────────────────
def classic(found: list[Found], usage: Mapping[str, ResourceStatistics], now: float) -> Iterator[bytes]:
    """`/containers`, in slices."""
    return _array(found, lambda one: {**_statistics(one, usage, now), **_identity(one)})


def statistics(found: list[Found], usage: Mapping[str, ResourceStatistics], now: float) -> Iterator[bytes]:
    """`/monitor/statistics`, in slices."""
    return _array(found, lambda one: _statistics(one, usage, now))


def pending(launching: Iterable[str]) -> list[dict[str, Any]]:
    """What `/containerizer/debug` shows as not done yet."""
    return [{"operation": "launch", "args": {"container_id": one}} for one in sorted(launching)]


def _array(found: list[Found], render: Callable[[Found], dict[str, Any]]) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(found), SLICE):
        piece = b",".join([encode(render(one)) for one in found[start : start + SLICE]])
        yield b"," + piece if start else piece
    yield b"]"


def _identity(found: Found) -> dict[str, Any]:
    executor = found.executor
    container_id = ContainerID(value=executor.container_id)
    status = ContainerStatus(container_id=container_id, executor_pid=_pid(executor) or None)
    return {"container_id": executor.container_id, "status": status}


def _statistics(found: Found, usage: Mapping[str, ResourceStatistics], now: float) -> dict[str, Any]:
    executor = found.executor
    measured = [usage[id_] for id_ in _container_ids(executor) if id_ in usage]
    return {
        "executor_id": executor.executor_id,
        "executor_name": executor.info.name or "",
        "framework_id": executor.framework_id,
        "source": executor.info.source or "",
        "statistics": _sum(measured, executor_resources(executor), now),
    }


# ── helpers ───────────────────────────────────────────────────────────────────────────────────────
def _container_ids(executor: Executor) -> Sequence[str]:
    if executor.kind is Kind.DEFAULT:
        return [task.container_id for task in executor.tasks.values()]
    return (executor.container_id,)


def _pid(executor: Executor) -> int:
    if executor.kind is Kind.COMMAND:
        return next((task.pid for task in executor.tasks.values()), 0)
    return executor.pid


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
