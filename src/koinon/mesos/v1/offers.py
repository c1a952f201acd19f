"""Offers and the operations that answer them."""

from __future__ import annotations

from koinon.mesos.v1.base import V1Enum, V1Message
from koinon.mesos.v1.basics import (
    URL,
    UUID,
    AgentID,
    DomainInfo,
    ExecutorID,
    FrameworkID,
    OfferID,
    OperationID,
    ResourceProviderID,
    Unavailability,
)
from koinon.mesos.v1.resources import Attribute, Resource, Value
from koinon.mesos.v1.tasks import ExecutorInfo, TaskGroupInfo, TaskInfo


class Offer(V1Message, kw_only=True):
    class Operation(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            LAUNCH = "LAUNCH"
            LAUNCH_GROUP = "LAUNCH_GROUP"
            RESERVE = "RESERVE"
            UNRESERVE = "UNRESERVE"
            CREATE = "CREATE"
            DESTROY = "DESTROY"
            GROW_VOLUME = "GROW_VOLUME"
            SHRINK_VOLUME = "SHRINK_VOLUME"
            CREATE_DISK = "CREATE_DISK"
            DESTROY_DISK = "DESTROY_DISK"

        class Launch(V1Message, kw_only=True):
            task_infos: list[TaskInfo] = []

        class LaunchGroup(V1Message, kw_only=True):
            executor: ExecutorInfo
            task_group: TaskGroupInfo

        class Reserve(V1Message, kw_only=True):
            source: list[Resource] = []
            resources: list[Resource] = []

        class Unreserve(V1Message, kw_only=True):
            resources: list[Resource] = []

        class Create(V1Message, kw_only=True):
            volumes: list[Resource] = []

        class Destroy(V1Message, kw_only=True):
            volumes: list[Resource] = []

        class GrowVolume(V1Message, kw_only=True):
            volume: Resource
            addition: Resource

        class ShrinkVolume(V1Message, kw_only=True):
            volume: Resource
            subtract: Value.Scalar

        class CreateDisk(V1Message, kw_only=True):
            source: Resource
            target_type: Resource.DiskInfo.Source.Type
            target_profile: str | None = None

        class DestroyDisk(V1Message):
            source: Resource

        type: Offer.Operation.Type | None = None
        id: OperationID | None = None
        launch: Offer.Operation.Launch | None = None
        launch_group: Offer.Operation.LaunchGroup | None = None
        reserve: Offer.Operation.Reserve | None = None
        unreserve: Offer.Operation.Unreserve | None = None
        create: Offer.Operation.Create | None = None
        destroy: Offer.Operation.Destroy | None = None
        grow_volume: Offer.Operation.GrowVolume | None = None
        shrink_volume: Offer.Operation.ShrinkVolume | None = None
        create_disk: Offer.Operation.CreateDisk | None = None
        destroy_disk: Offer.Operation.DestroyDisk | None = None

    id: OfferID
    framework_id: FrameworkID
    agent_id: AgentID
    hostname: str
    url: URL | None = None
    domain: DomainInfo | None = None
    resources: list[Resource] = []
    attributes: list[Attribute] = []
    executor_ids: list[ExecutorID] = []
    unavailability: Unavailability | None = None
    allocation_info: Resource.AllocationInfo | None = None


class InverseOffer(V1Message, kw_only=True):
    id: OfferID
    url: URL | None = None
    framework_id: FrameworkID
    agent_id: AgentID | None = None
    unavailability: Unavailability
    resources: list[Resource] = []


class OperationState(V1Enum):
    OPERATION_UNSUPPORTED = "OPERATION_UNSUPPORTED"
    OPERATION_PENDING = "OPERATION_PENDING"
    OPERATION_FINISHED = "OPERATION_FINISHED"
    OPERATION_FAILED = "OPERATION_FAILED"
    OPERATION_ERROR = "OPERATION_ERROR"
    OPERATION_DROPPED = "OPERATION_DROPPED"
    OPERATION_UNREACHABLE = "OPERATION_UNREACHABLE"
    OPERATION_GONE_BY_OPERATOR = "OPERATION_GONE_BY_OPERATOR"
    OPERATION_RECOVERING = "OPERATION_RECOVERING"
    OPERATION_UNKNOWN = "OPERATION_UNKNOWN"


class OperationStatus(V1Message, kw_only=True):
    operation_id: OperationID | None = None
    state: OperationState
    message: str | None = None
    converted_resources: list[Resource] = []
    uuid: UUID | None = None
    agent_id: AgentID | None = None
    resource_provider_id: ResourceProviderID | None = None


class Operation(V1Message, kw_only=True):
    framework_id: FrameworkID | None = None
    agent_id: AgentID | None = None
    info: Offer.Operation
    latest_status: OperationStatus
    statuses: list[OperationStatus] = []
    uuid: UUID
