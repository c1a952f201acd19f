"""Identifiers, time, addresses, machines, versions, labels."""

from __future__ import annotations

from msgspec import field

from koinon.mesos.v1.base import (
    Double,
    DoubleOrInfinite,
    Int32,
    Int64,
    UInt32,
    UInt64,
    V1Enum,
    V1Message,
    spelled,
)


class FrameworkID(V1Message):
    value: str


class OfferID(V1Message):
    value: str


class AgentID(V1Message):
    value: str


class TaskID(V1Message):
    value: str


class ExecutorID(V1Message):
    value: str


class ContainerID(V1Message, kw_only=True):
    value: str
    parent: ContainerID | None = None

    def __post_init__(self) -> None:
        depth, outer = 0, self.parent
        while outer is not None:
            depth, outer = depth + 1, outer.parent
        # As deep as the kernel nests process namespaces; and no recursion over it needs more.
        if depth > 32:
            raise ValueError("containers must not be nested deeper than 32 levels")


class ResourceProviderID(V1Message):
    value: str


class OperationID(V1Message):
    value: str


class UUID(V1Message):
    value: bytes


class TimeInfo(V1Message):
    nanoseconds: Int64


class DurationInfo(V1Message):
    nanoseconds: Int64


class Address(V1Message, kw_only=True):
    hostname: str | None = None
    ip: str | None = None
    port: Int32


class URL(V1Message, kw_only=True):
    scheme: str
    address: Address
    path: str | None = None
    query: list[Parameter] = []
    fragment: str | None = None


class MachineID(V1Message, kw_only=True):
    hostname: str | None = None
    ip: str | None = None


class MachineInfo(V1Message, kw_only=True):
    class Mode(V1Enum):
        UP = "UP"
        DRAINING = "DRAINING"
        DOWN = "DOWN"

    id: MachineID
    mode: MachineInfo.Mode | None = None
    unavailability: Unavailability | None = None


class Unavailability(V1Message, kw_only=True):
    start: TimeInfo
    duration: DurationInfo | None = None


class DomainInfo(V1Message, kw_only=True):
    class FaultDomain(V1Message, kw_only=True):
        class RegionInfo(V1Message):
            name: str

        class ZoneInfo(V1Message):
            name: str

        region: DomainInfo.FaultDomain.RegionInfo
        zone: DomainInfo.FaultDomain.ZoneInfo

    fault_domain: DomainInfo.FaultDomain | None = None


class MasterInfo(V1Message, kw_only=True):
    class Capability(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            AGENT_UPDATE = "AGENT_UPDATE"
            AGENT_DRAINING = "AGENT_DRAINING"
            QUOTA_V2 = "QUOTA_V2"

        type: MasterInfo.Capability.Type | None = None

    id: str
    ip: UInt32
    port: UInt32 = field(default_factory=lambda: 5050)
    pid: str | None = None
    hostname: str | None = None
    version: str | None = None
    address: Address | None = None
    domain: DomainInfo | None = None
    capabilities: list[MasterInfo.Capability] = []


class Status(V1Enum):
    DRIVER_NOT_STARTED = "DRIVER_NOT_STARTED"
    DRIVER_RUNNING = "DRIVER_RUNNING"
    DRIVER_ABORTED = "DRIVER_ABORTED"
    DRIVER_STOPPED = "DRIVER_STOPPED"


class Labels(V1Message, kw_only=True):
    labels: list[Label] = []


class Label(V1Message, kw_only=True):
    key: str
    value: str | None = None


class Parameter(V1Message, kw_only=True):
    key: str
    value: str


class Parameters(V1Message, kw_only=True):
    parameter: list[Parameter] = []


class Credential(V1Message, kw_only=True):
    principal: str
    secret: str | None = None


class Credentials(V1Message, kw_only=True):
    credentials: list[Credential] = []


class Port(V1Message, kw_only=True):
    number: UInt32
    name: str | None = None
    protocol: str | None = None
    visibility: DiscoveryInfo.Visibility | None = None
    labels: Labels | None = None


class Ports(V1Message, kw_only=True):
    ports: list[Port] = []


class DiscoveryInfo(V1Message, kw_only=True):
    class Visibility(V1Enum):
        FRAMEWORK = "FRAMEWORK"
        CLUSTER = "CLUSTER"
        EXTERNAL = "EXTERNAL"

    visibility: DiscoveryInfo.Visibility
    name: str | None = None
    environment: str | None = None
    location: str | None = None
    version: str | None = None
    ports: Ports | None = None
    labels: Labels | None = None


class VersionInfo(V1Message, kw_only=True):
    version: str
    build_date: str | None = None
    build_time: Double | None = None
    build_user: str | None = None
    git_sha: str | None = None
    git_branch: str | None = None
    git_tag: str | None = None


class Flag(V1Message, kw_only=True):
    name: str
    value: str | None = None


class Metric(V1Message, kw_only=True):
    name: str
    value: Double | None = None


class FileInfo(V1Message, kw_only=True):
    path: str
    nlink: Int32 | None = None
    size: UInt64 | None = None
    mtime: TimeInfo | None = None
    mode: UInt32 | None = None
    uid: str | None = None
    gid: str | None = None


class WeightInfo(V1Message, kw_only=True):
    weight: Double
    role: str | None = None


class RateLimit(V1Message, kw_only=True):
    qps: Double | None = None
    principal: str
    capacity: UInt64 | None = None


class RateLimits(V1Message, kw_only=True):
    limits: list[RateLimit] = []
    aggregate_default_qps: Double | None = None
    aggregate_default_capacity: UInt64 | None = None


class Filters(V1Message, kw_only=True):
    refuse_seconds: DoubleOrInfinite = field(default_factory=lambda: 5.0)

    def __post_init__(self) -> None:
        self.refuse_seconds = spelled(self.refuse_seconds)
