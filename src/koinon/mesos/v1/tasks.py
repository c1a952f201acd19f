"""Tasks, executors, statuses and checks."""

from __future__ import annotations

from msgspec import field

from koinon.mesos.v1.base import Double, Int32, UInt32, V1Enum, V1Message
from koinon.mesos.v1.basics import (
    AgentID,
    DiscoveryInfo,
    DurationInfo,
    ExecutorID,
    FrameworkID,
    Labels,
    TaskID,
    TimeInfo,
)
from koinon.mesos.v1.commands import CommandInfo
from koinon.mesos.v1.containers import ContainerInfo, ContainerStatus, NetworkInfo
from koinon.mesos.v1.resources import Resource, Value


class TaskInfo(V1Message, kw_only=True):
    name: str
    task_id: TaskID
    agent_id: AgentID
    resources: list[Resource] = []
    executor: ExecutorInfo | None = None
    command: CommandInfo | None = None
    container: ContainerInfo | None = None
    health_check: HealthCheck | None = None
    check: CheckInfo | None = None
    kill_policy: KillPolicy | None = None
    data: bytes | None = None
    labels: Labels | None = None
    discovery: DiscoveryInfo | None = None
    max_completion_time: DurationInfo | None = None
    limits: dict[str, Value.Scalar] = {}


class TaskGroupInfo(V1Message, kw_only=True):
    tasks: list[TaskInfo] = []


class Task(V1Message, kw_only=True):
    name: str
    task_id: TaskID
    framework_id: FrameworkID
    executor_id: ExecutorID | None = None
    agent_id: AgentID
    state: TaskState
    resources: list[Resource] = []
    statuses: list[TaskStatus] = []
    status_update_state: TaskState | None = None
    status_update_uuid: bytes | None = None
    labels: Labels | None = None
    discovery: DiscoveryInfo | None = None
    container: ContainerInfo | None = None
    health_check: HealthCheck | None = None
    kill_policy: KillPolicy | None = None
    user: str | None = None
    limits: dict[str, Value.Scalar] = {}


class TaskState(V1Enum):
    TASK_STAGING = "TASK_STAGING"
    TASK_STARTING = "TASK_STARTING"
    TASK_RUNNING = "TASK_RUNNING"
    TASK_KILLING = "TASK_KILLING"
    TASK_FINISHED = "TASK_FINISHED"
    TASK_FAILED = "TASK_FAILED"
    TASK_KILLED = "TASK_KILLED"
    TASK_ERROR = "TASK_ERROR"
    TASK_LOST = "TASK_LOST"
    TASK_DROPPED = "TASK_DROPPED"
    TASK_UNREACHABLE = "TASK_UNREACHABLE"
    TASK_GONE = "TASK_GONE"
    TASK_GONE_BY_OPERATOR = "TASK_GONE_BY_OPERATOR"
    TASK_UNKNOWN = "TASK_UNKNOWN"


class TaskStatus(V1Message, kw_only=True):
    class Source(V1Enum):
        SOURCE_MASTER = "SOURCE_MASTER"
        SOURCE_AGENT = "SOURCE_AGENT"
        SOURCE_EXECUTOR = "SOURCE_EXECUTOR"

    class Reason(V1Enum):
        REASON_COMMAND_EXECUTOR_FAILED = "REASON_COMMAND_EXECUTOR_FAILED"
        REASON_CONTAINER_LAUNCH_FAILED = "REASON_CONTAINER_LAUNCH_FAILED"
        REASON_CONTAINER_LIMITATION = "REASON_CONTAINER_LIMITATION"
        REASON_CONTAINER_LIMITATION_DISK = "REASON_CONTAINER_LIMITATION_DISK"
        REASON_CONTAINER_LIMITATION_MEMORY = "REASON_CONTAINER_LIMITATION_MEMORY"
        REASON_CONTAINER_PREEMPTED = "REASON_CONTAINER_PREEMPTED"
        REASON_CONTAINER_UPDATE_FAILED = "REASON_CONTAINER_UPDATE_FAILED"
        REASON_MAX_COMPLETION_TIME_REACHED = "REASON_MAX_COMPLETION_TIME_REACHED"
        REASON_EXECUTOR_REGISTRATION_TIMEOUT = "REASON_EXECUTOR_REGISTRATION_TIMEOUT"
        REASON_EXECUTOR_REREGISTRATION_TIMEOUT = "REASON_EXECUTOR_REREGISTRATION_TIMEOUT"
        REASON_EXECUTOR_TERMINATED = "REASON_EXECUTOR_TERMINATED"
        REASON_EXECUTOR_UNREGISTERED = "REASON_EXECUTOR_UNREGISTERED"
        REASON_FRAMEWORK_REMOVED = "REASON_FRAMEWORK_REMOVED"
        REASON_GC_ERROR = "REASON_GC_ERROR"
        REASON_INVALID_FRAMEWORKID = "REASON_INVALID_FRAMEWORKID"
        REASON_INVALID_OFFERS = "REASON_INVALID_OFFERS"
        REASON_IO_SWITCHBOARD_EXITED = "REASON_IO_SWITCHBOARD_EXITED"
        REASON_MASTER_DISCONNECTED = "REASON_MASTER_DISCONNECTED"
        REASON_RECONCILIATION = "REASON_RECONCILIATION"
        REASON_RESOURCES_UNKNOWN = "REASON_RESOURCES_UNKNOWN"
        REASON_AGENT_DISCONNECTED = "REASON_AGENT_DISCONNECTED"
        REASON_AGENT_DRAINING = "REASON_AGENT_DRAINING"
        REASON_AGENT_REMOVED = "REASON_AGENT_REMOVED"
        REASON_AGENT_REMOVED_BY_OPERATOR = "REASON_AGENT_REMOVED_BY_OPERATOR"
        REASON_AGENT_REREGISTERED = "REASON_AGENT_REREGISTERED"
        REASON_AGENT_RESTARTED = "REASON_AGENT_RESTARTED"
        REASON_AGENT_UNKNOWN = "REASON_AGENT_UNKNOWN"
        REASON_TASK_KILLED_DURING_LAUNCH = "REASON_TASK_KILLED_DURING_LAUNCH"
        REASON_TASK_CHECK_STATUS_UPDATED = "REASON_TASK_CHECK_STATUS_UPDATED"
        REASON_TASK_HEALTH_CHECK_STATUS_UPDATED = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"
        REASON_TASK_GROUP_INVALID = "REASON_TASK_GROUP_INVALID"
        REASON_TASK_GROUP_UNAUTHORIZED = "REASON_TASK_GROUP_UNAUTHORIZED"
        REASON_TASK_INVALID = "REASON_TASK_INVALID"
        REASON_TASK_UNAUTHORIZED = "REASON_TASK_UNAUTHORIZED"
        REASON_TASK_UNKNOWN = "REASON_TASK_UNKNOWN"

    task_id: TaskID
    state: TaskState
    message: str | None = None
    source: TaskStatus.Source | None = None
    reason: TaskStatus.Reason | None = None
    data: bytes | None = None
    agent_id: AgentID | None = None
    executor_id: ExecutorID | None = None
    timestamp: Double | None = None
    uuid: bytes | None = None
    healthy: bool | None = None
    check_status: CheckStatusInfo | None = None
    labels: Labels | None = None
    container_status: ContainerStatus | None = None
    unreachable_time: TimeInfo | None = None
    limitation: TaskResourceLimitation | None = None


class TaskResourceLimitation(V1Message, kw_only=True):
    resources: list[Resource] = []


class CheckInfo(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        COMMAND = "COMMAND"
        HTTP = "HTTP"
        TCP = "TCP"

    class Command(V1Message):
        command: CommandInfo

    class Http(V1Message, kw_only=True):
        port: UInt32
        path: str | None = None

    class Tcp(V1Message):
        port: UInt32

    type: CheckInfo.Type | None = None
    command: CheckInfo.Command | None = None
    http: CheckInfo.Http | None = None
    tcp: CheckInfo.Tcp | None = None
    delay_seconds: Double = field(default_factory=lambda: 15.0)
    interval_seconds: Double = field(default_factory=lambda: 10.0)
    timeout_seconds: Double = field(default_factory=lambda: 20.0)


class CheckStatusInfo(V1Message, kw_only=True):
    class Command(V1Message, kw_only=True):
        exit_code: Int32 | None = None

    class Http(V1Message, kw_only=True):
        status_code: UInt32 | None = None

    class Tcp(V1Message, kw_only=True):
        succeeded: bool | None = None

    type: CheckInfo.Type | None = None
    command: CheckStatusInfo.Command | None = None
    http: CheckStatusInfo.Http | None = None
    tcp: CheckStatusInfo.Tcp | None = None


class HealthCheck(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        COMMAND = "COMMAND"
        HTTP = "HTTP"
        TCP = "TCP"

    class HTTPCheckInfo(V1Message, kw_only=True):
        protocol: NetworkInfo.Protocol = field(default_factory=lambda: NetworkInfo.Protocol.IPv4)
        scheme: str | None = None
        port: UInt32
        path: str | None = None
        statuses: list[UInt32] = []

    class TCPCheckInfo(V1Message, kw_only=True):
        protocol: NetworkInfo.Protocol = field(default_factory=lambda: NetworkInfo.Protocol.IPv4)
        port: UInt32

    delay_seconds: Double = field(default_factory=lambda: 15.0)
    interval_seconds: Double = field(default_factory=lambda: 10.0)
    timeout_seconds: Double = field(default_factory=lambda: 20.0)
    consecutive_failures: UInt32 = field(default_factory=lambda: 3)
    grace_period_seconds: Double = field(default_factory=lambda: 10.0)
    type: HealthCheck.Type | None = None
    command: CommandInfo | None = None
    http: HealthCheck.HTTPCheckInfo | None = None
    tcp: HealthCheck.TCPCheckInfo | None = None


class KillPolicy(V1Message, kw_only=True):
    grace_period: DurationInfo | None = None


class ExecutorInfo(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        DEFAULT = "DEFAULT"
        CUSTOM = "CUSTOM"

    type: ExecutorInfo.Type | None = None
    executor_id: ExecutorID
    framework_id: FrameworkID | None = None
    command: CommandInfo | None = None
    container: ContainerInfo | None = None
    resources: list[Resource] = []
    name: str | None = None
    source: str | None = None
    data: bytes | None = None
    discovery: DiscoveryInfo | None = None
    shutdown_grace_period: DurationInfo | None = None
    labels: Labels | None = None
