"""Flags of the agent: Mesos's names, those that have an effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from koinon.coordination.detection import Masters
from koinon.coordination.zookeeper import SESSION_MAX_S
from koinon.edge.addresses import check_address
from koinon.flags import Duration, Flag, Size
from koinon.mesos import v1

#: Where flags are read from, besides command line and environment; the strongest first.
DIRECTORIES = (Path("/etc/mesos-agent"), Path("/etc/mesos-slave"))

#: Prefixes of environment names, the strongest first.
PREFIXES = ("MESOS_", "MESOS_SLAVE_")


class AgentFlags(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set when an agent starts."""

    master: Annotated[
        Masters,
        Flag(
            "Where the leading master is found: host:port of a master, or of several, divided by commas; or"
            " zk://host:port,host:port/path, the --zk of the masters, which is heard of at once. With a password in it,"
            " write it into a file that others cannot read, and give file:///path."
        ),
    ]
    zk_session_timeout: Annotated[
        Duration, Flag("How long ZooKeeper keeps an agent's session that it does not hear from.")
    ] = Duration(10)
    work_dir: Annotated[
        Path, Flag("Where sandboxes are kept, and what is needed to go on after a restart. One agent each.")
    ]
    runtime_dir: Annotated[
        Path | None,
        Flag(
            "Where the process that runs the tasks has its socket and journal; without it below --work_dir."
        ),
    ] = None
    ip: Annotated[
        str,
        Flag(
            "Address to listen on. Whoever reaches it may read the sandboxes, so it is this machine alone unless"
            " you say otherwise; 0.0.0.0 = all addresses."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Flag("Port to listen on; 0 = any free one, and the same after a restart.")] = 5051
    advertise_ip: Annotated[str | None, Flag("Address told to others, when it is not the one of --ip.")] = (
        None
    )
    advertise_port: Annotated[int | None, Flag("Port told to others, when it is not the one of --port.")] = (
        None
    )
    hostname: Annotated[
        str | None, Flag("Name told to others; without it the name of the machine, or --ip if that is 127.x.")
    ] = None
    hostname_lookup: Annotated[
        bool, Flag("Without --hostname find out the name of the machine; else the address is told.")
    ] = True
    resources: Annotated[
        str | None,
        Flag(
            "What is offered, as 'cpus:8;mem:16384;ports:[31000-32000]', or as JSON, or the absolute path of a file"
            " with either. What is not named of cpus, mem, disk, ports and gpus is what the machine has."
        ),
    ] = None
    nvidia_gpu_devices: Annotated[
        str | None,
        Flag(
            "Numbers of the Nvidia GPUs to offer, as '0,2', as nvidia-smi counts them; without it all that are found."
        ),
    ] = None
    attributes: Annotated[str | None, Flag("What the machine is like, as 'rack:a;os:debian'.")] = None
    default_role: Annotated[str, Flag("Role of the resources that name none.")] = "*"
    switch_user: Annotated[
        bool, Flag("Run tasks as the user they name, which needs root; else all as the user of the agent.")
    ] = True
    default_container_info: Annotated[
        v1.ContainerInfo | None,
        Flag(
            "The container of command tasks and custom executors that say nothing of it, as a ContainerInfo in JSON:"
            " resource limits, volumes, a terminal."
        ),
    ] = None
    executor_environment_variables: Annotated[
        dict[str, str] | None, Flag("Variables for all executors and command tasks, as a JSON object.")
    ] = None
    executor_registration_timeout: Annotated[
        Duration, Flag("How long a new executor may take to subscribe.")
    ] = Duration(60)
    executor_reregistration_timeout: Annotated[
        Duration,
        Flag("How long an executor may take to subscribe again after a restart of the agent: 15 s at most."),
    ] = Duration(2)
    executor_shutdown_grace_period: Annotated[
        Duration, Flag("How long an executor may take to shut down unless it says so itself.")
    ] = Duration(5)
    http_heartbeat_interval: Annotated[
        Duration, Flag("How often a sign of life is sent to who is attached to a container's output.")
    ] = Duration(30)
    registration_backoff_factor: Annotated[
        Duration,
        Flag(
            "A new leader, or a lost one, is looked for after a random time up to this, then up to the double, up to"
            " a minute."
        ),
    ] = Duration(1)
    recover: Annotated[
        Literal["reconnect", "cleanup"],
        Flag("After a restart: go on with what still runs, or kill it and end."),
    ] = "reconnect"
    recovery_timeout: Annotated[
        Duration, Flag("How long executors and tasks wait for an agent that is away before they end.")
    ] = Duration(900)
    strict: Annotated[
        bool,
        Flag(
            "End when something of before a restart cannot be read; else give up the tasks that it is about, and go on."
        ),
    ] = True
    reconfiguration_policy: Annotated[
        Literal["equal", "additive", "any"],
        Flag(
            "Whether resources and attributes must be those of before a restart, or may be more, or any that are enough"
            " for what still runs."
        ),
    ] = "equal"
    max_completed_executors_per_framework: Annotated[
        int, Flag("How many completed executors of each framework are remembered.")
    ] = 150
    max_stdout_size: Annotated[
        Size,
        Flag(
            "A task's stdout that has grown to this becomes stdout.1, then stdout.2, …; 0B = it may grow for ever."
        ),
    ] = Size(1 << 30)
    max_stderr_size: Annotated[Size, Flag("The same for stderr.")] = Size(1 << 30)
    max_rotated_logs: Annotated[
        int, Flag("How many such old files of each are kept: the newest, those with the highest numbers.")
    ] = 1
    frameworks_home: Annotated[
        str | None,
        Flag("Directory that URIs begin in which are relative paths; without it they are refused."),
    ] = None
    fetcher_cache_dir: Annotated[
        Path | None,
        Flag("Where the fetcher keeps files that are marked to be cached; without it below --work_dir."),
    ] = None
    fetcher_cache_size: Annotated[Size, Flag("How much it keeps there.")] = Size(2 << 30)
    fetcher_stall_timeout: Annotated[
        Duration, Flag("A download that brings less than a byte a second for so long is given up.")
    ] = Duration(60)
    gc_delay: Annotated[
        Duration, Flag("Sandboxes are removed so long after their end, sooner when the disk fills.")
    ] = Duration(7 * 86400)
    gc_disk_headroom: Annotated[
        float,
        Flag("Part of the disk to be kept free: the fuller it is, the sooner sandboxes are removed."),
    ] = 0.1
    gc_non_executor_container_sandboxes: Annotated[
        bool,
        Flag(
            "Remove the sandboxes of nested and standalone containers, too, some time after their end; else the former go"
            " with the one they are in, and the latter stay."
        ),
    ] = False
    disk_watch_interval: Annotated[
        Duration, Flag("How often sandboxes are looked through for those to remove.")
    ] = Duration(60)
    container_disk_watch_interval: Annotated[
        Duration, Flag("How often it is looked how much disk the sandboxes of tasks with 'disk' take.")
    ] = Duration(15)
    enforce_container_disk_quota: Annotated[
        bool, Flag("Kill tasks whose sandbox takes more disk than the 'disk' they have.")
    ] = False
    logging_level: Annotated[Literal["INFO", "WARNING", "ERROR"], Flag("What is logged.")] = "INFO"

    def __post_init__(self) -> None:
        for name in ("ip", "advertise_ip"):
            check_address(name, getattr(self, name))
        if not 0 <= self.port <= 65535:
            raise ValueError("--port must be between 0 and 65535")
        if self.advertise_port is not None and not 0 < self.advertise_port <= 65535:
            raise ValueError("--advertise_port must be between 1 and 65535")
        if self.executor_reregistration_timeout > 15:
            raise ValueError("--executor_reregistration_timeout must be 15secs at most")
        if not 0 <= self.gc_disk_headroom <= 1:
            raise ValueError("--gc_disk_headroom must be between 0 and 1")
        if self.disk_watch_interval <= 0 or self.container_disk_watch_interval <= 0:
            raise ValueError(
                "--disk_watch_interval and --container_disk_watch_interval must be longer than nothing"
            )
        if any(0 < size < 4096 for size in (self.max_stdout_size, self.max_stderr_size)):
            raise ValueError("--max_stdout_size and --max_stderr_size must be 4KB at least, or 0B")
        if self.max_rotated_logs < 1:
            raise ValueError("--max_rotated_logs must be 1 at least")
        if self.fetcher_stall_timeout <= 0:
            raise ValueError("--fetcher_stall_timeout must be longer than nothing")
        if self.frameworks_home is not None and not self.frameworks_home.startswith("/"):
            raise ValueError("--frameworks_home must be an absolute path")
        if self.max_completed_executors_per_framework < 0:
            raise ValueError("--max_completed_executors_per_framework must not be negative")
        if not 0 < self.zk_session_timeout <= SESSION_MAX_S:
            raise ValueError("--zk_session_timeout must be more than nothing, and 3weeks at most")
