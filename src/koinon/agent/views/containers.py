"""Containers and what they use: `/containers`, `/monitor/statistics` and GET_CONTAINERS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from koinon.agent.core.disk import limit_bytes
from koinon.agent.core.state import Executor, Kind, Nested, State, Task
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
    """A container: an executor's, that of a task in a group, or one that was asked for over the API."""

    executor: Executor | None  #: standalone containers have none
    task: Task | None = None
    requested: Nested | None = None
    #: Names of what runs below an executor's, and counts with it.
    inner: Sequence[str] = ()


def find(state: State, *, nested: bool = False, standalone: bool = False) -> list[Found]:
    """Containers of executors; also those of the tasks in groups and all below when `nested`; and `standalone` ones."""
    found = []
    below = _by_root(state)
    for _, executor in executors(state):
        inner = below.pop(executor.container_id, [])
        if not any(id_ in state.containers for id_ in _container_ids(executor)):
            continue
        found.append(Found(executor, inner=[one.key for one in inner]))
        if nested and executor.kind is Kind.DEFAULT:
            found += [Found(executor, task) for task in executor.live_tasks if task.pid]
        if nested:
            found += [Found(executor, requested=one) for one in inner]
    if standalone:
        for group in below.values():
            found += [Found(None, requested=one) for one in (group if nested else group[:1])]
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


# ── as messages ───────────────────────────────────────────────────────────────────────────────────
def listing(found: list[Found], usage: Mapping[str, ResourceStatistics], now: float) -> Listing:
    """`get_containers`."""
    group = Group("containers", found, partial(_message, usage, now))
    return Listing("get_containers", Response.GetContainers, [group])


def _message(usage: Mapping[str, ResourceStatistics], now: float, found: Found) -> Container:
    container_id, pid = _id_and_pid(found)
    shown = Container(
        container_id=container_id,
        container_status=ContainerStatus(container_id=container_id, executor_pid=pid or None),
        resource_statistics=used(found, usage, now),
    )
    if (executor := found.executor) is not None:
        shown.framework_id = v1.FrameworkID(executor.framework_id)
        shown.executor_id = v1.ExecutorID(executor.executor_id)
        shown.executor_name = executor.info.name or ""
    return shown


def _id_and_pid(found: Found) -> tuple[ContainerID, int]:
    if found.requested is not None:
        return found.requested.container_id, found.requested.pid
    assert found.executor is not None
    container_id = ContainerID(value=found.executor.container_id)
    if found.task is not None:
        return ContainerID(value=found.task.container_id, parent=container_id), found.task.pid
    return container_id, _pid(found.executor)


def used(found: Found, usage: Mapping[str, ResourceStatistics], now: float) -> ResourceStatistics:
    """What a container uses, with all that is below it, and what it may use."""
    executor, task, requested, inner = found
    if requested is not None:
        return _sum([requested.key], usage, Resources.from_v1(requested.resources), now)
    if task is not None:
        return _sum([task.container_id], usage, task.resources, now)
    assert executor is not None
    total = _sum([*_container_ids(executor), *inner], usage, executor_resources(executor), now)
    if executor.disk_used_bytes is not None:
        total.disk_used_bytes, total.disk_limit_bytes = executor.disk_used_bytes, limit_bytes(executor)
    return total


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
    container_id, pid = _id_and_pid(found)
    status = ContainerStatus(container_id=container_id, executor_pid=pid or None)
    return {"container_id": container_id.value, "status": status}


def _statistics(found: Found, usage: Mapping[str, ResourceStatistics], now: float) -> dict[str, Any]:
    executor = found.executor
    assert executor is not None
    return {
        "executor_id": executor.executor_id,
        "executor_name": executor.info.name or "",
        "framework_id": executor.framework_id,
        "source": executor.info.source or "",
        "statistics": used(found, usage, now),
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


def _sum(
    ids: Sequence[str], usage: Mapping[str, ResourceStatistics], resources: Resources, now: float
) -> ResourceStatistics:
    """All that is measured, with what the container may use; the soft limits are what it was given."""
    measured = [usage[id_] for id_ in ids if id_ in usage]
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
