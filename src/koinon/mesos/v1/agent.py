"""The operator API of the agent: POST /api/v1."""

from __future__ import annotations

from koinon.mesos import v1
from koinon.mesos.v1.base import Int32, UInt32, UInt64, V1Enum, V1Message


class Call(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        GET_HEALTH = "GET_HEALTH"
        GET_FLAGS = "GET_FLAGS"
        GET_VERSION = "GET_VERSION"
        GET_METRICS = "GET_METRICS"
        GET_LOGGING_LEVEL = "GET_LOGGING_LEVEL"
        SET_LOGGING_LEVEL = "SET_LOGGING_LEVEL"
        LIST_FILES = "LIST_FILES"
        READ_FILE = "READ_FILE"
        GET_STATE = "GET_STATE"
        GET_CONTAINERS = "GET_CONTAINERS"
        GET_FRAMEWORKS = "GET_FRAMEWORKS"
        GET_EXECUTORS = "GET_EXECUTORS"
        GET_OPERATIONS = "GET_OPERATIONS"
        GET_TASKS = "GET_TASKS"
        GET_AGENT = "GET_AGENT"
        GET_RESOURCE_PROVIDERS = "GET_RESOURCE_PROVIDERS"
        LAUNCH_NESTED_CONTAINER = "LAUNCH_NESTED_CONTAINER"
        WAIT_NESTED_CONTAINER = "WAIT_NESTED_CONTAINER"
        KILL_NESTED_CONTAINER = "KILL_NESTED_CONTAINER"
        REMOVE_NESTED_CONTAINER = "REMOVE_NESTED_CONTAINER"
        LAUNCH_NESTED_CONTAINER_SESSION = "LAUNCH_NESTED_CONTAINER_SESSION"
        ATTACH_CONTAINER_INPUT = "ATTACH_CONTAINER_INPUT"
        ATTACH_CONTAINER_OUTPUT = "ATTACH_CONTAINER_OUTPUT"
        LAUNCH_CONTAINER = "LAUNCH_CONTAINER"
        WAIT_CONTAINER = "WAIT_CONTAINER"
        KILL_CONTAINER = "KILL_CONTAINER"
        REMOVE_CONTAINER = "REMOVE_CONTAINER"
        ADD_RESOURCE_PROVIDER_CONFIG = "ADD_RESOURCE_PROVIDER_CONFIG"
        UPDATE_RESOURCE_PROVIDER_CONFIG = "UPDATE_RESOURCE_PROVIDER_CONFIG"
        REMOVE_RESOURCE_PROVIDER_CONFIG = "REMOVE_RESOURCE_PROVIDER_CONFIG"
        MARK_RESOURCE_PROVIDER_GONE = "MARK_RESOURCE_PROVIDER_GONE"
        PRUNE_IMAGES = "PRUNE_IMAGES"

    class GetMetrics(V1Message, kw_only=True):
        timeout: v1.DurationInfo | None = None

    class SetLoggingLevel(V1Message, kw_only=True):
        level: UInt32
        duration: v1.DurationInfo

    class ListFiles(V1Message):
        path: str

    class ReadFile(V1Message, kw_only=True):
        path: str
        offset: UInt64
        length: UInt64 | None = None

    class GetContainers(V1Message, kw_only=True):
        show_nested: bool | None = None
        show_standalone: bool | None = None

    class LaunchNestedContainer(V1Message, kw_only=True):
        container_id: v1.ContainerID
        command: v1.CommandInfo | None = None
        container: v1.ContainerInfo | None = None

    class WaitNestedContainer(V1Message):
        container_id: v1.ContainerID

    class KillNestedContainer(V1Message, kw_only=True):
        container_id: v1.ContainerID
        signal: Int32 | None = None

    class RemoveNestedContainer(V1Message):
        container_id: v1.ContainerID

    class LaunchNestedContainerSession(V1Message, kw_only=True):
        container_id: v1.ContainerID
        command: v1.CommandInfo | None = None
        container: v1.ContainerInfo | None = None

    class AttachContainerInput(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            CONTAINER_ID = "CONTAINER_ID"
            PROCESS_IO = "PROCESS_IO"

        type: Call.AttachContainerInput.Type | None = None
        container_id: v1.ContainerID | None = None
        process_io: ProcessIO | None = None

    class AttachContainerOutput(V1Message):
        container_id: v1.ContainerID

    class LaunchContainer(V1Message, kw_only=True):
        container_id: v1.ContainerID
        command: v1.CommandInfo | None = None
        resources: list[v1.Resource] = []
        container: v1.ContainerInfo | None = None
        limits: dict[str, v1.Value.Scalar] = {}

    class WaitContainer(V1Message):
        container_id: v1.ContainerID

    class KillContainer(V1Message, kw_only=True):
        container_id: v1.ContainerID
        signal: Int32 | None = None

    class RemoveContainer(V1Message):
        container_id: v1.ContainerID

    class AddResourceProviderConfig(V1Message):
        info: v1.ResourceProviderInfo

    class UpdateResourceProviderConfig(V1Message):
        info: v1.ResourceProviderInfo

    class RemoveResourceProviderConfig(V1Message, kw_only=True):
        type: str
        name: str

    class MarkResourceProviderGone(V1Message):
        resource_provider_id: v1.ResourceProviderID

    class PruneImages(V1Message, kw_only=True):
        excluded_images: list[v1.Image] = []

    type: Call.Type | None = None
    get_metrics: Call.GetMetrics | None = None
    set_logging_level: Call.SetLoggingLevel | None = None
    list_files: Call.ListFiles | None = None
    read_file: Call.ReadFile | None = None
    get_containers: Call.GetContainers | None = None
    launch_nested_container: Call.LaunchNestedContainer | None = None
    wait_nested_container: Call.WaitNestedContainer | None = None
    kill_nested_container: Call.KillNestedContainer | None = None
    remove_nested_container: Call.RemoveNestedContainer | None = None
    launch_nested_container_session: Call.LaunchNestedContainerSession | None = None
    attach_container_input: Call.AttachContainerInput | None = None
    attach_container_output: Call.AttachContainerOutput | None = None
    launch_container: Call.LaunchContainer | None = None
    wait_container: Call.WaitContainer | None = None
    kill_container: Call.KillContainer | None = None
    remove_container: Call.RemoveContainer | None = None
    add_resource_provider_config: Call.AddResourceProviderConfig | None = None
    update_resource_provider_config: Call.UpdateResourceProviderConfig | None = None
    remove_resource_provider_config: Call.RemoveResourceProviderConfig | None = None
    mark_resource_provider_gone: Call.MarkResourceProviderGone | None = None
    prune_images: Call.PruneImages | None = None


class Response(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        GET_HEALTH = "GET_HEALTH"
        GET_FLAGS = "GET_FLAGS"
        GET_VERSION = "GET_VERSION"
        GET_METRICS = "GET_METRICS"
        GET_LOGGING_LEVEL = "GET_LOGGING_LEVEL"
        LIST_FILES = "LIST_FILES"
        READ_FILE = "READ_FILE"
        GET_STATE = "GET_STATE"
        GET_CONTAINERS = "GET_CONTAINERS"
        GET_FRAMEWORKS = "GET_FRAMEWORKS"
        GET_EXECUTORS = "GET_EXECUTORS"
        GET_OPERATIONS = "GET_OPERATIONS"
        GET_TASKS = "GET_TASKS"
        GET_AGENT = "GET_AGENT"
        GET_RESOURCE_PROVIDERS = "GET_RESOURCE_PROVIDERS"
        WAIT_NESTED_CONTAINER = "WAIT_NESTED_CONTAINER"
        WAIT_CONTAINER = "WAIT_CONTAINER"

    class GetHealth(V1Message):
        healthy: bool

    class GetFlags(V1Message, kw_only=True):
        flags: list[v1.Flag] = []

    class GetVersion(V1Message):
        version_info: v1.VersionInfo

    class GetMetrics(V1Message, kw_only=True):
        metrics: list[v1.Metric] = []

    class GetLoggingLevel(V1Message):
        level: UInt32

    class ListFiles(V1Message, kw_only=True):
        file_infos: list[v1.FileInfo] = []

    class ReadFile(V1Message, kw_only=True):
        size: UInt64
        data: bytes

    class GetState(V1Message, kw_only=True):
        get_tasks: Response.GetTasks | None = None
        get_executors: Response.GetExecutors | None = None
        get_frameworks: Response.GetFrameworks | None = None

    class GetContainers(V1Message, kw_only=True):
        class Container(V1Message, kw_only=True):
            framework_id: v1.FrameworkID | None = None
            executor_id: v1.ExecutorID | None = None
            executor_name: str | None = None
            container_id: v1.ContainerID
            container_status: v1.ContainerStatus | None = None
            resource_statistics: v1.ResourceStatistics | None = None

        containers: list[Response.GetContainers.Container] = []

    class GetFrameworks(V1Message, kw_only=True):
        class Framework(V1Message):
            framework_info: v1.FrameworkInfo

        frameworks: list[Response.GetFrameworks.Framework] = []
        completed_frameworks: list[Response.GetFrameworks.Framework] = []

    class GetExecutors(V1Message, kw_only=True):
        class Executor(V1Message):
            executor_info: v1.ExecutorInfo

        executors: list[Response.GetExecutors.Executor] = []
        completed_executors: list[Response.GetExecutors.Executor] = []

    class GetOperations(V1Message, kw_only=True):
        operations: list[v1.Operation] = []

    class GetTasks(V1Message, kw_only=True):
        pending_tasks: list[v1.Task] = []
        queued_tasks: list[v1.Task] = []
        launched_tasks: list[v1.Task] = []
        terminated_tasks: list[v1.Task] = []
        completed_tasks: list[v1.Task] = []

    class GetAgent(V1Message, kw_only=True):
        agent_info: v1.AgentInfo | None = None
        drain_config: v1.DrainConfig | None = None
        estimated_drain_start_time: v1.TimeInfo | None = None

    class GetResourceProviders(V1Message, kw_only=True):
        class ResourceProvider(V1Message, kw_only=True):
            resource_provider_info: v1.ResourceProviderInfo
            total_resources: list[v1.Resource] = []

        resource_providers: list[Response.GetResourceProviders.ResourceProvider] = []

    class WaitNestedContainer(V1Message, kw_only=True):
        exit_status: Int32 | None = None
        state: v1.TaskState | None = None
        reason: v1.TaskStatus.Reason | None = None
        limitation: v1.TaskResourceLimitation | None = None
        message: str | None = None

    class WaitContainer(V1Message, kw_only=True):
        exit_status: Int32 | None = None
        state: v1.TaskState | None = None
        reason: v1.TaskStatus.Reason | None = None
        limitation: v1.TaskResourceLimitation | None = None
        message: str | None = None

    type: Response.Type | None = None
    get_health: Response.GetHealth | None = None
    get_flags: Response.GetFlags | None = None
    get_version: Response.GetVersion | None = None
    get_metrics: Response.GetMetrics | None = None
    get_logging_level: Response.GetLoggingLevel | None = None
    list_files: Response.ListFiles | None = None
    read_file: Response.ReadFile | None = None
    get_state: Response.GetState | None = None
    get_containers: Response.GetContainers | None = None
    get_frameworks: Response.GetFrameworks | None = None
    get_executors: Response.GetExecutors | None = None
    get_operations: Response.GetOperations | None = None
    get_tasks: Response.GetTasks | None = None
    get_agent: Response.GetAgent | None = None
    get_resource_providers: Response.GetResourceProviders | None = None
    wait_nested_container: Response.WaitNestedContainer | None = None
    wait_container: Response.WaitContainer | None = None


class ProcessIO(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        DATA = "DATA"
        CONTROL = "CONTROL"

    class Data(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            STDIN = "STDIN"
            STDOUT = "STDOUT"
            STDERR = "STDERR"

        type: ProcessIO.Data.Type | None = None
        data: bytes | None = None

    class Control(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            TTY_INFO = "TTY_INFO"
            HEARTBEAT = "HEARTBEAT"

        class Heartbeat(V1Message, kw_only=True):
            interval: v1.DurationInfo | None = None

        type: ProcessIO.Control.Type | None = None
        tty_info: v1.TTYInfo | None = None
        heartbeat: ProcessIO.Control.Heartbeat | None = None

    type: ProcessIO.Type | None = None
    data: ProcessIO.Data | None = None
    control: ProcessIO.Control | None = None
