"""Probes: who is asked how it is, by checks that are ours to make. What is answered is `health`'s."""

from __future__ import annotations

from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Probe, StopProbe
from koinon.marathon.core.instances import readiness
from koinon.marathon.core.instances.addresses import address
from koinon.marathon.model import App, Instance

#: The first answer is wanted soon, however long the interval.
_FIRST_DELAY_MAX_S = 5.0


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


def _key(instance: Instance, number: int) -> str:
    return f"health/{instance.id}/{instance.incarnation}/{number}"
