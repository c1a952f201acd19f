"""Turns: work that may come by the thousand at once is done in its order, and a little in each turn of the event loop.

When a master takes over, all agents of a cluster connect and register within a second or two. Done as it comes, that
would hold the loop for as long as it takes: nobody would be answered meanwhile, and the lease on the leadership could
run out unrenewed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

#: So long, in one turn of the loop, such work goes on.
_TURN_S = 0.004


class Turns:
    """A queue of such work."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, work: Callable[[], None]) -> None:
        """Do `work`, which must not raise, when its turn comes; never before `add` has returned."""
        self._waiting.append(work)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._take_turn)

    async def do(self, work: Callable[[], None]) -> None:
        """Returns when `work` is done, and raises what it raises; it is not done when the caller is cancelled before."""
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

    def _take_turn(self) -> None:
        waiting = self._waiting
        end_s = time.perf_counter() + _TURN_S
        while waiting:
            waiting.popleft()()
            if time.perf_counter() >= end_s:
                break
        if waiting:
            self._loop.call_soon(self._take_turn)
        else:
            self._scheduled = False
