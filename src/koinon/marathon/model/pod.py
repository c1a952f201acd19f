"""The definition of a pod (reference: Marathon's REST API, `/v2/pods`)."""

from __future__ import annotations

from typing import Literal

import msgspec

from koinon.marathon.model.app import (
    ExecCheck,
    ExecCommand,
    ExecutorResources,
    Fetch,
    LinuxInfo,
    Network,
    PersistentVolume,
    PullConfig,
    ResourceLimits,
    SecretRef,
    SecretSource,
    UnreachableStrategy,
    VersionInfo,
)


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Resources(_Part, frozen=True):
    """Of one container."""

    cpus: float = 1.0
    mem: float = 128.0
    disk: float = 0.0
    gpus: int = 0


class Exec(_Part, frozen=True):
    """What a container runs."""

    command: ExecCommand
    override_entrypoint: bool | None = None


class Image(_Part, frozen=True):
    """What a container's file system is made of."""

    id: str
    kind: Literal["DOCKER", "APPC"] = "DOCKER"
    force_pull: bool | None = None
    pull_config: PullConfig | None = None
    labels: dict[str, str] = {}


class Endpoint(_Part, frozen=True):
    """A port of a container, with a name."""

    name: str
    container_port: int | None = None
    host_port: int | None = None  #: 0 = any
    protocol: tuple[str, ...] = ("tcp",)
    labels: dict[str, str] = {}
    network_names: tuple[str, ...] = ()


class HttpEndpoint(_Part, frozen=True):
    """Asked over HTTP."""

    endpoint: str
    path: str | None = None
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"


class TcpEndpoint(_Part, frozen=True):
    """Connected to."""

    endpoint: str


class PodHealthCheck(_Part, frozen=True):
    """Made by the agent; exactly one kind is set."""

    http: HttpEndpoint | None = None
    tcp: TcpEndpoint | None = None
    exec: ExecCheck | None = None
    grace_period_seconds: int = 300
    interval_seconds: int = 60
    max_consecutive_failures: int = 3
    timeout_seconds: int = 20
    delay_seconds: int = 15


class PodCheck(_Part, frozen=True):
    """Shown, never a reason to kill."""

    http: HttpEndpoint | None = None
    tcp: TcpEndpoint | None = None
    exec: ExecCheck | None = None
    interval_seconds: int = 60
    timeout_seconds: int = 20
    delay_seconds: int = 15


class VolumeMount(_Part, frozen=True):
    """Where a volume of the pod is seen in a container."""

    name: str
    mount_path: str
    read_only: bool | None = None


class Lifecycle(_Part, frozen=True):
    """How it is ended."""

    kill_grace_period_seconds: float | None = None


class PodContainer(_Part, frozen=True):
    """One container of a pod."""

    name: str
    resources: Resources = Resources()
    resource_limits: ResourceLimits | None = None
    exec: Exec | None = None
    image: Image | None = None
    endpoints: tuple[Endpoint, ...] = ()
    environment: dict[str, str | SecretRef] = {}
    user: str | None = None
    health_check: PodHealthCheck | None = None
    check: PodCheck | None = None
    volume_mounts: tuple[VolumeMount, ...] = ()
    artifacts: tuple[Fetch, ...] = ()
    labels: dict[str, str] = {}
    lifecycle: Lifecycle | None = None
    tty: bool | None = None
    linux_info: LinuxInfo | None = None


class PodVolume(_Part, frozen=True):
    """Ephemeral, unless one of the others is set."""

    name: str
    host: str | None = None
    persistent: PersistentVolume | None = None
    secret: str | None = None


class Scaling(_Part, frozen=True):
    """How many."""

    instances: int = 1
    kind: Literal["fixed"] = "fixed"


class Backoff(_Part, frozen=True):
    """Seconds, as for apps."""

    backoff: float = 1.0
    backoff_factor: float = 1.15
    max_launch_delay: float = 300.0


class Upgrade(_Part, frozen=True):
    """As for apps."""

    minimum_health_capacity: float = 1.0
    maximum_over_capacity: float = 1.0


class PlacementConstraint(_Part, frozen=True):
    """As for apps, with names."""

    field_name: str
    operator: str
    value: str | None = None


class Placement(_Part, frozen=True):
    """Where it may run."""

    constraints: tuple[PlacementConstraint, ...] = ()
    accepted_resource_roles: tuple[str, ...] = ()


class Scheduling(_Part, frozen=True):
    """How it is kept."""

    backoff: Backoff = Backoff()
    upgrade: Upgrade = Upgrade()
    placement: Placement = Placement()
    kill_selection: Literal["YOUNGEST_FIRST", "OLDEST_FIRST"] = "YOUNGEST_FIRST"
    unreachable_strategy: UnreachableStrategy | Literal["disabled"] = UnreachableStrategy()


class Pod(_Part, frozen=True):
    """One pod, complete. `version` and `version_info` are given by the core."""

    id: str
    containers: tuple[PodContainer, ...]
    labels: dict[str, str] = {}
    user: str | None = None
    environment: dict[str, str | SecretRef] = {}
    secrets: dict[str, SecretSource] = {}
    volumes: tuple[PodVolume, ...] = ()
    networks: tuple[Network, ...] = (Network(),)
    scaling: Scaling = Scaling()
    scheduling: Scheduling = Scheduling()
    executor_resources: ExecutorResources = ExecutorResources()
    linux_info: LinuxInfo | None = None
    legacy_shared_cgroups: bool | None = None
    role: str = "*"
    version: str = ""
    version_info: VersionInfo | None = None  #: not shown

    @property
    def instances(self) -> int:
        """How many."""
        return self.scaling.instances
