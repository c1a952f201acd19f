"""Election on one machine: who holds the lock of a directory leads.

    <directory>/leader.lock     locked by the leader, for as long as its process lives
    <directory>/leader.json     its epoch, and what it says about itself

A lock of the kernel is not lost but with its process, so a lease lasts until then: one that is frozen goes on leading,
and nobody else begins. So nobody has to be protected from leaders of before by their epochs, which count from 1 again
when the second file is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from koinon.coordination import Leader, StoreError
from koinon.coordination.embedded import Lock, LockHeld
from koinon.coordination.leaders import read_leader

#: How often those look who wait.
_LOOK_S = 0.1


class _Record(msgspec.Struct):
    epoch: int
    info: bytes
    holder: str  #: stands in the file of the lock, too, while this record is about who holds it


class Election:
    """See `koinon.coordination.Election`. `owner` says what we are, to people who look into the directory.

    `name` is what the files are called before their dot.
    """

    def __init__(self, directory: Path, *, owner: str, name: str = "leader") -> None:
        self._directory = directory
        self._files = _Files(directory, name)
        self._holder = uuid.uuid4().hex
        self._lock = Lock(self._files.lock, owner=f"{owner} ({self._holder})")
        self._info = b""
        self._on_elected: Callable[[int], None]
        self._on_deposed: Callable[[str], None]
        self._on_leader: Callable[[Leader | None], None]
        self._held = False
        self._stands_by = False
        self._followed: Leader | None = None
        self._waiting: asyncio.Task[None] | None = None

    def stand(
        self,
        info: bytes,
        *,
        on_elected: Callable[[int], None],
        on_deposed: Callable[[str], None],
        on_leader: Callable[[Leader | None], None],
    ) -> None:
        """See `Election.stand`. Calls back at once, and again when something changes."""
        self._info = info
        self._on_elected, self._on_deposed, self._on_leader = on_elected, on_deposed, on_leader
        if not self._attempt():
            self._waiting = asyncio.get_running_loop().create_task(self._wait())

    def held(self) -> bool:
        """See `Lease.held`."""
        return self._held

    async def close(self) -> None:
        """See `Election.close`."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._held = False
        self._lock.release()

    async def _wait(self) -> None:
        settled = False
        while not settled:
            await asyncio.sleep(_LOOK_S)
            settled = self._attempt()

    def _attempt(self) -> bool:
        """Whether there is nothing more to be tried: we lead, or cannot."""
        try:
            self._lock.acquire()
            epoch = self._files.take_over(self._holder, self._info)
        except LockHeld:
            self._follow(self._files.recorded())
            return False
        except OSError as error:
            self._lock.release()
            self._on_deposed(f"the directory {self._directory} cannot be used: {error.strerror}")
        except StoreError as error:
            self._lock.release()
            self._on_deposed(str(error))
        else:
            if self._followed is not None:
                self._on_leader(None)
            self._held = True
            self._on_elected(epoch)
        return True

    def _follow(self, leader: Leader | None) -> None:
        if not self._stands_by or leader != self._followed:
            self._stands_by, self._followed = True, leader
            self._on_leader(leader)


class Detector:
    """See `koinon.coordination.Detector`."""

    def __init__(self, directory: Path, *, name: str = "leader") -> None:
        self._files = _Files(directory, name)

    async def leaders(self) -> AsyncIterator[Leader | None]:
        """See `Detector.leaders`."""
        fresh, told = True, None
        while True:
            leader = self._files.leader()
            if fresh or leader != told:
                fresh, told = False, leader
                yield leader
            await asyncio.sleep(_LOOK_S)

    def suspect(self, leader: Leader) -> None:
        """The lock knows better."""

    async def close(self) -> None:
        """See `Detector.close`."""


class _Files:
    """What is in the directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self.lock = directory / f"{name}.lock"
        self.record = directory / f"{name}.json"

    def leader(self) -> Leader | None:
        """Who leads."""
        return self.recorded() if _is_locked(self.lock) else None

    def recorded(self) -> Leader | None:
        """Who leads, if the lock is held."""
        try:
            record = msgspec.json.decode(self.record.read_bytes(), type=_Record)
            if record.holder not in self.lock.read_text():
                return None
        except (FileNotFoundError, msgspec.DecodeError):  # who holds the lock is about to write it
            return None
        return read_leader(record.epoch, record.info)

    def take_over(self, holder: str, info: bytes) -> int:
        """Write who leads from now on; returns its epoch. Raises OSError, StoreError."""
        epoch = 1
        with contextlib.suppress(FileNotFoundError):
            try:
                epoch = msgspec.json.decode(self.record.read_bytes(), type=_Record).epoch + 1
            except msgspec.DecodeError as error:
                raise StoreError(f"{self.record} is damaged ({error}); remove it") from error
        fresh = self.record.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(_Record(epoch, info, holder)))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self.record)
        return epoch


def _is_locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
