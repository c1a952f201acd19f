"""The executor API: POST /api/v1/executor on the agent."""

from __future__ import annotations

from koinon.mesos import v1
from koinon.mesos.v1.base import V1Enum, V1Message


class Event(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        SUBSCRIBED = "SUBSCRIBED"
        LAUNCH = "LAUNCH"
        LAUNCH_GROUP = "LAUNCH_GROUP"
        KILL = "KILL"
        ACKNOWLEDGED = "ACKNOWLEDGED"
        MESSAGE = "MESSAGE"
        ERROR = "ERROR"
        SHUTDOWN = "SHUTDOWN"
        HEARTBEAT = "HEARTBEAT"

    class Subscribed(V1Message, kw_only=True):
        executor_info: v1.ExecutorInfo
        framework_info: v1.FrameworkInfo
        agent_info: v1.AgentInfo
        container_id: v1.ContainerID | None = None

    class Launch(V1Message):
        task: v1.TaskInfo

    class LaunchGroup(V1Message):
        task_group: v1.TaskGroupInfo

    class Kill(V1Message, kw_only=True):
        task_id: v1.TaskID
        kill_policy: v1.KillPolicy | None = None

    class Acknowledged(V1Message, kw_only=True):
        task_id: v1.TaskID
        uuid: bytes

    class Message(V1Message):
        data: bytes

    class Error(V1Message):
        message: str

    type: Event.Type | None = None
    subscribed: Event.Subscribed | None = None
    acknowledged: Event.Acknowledged | None = None
    launch: Event.Launch | None = None
    launch_group: Event.LaunchGroup | None = None
    kill: Event.Kill | None = None
    message: Event.Message | None = None
    error: Event.Error | None = None


class Call(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        SUBSCRIBE = "SUBSCRIBE"
        UPDATE = "UPDATE"
        MESSAGE = "MESSAGE"
        HEARTBEAT = "HEARTBEAT"

    class Subscribe(V1Message, kw_only=True):
        unacknowledged_tasks: list[v1.TaskInfo] = []
        unacknowledged_updates: list[Call.Update] = []

    class Update(V1Message):
        status: v1.TaskStatus

    class Message(V1Message):
        data: bytes

    executor_id: v1.ExecutorID
    framework_id: v1.FrameworkID
    type: Call.Type | None = None
    subscribe: Call.Subscribe | None = None
    update: Call.Update | None = None
    message: Call.Message | None = None
