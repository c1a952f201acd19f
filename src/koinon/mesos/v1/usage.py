"""What containers use."""

from __future__ import annotations

from koinon.mesos.v1.base import UInt32, UInt64, V1Message
from koinon.mesos.v1.basics import ContainerID, Labels, TaskID
from koinon.mesos.v1.containers import CgroupInfo
from koinon.mesos.v1.resources import Resource, Value
from koinon.mesos.v1.tasks import ExecutorInfo


class ResourceUsage(V1Message, kw_only=True):
    class Executor(V1Message, kw_only=True):
        class Task(V1Message, kw_only=True):
            name: str
            id: TaskID
            resources: list[Resource] = []
            labels: Labels | None = None

        executor_info: ExecutorInfo
        allocated: list[Resource] = []
        statistics: ResourceStatistics | None = None
        container_id: ContainerID
        tasks: list[ResourceUsage.Executor.Task] = []

    executors: list[ResourceUsage.Executor] = []
    total: list[Resource] = []


class ResourceStatistics(V1Message, kw_only=True):
    class RatePercentiles(V1Message, kw_only=True):
        min: UInt64 | None = None
        max: UInt64 | None = None
        p50: UInt64 | None = None
        p90: UInt64 | None = None
        p95: UInt64 | None = None
        p99: UInt64 | None = None
        p999: UInt64 | None = None
        p9999: UInt64 | None = None
        samples: UInt64 | None = None

    class RateStatistics(V1Message, kw_only=True):
        rx_rate: ResourceStatistics.RatePercentiles | None = None
        rx_packet_rate: ResourceStatistics.RatePercentiles | None = None
        rx_drop_rate: ResourceStatistics.RatePercentiles | None = None
        rx_error_rate: ResourceStatistics.RatePercentiles | None = None
        tx_rate: ResourceStatistics.RatePercentiles | None = None
        tx_packet_rate: ResourceStatistics.RatePercentiles | None = None
        tx_drop_rate: ResourceStatistics.RatePercentiles | None = None
        tx_error_rate: ResourceStatistics.RatePercentiles | None = None
        sampling_window_secs: float | None = None
        sampling_interval_secs: float | None = None

    timestamp: float
    processes: UInt32 | None = None
    threads: UInt32 | None = None
    cpus_user_time_secs: float | None = None
    cpus_system_time_secs: float | None = None
    cpus_limit: float | None = None
    cpus_soft_limit: float | None = None
    cpus_nr_periods: UInt32 | None = None
    cpus_nr_throttled: UInt32 | None = None
    cpus_throttled_time_secs: float | None = None
    mem_total_bytes: UInt64 | None = None
    mem_total_memsw_bytes: UInt64 | None = None
    mem_kmem_usage_bytes: UInt64 | None = None
    mem_kmem_tcp_usage_bytes: UInt64 | None = None
    mem_limit_bytes: UInt64 | None = None
    mem_soft_limit_bytes: UInt64 | None = None
    mem_file_bytes: UInt64 | None = None
    mem_anon_bytes: UInt64 | None = None
    mem_cache_bytes: UInt64 | None = None
    mem_rss_bytes: UInt64 | None = None
    mem_mapped_file_bytes: UInt64 | None = None
    mem_swap_bytes: UInt64 | None = None
    mem_unevictable_bytes: UInt64 | None = None
    mem_low_pressure_counter: UInt64 | None = None
    mem_medium_pressure_counter: UInt64 | None = None
    mem_critical_pressure_counter: UInt64 | None = None
    disk_limit_bytes: UInt64 | None = None
    disk_used_bytes: UInt64 | None = None
    disk_statistics: list[DiskStatistics] = []
    blkio_statistics: CgroupInfo.Blkio.Statistics | None = None
    perf: PerfStatistics | None = None
    net_rx_packets: UInt64 | None = None
    net_rx_bytes: UInt64 | None = None
    net_rx_errors: UInt64 | None = None
    net_rx_dropped: UInt64 | None = None
    net_tx_packets: UInt64 | None = None
    net_tx_bytes: UInt64 | None = None
    net_tx_errors: UInt64 | None = None
    net_tx_dropped: UInt64 | None = None
    net_tx_rate_limit: UInt64 | None = None
    net_tx_burst_rate_limit: UInt64 | None = None
    net_tx_burst_size: UInt64 | None = None
    net_rx_rate_limit: UInt64 | None = None
    net_rx_burst_rate_limit: UInt64 | None = None
    net_rx_burst_size: UInt64 | None = None
    net_rate_statistics: ResourceStatistics.RateStatistics | None = None
    net_ephemeral_ports: Value.Range | None = None
    net_tcp_rtt_microsecs_p50: float | None = None
    net_tcp_rtt_microsecs_p90: float | None = None
    net_tcp_rtt_microsecs_p95: float | None = None
    net_tcp_rtt_microsecs_p99: float | None = None
    net_tcp_active_connections: float | None = None
    net_tcp_time_wait_connections: float | None = None
    net_traffic_control_statistics: list[TrafficControlStatistics] = []
    net_snmp_statistics: SNMPStatistics | None = None


class DiskStatistics(V1Message, kw_only=True):
    source: Resource.DiskInfo.Source | None = None
    persistence: Resource.DiskInfo.Persistence | None = None
    limit_bytes: UInt64 | None = None
    used_bytes: UInt64 | None = None


class TrafficControlStatistics(V1Message, kw_only=True):
    id: str
    backlog: UInt64 | None = None
    bytes: UInt64 | None = None
    drops: UInt64 | None = None
    overlimits: UInt64 | None = None
    packets: UInt64 | None = None
    qlen: UInt64 | None = None
    ratebps: UInt64 | None = None
    ratepps: UInt64 | None = None
    requeues: UInt64 | None = None


class SNMPStatistics(V1Message, kw_only=True):
    ip_stats: IpStatistics | None = None
    icmp_stats: IcmpStatistics | None = None
    tcp_stats: TcpStatistics | None = None
    udp_stats: UdpStatistics | None = None


class IpStatistics(V1Message, kw_only=True):
    Forwarding: int | None = None
    DefaultTTL: int | None = None
    InReceives: int | None = None
    InHdrErrors: int | None = None
    InAddrErrors: int | None = None
    ForwDatagrams: int | None = None
    InUnknownProtos: int | None = None
    InDiscards: int | None = None
    InDelivers: int | None = None
    OutRequests: int | None = None
    OutDiscards: int | None = None
    OutNoRoutes: int | None = None
    ReasmTimeout: int | None = None
    ReasmReqds: int | None = None
    ReasmOKs: int | None = None
    ReasmFails: int | None = None
    FragOKs: int | None = None
    FragFails: int | None = None
    FragCreates: int | None = None


class IcmpStatistics(V1Message, kw_only=True):
    InMsgs: int | None = None
    InErrors: int | None = None
    InCsumErrors: int | None = None
    InDestUnreachs: int | None = None
    InTimeExcds: int | None = None
    InParmProbs: int | None = None
    InSrcQuenchs: int | None = None
    InRedirects: int | None = None
    InEchos: int | None = None
    InEchoReps: int | None = None
    InTimestamps: int | None = None
    InTimestampReps: int | None = None
    InAddrMasks: int | None = None
    InAddrMaskReps: int | None = None
    OutMsgs: int | None = None
    OutErrors: int | None = None
    OutDestUnreachs: int | None = None
    OutTimeExcds: int | None = None
    OutParmProbs: int | None = None
    OutSrcQuenchs: int | None = None
    OutRedirects: int | None = None
    OutEchos: int | None = None
    OutEchoReps: int | None = None
    OutTimestamps: int | None = None
    OutTimestampReps: int | None = None
    OutAddrMasks: int | None = None
    OutAddrMaskReps: int | None = None


class TcpStatistics(V1Message, kw_only=True):
    RtoAlgorithm: int | None = None
    RtoMin: int | None = None
    RtoMax: int | None = None
    MaxConn: int | None = None
    ActiveOpens: int | None = None
    PassiveOpens: int | None = None
    AttemptFails: int | None = None
    EstabResets: int | None = None
    CurrEstab: int | None = None
    InSegs: int | None = None
    OutSegs: int | None = None
    RetransSegs: int | None = None
    InErrs: int | None = None
    OutRsts: int | None = None
    InCsumErrors: int | None = None


class UdpStatistics(V1Message, kw_only=True):
    InDatagrams: int | None = None
    NoPorts: int | None = None
    InErrors: int | None = None
    OutDatagrams: int | None = None
    RcvbufErrors: int | None = None
    SndbufErrors: int | None = None
    InCsumErrors: int | None = None
    IgnoredMulti: int | None = None


class PerfStatistics(V1Message, kw_only=True):
    timestamp: float
    duration: float
    cycles: UInt64 | None = None
    stalled_cycles_frontend: UInt64 | None = None
    stalled_cycles_backend: UInt64 | None = None
    instructions: UInt64 | None = None
    cache_references: UInt64 | None = None
    cache_misses: UInt64 | None = None
    branches: UInt64 | None = None
    branch_misses: UInt64 | None = None
    bus_cycles: UInt64 | None = None
    ref_cycles: UInt64 | None = None
    cpu_clock: float | None = None
    task_clock: float | None = None
    page_faults: UInt64 | None = None
    minor_faults: UInt64 | None = None
    major_faults: UInt64 | None = None
    context_switches: UInt64 | None = None
    cpu_migrations: UInt64 | None = None
    alignment_faults: UInt64 | None = None
    emulation_faults: UInt64 | None = None
    l1_dcache_loads: UInt64 | None = None
    l1_dcache_load_misses: UInt64 | None = None
    l1_dcache_stores: UInt64 | None = None
    l1_dcache_store_misses: UInt64 | None = None
    l1_dcache_prefetches: UInt64 | None = None
    l1_dcache_prefetch_misses: UInt64 | None = None
    l1_icache_loads: UInt64 | None = None
    l1_icache_load_misses: UInt64 | None = None
    l1_icache_prefetches: UInt64 | None = None
    l1_icache_prefetch_misses: UInt64 | None = None
    llc_loads: UInt64 | None = None
    llc_load_misses: UInt64 | None = None
    llc_stores: UInt64 | None = None
    llc_store_misses: UInt64 | None = None
    llc_prefetches: UInt64 | None = None
    llc_prefetch_misses: UInt64 | None = None
    dtlb_loads: UInt64 | None = None
    dtlb_load_misses: UInt64 | None = None
    dtlb_stores: UInt64 | None = None
    dtlb_store_misses: UInt64 | None = None
    dtlb_prefetches: UInt64 | None = None
    dtlb_prefetch_misses: UInt64 | None = None
    itlb_loads: UInt64 | None = None
    itlb_load_misses: UInt64 | None = None
    branch_loads: UInt64 | None = None
    branch_load_misses: UInt64 | None = None
    node_loads: UInt64 | None = None
    node_load_misses: UInt64 | None = None
    node_stores: UInt64 | None = None
    node_store_misses: UInt64 | None = None
    node_prefetches: UInt64 | None = None
    node_prefetch_misses: UInt64 | None = None
