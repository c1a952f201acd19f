"""Frameworks, agents, roles and draining."""

from __future__ import annotations

from msgspec import field

from koinon.mesos.v1.base import Double, Int32, V1Enum, V1Message
from koinon.mesos.v1.basics import AgentID, DomainInfo, DurationInfo, FrameworkID, Labels
from koinon.mesos.v1.resources import Attribute, Resource, Value


class Role(V1Message, kw_only=True):
    name: str
    weight: Double
    frameworks: list[FrameworkID] = []
    resources: list[Resource] = []


class Request(V1Message, kw_only=True):
    agent_id: AgentID | None = None
    resources: list[Resource] = []


class OfferFilters(V1Message, kw_only=True):
    class ResourceQuantities(V1Message, kw_only=True):
        quantities: dict[str, Value.Scalar] = {}

    class MinAllocatableResources(V1Message, kw_only=True):
        quantities: list[OfferFilters.ResourceQuantities] = []

    min_allocatable_resources: OfferFilters.MinAllocatableResources | None = None


class FrameworkInfo(V1Message, kw_only=True):
    class Capability(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            REVOCABLE_RESOURCES = "REVOCABLE_RESOURCES"
            TASK_KILLING_STATE = "TASK_KILLING_STATE"
            GPU_RESOURCES = "GPU_RESOURCES"
            SHARED_RESOURCES = "SHARED_RESOURCES"
            PARTITION_AWARE = "PARTITION_AWARE"
            MULTI_ROLE = "MULTI_ROLE"
            RESERVATION_REFINEMENT = "RESERVATION_REFINEMENT"
            REGION_AWARE = "REGION_AWARE"

        type: FrameworkInfo.Capability.Type | None = None

    user: str
    name: str
    id: FrameworkID | None = None
    failover_timeout: Double = field(default_factory=lambda: 0.0)
    checkpoint: bool = field(default_factory=lambda: False)
    role: str | None = None
    roles: list[str] = []
    hostname: str | None = None
    principal: str | None = None
    webui_url: str | None = None
    capabilities: list[FrameworkInfo.Capability] = []
    labels: Labels | None = None
    offer_filters: dict[str, OfferFilters] = {}


class AgentInfo(V1Message, kw_only=True):
    class Capability(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            MULTI_ROLE = "MULTI_ROLE"
            HIERARCHICAL_ROLE = "HIERARCHICAL_ROLE"
            RESERVATION_REFINEMENT = "RESERVATION_REFINEMENT"
            RESOURCE_PROVIDER = "RESOURCE_PROVIDER"
            RESIZE_VOLUME = "RESIZE_VOLUME"
            AGENT_OPERATION_FEEDBACK = "AGENT_OPERATION_FEEDBACK"
            AGENT_DRAINING = "AGENT_DRAINING"
            TASK_RESOURCE_LIMITS = "TASK_RESOURCE_LIMITS"

        type: AgentInfo.Capability.Type | None = None

    hostname: str
    port: Int32 = field(default_factory=lambda: 5051)
    resources: list[Resource] = []
    attributes: list[Attribute] = []
    id: AgentID | None = None
    domain: DomainInfo | None = None


class DrainState(V1Enum):
    UNKNOWN = "UNKNOWN"
    DRAINING = "DRAINING"
    DRAINED = "DRAINED"


class DrainConfig(V1Message, kw_only=True):
    max_grace_period: DurationInfo | None = None
    mark_gone: bool = field(default_factory=lambda: False)


class DrainInfo(V1Message, kw_only=True):
    state: DrainState
    config: DrainConfig
