"""Killing: at most so many at once, and again until they have ended.

An instance is killed task by task; the agent gives each its grace period. Whoever is asked to die and does not answer is
asked again every 30 s. Instances that cannot be asked are forgotten instead (`instances.decommission`).
"""

from __future__ import annotations

from msgspec.structs import replace

from koinon.marathon.core import instances
from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Kill
from koinon.marathon.core.state import LOST, TERMINAL
from koinon.marathon.model import Instance


def kill(core: Core, instance: Instance) -> None:
    """The instance shall end. What comes after that its goal says."""
    state = core.state
    if instance.condition in LOST:
        instances.decommission(core, instance)
    elif instance.condition != "Scheduled" and not _is_asked(core, instance):
        if instance.kill_asked_at is None:
            core.put(replace(instance, kill_asked_at=core.stamp()))
        state.kills_waiting[instance.id] = None
        _go_on(core)


def heard(core: Core, instance: Instance) -> None:
    """It is dying, and takes its time: others may be killed meanwhile."""
    if core.state.kills_sent.pop(instance.id, 0) is None:
        _go_on(core)


def ended(core: Core, instance: Instance) -> None:
    """It lives no more."""
    state = core.state
    core.alarms.cancel(remind, instance.id)
    state.kills_waiting.pop(instance.id, None)
    if state.kills_sent.pop(instance.id, 0) is None:
        _go_on(core)


def resume(core: Core) -> None:
    """A master hears us: who was to die is asked again."""
    state = core.state
    state.kills_waiting, state.kills_sent = {}, {}
    for instance in list(state.instances.values()):
        if instance.goal == "Decommissioned" or instance.kill_asked_at is not None:
            core.alarms.cancel(remind, instance.id)
            kill(core, instance)


def remind(core: Core, instance_id: str) -> None:
    """It should have ended by now."""
    instance = core.state.instances.get(instance_id)
    if instance is None or instance.condition in TERMINAL:
        return
    if instance.condition in LOST:
        instances.decommission(core, instance)
    elif instance.condition != "Scheduled":
        _ask(core, instance)


def _is_asked(core: Core, instance: Instance) -> bool:
    """Whether it waits for its turn, or will be reminded."""
    return instance.id in core.state.kills_waiting or core.alarms.is_set(remind, instance.id)


def _go_on(core: Core) -> None:
    state = core.state
    while state.kills_waiting and len(state.kills_sent) < core.config.kill_chunk_size:
        instance_id = next(iter(state.kills_waiting))
        del state.kills_waiting[instance_id]
        state.kills_sent[instance_id] = None
        _ask(core, state.instances[instance_id])


def _ask(core: Core, instance: Instance) -> None:
    for task in instance.tasks:
        if task.condition not in TERMINAL:
            core.effects.append(Kill(task.id, instance.agent.agent_id if instance.agent else None))
    core.alarms.set(core.now + core.config.kill_retry_timeout_s, remind, instance.id)
