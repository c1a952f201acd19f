"""Health: what Marathon's own checks find, what agents tell, and the end of those that stay ill.

Protocols HTTP, HTTPS and TCP are asked from here (`Probe`, answered by `Probed`), the others by the agent. A failure
during the grace period, before the first success, counts for nothing. On the N-th failure in a row the instance is
killed; Marathon waited for one more. Results live as long as this leader.
"""

from __future__ import annotations

from msgspec.structs import replace

from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Probed, StopProbe
from koinon.marathon.core.instances import ending, readiness
from koinon.marathon.core.state import HealthResult
from koinon.marathon.model import App, Instance, Pod, ids, versions
from koinon.marathon.model.app import HealthCheck
from koinon.marathon.model.records import Task
from koinon.mesos import v1


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
    ending.note_failure(core, instance, reason)
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
    ending.kill(core, instance)
