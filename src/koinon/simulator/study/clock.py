"""Time in a study, and what happens next.

All messages take equally long, so they arrive in the order in which they were sent: a queue will do for them, and
only what takes different times needs a heap. A *turn* is all that happens at one moment; at its end the master looks
at what it brought, as at the end of a turn of its event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Any


class Clock:
    """The time, timers, and messages under way."""

    def __init__(self, begin_s: float, latency_s: float) -> None:
        self.now = begin_s
        self.wake_s = inf  #: at the latest then there is a turn, even if nothing happens
        self._latency_s = latency_s
        self._mail: deque[tuple[float, Callable[[Any], None], Any]] = deque()
        self._timers: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._set = 0

    def at(self, at_s: float, call: Callable[[Any], None], argument: Any = None) -> None:
        """Call at that time; what is set for the same time is called in the order of setting."""
        self._set += 1
        heappush(self._timers, (at_s, self._set, call, argument))

    def post(self, call: Callable[[Any], None], argument: Any) -> None:
        """Call when a message that is sent now arrives."""
        self._mail.append((self.now + self._latency_s, call, argument))

    def run(self, until_s: float, end_turn: Callable[[], None]) -> None:
        """Let time pass until then."""
        mail, timers = self._mail, self._timers
        while True:
            now = mail[0][0] if mail else inf
            if timers and timers[0][0] < now:
                now = timers[0][0]
            if self.wake_s < now:
                now = self.wake_s
            if now > until_s:
                break
            self.now = now
            while mail and mail[0][0] <= now:
                _, call, argument = mail.popleft()
                call(argument)
            while timers and timers[0][0] <= now:
                _, _, call, argument = heappop(timers)
                call(argument)
            end_turn()
        self.now = until_s
