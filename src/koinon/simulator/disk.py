"""Disks: what was written before a crash is there after it, what was being written may be.

A `DiskStore` is a `Store` (koinon.coordination) of one process on one disk, with the group commit of the embedded
one: what is committed while a write is under way goes into the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from random import Random

from koinon.coordination import Change, StoreError
from koinon.simulator.machines import Process
from koinon.simulator.world import World

#: What an agent's checkpoint is called.
AGENT_FILE = "agent"


class Disk:
    """What is on it, by file and key."""

    def __init__(self, world: World, name: str, random: Random) -> None:
        self.world = world
        self.name = name
        self.random = random
        self.files: dict[str, dict[str, bytes]] = {}
        self.write_s = 0.002  #: mean time of a write
        self.full = False
        self.fatal_in: int | None = None  #: after so many writes the process that writes is killed

    def file(self, name: str) -> dict[str, bytes]:
        """The entries of a file."""
        return self.files.setdefault(name, {})

    def duration_s(self) -> float:
        """How long the next write takes."""
        return self.write_s * self.random.uniform(0.5, 1.5)


class DiskStore:
    """A `Store`, see there."""

    def __init__(self, process: Process, disk: Disk, name: str) -> None:
        self._process = process
        self._disk = disk
        self._entries = disk.file(name)
        self._name = name
        self._waiting: list[tuple[list[Change], asyncio.Future[None]]] = []
        self._writing: list[Change] | None = None
        process.on_end.append(self._crashed)

    def load(self, prefix: str = "") -> dict[str, bytes]:
        """See `Store.load`."""
        return {key: value for key, value in sorted(self._entries.items()) if key.startswith(prefix)}

    def commit(self, changes: Iterable[Change]) -> asyncio.Future[None]:
        """See `Store.commit`."""
        done: asyncio.Future[None] = self._process.loop.create_future()
        self._waiting.append((list(changes), done))
        if self._writing is None:
            self._write()
        return done

    async def close(self) -> None:
        """See `Store.close`."""
        await asyncio.gather(*(done for _, done in self._waiting), return_exceptions=True)

    def _write(self) -> None:
        group, self._waiting = self._waiting, []
        self._writing = [change for changes, _ in group for change in changes]
        self._disk.world.after(self._disk.duration_s(), self._written, [done for _, done in group])

    def _written(self, waiting: list[asyncio.Future[None]]) -> None:
        if not self._process.alive:
            return
        if self._disk.fatal_in is not None:
            self._disk.fatal_in -= 1
            if self._disk.fatal_in < 0:
                self._disk.fatal_in = None
                self._process.kill("SIGKILL, while it was writing")
                return
        error: StoreError | None = None
        if self._disk.full:
            error = StoreError(f"cannot write {self._name}: disk full")
        else:
            self._apply()
        self._writing = None
        self._process.loop.deliver(_settle, waiting, error)
        if self._waiting:
            self._write()

    def _apply(self) -> None:
        for key, value in self._writing or ():
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = value

    def _crashed(self) -> None:
        if self._writing is not None and not self._disk.full and self._disk.random.random() < 0.5:
            self._disk.world.tell(self._disk.name, "the write under way had just been made")
            self._apply()
        self._writing = None


def _settle(waiting: list[asyncio.Future[None]], error: StoreError | None) -> None:
    for done in waiting:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
