"""A store in ZooKeeper, which only the leader of an epoch writes.

    <path>                  the *fence*: {"layout": 1, "epoch": 7}
    <path>/<00 … ff>        buckets, by a hash of the key, so that no list of children grows with the cluster
    <path>/<bucket>/<key>   one value each

A new leader first writes its epoch into the fence, then reads everything. Each transaction sets the fence, too, and is
done only if the fence has the version that we gave it last: so whoever was the leader before can write nothing from then
on, whatever it still believes. The version also tells, after a broken connection, whether a transaction was done whose
answer was lost.

Writing is group commit: what gathers while one transaction is under way goes into the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections import deque
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from kazoo.exceptions import (
    BadVersionError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    RolledBackError,
    RuntimeInconsistency,
)

from koinon.coordination import Change, Fenced, StoreError
from koinon.coordination.zookeeper.session import LOST, Session

_LAYOUT = 1
_BUCKETS = 256
#: A server takes requests of a little less than 1 MiB, and breaks the connection of who sends more.
_COMMIT_BYTES_MAX = 1_000_000
#: Commits are joined up to this.
_GROUP_BYTES = 256 * 1024
#: What an operation takes besides path and value, at most.
_OPERATION_BYTES = 120
#: Values read with one request, and requests under way at a time: what else is asked meanwhile waits behind them.
_READ_TOGETHER = 200
_READS = 4
#: How long the end waits for commits.
_CLOSE_S = 2.0

_Waiting = tuple[list[Change], "asyncio.Future[None]"]


class _Fence(msgspec.Struct):
    epoch: int
    layout: int = _LAYOUT


async def open_store(session: Session, path: str, *, epoch: int) -> Store:
    """Fence off the leaders before `epoch`, and read what they have left. Raises Fenced and StoreError.

    Waits, as long as it takes, for a connection.
    """
    store = Store(session, path, epoch)
    await store._open()
    return store


class Store:
    """A `koinon.coordination.Store`; `open_store` makes one. Its entries are also kept in memory."""

    def __init__(self, session: Session, path: str, epoch: int) -> None:
        self._session = session
        self._path = path
        self._epoch = epoch
        self._fence = msgspec.json.encode(_Fence(epoch))
        self._version = 0  #: of the fence, as we left it
        self._entries: dict[str, bytes] = {}
        self._gathered: deque[_Waiting] = deque()
        self._group: list[_Waiting] = []  #: what is being written
        self._writer: asyncio.Task[None] | None = None
        self._failed: StoreError | None = None  #: for good
        self._closing = False

    def load(self, prefix: str = "") -> dict[str, bytes]:
        """See `Store.load`."""
        return {key: value for key, value in sorted(self._entries.items()) if key.startswith(prefix)}

    def commit(self, changes: Iterable[Change]) -> asyncio.Future[None]:
        """See `Store.commit`. Waits for a connection as long as there is none."""
        if self._closing:
            raise StoreError(f"{self} is closed")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathered.append((list(changes), done))
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_groups())
        return done

    async def close(self) -> None:
        """See `Store.close`. The session is left to its owner. Without a connection commits are given up soon."""
        self._closing = True
        if self._writer is None:
            return
        await asyncio.wait([self._writer], timeout=_CLOSE_S)
        if self._writer is not None:
            self._writer.cancel()
            self._failed = StoreError(f"{self} was closed before this could be written")
            for _, done in (*self._group, *self._gathered):
                if not done.done():
                    done.set_exception(self._failed)

    def __str__(self) -> str:
        return f"the store {self._path} of {self._session.url}"

    # ── opening ───────────────────────────────────────────────────────────────────────────────────
    async def _open(self) -> None:
        while True:
            try:
                self._version = await self._take()
                await self._make_buckets()
                self._entries = await self._read()
                return
            except LOST:
                await self._session.connected()
            except KazooException as error:
                raise self._error(error) from error

    async def _take(self) -> int:
        """Put our epoch into the fence; returns the fence's version."""
        session, path = self._session, self._path
        while True:
            try:
                found, stat = await session.get(path)
            except NoNodeError:
                await session.ensure(path.rpartition("/")[0])
                with contextlib.suppress(NodeExistsError):
                    await session.create(path, self._fence)
                continue
            self._check(found)
            with contextlib.suppress(BadVersionError):  # another one is at it
                return int((await session.set(path, self._fence, stat.version)).version)

    def _check(self, found: bytes) -> None:
        """Raises Fenced or StoreError unless the fence is ours to take."""
        try:
            fence = msgspec.json.decode(found, type=_Fence)
        except msgspec.DecodeError as error:
            raise StoreError(f"{self} is none of ours ({error}); choose another path") from error
        if fence.layout != _LAYOUT:
            raise StoreError(
                f"{self} was written by another version (its layout is {fence.layout}, this one's is {_LAYOUT}); use"
                " that version or another path"
            )
        if fence.epoch > self._epoch:
            raise Fenced(f"{self} belongs to epoch {fence.epoch}, ours is {self._epoch}")

    async def _make_buckets(self) -> None:
        there = set(await self._session.children(self._path))
        missing = [bucket for bucket in map(_bucket_name, range(_BUCKETS)) if bucket not in there]
        if not missing:
            return
        making = self._session.transaction()
        for bucket in missing:
            making.create(f"{self._path}/{bucket}", acl=self._session.acl)
        for result in await self._session.commit(making):
            if isinstance(result, KazooException) and not isinstance(result, RolledBackError):
                raise result

    async def _read(self) -> dict[str, bytes]:
        buckets = [f"{self._path}/{_bucket_name(n)}" for n in range(_BUCKETS)]
        names = await asyncio.gather(*map(self._session.children, buckets))
        paths = [f"{bucket}/{name}" for bucket, found in zip(buckets, names, strict=True) for name in found]
        entries: dict[str, bytes] = {}
        pieces = iter(
            [paths[begin : begin + _READ_TOGETHER] for begin in range(0, len(paths), _READ_TOGETHER)]
        )

        async def read_pieces() -> None:
            for piece in pieces:
                for path, value in zip(piece, await self._session.get_many(piece), strict=True):
                    entries[unquote(path.rpartition("/")[2])] = value

        await asyncio.gather(*(read_pieces() for _ in range(_READS)))
        return entries

    # ── writing ───────────────────────────────────────────────────────────────────────────────────
    async def _write_groups(self) -> None:
        while self._gathered:
            group = self._group = self._next_group()
            if not group:
                continue
            changes = {key: value for changes, _ in group for key, value in changes}
            try:
                if self._failed is not None:
                    raise self._failed
                await self._write(changes)
            except StoreError as error:
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
                continue
            for _, done in group:
                if not done.done():  # the committer may have been cancelled
                    done.set_result(None)
        self._writer = None

    def _next_group(self) -> list[_Waiting]:
        """The commits of the next transaction; one that is too large for any fails by itself."""
        group: list[_Waiting] = []
        total = 0
        while self._gathered:
            changes, done = self._gathered[0]
            size = sum(self._size(change) for change in changes)
            if group and total + size > _GROUP_BYTES:
                break
            self._gathered.popleft()
            if size > _COMMIT_BYTES_MAX:
                if not done.done():
                    done.set_exception(
                        StoreError(
                            f"a change of {size} bytes is too large for ZooKeeper; nothing of it was stored"
                        )
                    )
                continue
            group.append((changes, done))
            total += size
        return group

    def _size(self, change: Change) -> int:
        key, value = change
        # Each byte of a key may take three.
        return len(self._path) + 3 * len(key.encode()) + len(value or b"") + _OPERATION_BYTES

    async def _write(self, changes: dict[str, bytes | None]) -> None:
        while True:
            try:
                results = await self._session.commit(self._transaction(changes))
                break
            except LOST:
                if await self._was_done():
                    results = []
                    break
            except KazooException as error:
                raise self._error(error) from error
        for result in results:
            # Those rolled back, and those after the one that failed, only follow it.
            if isinstance(result, KazooException) and not isinstance(
                result, RolledBackError | RuntimeInconsistency
            ):
                if isinstance(result, BadVersionError):
                    await self._tell_fenced()
                raise self._error(result) from result
        self._version += 1
        for key, value in changes.items():
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = value

    def _transaction(self, changes: dict[str, bytes | None]) -> Any:
        transaction = self._session.transaction()
        transaction.set_data(self._path, self._fence, self._version)
        for key, value in changes.items():
            path = self._path_of(key)
            if key in self._entries:
                if value is None:
                    transaction.delete(path)
                else:
                    transaction.set_data(path, value)
            elif value is not None:
                transaction.create(path, value, acl=self._session.acl)
        return transaction

    async def _was_done(self) -> bool:
        """Whether the transaction whose answer was lost was done. Raises StoreError."""
        while True:
            await self._session.connected()
            try:
                found, stat = await self._session.get(self._path)
            except LOST:
                continue
            except KazooException as error:
                raise self._error(error) from error
            self._check(found)
            if stat.version not in (self._version, self._version + 1):
                raise self._fail(StoreError(f"{self} was written by somebody else"))
            return bool(stat.version == self._version + 1)

    async def _tell_fenced(self) -> None:
        """Raises for a fence that has another version than we left it with."""
        with contextlib.suppress(*LOST):
            self._check((await self._session.get(self._path))[0])
        raise self._fail(Fenced(f"{self} was written by somebody else"))

    def _error(self, error: KazooException) -> StoreError:
        if isinstance(error, NoAuthError):
            return StoreError(f"{self} may not be used by us: check user and password of the URL")
        return StoreError(f"{self} cannot be used: {type(error).__name__} {error}".rstrip())

    def _fail(self, error: StoreError) -> StoreError:
        """All that follows fails likewise: what is stored is not what we know."""
        self._failed = error
        return error

    def _path_of(self, key: str) -> str:
        # Quoted so that a key is one name: ZooKeeper takes no slash there, few control characters, and no dots alone.
        name = quote(key, safe="") if key.strip(".") else key.replace(".", "%2E")
        return f"{self._path}/{_bucket_name(zlib.crc32(key.encode()) % _BUCKETS)}/{name}"


def _bucket_name(number: int) -> str:
    return f"{number:02x}"
