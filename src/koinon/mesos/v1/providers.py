"""Resource providers and CSI plugins."""

from __future__ import annotations

from msgspec import field

from koinon.mesos.v1.base import Double, V1Enum, V1Message
from koinon.mesos.v1.basics import ResourceProviderID
from koinon.mesos.v1.commands import CommandInfo
from koinon.mesos.v1.containers import ContainerInfo
from koinon.mesos.v1.resources import Attribute, Resource


class CSIPluginContainerInfo(V1Message, kw_only=True):
    class Service(V1Enum):
        UNKNOWN = "UNKNOWN"
        CONTROLLER_SERVICE = "CONTROLLER_SERVICE"
        NODE_SERVICE = "NODE_SERVICE"

    services: list[CSIPluginContainerInfo.Service] = []
    command: CommandInfo | None = None
    resources: list[Resource] = []
    container: ContainerInfo | None = None


class CSIPluginEndpoint(V1Message, kw_only=True):
    csi_service: CSIPluginContainerInfo.Service
    endpoint: str


class CSIPluginInfo(V1Message, kw_only=True):
    type: str
    name: str = field(default_factory=lambda: "default")
    containers: list[CSIPluginContainerInfo] = []
    endpoints: list[CSIPluginEndpoint] = []
    target_path_root: str | None = None
    target_path_exists: bool | None = None


class ResourceProviderInfo(V1Message, kw_only=True):
    class Storage(V1Message, kw_only=True):
        plugin: CSIPluginInfo
        reconciliation_interval_seconds: Double | None = None

    id: ResourceProviderID | None = None
    attributes: list[Attribute] = []
    type: str
    name: str
    default_reservations: list[Resource.ReservationInfo] = []
    storage: ResourceProviderInfo.Storage | None = None
