"""Turns: work that may come by the thousand at once is done in its order, and a little in each turn of the event loop.

When a master takes over, all agents of a cluster connect and register within seconds; when a large job is launched, all
report at the same moment. Done as it comes, that would hold the loop for as long as it takes: nobody else would be answered
meanwhile, and the lease on the leadership could run out unrenewed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

#: So long, in one turn of the loop, such work goes on.
_TURN_S = 0.004


class Turns:
    """A queue of such work, for one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._spent_s = 0.0  #: in this turn
        self._turning = False  #: `_turn` will be called in the next turn of the loop

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, work: Callable[[], None]) -> None:
        """Do `work`, which must not raise, when its turn comes; never before `add` has returned."""
        self._waiting.append(work)
        self._turn_soon()

    async def do(self, work: Callable[[], None]) -> None:
        """Do `work`, at once if there is time left in this turn and nobody waits; returns when it is done.

        Raises what it raises. It is not done when the caller is cancelled before.
        """
        if not self._waiting and self._spent_s < _TURN_S:
            self._turn_soon()
            begun_s = time.perf_counter()
            try:
                work()
            finally:
                self._spent_s += time.perf_counter() - begun_s
            return
        done: asyncio.Future[None] = self._loop.create_future()

        def run() -> None:
            if done.cancelled():
                return
            try:
                work()
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self.add(run)
        await done

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """A new turn has begun."""
        self._turning = False
        waiting = self._waiting
        begun_s = now_s = time.perf_counter()
        while waiting and now_s < begun_s + _TURN_S:
            self._turn_soon()
            waiting.popleft()()
            now_s = time.perf_counter()
        self._spent_s = now_s - begun_s
