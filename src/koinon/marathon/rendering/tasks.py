"""Tasks of apps as the API shows them: as JSON, as lines of text, and as statistics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from koinon.marathon.model import App, Instance, TaskFailure, versions
from koinon.marathon.model.app import PortMapping
from koinon.marathon.model.records import Condition, Task

#: The state of Mesos's that stands for a condition when no status says more.
_STATES: Mapping[Condition, str] = {
    "Scheduled": "TASK_STAGING",
    "Provisioned": "TASK_STAGING",
    "Staging": "TASK_STAGING",
    "Starting": "TASK_STARTING",
    "Running": "TASK_RUNNING",
    "Killing": "TASK_KILLING",
    "Finished": "TASK_FINISHED",
    "Failed": "TASK_FAILED",
    "Killed": "TASK_KILLED",
    "Error": "TASK_ERROR",
    "Gone": "TASK_GONE",
    "Dropped": "TASK_DROPPED",
    "Unknown": "TASK_UNKNOWN",
    "Unreachable": "TASK_UNREACHABLE",
    "UnreachableInactive": "TASK_UNREACHABLE",
}
_ENDED: frozenset[Condition] = frozenset(
    ("Finished", "Failed", "Killed", "Error", "Gone", "Dropped", "Unknown")
)


class Health(Protocol):
    """What a health check has found of an instance; times are timestamps."""

    alive: bool
    consecutive_failures: int
    first_success: str | None
    last_success: str | None
    last_failure: str | None
    last_failure_cause: str | None


def tasks_of(instance: Instance) -> Sequence[Task]:
    """Those that an agent has, or had last; none while the instance waits to be launched."""
    return () if instance.condition == "Scheduled" or instance.agent is None else instance.tasks


def state_of(task: Task) -> str:
    """`TASK_RUNNING` and so on."""
    return _STATES[task.condition]


def render_task(
    instance: Instance,
    task: Task,
    health: Collection[Health] = (),
    *,
    service_ports: Sequence[int] | None = None,
) -> dict[str, Any]:
    """One task, with the results of its health checks; with service ports where they are shown."""
    agent = instance.agent
    made: dict[str, Any] = {
        "id": task.id,
        "appId": instance.run_spec,
        "host": agent.hostname if agent is not None else "",
        "slaveId": agent.agent_id if agent is not None else "",
        "state": state_of(task),
        "role": instance.role,
        "ipAddresses": [address(one) for one in task.ip_addresses],
        "localVolumes": [],
        "healthCheckResults": [_health_result(instance, one) for one in health],
    }
    if task.condition in _ENDED:
        made["ports"] = []
    else:
        made["ports"] = list(task.host_ports)
        made["version"] = instance.version
        if task.staged_at is not None:
            made["stagedAt"] = task.staged_at
        if task.started_at is not None:
            made["startedAt"] = task.started_at
    if service_ports is not None:
        made["servicePorts"] = list(service_ports)
    if agent is not None and agent.region is not None:
        made["region"] = agent.region
    if agent is not None and agent.zone is not None:
        made["zone"] = agent.zone
    if task.check is not None:
        made["checkResult"] = task.check
    return made


def address(ip: str) -> dict[str, str]:
    """An IP address with its protocol."""
    return {"ipAddress": ip, "protocol": "IPv6" if ":" in ip else "IPv4"}


def _health_result(instance: Instance, health: Health) -> dict[str, Any]:
    made: dict[str, Any] = {
        "alive": health.alive,
        "consecutiveFailures": health.consecutive_failures,
        "instanceId": instance.id,
    }
    for name, value in (
        ("firstSuccess", health.first_success),
        ("lastSuccess", health.last_success),
        ("lastFailure", health.last_failure),
        ("lastFailureCause", health.last_failure_cause),
    ):
        if value is not None:
            made[name] = value
    return made


def render_failure(failure: TaskFailure) -> dict[str, Any]:
    """`lastTaskFailure`."""
    made = {
        "appId": failure.app_id,
        "taskId": failure.task_id,
        "state": failure.state,
        "message": failure.message,
        "host": failure.host,
        "version": failure.version,
        "timestamp": failure.timestamp,
    }
    return made if failure.slave_id is None else made | {"slaveId": failure.slave_id}


# ── as text, for load balancers ───────────────────────────────────────────────────────────────────
def endpoints(app: App, instances: Collection[Instance], networks: frozenset[str]) -> Iterator[str]:
    """A line for each service port of the app: its id, the port, and where it is served, with tabs between them.

    Container networks of `networks` (`*`: all) are told, too.
    """
    name = app.id.strip("/").replace("/", "_")
    running = [one for one in instances if one.condition == "Running" and one.agent is not None]
    if not app.service_ports:
        yield _line(name, " ", [one.agent.hostname for one in running if one.agent is not None])
        return
    mappings = app.container.port_mappings if app.container is not None else None
    host_port_at = 0
    for at, service_port in enumerate(app.service_ports):
        mapping = mappings[at] if app.port_definitions is None and mappings else None
        if mapping is not None and mapping.host_port is None:
            served = _in_network(app, mapping, running, networks)
        else:
            served = [
                f"{one.agent.hostname}:{task.host_ports[host_port_at]}"
                for one in running
                for task in one.tasks
                if one.agent is not None and host_port_at < len(task.host_ports)
            ]
            host_port_at += 1
        yield _line(name, str(service_port), served)


def _in_network(
    app: App, mapping: PortMapping, running: Collection[Instance], networks: frozenset[str]
) -> list[str]:
    names = mapping.network_names or [one.name for one in app.networks if one.mode == "container"]
    if not ("*" in networks and names) and not networks & {name for name in names if name is not None}:
        return []
    found = []
    for instance in running:
        for task in instance.tasks:
            found += [
                f"[{ip}]:{mapping.container_port}" if ":" in ip else f"{ip}:{mapping.container_port}"
                for ip in task.ip_addresses[:1]
            ]
    return found


def _line(name: str, port: str, served: Sequence[str]) -> str:
    return "\t".join((name, port, *served, "")) + "\n"


# ── statistics ────────────────────────────────────────────────────────────────────────────────────
def task_stats(
    app: App,
    instances: Collection[Instance],
    is_healthy: Callable[[Instance], bool | None],
    now: float,
) -> dict[str, Any]:
    """`taskStats` of an app: by what its tasks were started from, and of all."""
    info = app.version_info
    scaled_at = info.last_scaling_at if info is not None else app.version
    changed_at = info.last_config_change_at if info is not None else app.version
    of = [one for one in instances if tasks_of(one) and one.condition not in _ENDED]
    parts = {
        "startedAfterLastScaling": [one for one in of if one.version >= scaled_at],
        "withLatestConfig": [one for one in of if one.version >= changed_at],
        "withOutdatedConfig": [one for one in of if one.version < changed_at],
        "totalSummary": of,
    }
    return {name: {"stats": _stats(some, is_healthy, now)} for name, some in parts.items() if some}


def _stats(
    instances: Sequence[Instance], is_healthy: Callable[[Instance], bool | None], now: float
) -> dict[str, Any]:
    healths = [is_healthy(one) for one in instances if one.condition == "Running"]
    made: dict[str, Any] = {
        "counts": {
            "staged": sum(one.condition in ("Provisioned", "Staging") for one in instances),
            "running": len(healths),
            "healthy": healths.count(True),
            "unhealthy": healths.count(False),
        }
    }
    ages = [
        now - versions.seconds(task.started_at)
        for one in instances
        for task in one.tasks
        if task.started_at is not None
    ]
    if ages:
        from statistics import median  # which brings more along than this page is worth

        made["lifeTime"] = {
            "averageSeconds": round(sum(ages) / len(ages), 3),
            "medianSeconds": round(median(ages), 3),
        }
    return made
