"""How long an app that fails waits before it is launched again. Pure.

first failure   backoff, but no more than the longest delay
each further    × factor, up to the longest delay
progress        the delay begins anew whenever an instance is provisioned, staged, starting or running
peace           without failure or progress for as long as the longest delay, and a little more, it is forgotten
"""

from __future__ import annotations

from msgspec import Struct

from koinon.marathon.model import App
from koinon.marathon.model.root import RunSpec

#: Who has waited for the longest delay needs a moment to be launched. If the delay were forgotten before that, an app that
#: always fails would begin with the shortest one again.
_MOMENT_S = 10.0


class Delay(Struct, frozen=True, gc=False):
    """Of one configuration of an app or pod. Times are seconds."""

    config: str  #: version of the configuration; another one knows no delay
    since: float  #: the latest failure or progress
    length_s: float
    longest_s: float

    @property
    def until(self) -> float:
        """When the next launch may be."""
        return self.since + self.length_s

    @property
    def forgotten_at(self) -> float:
        """When it is no more, unless something happens."""
        return self.since + max(self.longest_s, self.length_s) + _MOMENT_S


class Strategy(Struct, frozen=True, gc=False):
    """What an app or pod says about it."""

    backoff_s: float
    factor: float
    longest_s: float


def strategy_of(spec: RunSpec) -> Strategy:
    """Of an app or a pod."""
    if isinstance(spec, App):
        return Strategy(spec.backoff_seconds, spec.backoff_factor, spec.max_launch_delay_seconds)
    backoff = spec.scheduling.backoff
    return Strategy(backoff.backoff, backoff.backoff_factor, backoff.max_launch_delay)


def config_of(spec: RunSpec) -> str:
    """The version of its configuration: scaling does not change it."""
    return spec.version if spec.version_info is None else spec.version_info.last_config_change_at


def after_failure(delay: Delay | None, spec: RunSpec, now: float) -> Delay:
    """The delay after one more failure."""
    strategy, config = strategy_of(spec), config_of(spec)
    length_s = strategy.backoff_s
    if delay is not None and delay.config == config:
        length_s = delay.length_s * strategy.factor
    return Delay(config, now, min(length_s, strategy.longest_s), strategy.longest_s)


def after_progress(delay: Delay, now: float) -> Delay:
    """The delay when an instance got on."""
    return Delay(delay.config, now, delay.length_s, delay.longest_s)
