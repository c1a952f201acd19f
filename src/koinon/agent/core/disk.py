"""Disk quota: what a sandbox may hold, and what is said when it holds more."""

from __future__ import annotations

from koinon.agent.core.state import Executor
from koinon.mesos import v1
from koinon.mesos.v1 import TaskState, TaskStatus, Value

_MB = 1 << 20


def limit_bytes(executor: Executor) -> int:
    """The disk that an executor and its live tasks have for their sandbox; 0 if none was asked for."""
    given = [executor.info.resources, *(task.info.resources for task in executor.live_tasks)]
    return int(_MB * sum(_disk(resource) for resources in given for resource in resources))


def _disk(resource: v1.Resource) -> float:
    # One with DiskInfo is another disk, or a volume of its own: no sandbox lies there.
    of_sandbox = resource.name == "disk" and resource.disk is None
    return resource.scalar.value if of_sandbox and resource.scalar is not None else 0.0


def over(used_bytes: int, limit_bytes: int) -> str:
    """Why tasks are killed."""
    return f"the sandbox takes {used_bytes / _MB:.1f} MB of disk, and may take {limit_bytes / _MB:.1f} MB"


def limitation(limit_bytes: int) -> list[v1.Resource]:
    """What there was too little of."""
    scalar = Value.Scalar(value=limit_bytes / _MB)
    return [v1.Resource(name="disk", type=Value.Type.SCALAR, scalar=scalar)]


STATE = TaskState.TASK_FAILED
REASON = TaskStatus.Reason.REASON_CONTAINER_LIMITATION_DISK
