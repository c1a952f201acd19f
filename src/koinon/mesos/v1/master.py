"""The operator API of the master: POST /api/v1."""

from __future__ import annotations

from msgspec import field

from koinon.mesos import v1
from koinon.mesos.v1 import maintenance, quota, scheduler
from koinon.mesos.v1.base import Double, Duration, UInt32, UInt64, V1Enum, V1Message


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
        GET_AGENTS = "GET_AGENTS"
        GET_FRAMEWORKS = "GET_FRAMEWORKS"
        GET_EXECUTORS = "GET_EXECUTORS"
        GET_OPERATIONS = "GET_OPERATIONS"
        GET_TASKS = "GET_TASKS"
        GET_ROLES = "GET_ROLES"
        GET_WEIGHTS = "GET_WEIGHTS"
        UPDATE_WEIGHTS = "UPDATE_WEIGHTS"
        GET_MASTER = "GET_MASTER"
        SUBSCRIBE = "SUBSCRIBE"
        RESERVE_RESOURCES = "RESERVE_RESOURCES"
        UNRESERVE_RESOURCES = "UNRESERVE_RESOURCES"
        CREATE_VOLUMES = "CREATE_VOLUMES"
        DESTROY_VOLUMES = "DESTROY_VOLUMES"
        GROW_VOLUME = "GROW_VOLUME"
        SHRINK_VOLUME = "SHRINK_VOLUME"
        GET_MAINTENANCE_STATUS = "GET_MAINTENANCE_STATUS"
        GET_MAINTENANCE_SCHEDULE = "GET_MAINTENANCE_SCHEDULE"
        UPDATE_MAINTENANCE_SCHEDULE = "UPDATE_MAINTENANCE_SCHEDULE"
        START_MAINTENANCE = "START_MAINTENANCE"
        STOP_MAINTENANCE = "STOP_MAINTENANCE"
        DRAIN_AGENT = "DRAIN_AGENT"
        DEACTIVATE_AGENT = "DEACTIVATE_AGENT"
        REACTIVATE_AGENT = "REACTIVATE_AGENT"
        GET_QUOTA = "GET_QUOTA"
        UPDATE_QUOTA = "UPDATE_QUOTA"
        SET_QUOTA = "SET_QUOTA"
        REMOVE_QUOTA = "REMOVE_QUOTA"
        TEARDOWN = "TEARDOWN"
        MARK_AGENT_GONE = "MARK_AGENT_GONE"

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

    class UpdateWeights(V1Message, kw_only=True):
        weight_infos: list[v1.WeightInfo] = []

    class ReserveResources(V1Message, kw_only=True):
        agent_id: v1.AgentID
        source: list[v1.Resource] = []
        resources: list[v1.Resource] = []

    class UnreserveResources(V1Message, kw_only=True):
        agent_id: v1.AgentID
        resources: list[v1.Resource] = []

    class CreateVolumes(V1Message, kw_only=True):
        agent_id: v1.AgentID
        volumes: list[v1.Resource] = []

    class DestroyVolumes(V1Message, kw_only=True):
        agent_id: v1.AgentID
        volumes: list[v1.Resource] = []

    class GrowVolume(V1Message, kw_only=True):
        agent_id: v1.AgentID | None = None
        volume: v1.Resource
        addition: v1.Resource

    class ShrinkVolume(V1Message, kw_only=True):
        agent_id: v1.AgentID | None = None
        volume: v1.Resource
        subtract: v1.Value.Scalar

    class UpdateMaintenanceSchedule(V1Message):
        schedule: maintenance.Schedule

    class StartMaintenance(V1Message, kw_only=True):
        machines: list[v1.MachineID] = []

    class StopMaintenance(V1Message, kw_only=True):
        machines: list[v1.MachineID] = []

    class DrainAgent(V1Message, kw_only=True):
        agent_id: v1.AgentID
        max_grace_period: Duration | None = None
        mark_gone: bool = field(default_factory=lambda: False)

    class DeactivateAgent(V1Message):
        agent_id: v1.AgentID

    class ReactivateAgent(V1Message):
        agent_id: v1.AgentID

    class UpdateQuota(V1Message, kw_only=True):
        force: bool | None = None
        quota_configs: list[quota.QuotaConfig] = []

    class SetQuota(V1Message):
        quota_request: quota.QuotaRequest

    class RemoveQuota(V1Message):
        role: str

    class Teardown(V1Message):
        framework_id: v1.FrameworkID

    class MarkAgentGone(V1Message):
        agent_id: v1.AgentID

    type: Call.Type | None = None
    get_metrics: Call.GetMetrics | None = None
    set_logging_level: Call.SetLoggingLevel | None = None
    list_files: Call.ListFiles | None = None
    read_file: Call.ReadFile | None = None
    update_weights: Call.UpdateWeights | None = None
    reserve_resources: Call.ReserveResources | None = None
    unreserve_resources: Call.UnreserveResources | None = None
    create_volumes: Call.CreateVolumes | None = None
    destroy_volumes: Call.DestroyVolumes | None = None
    grow_volume: Call.GrowVolume | None = None
    shrink_volume: Call.ShrinkVolume | None = None
    update_maintenance_schedule: Call.UpdateMaintenanceSchedule | None = None
    start_maintenance: Call.StartMaintenance | None = None
    stop_maintenance: Call.StopMaintenance | None = None
    drain_agent: Call.DrainAgent | None = None
    deactivate_agent: Call.DeactivateAgent | None = None
    reactivate_agent: Call.ReactivateAgent | None = None
    update_quota: Call.UpdateQuota | None = None
    teardown: Call.Teardown | None = None
    mark_agent_gone: Call.MarkAgentGone | None = None
    set_quota: Call.SetQuota | None = None
    remove_quota: Call.RemoveQuota | None = None


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
        GET_AGENTS = "GET_AGENTS"
        GET_FRAMEWORKS = "GET_FRAMEWORKS"
        GET_EXECUTORS = "GET_EXECUTORS"
        GET_OPERATIONS = "GET_OPERATIONS"
        GET_TASKS = "GET_TASKS"
        GET_ROLES = "GET_ROLES"
        GET_WEIGHTS = "GET_WEIGHTS"
        GET_MASTER = "GET_MASTER"
        GET_MAINTENANCE_STATUS = "GET_MAINTENANCE_STATUS"
        GET_MAINTENANCE_SCHEDULE = "GET_MAINTENANCE_SCHEDULE"
        GET_QUOTA = "GET_QUOTA"

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
        get_agents: Response.GetAgents | None = None

    class GetAgents(V1Message, kw_only=True):
        class Agent(V1Message, kw_only=True):
            class ResourceProvider(V1Message, kw_only=True):
                resource_provider_info: v1.ResourceProviderInfo
                total_resources: list[v1.Resource] = []

            agent_info: v1.AgentInfo
            active: bool
            deactivated: bool | None = None
            version: str
            pid: str | None = None
            registered_time: v1.TimeInfo | None = None
            reregistered_time: v1.TimeInfo | None = None
            total_resources: list[v1.Resource] = []
            allocated_resources: list[v1.Resource] = []
            offered_resources: list[v1.Resource] = []
            capabilities: list[v1.AgentInfo.Capability] = []
            resource_providers: list[Response.GetAgents.Agent.ResourceProvider] = []
            drain_info: v1.DrainInfo | None = None
            estimated_drain_start_time: v1.TimeInfo | None = None

        agents: list[Response.GetAgents.Agent] = []
        recovered_agents: list[v1.AgentInfo] = []

    class GetFrameworks(V1Message, kw_only=True):
        class Framework(V1Message, kw_only=True):
            framework_info: v1.FrameworkInfo
            active: bool
            connected: bool
            recovered: bool
            registered_time: v1.TimeInfo | None = None
            reregistered_time: v1.TimeInfo | None = None
            unregistered_time: v1.TimeInfo | None = None
            offers: list[v1.Offer] = []
            inverse_offers: list[v1.InverseOffer] = []
            allocated_resources: list[v1.Resource] = []
            offered_resources: list[v1.Resource] = []
            offer_constraints: scheduler.OfferConstraints | None = None

        frameworks: list[Response.GetFrameworks.Framework] = []
        completed_frameworks: list[Response.GetFrameworks.Framework] = []
        recovered_frameworks: list[v1.FrameworkInfo] = []

    class GetExecutors(V1Message, kw_only=True):
        class Executor(V1Message, kw_only=True):
            executor_info: v1.ExecutorInfo
            agent_id: v1.AgentID

        executors: list[Response.GetExecutors.Executor] = []
        orphan_executors: list[Response.GetExecutors.Executor] = []

    class GetOperations(V1Message, kw_only=True):
        operations: list[v1.Operation] = []

    class GetTasks(V1Message, kw_only=True):
        pending_tasks: list[v1.Task] = []
        tasks: list[v1.Task] = []
        unreachable_tasks: list[v1.Task] = []
        completed_tasks: list[v1.Task] = []
        orphan_tasks: list[v1.Task] = []

    class GetRoles(V1Message, kw_only=True):
        roles: list[v1.Role] = []

    class GetWeights(V1Message, kw_only=True):
        weight_infos: list[v1.WeightInfo] = []

    class GetMaster(V1Message, kw_only=True):
        master_info: v1.MasterInfo | None = None
        start_time: Double | None = None
        elected_time: Double | None = None

    class GetMaintenanceStatus(V1Message):
        status: maintenance.ClusterStatus

    class GetMaintenanceSchedule(V1Message):
        schedule: maintenance.Schedule

    class GetQuota(V1Message):
        status: quota.QuotaStatus

    type: Response.Type | None = None
    get_health: Response.GetHealth | None = None
    get_flags: Response.GetFlags | None = None
    get_version: Response.GetVersion | None = None
    get_metrics: Response.GetMetrics | None = None
    get_logging_level: Response.GetLoggingLevel | None = None
    list_files: Response.ListFiles | None = None
    read_file: Response.ReadFile | None = None
    get_state: Response.GetState | None = None
    get_agents: Response.GetAgents | None = None
    get_frameworks: Response.GetFrameworks | None = None
    get_executors: Response.GetExecutors | None = None
    get_operations: Response.GetOperations | None = None
    get_tasks: Response.GetTasks | None = None
    get_roles: Response.GetRoles | None = None
    get_weights: Response.GetWeights | None = None
    get_master: Response.GetMaster | None = None
    get_maintenance_status: Response.GetMaintenanceStatus | None = None
    get_maintenance_schedule: Response.GetMaintenanceSchedule | None = None
    get_quota: Response.GetQuota | None = None


class Event(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        SUBSCRIBED = "SUBSCRIBED"
        TASK_ADDED = "TASK_ADDED"
        TASK_UPDATED = "TASK_UPDATED"
        AGENT_ADDED = "AGENT_ADDED"
        AGENT_REMOVED = "AGENT_REMOVED"
        FRAMEWORK_ADDED = "FRAMEWORK_ADDED"
        FRAMEWORK_UPDATED = "FRAMEWORK_UPDATED"
        FRAMEWORK_REMOVED = "FRAMEWORK_REMOVED"
        HEARTBEAT = "HEARTBEAT"

    class Subscribed(V1Message, kw_only=True):
        get_state: Response.GetState | None = None
        heartbeat_interval_seconds: Double | None = None

    class TaskAdded(V1Message):
        task: v1.Task

    class TaskUpdated(V1Message, kw_only=True):
        framework_id: v1.FrameworkID
        status: v1.TaskStatus
        state: v1.TaskState

    class FrameworkAdded(V1Message):
        framework: Response.GetFrameworks.Framework

    class FrameworkUpdated(V1Message):
        framework: Response.GetFrameworks.Framework

    class FrameworkRemoved(V1Message):
        framework_info: v1.FrameworkInfo

    class AgentAdded(V1Message):
        agent: Response.GetAgents.Agent

    class AgentRemoved(V1Message):
        agent_id: v1.AgentID

    type: Event.Type | None = None
    subscribed: Event.Subscribed | None = None
    task_added: Event.TaskAdded | None = None
    task_updated: Event.TaskUpdated | None = None
    agent_added: Event.AgentAdded | None = None
    agent_removed: Event.AgentRemoved | None = None
    framework_added: Event.FrameworkAdded | None = None
    framework_updated: Event.FrameworkUpdated | None = None
    framework_removed: Event.FrameworkRemoved | None = None
