"""Delays between launches of apps that fail, as they are kept for each app and pod."""

from __future__ import annotations

from koinon.marathon.core import delays
from koinon.marathon.core.context import Core
from koinon.marathon.core.delays import Delay
from koinon.marathon.core.queue import ANY
from koinon.marathon.model import Instance
from koinon.marathon.model.root import RunSpec


def failed(core: Core, spec: RunSpec) -> None:
    """An instance came to an end that counts."""
    _set(core, spec.id, delays.after_failure(core.state.delays.get(spec.id), spec, core.now))


def progressed(core: Core, instance: Instance) -> None:
    """An instance is provisioned, staged, starting or running now."""
    delay = core.state.delays.get(instance.run_spec)
    if delay is not None and delay.config == instance.config:
        _set(core, instance.run_spec, delays.after_progress(delay, core.now))
    if instance.condition == "Running":
        _return_token(core)


def reset(core: Core, spec_id: str) -> None:
    """It may be launched at once."""
    if core.state.delays.pop(spec_id, None) is not None:
        core.alarms.cancel(look, spec_id)
        core.queued[spec_id] = None


def delayed_until(core: Core, spec_id: str, config: str) -> float | None:
    """When that configuration may be launched; None if it may be now."""
    delay = core.state.delays.get(spec_id)
    if delay is None or delay.config != config or delay.until <= core.now:
        return None
    return delay.until


def look(core: Core, spec_id: str) -> None:
    """The delay is over, or to be forgotten."""
    delay = core.state.delays.get(spec_id)
    if delay is None:
        return
    core.queued[spec_id] = None
    if delay.forgotten_at <= core.now:
        del core.state.delays[spec_id]
    else:
        core.alarms.set(delay.until if core.now < delay.until else delay.forgotten_at, look, spec_id)


def _return_token(core: Core) -> None:
    """A launch came to its end, so another one may go out."""
    launches = core.state.launches
    launches.tokens = min(launches.tokens + 1, core.config.launch_tokens)
    if launches.starved:
        core.queued[ANY] = None


def _set(core: Core, spec_id: str, delay: Delay) -> None:
    core.state.delays[spec_id] = delay
    core.queued[spec_id] = None
    core.alarms.set(delay.until, look, spec_id)
