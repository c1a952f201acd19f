"""Values, attributes and resources as they stand in messages. Arithmetic lives in `koinon.mesos.resources`."""

from __future__ import annotations

from koinon.mesos.v1.base import DoubleOrInfinite, UInt64, V1Enum, V1Message, spelled
from koinon.mesos.v1.basics import Labels, ResourceProviderID
from koinon.mesos.v1.containers import Volume


class Value(V1Message, kw_only=True):
    class Type(V1Enum):
        SCALAR = "SCALAR"
        RANGES = "RANGES"
        SET = "SET"
        TEXT = "TEXT"

    class Scalar(V1Message):
        value: DoubleOrInfinite

        def __post_init__(self) -> None:
            self.value = spelled(self.value)

    class Range(V1Message, kw_only=True):
        begin: UInt64
        end: UInt64

    class Ranges(V1Message, kw_only=True):
        range: list[Value.Range] = []

    class Set(V1Message, kw_only=True):
        item: list[str] = []

    class Text(V1Message):
        value: str

    type: Value.Type
    scalar: Value.Scalar | None = None
    ranges: Value.Ranges | None = None
    set: Value.Set | None = None
    text: Value.Text | None = None


class Attribute(V1Message, kw_only=True):
    name: str
    type: Value.Type
    scalar: Value.Scalar | None = None
    ranges: Value.Ranges | None = None
    set: Value.Set | None = None
    text: Value.Text | None = None


class Resource(V1Message, kw_only=True):
    class AllocationInfo(V1Message, kw_only=True):
        role: str | None = None

    class ReservationInfo(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            STATIC = "STATIC"
            DYNAMIC = "DYNAMIC"

        type: Resource.ReservationInfo.Type | None = None
        role: str | None = None
        principal: str | None = None
        labels: Labels | None = None

    class DiskInfo(V1Message, kw_only=True):
        class Persistence(V1Message, kw_only=True):
            id: str
            principal: str | None = None

        class Source(V1Message, kw_only=True):
            class Type(V1Enum):
                UNKNOWN = "UNKNOWN"
                PATH = "PATH"
                MOUNT = "MOUNT"
                BLOCK = "BLOCK"
                RAW = "RAW"

            class Path(V1Message, kw_only=True):
                root: str | None = None

            class Mount(V1Message, kw_only=True):
                root: str | None = None

            type: Resource.DiskInfo.Source.Type
            path: Resource.DiskInfo.Source.Path | None = None
            mount: Resource.DiskInfo.Source.Mount | None = None
            vendor: str | None = None
            id: str | None = None
            metadata: Labels | None = None
            profile: str | None = None

        persistence: Resource.DiskInfo.Persistence | None = None
        volume: Volume | None = None
        source: Resource.DiskInfo.Source | None = None

    class RevocableInfo(V1Message):
        pass

    class SharedInfo(V1Message):
        pass

    provider_id: ResourceProviderID | None = None
    name: str
    type: Value.Type
    scalar: Value.Scalar | None = None
    ranges: Value.Ranges | None = None
    set: Value.Set | None = None
    role: str | None = None
    allocation_info: Resource.AllocationInfo | None = None
    reservation: Resource.ReservationInfo | None = None
    reservations: list[Resource.ReservationInfo] = []
    disk: Resource.DiskInfo | None = None
    revocable: Resource.RevocableInfo | None = None
    shared: Resource.SharedInfo | None = None
