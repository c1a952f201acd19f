"""Garbage collection: sandboxes are removed some time after their end, the sooner the fuller the disk is.

Every `--disk_watch_interval` the greatest age is set to `gc_delay × (1 − gc_disk_headroom − used part of the disk)`, at
least 0, and what ended longer ago is removed, the oldest first. When a sandbox's end is it is touched, so that an agent
after us knows it, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import time
from collections.abc import Callable, Container
from pathlib import Path

from koinon import logs
from koinon.agent import sandbox


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
        self._ended: list[
            tuple[float, str, str | None]
        ] = []  #: a heap: since when, what, its root (see `add`)
        self._log = logs.get(role="agent")

    @property
    def pending(self) -> int:
        """How many sandboxes will be removed some time."""
        return len(self._ended)

    def add(self, directory: str, root: str | None = None, *, before: bool = False) -> None:
        """Nothing runs in a sandbox any more, or nothing did so `before` us already.

        `root` is None for the sandbox of an executor, that around it for one inside of another, else empty.
        """
        with contextlib.suppress(OSError):  # it may never have been made
            ended_s = sandbox.ended(directory, root, before=before)
            heapq.heappush(self._ended, (ended_s if before else time.time(), directory, root))

    def drop(self, directory: str) -> None:
        """A sandbox is removed by somebody else, with those in it."""
        inside = f"{directory}/"
        self._ended = [one for one in self._ended if one[1] != directory and not one[1].startswith(inside)]
        heapq.heapify(self._ended)

    async def run(self, interval_s: float) -> None:
        """Find what agents before us have left, then collect for ever."""
        found = await asyncio.to_thread(sandbox.runs, self._work_dir)
        known = {directory for _, directory, _ in self._ended}
        self._ended += [(changed_s, run, None) for changed_s, run in found if run not in known]
        heapq.heapify(self._ended)
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
        live = self._live()
        while self._ended and self._ended[0][0] <= before_s:
            _, directory, root = heapq.heappop(self._ended)
            if root is None and os.path.basename(directory) in live:
                continue  # it comes again at its end
            try:
                if root is None:
                    await asyncio.to_thread(sandbox.remove, Path(directory))
                else:
                    with contextlib.suppress(FileNotFoundError):  # it went with the one around it
                        await asyncio.to_thread(sandbox.remove_nested, directory, root)
                self.succeeded += 1
            except OSError as error:
                self.failed += 1
                self._log.warning("sandbox not removed", path=directory, error=str(error))
                heapq.heappush(self._ended, (time.time(), directory, root))  # tried again much later
                if self.max_age_s <= 0:
                    return


def max_age_s(delay_s: float, headroom: float, used: float) -> float:
    """How long after their end sandboxes may stay, when the part `used` of the disk is in use."""
    return delay_s * max(0.0, 1.0 - headroom - used)


def used_part(path: Path) -> float:
    """The part of a disk that is in use, of what may be used. Raises OSError."""
    disk = os.statvfs(path)
    used = disk.f_blocks - disk.f_bfree
    return used / (used + disk.f_bavail) if used + disk.f_bavail else 1.0
