"""Coordination on one machine: a store in one SQLite file, and a lock by `flock`.

Writing is **group commit**: a thread takes all commits that have gathered while it wrote the last
group and writes them in one transaction, so that a thousand waiting commits cost one disk flush.
A commit is confirmed after the flush (WAL, `synchronous=FULL`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from koinon.coordination import Change, StoreError

__all__ = ["EmbeddedStore", "Lock", "LockHeld"]

#: Marks the file as ours in its SQLite header ("Koin").
_APPLICATION_ID = 0x4B6F696E
#: Raised when the tables change.
_SCHEMA = 1

_TABLES = "CREATE TABLE entries (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL)"
_PUT = "INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_DELETE = "DELETE FROM entries WHERE key = ?"

_Waiting = tuple[list[Change], "asyncio.Future[None]"]


class EmbeddedStore:
    """A `Store` in the SQLite file `path`, made with its folders if missing, readable by its owner only.

    One process at a time: guard the file with a `Lock`. Raises StoreError for a file that is no
    database, is damaged, belongs to another program or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = _open(path)
        self._writer = _open(path)
        self._gathered: list[_Waiting] = []
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write_groups, name=f"store {path.name}", daemon=True)
        self._thread.start()

    def load(self, prefix: str = "") -> dict[str, bytes]:
        """See `Store.load`."""
        found: dict[str, bytes] = {}
        try:
            rows = self._reader.execute(
                "SELECT key, value FROM entries WHERE key >= ? ORDER BY key", (prefix,)
            )
            for key, value in rows:
                if not key.startswith(prefix):
                    break
                found[key] = value
            rows.close()
        except sqlite3.Error as error:
            raise StoreError(f"cannot read {self._path}: {error}") from error
        return found

    def commit(self, changes: Iterable[Change]) -> asyncio.Future[None]:
        """See `Store.commit`."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._wake:
            if self._closing:
                raise StoreError(f"{self._path} is closed")
            self._gathered.append((list(changes), done))
            self._wake.notify()
        return done

    async def close(self) -> None:
        """See `Store.close`."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)
        self._reader.close()

    def _write_groups(self) -> None:
        """The writing thread: one transaction per group, until closed and nothing is left to write."""
        while True:
            with self._wake:
                while not self._gathered and not self._closing:
                    self._wake.wait()
                group, self._gathered = self._gathered, []
            if not group:
                self._writer.close()
                return
            error = self._write([change for changes, _ in group for change in changes])
            # The loop is closed only when its process ends: nobody is left to be told.
            with contextlib.suppress(RuntimeError):
                group[0][1].get_loop().call_soon_threadsafe(_settle, [done for _, done in group], error)

    def _write(self, changes: list[Change]) -> StoreError | None:
        newest = dict(changes)  # of several changes to one key only the last one counts
        try:
            # `with` commits, or rolls back when the commit itself fails.
            with self._writer:
                self._writer.execute("BEGIN")
                self._writer.executemany(_PUT, [(k, v) for k, v in newest.items() if v is not None])
                self._writer.executemany(_DELETE, [(k,) for k, v in newest.items() if v is None])
        except sqlite3.Error as error:
            return StoreError(f"cannot write {self._path}: {error}; nothing of this change was stored")
        return None


def _settle(waiting: list[asyncio.Future[None]], error: StoreError | None) -> None:
    """Tell the committers; one that was cancelled meanwhile does not care."""
    for done in waiting:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives its side files the mode of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"cannot open the store {path}: {error.strerror}") from error
    # Thread checks are off because the writer is made here and used by its thread alone.
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        _prepare(database, path)
    except sqlite3.DatabaseError as error:
        database.close()
        raise StoreError(f"{path} cannot be used as a store ({error}); move it away to start anew") from error
    except StoreError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Check whose file this is, and make the table in a new one."""

    def pragma(name: str) -> int | str:
        value: int | str = database.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema")]
    if pragma("application_id") != _APPLICATION_ID:
        if tables:
            raise StoreError(f"{path} is a database of another program; name another file or move it away")
        with database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(_TABLES)
            database.execute(f"PRAGMA user_version = {_SCHEMA}")
            database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    if pragma("user_version") != _SCHEMA:
        raise StoreError(
            f"{path} was written by another version (its schema is {pragma('user_version')}, this one's"
            f" is {_SCHEMA}); use that version or move the file away"
        )
    if (damage := pragma("quick_check(1)")) != "ok":
        raise StoreError(f"{path} is damaged ({damage}); restore a copy or move it away to start anew")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")


class LockHeld(Exception):
    """Another process holds the lock; the text names it."""


class Lock:
    """An exclusive lock on the file `path`, held until released or until the process ends, however it ends.

    `owner` says who holds it, for the sentence another contender gets. Use as context manager, or
    `acquire` and `release`.
    """

    def __init__(self, path: Path, *, owner: str) -> None:
        self._path = path
        self._owner = owner
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock now, or raise LockHeld (OSError if the file cannot be made)."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 1000, 0).decode(errors="replace").strip()
            raise LockHeld(f"{self._path.parent} belongs to {holder or 'another process'}") from None
        else:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{self._owner}, pid {os.getpid()}\n".encode(), 0)
            self._fd, fd = fd, -1
        finally:
            if fd >= 0:
                os.close(fd)

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two processes lock two files."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.release()
