"""Election on one machine: who holds the lock of a directory leads.

    <directory>/leader.lock     locked by the leader, for as long as its process lives
    <directory>/leader.json     its epoch, and what it says about itself

A lock of the kernel is not lost but with its process, so a lease lasts until then: one that is frozen goes on leading,
and nobody else begins.
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
    """See `koinon.coordination.Election`. `owner` says what we are, to people who look into the directory."""

    def __init__(self, directory: Path, *, owner: str) -> None:
        self._directory = directory
        self._holder = uuid.uuid4().hex
        self._lock = Lock(directory / "leader.lock", owner=f"{owner} ({self._holder})")
        self._held = False
        self._waiting: asyncio.Task[None] | None = None

    def stand(
        self,
        info: bytes,
        *,
        on_elected: Callable[[int], None],
        on_deposed: Callable[[str], None],
        on_leader: Callable[[Leader | None], None],
    ) -> None:
        """See `Election.stand`."""
        self._waiting = asyncio.get_running_loop().create_task(
            self._wait(info, on_elected, on_deposed, on_leader)
        )

    def held(self) -> bool:
        """See `Lease.held`."""
        return self._held

    async def close(self) -> None:
        """See `Election.close`."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._held = False
        self._lock.release()

    async def _wait(
        self,
        info: bytes,
        on_elected: Callable[[int], None],
        on_deposed: Callable[[str], None],
        on_leader: Callable[[Leader | None], None],
    ) -> None:
        followed: Leader | None = None
        while True:
            try:
                self._lock.acquire()
                epoch = _take_over(self._directory, self._holder, info)
            except LockHeld:
                if (leader := _leader(self._directory)) != followed:
                    followed = leader
                    on_leader(leader)
                await asyncio.sleep(_LOOK_S)
            except (OSError, StoreError) as error:
                self._lock.release()
                on_deposed(f"the directory {self._directory} cannot be used: {error}")
                return
            else:
                if followed is not None:
                    on_leader(None)
                self._held = True
                on_elected(epoch)
                return


class Detector:
    """See `koinon.coordination.Detector`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def leaders(self) -> AsyncIterator[Leader | None]:
        """See `Detector.leaders`."""
        fresh, told = True, None
        while True:
            leader = _leader(self._directory)
            if fresh or leader != told:
                fresh, told = False, leader
                yield leader
            await asyncio.sleep(_LOOK_S)

    def suspect(self, leader: Leader) -> None:
        """The lock knows better."""

    async def close(self) -> None:
        """See `Detector.close`."""


def _leader(directory: Path) -> Leader | None:
    if not _is_locked(directory / "leader.lock"):
        return None
    try:
        record = msgspec.json.decode((directory / "leader.json").read_bytes(), type=_Record)
        if record.holder not in (directory / "leader.lock").read_text():
            return None
    except (FileNotFoundError, msgspec.DecodeError):  # who holds the lock is about to write it
        return None
    return read_leader(record.epoch, record.info)


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


def _take_over(directory: Path, holder: str, info: bytes) -> int:
    """Write who leads from now on; returns its epoch. Raises OSError, StoreError."""
    path = directory / "leader.json"
    epoch = 1
    with contextlib.suppress(FileNotFoundError):
        try:
            epoch = msgspec.json.decode(path.read_bytes(), type=_Record).epoch + 1
        except msgspec.DecodeError as error:
            raise StoreError(f"{path} is damaged ({error})") from error
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(_Record(epoch, info, holder)))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    return epoch
