"""Garbage collection: sandboxes are removed some time after their end, the sooner the fuller the disk is.

Every `--disk_watch_interval` the greatest age is set to `gc_delay × (1 − gc_disk_headroom − used part of the disk)`, at
least 0, and what ended longer ago is removed, the oldest first. When a sandbox's end is it is touched: that tells an agent
after us when it ended, and us when there were too many to remember.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from koinon import logs
from koinon.agent import sandbox

#: So many sandboxes are remembered, the ones that ended first. When they are gone we look for the next ones on disk.
_REMEMBERED = 10_000


class Collector:
    """Removes sandboxes below `work_dir`, but none of the containers that `live` gives."""

    def __init__(
        self, work_dir: Path, *, delay_s: float, headroom: float, live: Callable[[], Container[str]]
    ) -> None:
        self.succeeded = self.failed = 0  #: removals
        self.max_age_s = delay_s
        self._work_dir = work_dir
        self._delay_s = delay_s
        self._headroom = headroom
        self._live = live
        #: Sandboxes inside of others and of standalone containers that agents before us have left, with their roots.
        self.nested: Callable[[], list[tuple[str, str]]] = list
        self._ended: list[tuple[float, str]] = []  #: sandboxes of executors, a heap: since when, what
        self._others = 0  #: those that ended later; 0 only if there are none
        self._ended_nested: list[
            tuple[float, str, str]
        ] = []  #: a heap: since when, what, its root (see `add`)
        self._log = logs.get(role="agent")

    @property
    def pending(self) -> int:
        """How many sandboxes will be removed some time."""
        return len(self._ended) + self._others + len(self._ended_nested)

    def add(self, directory: str, root: str | None = None, *, before: bool = False) -> None:
        """Nothing runs in a sandbox any more, or nothing did so `before` us already.

        `root` is None for the sandbox of an executor, that around it for one inside of another, else empty.
        """
        with contextlib.suppress(OSError):  # it may never have been made
            noted_s = sandbox.ended(directory, root, before=before)
            ended_s = noted_s if before else time.time()
            if root is not None:
                heapq.heappush(self._ended_nested, (ended_s, directory, root))
            elif self._others or len(self._ended) >= _REMEMBERED:
                self._others += 1
            else:
                heapq.heappush(self._ended, (ended_s, directory))

    def drop(self, directory: str) -> None:
        """A nested or standalone container's sandbox is removed by somebody else, with those in it."""
        inside = f"{directory}/"
        self._ended_nested = [
            one for one in self._ended_nested if one[1] != directory and not one[1].startswith(inside)
        ]
        heapq.heapify(self._ended_nested)

    async def run(self, interval_s: float) -> None:
        """Collect for ever, first what agents before us have left."""
        self._others = max(self._others, 1)  # as far as we know
        known = {directory for _, directory, _ in self._ended_nested}
        for directory, root in self.nested():
            if directory not in known:
                self.add(directory, root, before=True)
        while True:
            await self.collect()
            await asyncio.sleep(interval_s)

    async def collect(self) -> None:
        """Remove what is too old by now."""
        used = await asyncio.to_thread(used_part, self._work_dir)
        self.max_age_s = max_age_s(self._delay_s, self._headroom, used)
        before_s = time.time() - self.max_age_s
        while await self._remove(before_s) and not self._ended and self._others:
            await self._look()
        await self._remove_nested(before_s)

    async def _remove(self, before_s: float) -> bool:
        """Remove the remembered ones that ended before that; False if it only fails."""
        succeeded, failed, live = self.succeeded, self.failed, self._live()
        while self._ended and self._ended[0][0] <= before_s:
            run = heapq.heappop(self._ended)[1]
            if os.path.basename(run) in live:
                continue  # it comes again at its end
            try:
                await asyncio.to_thread(sandbox.remove, Path(run))
                self.succeeded += 1
            except OSError as error:
                self._not_removed(run, error)
                self._others += 1
                with contextlib.suppress(OSError):
                    os.utime(run)  # tried again much later
        return self.succeeded > succeeded or self.failed == failed

    async def _remove_nested(self, before_s: float) -> None:
        again = []
        while self._ended_nested and self._ended_nested[0][0] <= before_s:
            _, directory, root = heapq.heappop(self._ended_nested)
            try:
                with contextlib.suppress(FileNotFoundError):  # it went with the one around it
                    await asyncio.to_thread(sandbox.remove_nested, directory, root)
                self.succeeded += 1
            except OSError as error:
                self._not_removed(directory, error)
                again.append((directory, root))
        for directory, root in again:
            heapq.heappush(self._ended_nested, (time.time(), directory, root))  # much later

    def _not_removed(self, directory: str, error: OSError) -> None:
        self.failed += 1
        self._log.warning("sandbox not removed", path=directory, error=str(error))

    async def _look(self) -> None:
        """Find on disk which ones ended first."""
        known, live, found = self._others, self._live(), 0

        def ended() -> Iterator[tuple[float, str]]:
            nonlocal found
            for changed_s, run in sandbox.runs(self._work_dir):
                if os.path.basename(run) not in live:
                    found += 1
                    yield changed_s, run

        self._ended = await asyncio.to_thread(heapq.nsmallest, _REMEMBERED, ended())
        self._others += found - len(self._ended) - known  # some may have been added meanwhile


def max_age_s(delay_s: float, headroom: float, used: float) -> float:
    """How long after their end sandboxes may stay, when the part `used` of the disk is in use."""
    return delay_s * max(0.0, 1.0 - headroom - used)


def used_part(path: Path) -> float:
    """The part of a disk that is in use, of what may be used. Raises OSError."""
    disk = os.statvfs(path)
    used = disk.f_blocks - disk.f_bfree
    return used / (used + disk.f_bavail) if used + disk.f_bavail else 1.0
