"""Health: what Marathon's own checks find, what agents tell, and the end of those that stay ill.

Protocols HTTP, HTTPS and TCP are asked from here (`Probe`, answered by `Probed`), the others by the agent. A failure
during the grace period, before the first success, counts for nothing. On the N-th failure in a row the instance is
killed; Marathon waited for one more. Results live as long as this leader.
"""

from __future__ import annotations

from msgspec.structs import replace

from koinon.marathon.core import instances, kills, readiness
from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Probe, Probed, StopProbe
from koinon.marathon.core.state import HealthResult
from koinon.marathon.model import App, Instance, Pod, ids, versions
from koinon.marathon.model.app import HealthCheck
from koinon.marathon.model.records import Task
from koinon.mesos import v1

PREFIX = "health"
#: The first answer is wanted soon, however long the interval.
_FIRST_DELAY_MAX_S = 5.0


# ── asking ────────────────────────────────────────────────────────────────────────────────────────
def start(core: Core, instance: Instance) -> None:
    """It runs: its checks that are ours to make begin, unless they are being made."""
    spec = core.state.definition_of(instance)
    if not isinstance(spec, App) or instance.id in core.probes:
        return
    for number, check in enumerate(spec.health_checks):
        target = None if check.by_agent else address(instance, spec, check.port_index or 0, check.port)
        if target is not None:
            interval_s = float(check.interval_seconds)
            core.probes.setdefault(instance.id, []).append(key := _key(instance, number))
            core.effects.append(
                Probe(
                    key,
                    check.protocol,
                    *target,
                    path=check.path or "/",
                    delay_s=min(interval_s, _FIRST_DELAY_MAX_S),
                    interval_s=interval_s,
                    timeout_s=check.timeout_seconds,
                )
            )


def stop(core: Core, instance: Instance) -> None:
    """It cannot be asked any more."""
    core.effects.extend(StopProbe(key) for key in core.probes.pop(instance.id, ()))
    readiness.forget(core, instance)


def address(instance: Instance, spec: App, index: int, port: int | None = None) -> tuple[str, int] | None:
    """Host and port of a declared port of the instance, or of the given one; None if it has none.

    On networks of their own, containers are asked at their own addresses, unless the port is one of the agent's, too.
    """
    assert instance.agent is not None
    task = instance.tasks[0]
    host = instance.agent.hostname
    mappings = (spec.container.port_mappings if spec.container is not None else None) or ()
    has_own_address = any(network.mode == "container" for network in spec.networks)
    if port is not None:
        return (task.ip_addresses[0] if has_own_address and task.ip_addresses else host), port
    if spec.port_definitions is not None:
        return (host, task.host_ports[index]) if index < len(task.host_ports) else None
    if index >= len(mappings):
        return None
    mapping = mappings[index]
    if mapping.host_port is not None:
        on_host = sum(one.host_port is not None for one in mappings[:index])
        return (host, task.host_ports[on_host]) if on_host < len(task.host_ports) else None
    if not task.ip_addresses or not mapping.container_port:
        return None
    return task.ip_addresses[0], mapping.container_port


def index_of_port(spec: App, name: str) -> int:
    """Of the declared port of that name; the first if there is none."""
    mappings = (spec.container.port_mappings if spec.container is not None else None) or ()
    names = [one.name for one in (spec.port_definitions if spec.port_definitions is not None else mappings)]
    return names.index(name) if name in names else 0


def _key(instance: Instance, number: int) -> str:
    return f"{PREFIX}/{instance.id}/{instance.incarnation}/{number}"


# ── what is found ─────────────────────────────────────────────────────────────────────────────────
def answered(core: Core, event: Probed) -> None:
    """A check of ours was answered, or not."""
    instance = readiness.instance_of_key(core, event.key)
    spec = instance and core.state.definition_of(instance)
    number = int(event.key.rsplit("/", 1)[1])
    if instance is None or not isinstance(spec, App) or number >= len(spec.health_checks):
        core.effects.append(StopProbe(event.key))
        return
    check = spec.health_checks[number]
    if check.ignore_http1xx and 100 <= event.status < 200:
        return
    if event.passed:
        _passed(core, instance, number)
        return
    known = core.state.health.get(instance.id, {}).get(number)
    if (known is None or known.first_success is None) and _in_grace(core, instance, check):
        return
    _failed(core, instance, number, event.cause or f"status {event.status}")
    core.publish(
        "failed_health_check_event",
        {"appId": spec.id, "taskId": instance.id, "healthCheck": check},
    )
    failures = core.state.health[instance.id][number].consecutive_failures
    if check.max_consecutive_failures and failures >= check.max_consecutive_failures:
        _kill(core, instance, f"{failures} health checks in a row have failed: {event.cause or event.status}")


def told_by_agent(core: Core, instance: Instance, task: Task, status: v1.TaskStatus) -> None:
    """The agent says how a task is; it ends those itself that stay ill."""
    spec = core.state.definition_of(instance)
    if isinstance(spec, Pod):
        place = ids.parse_task(task.id)
        names = [one.name for one in spec.containers]
        number = names.index(place.container) if place.container in names else 0
    elif spec is not None:
        number = next((at for at, check in enumerate(spec.health_checks) if check.by_agent), 0)
    else:
        number = 0
    if status.healthy:
        _passed(core, instance, number)
    else:
        _failed(core, instance, number, status.message or "told by the agent")


def _in_grace(core: Core, instance: Instance, check: HealthCheck) -> bool:
    began = instance.tasks[0].started_at or instance.since
    return core.now < versions.seconds(began) + check.grace_period_seconds


def _passed(core: Core, instance: Instance, number: int) -> None:
    before = core.state.health.get(instance.id, {}).get(number) or HealthResult()
    after = replace(before, alive=True, consecutive_failures=0, last_success=core.stamp())
    after.first_success = after.first_success or after.last_success
    _note(core, instance, number, after)


def _failed(core: Core, instance: Instance, number: int, cause: str) -> None:
    before = core.state.health.get(instance.id, {}).get(number) or HealthResult()
    after = replace(
        before,
        alive=False,
        consecutive_failures=before.consecutive_failures + 1,
        last_failure=core.stamp(),
        last_failure_cause=cause,
    )
    _note(core, instance, number, after)


def _note(core: Core, instance: Instance, number: int, after: HealthResult) -> None:
    state = core.state
    before = state.health.get(instance.id, {}).get(number)
    was_healthy = state.is_healthy(instance)
    state.set_health(instance, number, after)
    if before is None or before.alive != after.alive:
        core.publish(
            "health_status_changed_event",
            {
                "appId": instance.run_spec,
                "instanceId": instance.id,
                "version": instance.version,
                "alive": after.alive,
            },
        )
        core.touched[instance.run_spec] = None
    if was_healthy != (healthy := state.is_healthy(instance)):
        core.publish(
            "instance_health_changed_event",
            {
                "instanceId": instance.id,
                "runSpecId": instance.run_spec,
                "healthy": healthy,
                "runSpecVersion": instance.version,
            },
        )


def _kill(core: Core, instance: Instance, reason: str) -> None:
    if instance.kill_asked_at is not None:
        return
    instances.note_failure(core, instance, reason)
    agent = instance.agent
    core.publish(
        "unhealthy_instance_kill_event",
        {
            "appId": instance.run_spec,
            "taskId": instance.tasks[0].id,
            "instanceId": instance.id,
            "version": instance.version,
            "reason": reason,
            "host": agent.hostname if agent else "",
            "slaveId": agent.agent_id if agent else None,
        },
    )
    kills.kill(core, instance)
