"""The resource provider API: POST /api/v1/resource_provider on the agent."""

from __future__ import annotations

from koinon.mesos import v1
from koinon.mesos.v1.base import V1Enum, V1Message


class Event(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        SUBSCRIBED = "SUBSCRIBED"
        APPLY_OPERATION = "APPLY_OPERATION"
        PUBLISH_RESOURCES = "PUBLISH_RESOURCES"
        ACKNOWLEDGE_OPERATION_STATUS = "ACKNOWLEDGE_OPERATION_STATUS"
        RECONCILE_OPERATIONS = "RECONCILE_OPERATIONS"
        TEARDOWN = "TEARDOWN"

    class Subscribed(V1Message):
        provider_id: v1.ResourceProviderID

    class ApplyOperation(V1Message, kw_only=True):
        framework_id: v1.FrameworkID | None = None
        info: v1.Offer.Operation
        operation_uuid: v1.UUID
        resource_version_uuid: v1.UUID

    class PublishResources(V1Message, kw_only=True):
        uuid: v1.UUID
        resources: list[v1.Resource] = []

    class AcknowledgeOperationStatus(V1Message, kw_only=True):
        status_uuid: v1.UUID
        operation_uuid: v1.UUID

    class ReconcileOperations(V1Message, kw_only=True):
        operation_uuids: list[v1.UUID] = []

    type: Event.Type | None = None
    subscribed: Event.Subscribed | None = None
    apply_operation: Event.ApplyOperation | None = None
    publish_resources: Event.PublishResources | None = None
    acknowledge_operation_status: Event.AcknowledgeOperationStatus | None = None
    reconcile_operations: Event.ReconcileOperations | None = None


class Call(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        SUBSCRIBE = "SUBSCRIBE"
        UPDATE_OPERATION_STATUS = "UPDATE_OPERATION_STATUS"
        UPDATE_STATE = "UPDATE_STATE"
        UPDATE_PUBLISH_RESOURCES_STATUS = "UPDATE_PUBLISH_RESOURCES_STATUS"

    class Subscribe(V1Message):
        resource_provider_info: v1.ResourceProviderInfo

    class UpdateOperationStatus(V1Message, kw_only=True):
        framework_id: v1.FrameworkID | None = None
        status: v1.OperationStatus
        latest_status: v1.OperationStatus | None = None
        operation_uuid: v1.UUID

    class UpdateState(V1Message, kw_only=True):
        operations: list[v1.Operation] = []
        resources: list[v1.Resource] = []
        resource_version_uuid: v1.UUID

    class UpdatePublishResourcesStatus(V1Message, kw_only=True):
        class Status(V1Enum):
            UNKNOWN = "UNKNOWN"
            OK = "OK"
            FAILED = "FAILED"

        uuid: v1.UUID
        status: Call.UpdatePublishResourcesStatus.Status

    resource_provider_id: v1.ResourceProviderID | None = None
    type: Call.Type | None = None
    subscribe: Call.Subscribe | None = None
    update_operation_status: Call.UpdateOperationStatus | None = None
    update_state: Call.UpdateState | None = None
    update_publish_resources_status: Call.UpdatePublishResourcesStatus | None = None
