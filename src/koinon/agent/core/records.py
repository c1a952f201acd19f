"""The checkpoint: keys and values, so that an agent that was killed knows again what it was doing.

    agent                          who we are: AgentInfo with id, boot id of the machine; whom we obeyed last
    frameworks/FID                 FrameworkInfo; only frameworks with `checkpoint` are kept, so are their
    executors/FID/EID              executors (not those of command tasks, which their task tells all about)
    tasks/FID/TID                  tasks, until the terminal update is acknowledged
    kills/FID/TID                  that a task is being killed, and until when
    failures/FID/TID               how often a task's health check failed in a row, if it did
    updates/FID/TID/N              status updates: those not acknowledged, and the newest
    acks/FID/TID                   number of the newest acknowledged update
    nested/KEY                     nested and standalone containers, until they are removed

Ids hold no `/`. Values are JSON. What is written on the way of every task is small and written once.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from koinon.agent.core.state import Kill, State
from koinon.mesos import v1

AGENT = "agent"

S = TypeVar("S", bound=Struct)


class StoredAgent(Struct, gc=False):
    """Value of `agent`. `epoch` is the greatest of a master that this agent has obeyed in `cluster`."""

    info: v1.AgentInfo
    boot_id: str
    cluster: str = ""
    epoch: int = 0


class StoredFramework(Struct, gc=False, omit_defaults=True):
    """Value of `frameworks/FID`."""

    info: v1.FrameworkInfo
    terminating: bool = False


class StoredExecutor(Struct, gc=False, omit_defaults=True):
    """Value of `executors/FID/EID`. `ending`: it was told to shut down."""

    info: v1.ExecutorInfo
    kind: str
    container_id: str
    user: str | None = None
    ending: bool = False
    gpus: tuple[str, ...] = ()


class StoredTask(Struct, gc=False, omit_defaults=True):
    """Value of `tasks/FID/TID`. `executor_id` is empty for a command task."""

    info: v1.TaskInfo
    executor_id: str = ""
    container_id: str = ""
    group: int = 0
    user: str | None = None
    gpus: tuple[str, ...] = ()


class StoredNested(Struct, gc=False, omit_defaults=True):
    """Value of `nested/KEY`."""

    container_id: v1.ContainerID
    kind: str
    command: v1.CommandInfo
    container: v1.ContainerInfo | None = None
    resources: list[v1.Resource] = []
    user: str | None = None
    ended: bool = False
    status: int | None = None
    message: str = ""


def framework_key(framework_id: str) -> str:
    """Key of a framework."""
    return f"frameworks/{framework_id}"


def executor_key(framework_id: str, executor_id: str) -> str:
    """Key of an executor."""
    return f"executors/{framework_id}/{executor_id}"


def task_key(framework_id: str, task_id: str) -> str:
    """Key of a task."""
    return f"tasks/{framework_id}/{task_id}"


def kill_key(framework_id: str, task_id: str) -> str:
    """Key of a task's kill."""
    return f"kills/{framework_id}/{task_id}"


def failures_key(framework_id: str, task_id: str) -> str:
    """Key of the number of health checks that failed in a row."""
    return f"failures/{framework_id}/{task_id}"


def update_key(framework_id: str, task_id: str, number: int) -> str:
    """Key of an update."""
    return f"updates/{framework_id}/{task_id}/{number}"


def ack_key(framework_id: str, task_id: str) -> str:
    """Key of the newest acknowledged update's number."""
    return f"acks/{framework_id}/{task_id}"


def nested_key(key: str) -> str:
    """Key of a nested or standalone container."""
    return f"nested/{key}"


def is_nested(key: str) -> bool:
    """Is it the key of a nested or standalone container? Those may be there before a master has given us an id."""
    return key.startswith("nested/")


encode = msgspec.json.Encoder().encode


def agent_value(state: State) -> bytes:
    """Value of `agent`, as things stand."""
    return encode(StoredAgent(state.agent_info, state.boot_id, state.cluster, state.epoch))


class Checkpointed(Struct):
    """A whole checkpoint, read."""

    agent: StoredAgent | None = None
    frameworks: dict[str, StoredFramework] = {}
    executors: dict[tuple[str, str], StoredExecutor] = {}
    tasks: dict[tuple[str, str], StoredTask] = {}
    kills: dict[tuple[str, str], Kill] = {}
    failures: dict[tuple[str, str], int] = {}
    updates: dict[tuple[str, str], dict[int, v1.TaskStatus]] = {}
    acks: dict[tuple[str, str], int] = {}
    nested: dict[str, StoredNested] = {}


class CorruptCheckpoint(Exception):
    """An entry of the checkpoint cannot be read."""


def read(entries: dict[str, bytes]) -> Checkpointed:
    """What is in `entries`. Raises CorruptCheckpoint."""
    found = Checkpointed()
    for key, value in entries.items():
        try:
            _read_entry(found, key, value)
        except (msgspec.MsgspecError, ValueError) as error:
            raise CorruptCheckpoint(f"the entry '{key}' of the checkpoint cannot be read: {error}") from error
    return found


def _read_entry(found: Checkpointed, key: str, value: bytes) -> None:
    match key.split("/"):
        case ["agent"]:
            found.agent = msgspec.json.decode(value, type=StoredAgent)
        case ["frameworks", framework_id]:
            found.frameworks[framework_id] = msgspec.json.decode(value, type=StoredFramework)
        case ["executors", framework_id, executor_id]:
            found.executors[framework_id, executor_id] = msgspec.json.decode(value, type=StoredExecutor)
        case ["tasks", framework_id, task_id]:
            found.tasks[framework_id, task_id] = msgspec.json.decode(value, type=StoredTask)
        case ["kills", framework_id, task_id]:
            found.kills[framework_id, task_id] = msgspec.json.decode(value, type=Kill)
        case ["failures", framework_id, task_id]:
            found.failures[framework_id, task_id] = int(value)
        case ["updates", framework_id, task_id, number]:
            status = msgspec.json.decode(value, type=v1.TaskStatus)
            found.updates.setdefault((framework_id, task_id), {})[int(number)] = status
        case ["acks", framework_id, task_id]:
            found.acks[framework_id, task_id] = int(value)
        case ["nested", name]:
            found.nested[name] = msgspec.json.decode(value, type=StoredNested)
        case _:
            raise ValueError("it is not one of ours")
