"""What master and agent say to one another.

One WebSocket per agent, opened by the agent at `/internal/agent` on the master's port. A frame is a JSON
array of messages, as many as gathered in one turn of the event loop. Ids are plain strings here.

Versions of the protocol. Both sides ignore fields that they do not know, and a field that is absent has its default; so
a master understands the agents of every version up to its own, and tells them nothing that they cannot pass over. It
refuses younger ones: masters are upgraded first. Version 1 of an agent does not say its version.

1  the first
2  `Registered` says in which cluster and epoch the master leads; an agent leaves the master of an epoch that is over.
   `RunTask` and `RunTaskGroup` say whether the master counts a new executor
"""

from __future__ import annotations

from typing import Union

import msgspec
from msgspec import Struct

from koinon.mesos.v1 import (
    AgentInfo,
    ContainerID,
    ExecutorInfo,
    FrameworkInfo,
    KillPolicy,
    TaskGroupInfo,
    TaskInfo,
    TaskState,
    TaskStatus,
)

#: What this release speaks.
PROTOCOL = 2

#: Where the agent opens the channel on the master.
PATH = "/internal/agent"


class _Message(Struct, tag=True, omit_defaults=True, gc=False, kw_only=True):
    pass


# ── agent → master ────────────────────────────────────────────────────────────────────────────────
class ReportedTask(Struct, omit_defaults=True, gc=False, kw_only=True):
    """A task as the agent has it. `state` is the latest; the scheduler may have acknowledged less."""

    framework_id: str
    info: TaskInfo
    state: TaskState
    statuses: list[TaskStatus] = []
    #: The state of the first update not yet acknowledged, and its uuid; None when all are.
    unacknowledged_state: TaskState | None = None
    unacknowledged_uuid: bytes | None = None


class ReportedExecutor(Struct, omit_defaults=True, gc=False, kw_only=True):
    """A custom or default executor that runs on the agent. Command tasks have none."""

    framework_id: str
    info: ExecutorInfo
    container_id: ContainerID | None = None


class Register(_Message):
    """First message on a channel. With `agent_info.id` the agent comes back under that id."""

    agent_info: AgentInfo
    pid: str  #: slave(1)@ip:port
    version: str
    protocol: int = 1  #: what is meant when it is absent; whoever registers says `PROTOCOL`
    capabilities: list[str] = []
    frameworks: list[FrameworkInfo] = []
    tasks: list[ReportedTask] = []
    executors: list[ReportedExecutor] = []
    #: What it will say of tasks that it did not take; the scheduler has not acknowledged it yet.
    refusals: list[Update] = []


class Update(_Message):
    """A status update; resent by the agent until `Acknowledge` names its uuid (if it has one)."""

    framework_id: str
    status: TaskStatus
    #: The task's newest state, which may be ahead of `status.state`.
    latest_state: TaskState


class ExecutorMessage(_Message):
    framework_id: str
    executor_id: str
    data: bytes


class ExecutorExited(_Message):
    """A custom or default executor ended; `status` is its wait status."""

    framework_id: str
    executor_id: str
    status: int


class Pong(_Message):
    pass


class Unregister(_Message):
    """The agent leaves for good and has killed its tasks."""


# ── master → agent ────────────────────────────────────────────────────────────────────────────────
class Registered(_Message):
    agent_id: str
    master_id: str
    #: Hear nothing for this long and the channel is dead.
    silence_timeout_s: float
    #: Frameworks that are completed: shut down what the agent still has of them.
    completed_frameworks: list[str] = []
    #: What the registry is called that the master leads by, and its election's number: within one cluster it only grows
    #: from leader to leader. 0 where there is no election.
    cluster: str = ""
    epoch: int = 0
    #: The cluster is so large that, when all agents have to come back at once, they shall spread over so long.
    return_within_s: int = 0


class Refused(_Message):
    """The master will not have this agent; it shuts down after saying so."""

    message: str


class RunTask(_Message):
    """Launch one task. `task.executor` is set for a custom executor, `task.command` otherwise."""

    framework: FrameworkInfo
    task: TaskInfo
    #: Whether the master counts a new executor for it: if none is started it must hear that it ended. If not, none may be
    #: started: the one that the master knows has ended meanwhile. None: the master does not say.
    new_executor: bool | None = None


class RunTaskGroup(_Message):
    framework: FrameworkInfo
    executor: ExecutorInfo
    task_group: TaskGroupInfo
    new_executor: bool | None = None  #: as for one task


class KillTask(_Message):
    framework_id: str
    task_id: str
    kill_policy: KillPolicy | None = None


class Acknowledge(_Message):
    framework_id: str
    task_id: str
    uuid: bytes


class SchedulerMessage(_Message):
    framework_id: str
    executor_id: str
    data: bytes


class ShutdownExecutor(_Message):
    framework_id: str
    executor_id: str


class ShutdownFramework(_Message):
    framework_id: str


class UpdateFramework(_Message):
    framework: FrameworkInfo


class Ping(_Message):
    pass


class Shutdown(_Message):
    """Kill everything and exit."""

    message: str


AgentMessage = Union[Register, Update, ExecutorMessage, ExecutorExited, Pong, Unregister]
MasterMessage = Union[
    Registered,
    Refused,
    RunTask,
    RunTaskGroup,
    KillTask,
    Acknowledge,
    SchedulerMessage,
    ShutdownExecutor,
    ShutdownFramework,
    UpdateFramework,
    Ping,
    Shutdown,
]

#: Frames are `list[AgentMessage]` and `list[MasterMessage]` as JSON.
encode = msgspec.json.Encoder().encode
decode_from_agent = msgspec.json.Decoder(list[AgentMessage]).decode
decode_from_master = msgspec.json.Decoder(list[MasterMessage]).decode
