"""Killing: at most so many at once, and again until they have ended.

An instance is killed task by task; the agent gives each its grace period. Whoever is asked to die and does not answer is
asked again every 30 s.
"""

from __future__ import annotations

from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Kill
from koinon.marathon.core.state import TERMINAL
from koinon.marathon.model import Instance


def ask(core: Core, instance: Instance) -> None:
    """The instance shall end, as soon as it is its turn."""
    if instance.id not in core.state.kills_waiting and not core.alarms.is_set(remind, instance.id):
        core.state.kills_waiting[instance.id] = None
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


def begin_anew(core: Core) -> None:
    """Nobody has been asked."""
    core.state.kills_waiting, core.state.kills_sent = {}, {}
    for instance_id in core.state.instances:
        core.alarms.cancel(remind, instance_id)


def remind(core: Core, instance_id: str) -> None:
    """It should have ended by now."""
    instance = core.state.instances.get(instance_id)
    if instance is not None and instance.condition not in TERMINAL | {"Scheduled"}:
        _kill(core, instance)


def _go_on(core: Core) -> None:
    state = core.state
    while state.kills_waiting and len(state.kills_sent) < core.config.kill_chunk_size:
        instance_id = next(iter(state.kills_waiting))
        del state.kills_waiting[instance_id]
        state.kills_sent[instance_id] = None
        _kill(core, state.instances[instance_id])


def _kill(core: Core, instance: Instance) -> None:
    for task in instance.tasks:
        if task.condition not in TERMINAL:
            core.effects.append(Kill(task.id, instance.agent.agent_id if instance.agent else None))
    core.alarms.set(core.now + core.config.kill_retry_timeout_s, remind, instance.id)
