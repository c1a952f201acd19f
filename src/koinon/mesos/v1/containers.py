"""Containers, images, volumes and networks."""

from __future__ import annotations

from msgspec import field

from koinon.mesos.v1.base import UInt32, UInt64, V1Enum, V1Message
from koinon.mesos.v1.basics import ContainerID, Credential, Labels, Parameter, Parameters
from koinon.mesos.v1.commands import Secret


class ContainerInfo(V1Message, kw_only=True):
    class Type(V1Enum):
        DOCKER = "DOCKER"
        MESOS = "MESOS"

    class DockerInfo(V1Message, kw_only=True):
        class Network(V1Enum):
            HOST = "HOST"
            BRIDGE = "BRIDGE"
            NONE = "NONE"
            USER = "USER"

        class PortMapping(V1Message, kw_only=True):
            host_port: UInt32
            container_port: UInt32
            protocol: str | None = None

        image: str
        network: ContainerInfo.DockerInfo.Network = field(
            default_factory=lambda: ContainerInfo.DockerInfo.Network.HOST
        )
        port_mappings: list[ContainerInfo.DockerInfo.PortMapping] = []
        privileged: bool = field(default_factory=lambda: False)
        parameters: list[Parameter] = []
        force_pull_image: bool | None = None
        volume_driver: str | None = None

    class MesosInfo(V1Message, kw_only=True):
        image: Image | None = None

    type: ContainerInfo.Type
    volumes: list[Volume] = []
    hostname: str | None = None
    docker: ContainerInfo.DockerInfo | None = None
    mesos: ContainerInfo.MesosInfo | None = None
    network_infos: list[NetworkInfo] = []
    linux_info: LinuxInfo | None = None
    rlimit_info: RLimitInfo | None = None
    tty_info: TTYInfo | None = None


class ContainerStatus(V1Message, kw_only=True):
    container_id: ContainerID | None = None
    network_infos: list[NetworkInfo] = []
    cgroup_info: CgroupInfo | None = None
    executor_pid: UInt32 | None = None


class Image(V1Message, kw_only=True):
    class Type(V1Enum):
        APPC = "APPC"
        DOCKER = "DOCKER"

    class Appc(V1Message, kw_only=True):
        name: str
        id: str | None = None
        labels: Labels | None = None

    class Docker(V1Message, kw_only=True):
        name: str
        credential: Credential | None = None
        config: Secret | None = None

    type: Image.Type
    appc: Image.Appc | None = None
    docker: Image.Docker | None = None
    cached: bool = field(default_factory=lambda: True)


class MountPropagation(V1Message, kw_only=True):
    class Mode(V1Enum):
        UNKNOWN = "UNKNOWN"
        HOST_TO_CONTAINER = "HOST_TO_CONTAINER"
        BIDIRECTIONAL = "BIDIRECTIONAL"

    mode: MountPropagation.Mode | None = None


class Volume(V1Message, kw_only=True):
    class Mode(V1Enum):
        RW = "RW"
        RO = "RO"

    class Source(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            DOCKER_VOLUME = "DOCKER_VOLUME"
            HOST_PATH = "HOST_PATH"
            SANDBOX_PATH = "SANDBOX_PATH"
            SECRET = "SECRET"
            CSI_VOLUME = "CSI_VOLUME"

        class DockerVolume(V1Message, kw_only=True):
            driver: str | None = None
            name: str
            driver_options: Parameters | None = None

        class HostPath(V1Message, kw_only=True):
            path: str
            mount_propagation: MountPropagation | None = None

        class SandboxPath(V1Message, kw_only=True):
            class Type(V1Enum):
                UNKNOWN = "UNKNOWN"
                SELF = "SELF"
                PARENT = "PARENT"

            type: Volume.Source.SandboxPath.Type | None = None
            path: str

        class CSIVolume(V1Message, kw_only=True):
            class VolumeCapability(V1Message, kw_only=True):
                class BlockVolume(V1Message):
                    pass

                class MountVolume(V1Message, kw_only=True):
                    fs_type: str | None = None
                    mount_flags: list[str] = []

                class AccessMode(V1Message):
                    class Mode(V1Enum):
                        UNKNOWN = "UNKNOWN"
                        SINGLE_NODE_WRITER = "SINGLE_NODE_WRITER"
                        SINGLE_NODE_READER_ONLY = "SINGLE_NODE_READER_ONLY"
                        MULTI_NODE_READER_ONLY = "MULTI_NODE_READER_ONLY"
                        MULTI_NODE_SINGLE_WRITER = "MULTI_NODE_SINGLE_WRITER"
                        MULTI_NODE_MULTI_WRITER = "MULTI_NODE_MULTI_WRITER"

                    mode: Volume.Source.CSIVolume.VolumeCapability.AccessMode.Mode

                block: Volume.Source.CSIVolume.VolumeCapability.BlockVolume | None = None
                mount: Volume.Source.CSIVolume.VolumeCapability.MountVolume | None = None
                access_mode: Volume.Source.CSIVolume.VolumeCapability.AccessMode

            class StaticProvisioning(V1Message, kw_only=True):
                volume_id: str
                volume_capability: Volume.Source.CSIVolume.VolumeCapability
                node_stage_secrets: dict[str, Secret] = {}
                node_publish_secrets: dict[str, Secret] = {}
                volume_context: dict[str, str] = {}

            plugin_name: str
            static_provisioning: Volume.Source.CSIVolume.StaticProvisioning | None = None

        type: Volume.Source.Type | None = None
        docker_volume: Volume.Source.DockerVolume | None = None
        host_path: Volume.Source.HostPath | None = None
        sandbox_path: Volume.Source.SandboxPath | None = None
        secret: Secret | None = None
        csi_volume: Volume.Source.CSIVolume | None = None

    mode: Volume.Mode
    container_path: str
    host_path: str | None = None
    image: Image | None = None
    source: Volume.Source | None = None


class NetworkInfo(V1Message, kw_only=True):
    class Protocol(V1Enum):
        IPv4 = "IPv4"
        IPv6 = "IPv6"

    class IPAddress(V1Message, kw_only=True):
        protocol: NetworkInfo.Protocol = field(default_factory=lambda: NetworkInfo.Protocol.IPv4)
        ip_address: str | None = None

    class PortMapping(V1Message, kw_only=True):
        host_port: UInt32
        container_port: UInt32
        protocol: str | None = None

    ip_addresses: list[NetworkInfo.IPAddress] = []
    name: str | None = None
    groups: list[str] = []
    labels: Labels | None = None
    port_mappings: list[NetworkInfo.PortMapping] = []


class LinuxInfo(V1Message, kw_only=True):
    class IpcMode(V1Enum):
        UNKNOWN = "UNKNOWN"
        PRIVATE = "PRIVATE"
        SHARE_PARENT = "SHARE_PARENT"

    capability_info: CapabilityInfo | None = None
    bounding_capabilities: CapabilityInfo | None = None
    effective_capabilities: CapabilityInfo | None = None
    share_pid_namespace: bool | None = None
    seccomp: SeccompInfo | None = None
    ipc_mode: LinuxInfo.IpcMode | None = None
    shm_size: UInt32 | None = None
    share_cgroups: bool = field(default_factory=lambda: True)


class CapabilityInfo(V1Message, kw_only=True):
    class Capability(V1Enum):
        UNKNOWN = "UNKNOWN"
        CHOWN = "CHOWN"
        DAC_OVERRIDE = "DAC_OVERRIDE"
        DAC_READ_SEARCH = "DAC_READ_SEARCH"
        FOWNER = "FOWNER"
        FSETID = "FSETID"
        KILL = "KILL"
        SETGID = "SETGID"
        SETUID = "SETUID"
        SETPCAP = "SETPCAP"
        LINUX_IMMUTABLE = "LINUX_IMMUTABLE"
        NET_BIND_SERVICE = "NET_BIND_SERVICE"
        NET_BROADCAST = "NET_BROADCAST"
        NET_ADMIN = "NET_ADMIN"
        NET_RAW = "NET_RAW"
        IPC_LOCK = "IPC_LOCK"
        IPC_OWNER = "IPC_OWNER"
        SYS_MODULE = "SYS_MODULE"
        SYS_RAWIO = "SYS_RAWIO"
        SYS_CHROOT = "SYS_CHROOT"
        SYS_PTRACE = "SYS_PTRACE"
        SYS_PACCT = "SYS_PACCT"
        SYS_ADMIN = "SYS_ADMIN"
        SYS_BOOT = "SYS_BOOT"
        SYS_NICE = "SYS_NICE"
        SYS_RESOURCE = "SYS_RESOURCE"
        SYS_TIME = "SYS_TIME"
        SYS_TTY_CONFIG = "SYS_TTY_CONFIG"
        MKNOD = "MKNOD"
        LEASE = "LEASE"
        AUDIT_WRITE = "AUDIT_WRITE"
        AUDIT_CONTROL = "AUDIT_CONTROL"
        SETFCAP = "SETFCAP"
        MAC_OVERRIDE = "MAC_OVERRIDE"
        MAC_ADMIN = "MAC_ADMIN"
        SYSLOG = "SYSLOG"
        WAKE_ALARM = "WAKE_ALARM"
        BLOCK_SUSPEND = "BLOCK_SUSPEND"
        AUDIT_READ = "AUDIT_READ"
        PERFMON = "PERFMON"
        BPF = "BPF"
        CHECKPOINT_RESTORE = "CHECKPOINT_RESTORE"

    capabilities: list[CapabilityInfo.Capability] = []


class SeccompInfo(V1Message, kw_only=True):
    profile_name: str | None = None
    unconfined: bool | None = None


class RLimitInfo(V1Message, kw_only=True):
    class RLimit(V1Message, kw_only=True):
        class Type(V1Enum):
            UNKNOWN = "UNKNOWN"
            RLMT_AS = "RLMT_AS"
            RLMT_CORE = "RLMT_CORE"
            RLMT_CPU = "RLMT_CPU"
            RLMT_DATA = "RLMT_DATA"
            RLMT_FSIZE = "RLMT_FSIZE"
            RLMT_LOCKS = "RLMT_LOCKS"
            RLMT_MEMLOCK = "RLMT_MEMLOCK"
            RLMT_MSGQUEUE = "RLMT_MSGQUEUE"
            RLMT_NICE = "RLMT_NICE"
            RLMT_NOFILE = "RLMT_NOFILE"
            RLMT_NPROC = "RLMT_NPROC"
            RLMT_RSS = "RLMT_RSS"
            RLMT_RTPRIO = "RLMT_RTPRIO"
            RLMT_RTTIME = "RLMT_RTTIME"
            RLMT_SIGPENDING = "RLMT_SIGPENDING"
            RLMT_STACK = "RLMT_STACK"

        type: RLimitInfo.RLimit.Type | None = None
        hard: UInt64 | None = None
        soft: UInt64 | None = None

    rlimits: list[RLimitInfo.RLimit] = []


class TTYInfo(V1Message, kw_only=True):
    class WindowSize(V1Message, kw_only=True):
        rows: UInt32
        columns: UInt32

    window_size: TTYInfo.WindowSize | None = None


class CgroupInfo(V1Message, kw_only=True):
    class Blkio(V1Message):
        class Operation(V1Enum):
            UNKNOWN = "UNKNOWN"
            TOTAL = "TOTAL"
            READ = "READ"
            WRITE = "WRITE"
            SYNC = "SYNC"
            ASYNC = "ASYNC"
            DISCARD = "DISCARD"

        class Value(V1Message, kw_only=True):
            op: CgroupInfo.Blkio.Operation | None = None
            value: UInt64 | None = None

        class CFQ(V1Message):
            class Statistics(V1Message, kw_only=True):
                device: Device.Number | None = None
                sectors: UInt64 | None = None
                time: UInt64 | None = None
                io_serviced: list[CgroupInfo.Blkio.Value] = []
                io_service_bytes: list[CgroupInfo.Blkio.Value] = []
                io_service_time: list[CgroupInfo.Blkio.Value] = []
                io_wait_time: list[CgroupInfo.Blkio.Value] = []
                io_merged: list[CgroupInfo.Blkio.Value] = []
                io_queued: list[CgroupInfo.Blkio.Value] = []

        class Throttling(V1Message):
            class Statistics(V1Message, kw_only=True):
                device: Device.Number | None = None
                io_serviced: list[CgroupInfo.Blkio.Value] = []
                io_service_bytes: list[CgroupInfo.Blkio.Value] = []

        class Statistics(V1Message, kw_only=True):
            cfq: list[CgroupInfo.Blkio.CFQ.Statistics] = []
            cfq_recursive: list[CgroupInfo.Blkio.CFQ.Statistics] = []
            throttling: list[CgroupInfo.Blkio.Throttling.Statistics] = []

    class NetCls(V1Message, kw_only=True):
        classid: UInt32 | None = None

    net_cls: CgroupInfo.NetCls | None = None


class Device(V1Message, kw_only=True):
    class Number(V1Message, kw_only=True):
        major_number: UInt64
        minor_number: UInt64

    path: str | None = None
    number: Device.Number | None = None


class DeviceAccess(V1Message, kw_only=True):
    class Access(V1Message, kw_only=True):
        read: bool | None = None
        write: bool | None = None
        mknod: bool | None = None

    device: Device
    access: DeviceAccess.Access


class DeviceWhitelist(V1Message, kw_only=True):
    allowed_devices: list[DeviceAccess] = []
