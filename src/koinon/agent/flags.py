"""Flags of the agent: Mesos's names, those that have an effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from koinon.edge.addresses import check_address
from koinon.flags import Duration, Flag

#: Where flags are read from, besides command line and environment; the strongest first.
DIRECTORIES = (Path("/etc/mesos-agent"), Path("/etc/mesos-slave"))

#: Prefixes of environment names, the strongest first.
PREFIXES = ("MESOS_", "MESOS_SLAVE_")


class AgentFlags(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set when an agent starts."""

    master: Annotated[str, Flag("The master, as host:port.")]
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
    resources: Annotated[
        str | None,
        Flag(
            "What is offered, as 'cpus:8;mem:16384;ports:[31000-32000]', or as JSON, or the absolute path of a file"
            " with either. What is not named of cpus, mem, disk and ports is what the machine has."
        ),
    ] = None
    attributes: Annotated[str | None, Flag("What the machine is like, as 'rack:a;os:debian'.")] = None
    default_role: Annotated[str, Flag("Role of the resources that name none.")] = "*"
    switch_user: Annotated[
        bool, Flag("Run tasks as the user they name, which needs root; else all as the user of the agent.")
    ] = True
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
    registration_backoff_factor: Annotated[
        Duration,
        Flag(
            "A lost master is looked for after a random time up to this, then up to the double, up to a minute."
        ),
    ] = Duration(1)
    recover: Annotated[
        Literal["reconnect", "cleanup"],
        Flag("After a restart: go on with what still runs, or kill it and end."),
    ] = "reconnect"
    recovery_timeout: Annotated[
        Duration, Flag("How long executors wait for an agent that is away before they end.")
    ] = Duration(900)
    reconfiguration_policy: Annotated[
        Literal["equal", "additive"],
        Flag("Whether resources and attributes must be those of before a restart, or may be more."),
    ] = "equal"
    max_completed_executors_per_framework: Annotated[
        int, Flag("How many completed executors of each framework are remembered.")
    ] = 150
    gc_delay: Annotated[Duration, Flag("Sandboxes are removed so long after their end.")] = Duration(
        7 * 86400
    )
    logging_level: Annotated[Literal["INFO", "WARNING", "ERROR"], Flag("What is logged.")] = "INFO"

    def __post_init__(self) -> None:
        for name in ("ip", "advertise_ip"):
            check_address(name, getattr(self, name))
        if not 0 <= self.port <= 65535:
            raise ValueError("--port must be between 0 and 65535")
        if self.executor_reregistration_timeout > 15:
            raise ValueError("--executor_reregistration_timeout must be 15secs at most")
        if self.max_completed_executors_per_framework < 0:
            raise ValueError("--max_completed_executors_per_framework must not be negative")
        if "://" in self.master:
            raise ValueError(f"--master must be host:port; '{self.master}' is not supported yet")
        host, colon, port = self.master.rpartition(":")
        if not (host and colon and port.isdecimal()):
            raise ValueError(f"--master must be host:port, not '{self.master}'")
