"""Flags of Marathon: the names that it has always had, those that have an effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from koinon.coordination.zookeeper import Url
from koinon.flags import Flag
from koinon.service.flags import Milliseconds, Names, Seconds, ServiceFlags, conventions

#: Where flags are read from, besides command line and environment.
DIRECTORIES = (Path("/etc/marathon/conf"),)
PREFIXES = ("MARATHON_",)

#: Known to `--enable_features`; the rest is refused.
FEATURES = frozenset({"task_killing", "gpu_resources", "vips"})

_NO_PLUGINS = "there are no plugins"
_NO_REPORTERS = "numbers are read at /metrics and /metrics/prometheus, and sent nowhere"
_PER_OBJECT = "each object is stored by itself here, as it is"

CONVENTIONS = conventions(
    # Of a Marathon, or a pod, that has launched this one.
    "MARATHON_APP_",
    "MARATHON_CONTAINER_",
    "MARATHON_URL",  # where clients of Marathon look for it
    refused={
        "plugin_dir": _NO_PLUGINS,
        "plugin_conf": _NO_PLUGINS,
        "metrics_statsd": _NO_REPORTERS,
        "metrics_statsd_host": _NO_REPORTERS,
        "metrics_statsd_port": _NO_REPORTERS,
        "metrics_datadog": _NO_REPORTERS,
        "metrics_datadog_host": _NO_REPORTERS,
        "metrics_datadog_port": _NO_REPORTERS,
        "internal_store_backend": "give --work_dir instead of --zk to keep things on this machine",
        "backup_location": "there are no migrations before which a backup would be made",
        "deprecated_features": "what was removed from Marathon is not there",
        "draining_seconds": "maintenance windows are not there yet",
        "task_reservation_timeout": "reservations are not there yet",
    },
)


class MarathonFlags(ServiceFlags, frozen=True, kw_only=True):
    """What can be set when a Marathon starts."""

    zk: Annotated[
        Url | None,
        Flag(
            "Where Marathons stand for election in ZooKeeper, and the one that leads keeps its memory: give all of them"
            " the same. Without it that is in --work_dir."
        ),
    ] = None
    zk_timeout: Annotated[
        Milliseconds,
        Flag("How long a request waits for its changes to be stored; then it is answered with 503."),
    ] = Milliseconds(10)
    zk_compression: Annotated[bool, Flag(f"Taken, and changes nothing: {_PER_OBJECT}.")] = True
    zk_compression_threshold: Annotated[int, Flag(f"Taken, and changes nothing: {_PER_OBJECT}.")] = 65_536
    zk_max_node_size: Annotated[int, Flag(f"Taken, and changes nothing: {_PER_OBJECT}.")] = 1_024_000
    zk_max_versions: Annotated[
        int, Flag("How many versions of each app and pod, and of the root group, are kept.")
    ] = 50
    store_cache: Annotated[bool, Flag("Taken, and changes nothing: the leader has everything in memory.")] = (
        True
    )
    group_versions_cache_size: Annotated[
        int, Flag("Taken, and changes nothing: the leader has everything in memory.")
    ] = 1000
    storage_compaction_interval: Annotated[
        Seconds, Flag("Taken, and changes nothing: old versions go when new ones are stored.")
    ] = Seconds(30)

    framework_name: Annotated[str, Flag("Our name in the cluster.")] = "marathon"
    checkpoint: Annotated[bool, Flag("Let tasks survive restarts of their agent.")] = True
    mesos_role: Annotated[str, Flag("The role of apps that do not say theirs.")] = "*"
    mesos_user: Annotated[
        str | None, Flag("The user that tasks run as, if their app does not say; without it ours.")
    ] = None
    mesos_leader_ui_url: Annotated[
        str | None, Flag("Where people find the master's page; without it the master's address.")
    ] = None
    new_group_enforce_role: Annotated[
        Literal["off", "top"],
        Flag("Whether apps in new top-level groups must have the group's name as role."),
    ] = "off"
    accepted_resource_roles_default_behavior: Annotated[
        Literal["any", "unreserved", "reserved"],
        Flag("Which resources apps take that do not say acceptedResourceRoles."),
    ] = "any"
    enable_features: Annotated[
        Names,
        Flag(
            "What of task_killing (kills are shown while they take effect) and gpu_resources (agents with GPUs are offered) is"
            " switched on, with commas. vips is taken, too, and changes nothing: its labels are passed on in any case."
        ),
    ] = Names()
    gpu_scheduling_behavior: Annotated[
        Literal["restricted", "unrestricted"],
        Flag("Whether agents with GPUs are kept for apps that want some (restricted)."),
    ] = "restricted"
    maintenance_mode: Annotated[bool, Flag("Launch nothing on agents whose maintenance has begun.")] = True
    local_port_min: Annotated[int, Flag("The first port that is given out as a service port.")] = 10_000
    local_port_max: Annotated[int, Flag("The first one that is not.")] = 20_000
    default_network_name: Annotated[
        str | None, Flag("The network of containers that do not name theirs.")
    ] = None
    mesos_bridge_name: Annotated[str, Flag("The network of bridged containers.")] = "mesos-bridge"
    executor: Annotated[str, Flag("The executor of apps that do not say theirs.")] = "//cmd"
    env_vars_prefix: Annotated[
        str | None, Flag("What stands before HOST and the names of PORT variables in tasks.")
    ] = None

    task_launch_timeout: Annotated[
        Milliseconds, Flag("How long a task may be staging before it is killed and launched anew.")
    ] = Milliseconds(300)
    task_launch_confirm_timeout: Annotated[
        Milliseconds, Flag("How long it may take until we hear of a task that was launched.")
    ] = Milliseconds(300)
    task_lost_expunge_initial_delay: Annotated[
        Milliseconds,
        Flag(
            "How long a new leader waits, at least, before it gives up instances that were unreachable before it led."
        ),
    ] = Milliseconds(300)
    task_lost_expunge_interval: Annotated[
        Milliseconds,
        Flag("Taken, and changes nothing: unreachable instances are given up when their time is over."),
    ] = Milliseconds(30)
    reconciliation_initial_delay: Annotated[
        Milliseconds, Flag("When a new leader asks the master for the state of all tasks.")
    ] = Milliseconds(15)
    reconciliation_interval: Annotated[Milliseconds, Flag("How often it asks again.")] = Milliseconds(600)
    scale_apps_initial_delay: Annotated[
        Milliseconds, Flag("When a new leader looks whether each app has its instances.")
    ] = Milliseconds(15)
    scale_apps_interval: Annotated[Milliseconds, Flag("How often it looks again.")] = Milliseconds(300)
    decline_offer_duration: Annotated[
        Milliseconds, Flag("How long what we do not need is not offered to us again.")
    ] = Milliseconds(120)
    min_revive_offers_interval: Annotated[
        Milliseconds, Flag("How long there is between two requests for offers of a role, at least.")
    ] = Milliseconds(5)
    suppress_offers: Annotated[bool, Flag("Ask for no offers while there is nothing to launch.")] = True
    max_instances_per_offer: Annotated[int, Flag("How many instances are launched on one offer.")] = 5
    offer_matching_timeout: Annotated[
        Milliseconds, Flag("Taken, and changes nothing: offers are answered as they come.")
    ] = Milliseconds(3)
    launch_tokens: Annotated[int, Flag("How many tasks may be launched before some of them are running.")] = (
        100
    )
    launch_token_refresh_interval: Annotated[
        Milliseconds, Flag("How often that many may be launched whatever runs.")
    ] = Milliseconds(30)
    max_running_deployments: Annotated[int, Flag("More deployments at a time are refused.")] = 100
    max_concurrent_marathon_health_checks: Annotated[
        int, Flag("How many health checks of Marathon's own are under way at a time.")
    ] = 256
    kill_chunk_size: Annotated[int, Flag("How many kills are under way at a time.")] = 100
    kill_retry_timeout: Annotated[Milliseconds, Flag("When a kill that had no effect is repeated.")] = (
        Milliseconds(30)
    )
    event_stream_max_outstanding_messages: Annotated[
        int, Flag("A reader of the event stream that has more events than that before him is cut off.")
    ] = 1024
    metrics_name_prefix: Annotated[str, Flag("What the names of all numbers begin with.")] = "marathon"

    def __post_init__(self) -> None:
        self.check()
        if self.zk is None and self.work_dir is None:
            raise ValueError("--zk is required (or --work_dir, to keep everything on this machine)")
        if self.zk is not None and not self.zk.path:
            raise ValueError("--zk needs a path: zk://host:port/marathon")
        if not 1 <= self.local_port_min < self.local_port_max <= 65536:
            raise ValueError("--local_port_min and --local_port_max must be ports, the first below the other")
        for name in (
            "zk_max_versions",
            "max_instances_per_offer",
            "launch_tokens",
            "max_running_deployments",
            "max_concurrent_marathon_health_checks",
            "kill_chunk_size",
            "event_stream_max_outstanding_messages",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be 1 at least")
        if unknown := [name for name in self.enable_features if name not in FEATURES]:
            raise ValueError(
                f"--enable_features: there is no '{unknown[0]}'; there are {', '.join(sorted(FEATURES))}"
            )
