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

from collections.abc import Mapping
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
    #: Keys that were left out, with the reasons.
    dropped: dict[str, str] = {}


class CorruptCheckpoint(Exception):
    """An entry of the checkpoint cannot be read."""


def read(entries: Mapping[str, bytes], *, strict: bool = True) -> Checkpointed:
    """What is in `entries`. Raises CorruptCheckpoint.

    Unless `strict`, an entry that cannot be read is left out, and with it what makes no sense without it: a framework's
    executors and tasks, an executor's tasks, all that is known of a task. Who the agent is must be there in any case.
    """
    found = Checkpointed()
    problems: dict[str, str] = {}
    for key, value in entries.items():
        try:
            _read_entry(found, key, value)
        except (msgspec.MsgspecError, ValueError) as error:
            problems[key] = f"the entry '{key}' of the checkpoint cannot be read: {error}"
    problems |= _orphans(found)
    if problems and (strict or AGENT in problems):
        raise CorruptCheckpoint(problems.get(AGENT) or next(iter(problems.values())))
    if not problems:
        return found
    # Once more without them, and what is orphaned by that goes in the next round.
    rest = {key: value for key, value in entries.items() if not _goes_with(key, problems)}
    again = read(rest, strict=False)
    again.dropped = {key: problems.get(key, "") for key in entries if key not in rest} | again.dropped
    return again


def _orphans(found: Checkpointed) -> dict[str, str]:
    """Executors and tasks whose framework or executor is not there, by key."""
    problems = {}
    for framework_id, executor_id in found.executors:
        if framework_id not in found.frameworks:
            key = executor_key(framework_id, executor_id)
            problems[key] = f"the entry '{key}' of the checkpoint has no framework"
    for (framework_id, task_id), task in found.tasks.items():
        known = not task.executor_id or (framework_id, task.executor_id) in found.executors
        if framework_id not in found.frameworks or not known:
            key = task_key(framework_id, task_id)
            problems[key] = f"the entry '{key}' of the checkpoint has no framework or no executor"
    return problems


def _goes_with(key: str, problems: Mapping[str, str]) -> bool:
    """Whether an entry is one of the `problems`, or is of a task that one of them is about."""
    if key in problems:
        return True
    match key.split("/"):
        case ["tasks" | "kills" | "failures" | "updates" | "acks", framework_id, task_id, *_]:
            of_task = (task_key(framework_id, task_id), ack_key(framework_id, task_id))
            updates = update_key(framework_id, task_id, 0)[:-1]
            return any(one in of_task or one.startswith(updates) for one in problems)
    return False


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
