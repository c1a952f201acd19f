"""The fetcher's cache: downloads kept for the next who asks, a user's for that user only.

What is being downloaded is downloaded once, for all who wait for it. Files that nobody uses make room, the one first that
was not used for the longest time. The cache is empty when the agent starts, and never in the way: when it cannot take
something, that is downloaded past it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from koinon import logs
from koinon.agent.fetcher.downloads import Downloads
from koinon.agent.fetcher.sentences import shown

_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW


class _NoRoom(Exception):
    """The file is too large for what others leave."""


class _Entry:
    """A file, or one to be. `filling` gives True when it is whole, False when the cache cannot have it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.users = 0
        self.filling: asyncio.Task[bool]


class Cache:
    """Files below `directory`, which is the cache's own, of `size_bytes` together at most."""

    def __init__(self, directory: Path, size_bytes: int, downloads: Downloads) -> None:
        self.size_bytes = int(size_bytes)
        self.used_bytes = 0
        self._directory = directory
        self._downloads = downloads
        self._entries: dict[tuple[str, str], _Entry] = {}  #: the one used last is last
        self._names = 0
        self._log = logs.get(role="agent")

    @property
    def users(self) -> int:
        """How many have a file, or wait for one."""
        return sum(entry.users for entry in self._entries.values())

    def clear(self) -> None:
        """Remove what an agent before us has left. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._directory)

    @asynccontextmanager
    async def borrow(self, user: str, uri: str) -> AsyncIterator[int | None]:
        """The downloaded file, open for reading; None if the cache cannot have it. Raises FetchError."""
        key = (user, uri)
        entry = self._entries.pop(key, None) or self._begin(key)
        self._entries[key] = entry
        entry.users += 1
        try:
            await asyncio.wait([entry.filling])
            fd = self._open(key, entry) if entry.filling.result() else None
            try:
                yield fd
            finally:
                if fd is not None:
                    os.close(fd)
        finally:
            entry.users -= 1
            if not entry.users and not entry.filling.done():
                entry.filling.cancel()  # nobody waits for it any more
                self._drop(key, entry)

    async def close(self) -> None:
        """End what is under way."""
        under_way = [entry.filling for entry in self._entries.values() if not entry.filling.done()]
        for filling in under_way:
            filling.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _begin(self, key: tuple[str, str]) -> _Entry:
        self._names += 1
        entry = _Entry(self._directory / str(self._names))
        entry.filling = asyncio.get_running_loop().create_task(self._fill(key, entry))
        return entry

    async def _fill(self, key: tuple[str, str], entry: _Entry) -> bool:
        uri = key[1]
        whole = False
        try:
            await asyncio.to_thread(self._directory.mkdir, mode=0o700, parents=True, exist_ok=True)
            fd = os.open(entry.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
            try:
                async with self._downloads.get(uri) as download:
                    self._reserve(entry, download.size or 0)
                    written = 0
                    async for piece in download.pieces:
                        written += len(piece)
                        self._reserve(entry, max(written - entry.size, 0))
                        await asyncio.to_thread(_write, fd, piece)
            finally:
                os.close(fd)
            whole = True
        except _NoRoom:
            self._log.info("too large for the fetcher's cache", uri=shown(uri))
        except OSError as error:
            self._log.warning("the fetcher's cache failed", uri=shown(uri), error=str(error))
        finally:
            if not whole:
                self._drop(key, entry)
        return whole

    def _open(self, key: tuple[str, str], entry: _Entry) -> int | None:
        try:
            return os.open(entry.path, os.O_RDONLY | _OPEN)
        except OSError as error:  # somebody has removed it
            self._log.warning("the fetcher's cache failed", uri=shown(key[1]), error=str(error))
            self._drop(key, entry)
            return None

    def _reserve(self, entry: _Entry, size: int) -> None:
        """Make room for `size` more bytes of `entry`. Raises _NoRoom."""
        idle = [
            (key, one)
            for key, one in self._entries.items()
            if not one.users and one is not entry and one.filling.done()
        ]
        if self.used_bytes + size - sum(one.size for _, one in idle) > self.size_bytes:
            raise _NoRoom
        for key, one in idle:
            if self.used_bytes + size <= self.size_bytes:
                break
            self._drop(key, one)
        entry.size += size
        self.used_bytes += size

    def _drop(self, key: tuple[str, str], entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
        self.used_bytes -= entry.size
        entry.size = 0
        with contextlib.suppress(OSError):  # it may never have been there
            entry.path.unlink()


def cache_name(work_dir: Path) -> str:
    """What the cache of the agent with this work directory is called: several may have one `--fetcher_cache_dir`."""
    return hashlib.sha256(os.fsencode(work_dir)).hexdigest()[:16]


def _write(fd: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(fd, rest) :]
