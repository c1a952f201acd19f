"""The definition of an app (reference: Marathon's REST API, `/v2/apps`)."""

from __future__ import annotations

from typing import Literal

import msgspec


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    pass


# ── what to run ───────────────────────────────────────────────────────────────────────────────────
class SecretRef(_Part, frozen=True):
    """Stands where a value would, in `env`."""

    secret: str


class SecretSource(_Part, frozen=True):
    """Where a declared secret comes from."""

    source: str


class Fetch(_Part, frozen=True):
    """One thing that is there before the command runs."""

    uri: str
    extract: bool = True
    executable: bool = False
    cache: bool = False
    dest_path: str | None = None


class Parameter(_Part, frozen=True):
    """For the Docker engine's command line."""

    key: str
    value: str


class PullConfig(_Part, frozen=True):
    """Names a declared secret with the registry's credentials."""

    secret: str


class Docker(_Part, frozen=True):
    """An image."""

    image: str
    force_pull_image: bool = False
    privileged: bool = False
    parameters: tuple[Parameter, ...] = ()
    pull_config: PullConfig | None = None


class PersistentVolume(_Part, frozen=True):
    """Kept for the instance on its agent."""

    size: int  #: MiB
    type: Literal["root", "path", "mount"] = "root"
    max_size: int | None = None
    profile_name: str | None = None
    constraints: tuple[tuple[str, ...], ...] = ()


class ExternalVolume(_Part, frozen=True):
    """Attached by a provider."""

    name: str
    provider: str
    size: int | None = None  #: GiB
    options: dict[str, object] = {}
    shared: bool = False


class Volume(_Part, frozen=True):
    """Exactly one of `host_path`, `persistent`, `external`, `secret` is set."""

    container_path: str
    mode: Literal["RO", "RW"] | None = None
    host_path: str | None = None
    persistent: PersistentVolume | None = None
    external: ExternalVolume | None = None
    secret: str | None = None


class PortMapping(_Part, frozen=True):
    """A port of a container network."""

    container_port: int = 0
    host_port: int | None = None  #: 0 = any
    service_port: int = 0
    protocol: str = "tcp"
    name: str | None = None
    labels: dict[str, str] = {}
    network_names: tuple[str, ...] = ()


class Seccomp(_Part, frozen=True):
    """System calls a container may make."""

    profile_name: str | None = None
    unconfined: bool = False


class IpcInfo(_Part, frozen=True):
    """Shared memory of a container."""

    mode: Literal["PRIVATE", "SHARE_PARENT"]
    shm_size: int | None = None  #: MiB


class LinuxInfo(_Part, frozen=True):
    """What only Linux has."""

    seccomp: Seccomp | None = None
    ipc_info: IpcInfo | None = None


class Container(_Part, frozen=True):
    """Where the command runs, if not in a plain process."""

    type: Literal["MESOS", "DOCKER"] = "DOCKER"
    docker: Docker | None = None
    volumes: tuple[Volume, ...] = ()
    port_mappings: tuple[PortMapping, ...] | None = None  #: None with host networking
    linux_info: LinuxInfo | None = None


# ── where, and how it is reached ──────────────────────────────────────────────────────────────────
class PortDefinition(_Part, frozen=True):
    """A port of the agent's."""

    port: int = 0  #: the service port, and with `require_ports` the host port, too
    protocol: str = "tcp"
    name: str | None = None
    labels: dict[str, str] = {}
    assigned: bool = (
        False  #: `port` was 0 and stands for a service port only: no host port is asked for; not shown
    )


class Network(_Part, frozen=True):
    """`host`, `container/bridge`, or `container` with a name."""

    mode: Literal["host", "container", "container/bridge"] = "host"
    name: str | None = None
    labels: dict[str, str] = {}


class ResourceLimits(_Part, frozen=True):
    """How far a task may go beyond what it is given; `unlimited` or a number."""

    cpus: float | Literal["unlimited"] | None = None
    mem: float | Literal["unlimited"] | None = None


class ExecutorResources(_Part, frozen=True):
    """For a custom executor, besides the task's own."""

    cpus: float = 0.1
    mem: float = 32
    disk: float = 10


# ── is it well ────────────────────────────────────────────────────────────────────────────────────
class Command(_Part, frozen=True):
    """A shell line."""

    value: str


class HealthCheck(_Part, frozen=True):
    """`HTTP`, `HTTPS` and `TCP` are made by Marathon, the others by the agent."""

    protocol: Literal["HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"] = "HTTP"
    grace_period_seconds: int = 300
    interval_seconds: int = 60
    timeout_seconds: int = 20
    delay_seconds: int = 15
    max_consecutive_failures: int = 3
    path: str | None = None
    port: int | None = None
    port_index: int | None = None
    ignore_http1xx: bool = msgspec.field(default=False, name="ignoreHttp1xx")
    ip_protocol: Literal["IPv4", "IPv6"] = msgspec.field(default="IPv4", name="ipProtocol")
    command: Command | None = None

    @property
    def by_agent(self) -> bool:
        """Whether the agent makes it."""
        return self.protocol == "COMMAND" or self.protocol.startswith("MESOS_")


class HttpCheck(_Part, frozen=True):
    """The answer's status is shown."""

    path: str | None = None
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    port: int | None = None
    port_index: int | None = None


class TcpCheck(_Part, frozen=True):
    """Whether a connection can be made is shown."""

    port: int | None = None
    port_index: int | None = None


class ExecCommand(_Part, frozen=True):
    """One of them."""

    shell: str | None = None
    argv: tuple[str, ...] | None = None


class ExecCheck(_Part, frozen=True):
    """The exit status is shown."""

    command: ExecCommand


class Check(_Part, frozen=True):
    """Shown with the task, never a reason to kill. Exactly one kind is set."""

    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    exec: ExecCheck | None = None
    interval_seconds: int = 60
    timeout_seconds: int = 20
    delay_seconds: int = 15


class ReadinessCheck(_Part, frozen=True):
    """Must pass once before a new instance counts for its deployment."""

    name: str = "readinessCheck"
    protocol: Literal["HTTP", "HTTPS"] = "HTTP"
    path: str = "/"
    port_name: str = "http-api"
    interval_seconds: int = 30
    timeout_seconds: int = 10
    http_status_codes_for_ready: tuple[int, ...] = (200,)
    preserve_last_response: bool = False


# ── how it is kept ────────────────────────────────────────────────────────────────────────────────
class UpgradeStrategy(_Part, frozen=True):
    """How many stay healthy, and how many there may be besides, as parts of `instances`."""

    minimum_health_capacity: float = 1.0
    maximum_over_capacity: float = 1.0


class UnreachableStrategy(_Part, frozen=True):
    """When an instance out of reach is replaced, and when it is given up."""

    inactive_after_seconds: int = 0
    expunge_after_seconds: int = 0


class Residency(_Part, frozen=True):
    """Of apps with persistent volumes; without effect."""

    relaunch_escalation_timeout_seconds: int = 3600
    task_lost_behavior: str = "WAIT_FOREVER"


class VersionInfo(_Part, frozen=True):
    """When it was scaled and changed last, as versions."""

    last_scaling_at: str
    last_config_change_at: str


Constraint = tuple[str, ...]  #: field, OPERATOR, and often a value

#: The field names that may change without anything being restarted.
SCALING_FIELDS = frozenset({"instances", "version", "version_info"})


class App(_Part, frozen=True):
    """One app, complete. `version` and `version_info` are given by the core; before that they are empty and None."""

    id: str
    cmd: str | None = None
    args: tuple[str, ...] | None = None
    container: Container | None = None
    instances: int = 1
    cpus: float = 1.0
    mem: float = 128.0
    disk: float = 0.0
    gpus: int = 0
    resource_limits: ResourceLimits | None = None
    env: dict[str, str | SecretRef] = {}
    secrets: dict[str, SecretSource] = {}
    labels: dict[str, str] = {}
    constraints: tuple[Constraint, ...] = ()
    fetch: tuple[Fetch, ...] = ()
    port_definitions: tuple[PortDefinition, ...] | None = None  #: None with other than host networking
    require_ports: bool = False
    networks: tuple[Network, ...] = (Network(),)
    health_checks: tuple[HealthCheck, ...] = ()
    check: Check | None = None
    readiness_checks: tuple[ReadinessCheck, ...] = ()
    upgrade_strategy: UpgradeStrategy = UpgradeStrategy()
    backoff_seconds: int = 1
    backoff_factor: float = 1.15
    max_launch_delay_seconds: int = 300
    task_kill_grace_period_seconds: int | None = None
    kill_selection: Literal["YOUNGEST_FIRST", "OLDEST_FIRST"] = "YOUNGEST_FIRST"
    unreachable_strategy: UnreachableStrategy | Literal["disabled"] = UnreachableStrategy()
    residency: Residency | None = None
    dependencies: tuple[str, ...] = ()  #: absolute
    accepted_resource_roles: tuple[str, ...] | None = None
    role: str = "*"
    user: str | None = None
    executor: str = ""
    executor_resources: ExecutorResources | None = None
    tty: bool | None = None
    version: str = ""
    version_info: VersionInfo | None = None

    @property
    def service_ports(self) -> tuple[int, ...]:
        """In the order of declaration."""
        if self.port_definitions is not None:
            return tuple(one.port for one in self.port_definitions)
        mappings = self.container.port_mappings if self.container is not None else None
        return tuple(one.service_port for one in mappings or ())
