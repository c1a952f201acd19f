"""Time in a study, and what happens next.

Time goes in *ticks* of a millisecond. A message takes one, so all that was sent in one tick arrives with the next, in
the order in which it was sent; only what takes longer needs a heap. A *turn* is all that happens in one tick; at its end
the master looks at what it brought, as at the end of a turn of its event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil, inf
from typing import Any

TICK_S = 0.001
#: What lies so little after a tick is on it, as sums of floats are not exact.
_NEARLY_S = 1e-6


class Clock:
    """The time, timers, and messages under way."""

    def __init__(self, begin_s: float) -> None:
        self.now = begin_s
        self._begin_s = begin_s
        self._tick = 0
        self._wake: float = inf  #: at the latest then there is a turn, even if nothing happens
        self._mail: list[tuple[Callable[[Any], None], Any]] = []
        self._mail_tick = 0  #: when it arrives
        self._timers: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._set = 0

    def at(self, at_s: float, call: Callable[[Any], None], argument: Any = None) -> None:
        """Call at that time; what is set for the same tick is called in the order of setting."""
        self._set += 1
        heappush(self._timers, (self._tick_at(at_s), self._set, call, argument))

    def post(self, call: Callable[[Any], None], argument: Any) -> None:
        """Call when a message that is sent now arrives."""
        self._mail_tick = self._tick + 1
        self._mail.append((call, argument))

    def wake(self, at_s: float) -> None:
        """There is a turn at that time, and not a moment before, in place of the one asked for last."""
        tick = ceil((at_s - self._begin_s) / TICK_S)
        self._wake = tick if self._begin_s + tick * TICK_S >= at_s else tick + 1

    def _tick_at(self, at_s: float) -> int:
        return max(self._tick, ceil((at_s - self._begin_s - _NEARLY_S) / TICK_S))

    def run(self, until_s: float, end_turn: Callable[[], None]) -> None:
        """Let time pass until then."""
        timers, last = self._timers, int((until_s - self._begin_s + _NEARLY_S) / TICK_S)
        while True:
            tick: float = self._mail_tick if self._mail else inf
            if timers and timers[0][0] < tick:
                tick = timers[0][0]
            if self._wake < tick:
                tick = self._wake
            if tick > last:
                break
            self._tick = int(tick)
            self.now = self._begin_s + tick * TICK_S
            if self._mail and self._mail_tick <= tick:
                mail, self._mail = self._mail, []
                for call, argument in mail:
                    call(argument)
            while timers and timers[0][0] <= tick:
                _, _, call, argument = heappop(timers)
                call(argument)
            self._wake = inf
            end_turn()
        self._tick = max(self._tick, last)
        self.now = self._begin_s + self._tick * TICK_S
