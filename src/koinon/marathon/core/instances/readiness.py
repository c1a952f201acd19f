"""Readiness checks: a new instance counts for its deployment when it has passed its own once.

They are made while something is being deployed, of instances of the newest configuration, and what they found is
forgotten when that is over. A new leader asks again.
"""

from __future__ import annotations

from koinon.marathon.core import planner
from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Probe, Probed, StopProbe
from koinon.marathon.core.instances.addresses import address, index_of_port
from koinon.marathon.core.state import ReadinessResult
from koinon.marathon.model import App, Instance

PREFIX = "ready"


def is_ready(core: Core, instance: Instance) -> bool:
    """Whether it counts. If nobody has asked it yet, it is asked from now on."""
    spec = core.state.root.apps.get(instance.run_spec)
    if spec is None or not spec.readiness_checks or not planner.is_up_to_date(instance, spec):
        return True
    result = core.state.readiness.get(instance.id)
    if result is not None and result.task_id == instance.tasks[0].id:
        return result.ready
    _ask(core, instance, spec)
    return False


def answered(core: Core, event: Probed) -> None:
    """An answer, or none."""
    found = instance_of_key(core, event.key)
    spec = None if found is None else core.state.root.apps.get(found.run_spec)
    if found is None or spec is None or not spec.readiness_checks or found.id not in core.state.readiness:
        core.effects.append(StopProbe(event.key))
        return
    check = spec.readiness_checks[0]
    response = (event.status, event.content_type, event.body)
    if not event.status:
        response = (504, "text/plain", event.cause)
    core.state.readiness[found.id] = ReadinessResult(
        name=check.name,
        task_id=found.tasks[0].id,
        ready=event.passed,
        last_response=response if check.preserve_last_response else None,
    )
    if event.passed:
        core.effects.append(StopProbe(event.key))
        core.touched[found.run_spec] = None


def stop(core: Core, path: str) -> None:
    """The deployment of the app is over."""
    if path not in core.state.root.apps:
        return
    for instance in core.state.instances_of(path):
        forget(core, instance)


def forget(core: Core, instance: Instance) -> None:
    """It has ended, or is not asked any more."""
    result = core.state.readiness.pop(instance.id, None)
    if result is not None and not result.ready:
        core.effects.append(StopProbe(key_of(instance)))


def key_of(instance: Instance) -> str:
    """Of the probe."""
    return f"{PREFIX}/{instance.id}/{instance.incarnation}"


def instance_of_key(core: Core, key: str) -> Instance | None:
    """Whom a probe's key is of, if that is still the same task."""
    _, instance_id, incarnation, *_ = key.split("/")
    instance = core.state.instances.get(instance_id)
    if instance is None or instance.incarnation != int(incarnation) or instance.condition != "Running":
        return None
    return instance


def _ask(core: Core, instance: Instance, spec: App) -> None:
    check = spec.readiness_checks[0]
    target = address(instance, spec, index_of_port(spec, check.port_name))
    if target is None:
        return
    core.state.readiness[instance.id] = ReadinessResult(check.name, instance.tasks[0].id, ready=False)
    core.effects.append(
        Probe(
            key_of(instance),
            check.protocol,
            *target,
            path=check.path,
            delay_s=0.0,
            interval_s=check.interval_seconds,
            timeout_s=check.timeout_seconds,
            passing=check.http_status_codes_for_ready,
            keep_body=check.preserve_last_response,
        )
    )
