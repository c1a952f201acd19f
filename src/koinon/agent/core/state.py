"""What the agent's core remembers. Views and metrics read these records; only the core writes them.

*framework* → *executors* → *tasks*. An executor of kind COMMAND runs one task, whose id is also its own; DEFAULT runs
task groups; both are built in, and each of their tasks has a *container*. CUSTOM is a program of the user: the
container is the executor's, and what its tasks are made of is its own business.
A task is *queued* until it has been handed to its executor, *terminated* when its terminal update waits for the
scheduler's acknowledgement, then *completed*.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct, field

from koinon.agent.core.tables import (
    EXECUTOR_MOVES,
    TASK_MOVES,
    AgentState,
    ExecutorState,
    check_move,
)
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import FrameworkInfo, TaskState, TaskStatus


class Config(Struct, frozen=True, kw_only=True):
    """What the core is told at its start."""

    agent_info: v1.AgentInfo  #: without id
    pid: str  #: slave(1)@ip:port
    endpoint: str  #: ip:port, where executors call
    ip: str
    version: str
    work_dir: str  #: absolute
    user: str  #: whom the agent's process runs as
    gpus: tuple[str, ...] = ()  #: names of the devices
    switch_user: bool = True
    executor_registration_timeout_s: float = 60.0
    executor_reregistration_timeout_s: float = 2.0
    executor_shutdown_grace_period_s: float = 5.0
    executor_environment: dict[str, str] = {}
    #: The container of command tasks and custom executors that say nothing of it.
    default_container: v1.ContainerInfo | None = None
    recovery_timeout_s: float = 900.0
    #: Where URIs that are relative paths begin.
    frameworks_home: str | None = None
    enforce_disk_quota: bool = False
    #: Whether sandboxes inside of others, and of standalone containers, are removed some time after their end.
    collect_nested: bool = False
    #: `equal`: resources and attributes must be what they were; `additive`: there may be more; `any`.
    reconfiguration_policy: str = "equal"
    #: Entries of the checkpoint that cannot be read end the agent; else what they tell of is given up.
    strict: bool = True
    #: Kill what was found at recovery, and end.
    cleanup: bool = False
    completed_executors_max: int = 150
    completed_tasks_max: int = 200
    idle_frameworks_max: int = 50


class Kind(Enum):
    """Which executor runs a task."""

    COMMAND = "COMMAND"
    DEFAULT = "DEFAULT"
    CUSTOM = "CUSTOM"


class Kill(Struct, gc=False):
    """Why a task must end, and what is reported when it has."""

    since_s: float
    due_s: float  #: SIGKILL then
    state: TaskState = TaskState.TASK_KILLED
    reason: TaskStatus.Reason | None = None
    #: What is said beside how the task ended; instead of it when it never ran.
    message: str | None = None
    healthy: bool | None = None
    limitation: list[v1.Resource] | None = None  #: what it had too little of
    policy: v1.KillPolicy | None = None  #: as asked for, which a custom executor is to hear


class Task(Struct, kw_only=True, gc=False):
    """One task, from its arrival on."""

    framework_id: str
    task_id: str
    executor_id: str
    info: v1.TaskInfo
    #: Its own container; empty under a custom executor.
    container_id: str = ""
    #: Numbers the tasks of one group within their executor; 0 = launched alone.
    group: int = 0
    state: TaskState = TaskState.TASK_STAGING
    #: One per state, the newest of each.
    statuses: list[TaskStatus] = []
    #: Not handed to its executor yet.
    queued: bool = False
    #: Process id of its container; 0 = not started.
    pid: int = 0
    started_s: float = 0.0
    #: How often its health check failed in a row.
    failures: int = 0
    kill: Kill | None = None
    user: str | None = None
    gpus: tuple[str, ...] = ()  #: its devices
    #: Slot for the views: the task's rendering, None after every change.
    rendered: bytes | None = None
    #: What it holds while it is not over; from `info`.
    resources: Resources = Resources()

    def __post_init__(self) -> None:
        self.resources = Resources.from_v1(self.info.resources)

    @property
    def terminal(self) -> bool:
        """Whether the task is over."""
        return self.state in TERMINAL

    def move(self, status: TaskStatus) -> None:
        """Enter the state of `status`. Raises IllegalMove."""
        state = status.state
        if state is not self.state:
            check_move(TASK_MOVES, self.state, state, self)
        elif self.statuses:  # news about the same state (health) replaces what was known
            self.statuses.pop()
        self.state = state
        self.statuses.append(status)
        self.rendered = None


class NestedKind(Enum):
    """What a container is that somebody asked for over the API; see `nested`."""

    NESTED = "NESTED"
    SESSION = "SESSION"
    STANDALONE = "STANDALONE"


class Nested(Struct, kw_only=True):
    """A nested or standalone container."""

    key: str
    container_id: v1.ContainerID
    parent: str  #: key of the container that it is below; empty if there is none
    kind: NestedKind
    command: v1.CommandInfo
    container: v1.ContainerInfo | None
    resources: list[v1.Resource]
    user: str | None
    durable: bool  #: it goes on when the agent ends
    pid: int = 0
    ended: bool = False
    #: Wait status, None if nobody knows; valid when it has ended.
    status: int | None = None
    message: str = ""
    #: It is to be forgotten when it has ended.
    doomed: bool = False


class Ending(Struct, gc=False):
    """What is reported of the tasks that an executor leaves behind."""

    state: TaskState
    reason: TaskStatus.Reason
    message: str
    limitation: list[v1.Resource] | None = None  #: what the executor had too little of


class Executor(Struct, kw_only=True):
    """What runs tasks of one framework."""

    framework_id: str
    executor_id: str
    kind: Kind
    info: v1.ExecutorInfo
    container_id: str
    directory: str
    user: str | None
    state: ExecutorState = ExecutorState.RUNNING
    gpus: tuple[str, ...] = ()  #: its devices
    known_gpus: tuple[str, ...] = ()  #: those that it was told of when it started
    #: The connection that a custom executor listens on.
    stream_id: str | None = None
    pid: int = 0
    #: Tasks that are not completed, by id.
    tasks: dict[str, Task] = {}
    #: Ids of queued tasks in order of arrival; what came as a group stays together.
    queue: list[list[str]] = []
    completed: list[Task] = []
    groups: int = 0
    ending: Ending | None = None
    #: Of disk, when it was looked at last; None if it was not.
    disk_used_bytes: int | None = None
    #: Found again after a restart, and not heard of since.
    recovered: bool = False
    #: What it holds besides its tasks; from `info`.
    resources: Resources = Resources()

    def __post_init__(self) -> None:
        self.resources = Resources.from_v1(self.info.resources)

    def move(self, state: ExecutorState) -> None:
        """Enter `state`. Raises IllegalMove."""
        check_move(EXECUTOR_MOVES, self.state, state, self)
        self.state = state

    @property
    def live_tasks(self) -> list[Task]:
        """Those that are not over."""
        return [task for task in self.tasks.values() if not task.terminal]

    @property
    def idle(self) -> bool:
        """Whether there is no live task."""
        return all(task.terminal for task in self.tasks.values())


class Framework(Struct, kw_only=True):
    """A framework that has, or had, executors here."""

    framework_id: str
    info: FrameworkInfo
    partition_aware: bool = False
    killing_state: bool = False
    executors: dict[str, Executor] = {}
    #: Tasks of all executors that are not completed, by id.
    tasks: dict[str, Task] = {}
    completed: list[Executor] = []
    #: Shut down by the master: its executors are ending and nothing is reported any more.
    terminating: bool = False

    def update(self, info: FrameworkInfo) -> None:
        """Take over what the master says now."""
        Capability = FrameworkInfo.Capability.Type
        capabilities = {capability.type for capability in info.capabilities}
        self.info = info
        self.partition_aware = Capability.PARTITION_AWARE in capabilities
        self.killing_state = Capability.TASK_KILLING_STATE in capabilities

    @property
    def lost(self) -> TaskState:
        """How a running task that is no more is called."""
        return TaskState.TASK_GONE if self.partition_aware else TaskState.TASK_LOST

    @property
    def dropped(self) -> TaskState:
        """How a task that never started is called."""
        return TaskState.TASK_DROPPED if self.partition_aware else TaskState.TASK_LOST


class Counters(Struct, gc=False):
    """What only grows, for the metrics."""

    terminal: dict[TaskState, int] = {}
    executors_terminated: int = 0
    launch_errors: int = 0
    recovery_errors: int = 0
    valid_updates: int = 0
    invalid_updates: int = 0
    valid_messages: int = 0
    invalid_messages: int = 0


class Place(Struct, frozen=True, gc=False):
    """Whose a container is. `task_id` is empty for the container of a custom executor."""

    framework_id: str
    executor_id: str
    task_id: str


class State(Struct, kw_only=True):
    """Everything."""

    agent_info: v1.AgentInfo  #: with id once the master has given one
    state: AgentState = AgentState.RECOVERING
    agent_id: str = ""
    master_id: str = ""
    #: The cluster of that master and the greatest epoch of one there; both kept on disk.
    cluster: str = ""
    epoch: int = 0
    #: The connection to the master that stands, by number.
    session: int | None = None
    boot_id: str = ""
    #: Those that have executors, and some that had.
    frameworks: dict[str, Framework] = {}
    #: Containers whose end has not been told to us.
    containers: dict[str, Place] = {}
    #: Containers that somebody asked for over the API, by key.
    nested: dict[str, Nested] = {}
    counters: Counters = field(default_factory=Counters)
