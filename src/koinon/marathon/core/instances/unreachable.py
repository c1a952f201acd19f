"""Instances whose agent cannot be reached: when others stand in for them, and when they are given up.

Unreachable ─ `inactiveAfterSeconds` ─▶ UnreachableInactive: it counts no more, another is launched
            ─ `expungeAfterSeconds` ──▶ forgotten; killed if it ever comes back

Timers do it, at the second; Marathon looked when it reconciled.
"""

from __future__ import annotations

from msgspec.structs import replace

from koinon.marathon.core.context import Core
from koinon.marathon.core.instances import ending
from koinon.marathon.core.state import LOST
from koinon.marathon.model import App, Instance, versions
from koinon.marathon.model.app import UnreachableStrategy


def lost(core: Core, instance: Instance) -> None:
    """It is out of reach from now on."""
    if instance.goal == "Decommissioned" or instance.kill_asked_at is not None:
        ending.decommission(core, instance)
    else:
        look(core, instance.id)


def found(core: Core, instance: Instance) -> None:
    """It is back. If there are too many now, the number is put right (`scaling`)."""
    core.alarms.cancel(look, instance.id)


def look(core: Core, instance_id: str) -> None:
    """Whatever is due now by the strategy of its app is done; nothing if it has been given up meanwhile."""
    instance = core.state.instances.get(instance_id)
    if instance is None or instance.condition not in LOST:
        return
    strategy = strategy_of(core, instance)
    if strategy is None:
        return
    since_s = versions.seconds(instance.unreachable_since or core.stamp())
    inactive_s, expunge_s = (
        since_s + strategy.inactive_after_seconds,
        since_s + strategy.expunge_after_seconds,
    )
    # Timestamps have milliseconds, `now` has more of them.
    if core.now + 0.001 >= expunge_s:
        ending.forget(core, instance)
        return
    if core.now + 0.001 >= inactive_s and instance.condition == "Unreachable":
        core.put(replace(instance, condition="UnreachableInactive", since=core.stamp()))
    core.alarms.set(inactive_s if core.now + 0.001 < inactive_s else expunge_s, look, instance_id)


def look_at_all(core: Core, path: str) -> None:
    """An app or pod is defined otherwise."""
    for instance in [one for one in core.state.instances_of(path) if one.condition in LOST]:
        look(core, instance.id)


def resume(core: Core, instance: Instance) -> None:
    """It was out of reach when a leader before us heard of it last; it may have come back meanwhile."""
    core.alarms.set(core.now + core.config.task_lost_expunge_initial_delay_s, look, instance.id)


def strategy_of(core: Core, instance: Instance) -> UnreachableStrategy | None:
    """What its app or pod wants; None: wait for ever."""
    spec = core.state.root.run_spec(instance.run_spec)
    if spec is None:
        return UnreachableStrategy()
    chosen = spec.unreachable_strategy if isinstance(spec, App) else spec.scheduling.unreachable_strategy
    return None if chosen == "disabled" else chosen
