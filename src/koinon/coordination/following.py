"""Following the leader, for who has a connection with it: whom to connect with, and when to leave.

following = Following(detector, on_change=leave)    # `leave` looks at `following.leader`
following.start()
while (leader := following.look()) is None: await following.pause()
...                                                 # it does not answer:
following.suspect(leader)
await following.pause(backoff_s)                    # or less, when another one leads
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from koinon.coordination import Detector, Leader


class Following:
    """What a detector says, from `start` to `close`. `on_change` is called, from the event loop, whenever it says more."""

    def __init__(self, detector: Detector, on_change: Callable[[], None] = lambda: None) -> None:
        self.leader: Leader | None = None  #: who leads, as far as is known
        self._detector = detector
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.get_running_loop().create_task(self._listen())

    @property
    def news(self) -> bool:
        """Whether something has changed since `look`."""
        return self._changed.is_set()

    def look(self) -> Leader | None:
        """Who leads: the next `pause` lasts until that is over. Raises DetectionError when nobody will ever be found."""
        self._changed.clear()
        if self._failure is not None:
            raise self._failure
        return self.leader

    async def pause(self, pause_s: float | None = None) -> bool:
        """Return after so long, or when something has changed since `look`, and then True."""
        try:
            async with asyncio.timeout(pause_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def suspect(self, leader: Leader) -> None:
        """See `Detector.suspect`."""
        self._detector.suspect(leader)

    async def close(self) -> None:
        """Listen no more, and let go of connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self._detector.close()

    async def _listen(self) -> None:
        try:
            async for leader in self._detector.leaders():
                self.leader = leader
                self._tell()
        except Exception as error:  # whoever looks hears of it
            self._failure = error
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._on_change()
