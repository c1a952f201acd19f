"""Flags of the master: Mesos's names, those that have an effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from koinon.coordination.zookeeper import SESSION_MAX_S, Url
from koinon.edge.addresses import check_address
from koinon.flags import Duration, Flag, Rate

#: Where flags are read from, besides command line and environment.
DIRECTORIES = (Path("/etc/mesos-master"),)


class MasterFlags(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set when a master starts."""

    ip: Annotated[
        str,
        Flag(
            "Address to listen on. Whoever reaches it may run work on the cluster, so it is this machine alone"
            " unless you say otherwise; 0.0.0.0 = all addresses."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Flag("Port to listen on; 0 = any free one.")] = 5050
    advertise_ip: Annotated[str | None, Flag("Address told to others, when it is not the one of --ip.")] = (
        None
    )
    advertise_port: Annotated[int | None, Flag("Port told to others, when it is not the one of --port.")] = (
        None
    )
    hostname: Annotated[
        str | None, Flag("Name told to others; without it the name that the address resolves to.")
    ] = None
    hostname_lookup: Annotated[
        bool, Flag("Without --hostname resolve the address; else the address is told.")
    ] = True
    work_dir: Annotated[
        Path | None,
        Flag(
            "Where the registry is kept, without --zk. Required then, unless --registry=in_memory. Of masters with the"
            " same one on a machine one leads, and the others stand by."
        ),
    ] = None
    zk: Annotated[
        Url | None,
        Flag(
            "Where masters stand for election in ZooKeeper, and the one that leads keeps the registry: give all of"
            " them the same. With user and password what they make there is theirs alone to change. Without it"
            " masters are those of one --work_dir."
        ),
    ] = None
    zk_session_timeout: Annotated[
        Duration,
        Flag(
            "How long ZooKeeper keeps a master that it does not hear from: then another one leads. Its servers may"
            " grant another time."
        ),
    ] = Duration(10)
    quorum: Annotated[
        int | None,
        Flag(
            "Taken, so that existing command lines and unit files work, and changes nothing: masters do not store the"
            " registry among themselves; with --zk it is in ZooKeeper, whose own quorum counts."
        ),
    ] = None
    registry: Annotated[
        Literal["replicated_log", "in_memory"],
        Flag(
            "What the master must not forget: kept in --work_dir, or in ZooKeeper with --zk (replicated_log); or gone"
            " with the process (in_memory): then the next leader knows no agent, and frameworks that ask for their tasks"
            " before the agents are back hear that they are lost. That is for tests."
        ),
    ] = "replicated_log"
    cluster: Annotated[str | None, Flag("Name of the cluster, shown to people.")] = None
    allocation_interval: Annotated[
        Duration, Flag("How often all free resources are looked at; changes are acted on at once.")
    ] = Duration(1)
    offer_timeout: Annotated[
        Duration | None, Flag("An offer that is not answered for so long is taken back; without it never.")
    ] = None
    agent_ping_timeout: Annotated[
        Duration, Flag("How long an agent may take to answer a ping: 1 s to 15 min.")
    ] = Duration(15)
    max_agent_ping_timeouts: Annotated[
        int, Flag("An agent that leaves so many pings in a row unanswered is unreachable.")
    ] = 5
    agent_reregister_timeout: Annotated[
        Duration,
        Flag(
            "How long agents have to come back, to a new master or after their connection broke, before they are"
            " unreachable. Apache Mesos takes no less than 10mins; less is for tests, and for who knows that all"
            " agents are back sooner."
        ),
    ] = Duration(600)
    agent_removal_rate_limit: Annotated[
        Rate | None,
        Flag(
            "At most so many agents become unreachable in so long, as 1/10mins, evenly spread; without it all that"
            " do not answer do at once."
        ),
    ] = None
    recovery_agent_removal_limit: Annotated[
        str,
        Flag(
            "If more of the agents are missing when a new master has waited for --agent_reregister_timeout, it ends"
            " instead of giving them up: a percentage of those that the cluster had."
        ),
    ] = "100%"
    max_completed_frameworks: Annotated[int, Flag("How many completed frameworks are remembered.")] = 50
    max_completed_tasks_per_framework: Annotated[
        int, Flag("How many completed tasks of each framework are remembered.")
    ] = 1000
    max_unreachable_tasks_per_framework: Annotated[
        int, Flag("How many unreachable tasks of each framework are remembered.")
    ] = 1000
    min_allocatable_resources: Annotated[
        str, Flag("The least that is offered: resources, alternatives divided by |.")
    ] = "cpus:0.01|mem:32"
    fair_sharing_excluded_resource_names: Annotated[
        str | None, Flag("Names of resources, divided by commas, that do not count for fair shares.")
    ] = None
    filter_gpu_resources: Annotated[
        bool, Flag("Offer agents with GPUs only to frameworks that have the capability GPU_RESOURCES.")
    ] = True
    weights: Annotated[
        str | None,
        Flag(
            "Weights of roles at the first start, as role=weight,role=weight. Later ones are set by operators."
        ),
    ] = None
    whitelist: Annotated[
        Path | None,
        Flag("File with the names of the hosts whose agents get offers, one a line; read again every 5 s."),
    ] = None
    root_submissions: Annotated[bool, Flag("Whether frameworks may run work as root.")] = True
    registry_gc_interval: Annotated[
        Duration, Flag("How often unreachable and gone agents are looked through for those to forget.")
    ] = Duration(15 * 60)
    registry_max_agent_age: Annotated[
        Duration, Flag("Unreachable and gone agents are forgotten after this.")
    ] = Duration(14 * 86400)
    registry_max_agent_count: Annotated[
        int, Flag("More unreachable and gone agents than this are forgotten, oldest first.")
    ] = 102400
    max_operator_event_stream_subscribers: Annotated[
        int, Flag("How many may listen to the operators' event stream; beyond that the oldest is cut off.")
    ] = 1000
    logging_level: Annotated[Literal["INFO", "WARNING", "ERROR"], Flag("What is logged.")] = "INFO"

    def __post_init__(self) -> None:
        if self.work_dir is None and self.zk is None and self.registry != "in_memory":
            raise ValueError(
                "--work_dir is required (or --zk, or --registry=in_memory, which forgets all at the end)"
            )
        if not 0 < self.zk_session_timeout <= SESSION_MAX_S:
            raise ValueError("--zk_session_timeout must be more than nothing, and 3weeks at most")
        if self.quorum is not None and self.quorum < 1:
            raise ValueError("--quorum must be 1 at least")
        for name in ("ip", "advertise_ip"):
            check_address(name, getattr(self, name))
        if not 1 <= self.agent_ping_timeout <= 900:
            raise ValueError("--agent_ping_timeout must be between 1secs and 15mins")
        if self.agent_reregister_timeout <= 0:
            raise ValueError("--agent_reregister_timeout must be more than nothing")
        if (rate := self.agent_removal_rate_limit) is not None and (rate.times < 1 or rate.per <= 0):
            raise ValueError("--agent_removal_rate_limit must let an agent go now and then, as 1/10mins does")
        self.removal_limit()
        if self.max_agent_ping_timeouts < 1:
            raise ValueError("--max_agent_ping_timeouts must be 1 at least")
        for name in (
            "allocation_interval",
            "offer_timeout",
            "registry_gc_interval",
            "registry_max_agent_age",
        ):
            if (duration := getattr(self, name)) is not None and duration <= 0:
                raise ValueError(f"--{name} must be more than nothing")
        for name in (
            "max_completed_frameworks",
            "max_completed_tasks_per_framework",
            "max_unreachable_tasks_per_framework",
            "registry_max_agent_count",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} must not be negative")
        if self.max_operator_event_stream_subscribers < 1:
            raise ValueError("--max_operator_event_stream_subscribers must be 1 at least")
        if not 0 <= self.port <= 65535:
            raise ValueError("--port must be between 0 and 65535")
        if self.advertise_port is not None and not 0 < self.advertise_port <= 65535:
            raise ValueError("--advertise_port must be between 1 and 65535")
        self.initial_weights()

    def removal_limit(self) -> float:
        """`recovery_agent_removal_limit` as a part of 1. Raises ValueError."""
        number, percent, rest = self.recovery_agent_removal_limit.partition("%")
        try:
            limit = float(number) / 100
        except ValueError:
            limit = -1.0
        if not percent or rest or not 0 <= limit <= 1:
            raise ValueError("--recovery_agent_removal_limit must be between 0% and 100%, as 25%")
        return limit

    def initial_weights(self) -> dict[str, float]:
        """`weights`, read. Raises ValueError."""
        found = {}
        for entry in filter(None, (part.strip() for part in (self.weights or "").split(","))):
            role, _, weight = entry.partition("=")
            try:
                found[role] = float(weight)
            except ValueError:
                raise ValueError(f"--weights: '{entry}' is not of the form role=weight") from None
        return found
