"""The classic endpoint `/state`, whose keys tools index."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from koinon.agent.core.agent import CAPABILITIES
from koinon.agent.core.state import Executor, Framework, State, Task
from koinon.agent.views.about import About
from koinon.agent.views.records import (
    executor_resources,
    role,
    shown_executor_id,
    used_resources,
)
from koinon.edge.listings import SLICE
from koinon.edge.system import version_object
from koinon.mesos import v1
from koinon.mesos.attributes import attributes_object
from koinon.mesos.resources import Resources

encode = msgspec.json.Encoder().encode

Object = dict[str, Any]


def state(found: State, about: About) -> Iterator[bytes]:
    """The whole state, in slices."""
    yield encode(_top(found, about))[:-1] + b',"frameworks":['
    yield from _frameworks([one for one in found.frameworks.values() if one.executors])
    yield b'],"completed_frameworks":['
    yield from _frameworks([one for one in found.frameworks.values() if not one.executors])
    yield b"]}"


def _top(found: State, about: About) -> Object:
    total = Resources.from_v1(found.agent_info.resources)
    used = used_resources(found).unallocated()
    result: Object = {
        **version_object(),
        "start_time": about.started_s,
        "id": found.agent_id,
        "pid": about.pid,
        "hostname": found.agent_info.hostname,
        "capabilities": CAPABILITIES,
        "resources": total.to_object(),
        "reserved_resources": {name: one.to_object() for name, one in total.reservations().items()},
        "unreserved_resources": total.unreserved().to_object(),
        "reserved_resources_full": {
            name: one.to_v1("endpoint") for name, one in total.reservations().items()
        },
        "unreserved_resources_full": total.unreserved().to_v1("endpoint"),
        "reserved_resources_allocated": {name: one.to_object() for name, one in used.reservations().items()},
        "unreserved_resources_allocated": used.unreserved().to_object(),
        "resource_providers": [],
        "attributes": attributes_object(found.agent_info.attributes),
        "flags": about.flags,
    }
    if (master := about.master()) is not None:
        result["master_hostname"] = master.rpartition(":")[0]
    if found.agent_info.domain is not None:
        result["domain"] = found.agent_info.domain
    return result


def _frameworks(frameworks: list[Framework]) -> Iterator[bytes]:
    comma = b""
    for framework in frameworks:
        yield comma + encode(_framework(framework))[:-1] + b',"executors":['
        yield from _executors(list(framework.executors.values()))
        yield b'],"completed_executors":['
        yield from _executors(list(framework.completed))
        yield b"]}"
        comma = b","


def _framework(framework: Framework) -> Object:
    info = framework.info
    result: Object = {
        "id": framework.framework_id,
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout,
        "checkpoint": info.checkpoint,
        "hostname": info.hostname or "",
    }
    if info.principal is not None:
        result["principal"] = info.principal
    if any(one.type is v1.FrameworkInfo.Capability.Type.MULTI_ROLE for one in info.capabilities):
        result["roles"] = info.roles
    else:
        result["role"] = info.role or "*"
    return result


def _executors(executors: list[Executor]) -> Iterator[bytes]:
    pieces: list[bytes] = []
    size = 0
    comma = b""
    for executor in executors:
        size += 1 + len(executor.tasks) + len(executor.completed)
        if size <= SLICE:
            pieces.append(comma + b"".join(_executor(executor)))
        else:
            yield b"".join(pieces)
            yield comma
            yield from _executor(executor)
            pieces.clear()
            size = 0
        comma = b","
    yield b"".join(pieces)


def _executor(executor: Executor) -> Iterator[bytes]:
    """An executor that may have thousands of tasks, in slices."""
    executor_id = shown_executor_id(executor)
    live = [task for task in executor.tasks.values() if not task.terminal]
    done = [*executor.completed, *(task for task in executor.tasks.values() if task.terminal)]
    tasks = [task for task in live if not _waits(task)]
    queued = [task for task in live if _waits(task)]
    yield encode(_executor_object(executor))[:-1] + b',"tasks":['
    yield from _joined(tasks, lambda task: _task(task, executor_id))
    yield b'],"queued_tasks":['
    yield from _joined(queued, lambda task: encode(_queued(task, executor_id)))
    yield b'],"completed_tasks":['
    yield from _joined(done, lambda task: _task(task, executor_id))
    yield b"]}"


def _joined(tasks: list[Task], render: Callable[[Task], bytes]) -> Iterator[bytes]:
    for start in range(0, len(tasks), SLICE):
        piece = b",".join([render(task) for task in tasks[start : start + SLICE]])
        yield b"," + piece if start else piece


def _executor_object(executor: Executor) -> Object:
    info, resources = executor.info, executor_resources(executor)
    some = next(iter(executor.tasks.values()), None) or next(iter(executor.completed), None)
    result: Object = {
        "id": executor.executor_id,
        "name": info.name or "",
        "source": info.source or "",
        "container": executor.container_id,
        "directory": executor.directory,
        "resources": resources.unallocated().to_object(),
        "role": role(info.resources or (some.info.resources if some is not None else [])),
    }
    if info.labels is not None:
        result["labels"] = info.labels.labels
    if info.type is not None:
        result["type"] = info.type.value
    return result


def _waits(task: Task) -> bool:
    """Whether a task has not reached its executor, or has no program running yet."""
    return task.queued or (bool(task.container_id) and not task.statuses)


def _task(task: Task, executor_id: str) -> bytes:
    if task.rendered is None:
        task.rendered = encode(_task_object(task, executor_id))
    return task.rendered


def _task_object(task: Task, executor_id: str) -> Object:
    info = task.info
    result: Object = {
        "id": task.task_id,
        "name": info.name,
        "framework_id": task.framework_id,
        "executor_id": executor_id,
        "slave_id": info.agent_id.value,
        "state": task.state.value,
        "resources": task.resources.unallocated().to_object(),
        "role": role(info.resources),
        "statuses": [_status(status) for status in task.statuses],
    }
    if task.user is not None:
        result["user"] = task.user
    if info.limits:
        result["limits"] = {
            name: "Infinity" if math.isinf(limit.value) else limit.value
            for name, limit in info.limits.items()
        }
    if info.labels is not None:
        result["labels"] = info.labels.labels
    for name in ("discovery", "container", "health_check"):
        if (value := getattr(info, name)) is not None:
            result[name] = value
    return result


def _status(status: v1.TaskStatus) -> Object:
    result: Object = {"state": status.state.value, "timestamp": status.timestamp or 0.0}
    if status.labels is not None:
        result["labels"] = status.labels.labels
    if status.container_status is not None:
        result["container_status"] = status.container_status
    if status.healthy is not None:
        result["healthy"] = status.healthy
    return result


def _queued(task: Task, executor_id: str) -> Object:
    info = task.info
    result: Object = {
        "id": task.task_id,
        "name": info.name,
        "slave_id": info.agent_id.value,
        "resources": task.resources.unallocated().to_object(),
        "role": role(info.resources),
    }
    if executor_id:
        result["executor_id"] = executor_id
    if (command := info.command) is not None:
        shown: Object = {
            "shell": command.shell,
            "argv": command.arguments,
            "uris": [{"value": uri.value, "executable": bool(uri.executable)} for uri in command.uris],
        }
        if command.value is not None:
            shown["value"] = command.value
        if command.environment is not None:
            shown["environment"] = command.environment
        result["command"] = shown
    if info.discovery is not None:
        result["discovery"] = info.discovery
    return result
