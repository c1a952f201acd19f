"""The scheduler API: POST /api/v1/scheduler on the master."""

from __future__ import annotations

from koinon.mesos import v1
from koinon.mesos.v1.base import Double, Int32, UInt32, V1Enum, V1Message


class Event(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        SUBSCRIBED = "SUBSCRIBED"
        OFFERS = "OFFERS"
        INVERSE_OFFERS = "INVERSE_OFFERS"
        RESCIND = "RESCIND"
        RESCIND_INVERSE_OFFER = "RESCIND_INVERSE_OFFER"
        UPDATE = "UPDATE"
        UPDATE_OPERATION_STATUS = "UPDATE_OPERATION_STATUS"
        MESSAGE = "MESSAGE"
        FAILURE = "FAILURE"
        ERROR = "ERROR"
        HEARTBEAT = "HEARTBEAT"

    class Subscribed(V1Message, kw_only=True):
        framework_id: v1.FrameworkID
        heartbeat_interval_seconds: Double | None = None
        master_info: v1.MasterInfo | None = None

    class Offers(V1Message, kw_only=True):
        offers: list[v1.Offer] = []

    class InverseOffers(V1Message, kw_only=True):
        inverse_offers: list[v1.InverseOffer] = []

    class Rescind(V1Message):
        offer_id: v1.OfferID

    class RescindInverseOffer(V1Message):
        inverse_offer_id: v1.OfferID

    class Update(V1Message):
        status: v1.TaskStatus

    class UpdateOperationStatus(V1Message):
        status: v1.OperationStatus

    class Message(V1Message, kw_only=True):
        agent_id: v1.AgentID
        executor_id: v1.ExecutorID
        data: bytes

    class Failure(V1Message, kw_only=True):
        agent_id: v1.AgentID | None = None
        executor_id: v1.ExecutorID | None = None
        status: Int32 | None = None

    class Error(V1Message):
        message: str

    type: Event.Type | None = None
    subscribed: Event.Subscribed | None = None
    offers: Event.Offers | None = None
    inverse_offers: Event.InverseOffers | None = None
    rescind: Event.Rescind | None = None
    rescind_inverse_offer: Event.RescindInverseOffer | None = None
    update: Event.Update | None = None
    update_operation_status: Event.UpdateOperationStatus | None = None
    message: Event.Message | None = None
    failure: Event.Failure | None = None
    error: Event.Error | None = None


class Response(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        RECONCILE_OPERATIONS = "RECONCILE_OPERATIONS"

    class ReconcileOperations(V1Message, kw_only=True):
        operation_statuses: list[v1.OperationStatus] = []

    type: Response.Type | None = None
    reconcile_operations: Response.ReconcileOperations | None = None


class AttributeConstraint(V1Message, kw_only=True):
    class Selector(V1Message, kw_only=True):
        class PseudoattributeType(V1Enum):
            UNKNOWN = "UNKNOWN"
            HOSTNAME = "HOSTNAME"
            REGION = "REGION"
            ZONE = "ZONE"

        pseudoattribute_type: AttributeConstraint.Selector.PseudoattributeType | None = None
        attribute_name: str | None = None

    class Predicate(V1Message, kw_only=True):
        class Exists(V1Message):
            pass

        class NotExists(V1Message):
            pass

        class TextEquals(V1Message):
            value: str

        class TextNotEquals(V1Message):
            value: str

        class TextMatches(V1Message):
            regex: str

        class TextNotMatches(V1Message):
            regex: str

        exists: AttributeConstraint.Predicate.Exists | None = None
        not_exists: AttributeConstraint.Predicate.NotExists | None = None
        text_equals: AttributeConstraint.Predicate.TextEquals | None = None
        text_not_equals: AttributeConstraint.Predicate.TextNotEquals | None = None
        text_matches: AttributeConstraint.Predicate.TextMatches | None = None
        text_not_matches: AttributeConstraint.Predicate.TextNotMatches | None = None

    selector: AttributeConstraint.Selector
    predicate: AttributeConstraint.Predicate


class OfferConstraints(V1Message, kw_only=True):
    class RoleConstraints(V1Message, kw_only=True):
        class Group(V1Message, kw_only=True):
            attribute_constraints: list[AttributeConstraint] = []

        groups: list[OfferConstraints.RoleConstraints.Group] = []

    role_constraints: dict[str, OfferConstraints.RoleConstraints] = {}


class Call(V1Message, kw_only=True):
    class Type(V1Enum):
        UNKNOWN = "UNKNOWN"
        SUBSCRIBE = "SUBSCRIBE"
        TEARDOWN = "TEARDOWN"
        ACCEPT = "ACCEPT"
        DECLINE = "DECLINE"
        ACCEPT_INVERSE_OFFERS = "ACCEPT_INVERSE_OFFERS"
        DECLINE_INVERSE_OFFERS = "DECLINE_INVERSE_OFFERS"
        REVIVE = "REVIVE"
        KILL = "KILL"
        SHUTDOWN = "SHUTDOWN"
        ACKNOWLEDGE = "ACKNOWLEDGE"
        ACKNOWLEDGE_OPERATION_STATUS = "ACKNOWLEDGE_OPERATION_STATUS"
        RECONCILE = "RECONCILE"
        RECONCILE_OPERATIONS = "RECONCILE_OPERATIONS"
        MESSAGE = "MESSAGE"
        REQUEST = "REQUEST"
        SUPPRESS = "SUPPRESS"
        UPDATE_FRAMEWORK = "UPDATE_FRAMEWORK"

    class Subscribe(V1Message, kw_only=True):
        framework_info: v1.FrameworkInfo
        suppressed_roles: list[str] = []
        offer_constraints: OfferConstraints | None = None

    class Accept(V1Message, kw_only=True):
        offer_ids: list[v1.OfferID] = []
        operations: list[v1.Offer.Operation] = []
        filters: v1.Filters | None = None

    class Decline(V1Message, kw_only=True):
        offer_ids: list[v1.OfferID] = []
        filters: v1.Filters | None = None

    class AcceptInverseOffers(V1Message, kw_only=True):
        inverse_offer_ids: list[v1.OfferID] = []
        filters: v1.Filters | None = None

    class DeclineInverseOffers(V1Message, kw_only=True):
        inverse_offer_ids: list[v1.OfferID] = []
        filters: v1.Filters | None = None

    class Revive(V1Message, kw_only=True):
        roles: list[str] = []

    class Kill(V1Message, kw_only=True):
        task_id: v1.TaskID
        agent_id: v1.AgentID | None = None
        kill_policy: v1.KillPolicy | None = None

    class Shutdown(V1Message, kw_only=True):
        executor_id: v1.ExecutorID
        agent_id: v1.AgentID

    class Acknowledge(V1Message, kw_only=True):
        agent_id: v1.AgentID
        task_id: v1.TaskID
        uuid: bytes

    class AcknowledgeOperationStatus(V1Message, kw_only=True):
        agent_id: v1.AgentID | None = None
        resource_provider_id: v1.ResourceProviderID | None = None
        uuid: bytes
        operation_id: v1.OperationID

    class Reconcile(V1Message, kw_only=True):
        class Task(V1Message, kw_only=True):
            task_id: v1.TaskID
            agent_id: v1.AgentID | None = None

        tasks: list[Call.Reconcile.Task] = []

    class ReconcileOperations(V1Message, kw_only=True):
        class Operation(V1Message, kw_only=True):
            operation_id: v1.OperationID
            agent_id: v1.AgentID | None = None
            resource_provider_id: v1.ResourceProviderID | None = None

        operations: list[Call.ReconcileOperations.Operation] = []

    class Message(V1Message, kw_only=True):
        agent_id: v1.AgentID
        executor_id: v1.ExecutorID
        data: bytes

    class Request(V1Message, kw_only=True):
        requests: list[v1.Request] = []

    class Suppress(V1Message, kw_only=True):
        roles: list[str] = []

    class UpdateFramework(V1Message, kw_only=True):
        framework_info: v1.FrameworkInfo
        suppressed_roles: list[str] = []
        offer_constraints: OfferConstraints | None = None

    framework_id: v1.FrameworkID | None = None
    type: Call.Type | None = None
    subscribe: Call.Subscribe | None = None
    accept: Call.Accept | None = None
    decline: Call.Decline | None = None
    accept_inverse_offers: Call.AcceptInverseOffers | None = None
    decline_inverse_offers: Call.DeclineInverseOffers | None = None
    revive: Call.Revive | None = None
    kill: Call.Kill | None = None
    shutdown: Call.Shutdown | None = None
    acknowledge: Call.Acknowledge | None = None
    acknowledge_operation_status: Call.AcknowledgeOperationStatus | None = None
    reconcile: Call.Reconcile | None = None
    reconcile_operations: Call.ReconcileOperations | None = None
    message: Call.Message | None = None
    request: Call.Request | None = None
    suppress: Call.Suppress | None = None
    update_framework: Call.UpdateFramework | None = None


class APIResult(V1Message, kw_only=True):
    status_code: UInt32
    response: Response | None = None
    error: str | None = None
