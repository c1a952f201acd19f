"""One session with ZooKeeper, from the event loop. Kazoo talks to the servers, in threads of its own.

What its threads say is handed to the loop, in their order; nothing else of this package runs in them. Requests of one
session are answered in the order they are made.

What we change about kazoo, through what is not its public interface (so the version is locked, and tests hold it):

- it does not tell the timeout that the server granted: `_Connection` keeps it;
- it tells servers for ever what it has seen last, and those that know less refuse it: `_Connection` forgets that with the
  session;
- it gives each server the whole session's timeout to accept a connection, and a good part of it to answer, so that one
  that is cut off, or hangs, may cost the session: `_Handler` and `_Connection` give it less.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import (
    ConnectionClosedError,
    ConnectionLoss,
    KazooException,
    NodeExistsError,
    OperationTimeoutError,
    RequestTimeoutError,
    SessionExpiredError,
    SessionMovedError,
    UnimplementedError,
    WriterNotClosedException,
)
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.interfaces import IAsyncResult
from kazoo.protocol.connection import ConnectionHandler
from kazoo.protocol.serialization import Connect
from kazoo.protocol.states import KazooState
from kazoo.retry import KazooRetry
from kazoo.security import ACL, CREATOR_ALL_ACL, OPEN_ACL_UNSAFE, READ_ACL_UNSAFE

from koinon import logs
from koinon.coordination.zookeeper.reads import ReadMany
from koinon.coordination.zookeeper.url import Url

#: A request that got no answer, or none that counts: whether it was done is unknown. The session may live on.
LOST = (
    ConnectionLoss,
    ConnectionClosedError,
    OperationTimeoutError,
    RequestTimeoutError,
    SessionExpiredError,
    SessionMovedError,
)

#: Pauses between two rounds of attempts to reach the servers.
_RETRY_FIRST_S = 0.05
_RETRY_MAX_S = 1.0
#: How long the end of a session may take.
_CLOSE_S = 1.0
#: The end of a connection is heard from requests before it is heard from the connection.
_REST_S = 0.02
#: How often the same warning is logged.
_REPEAT_S = 10.0
#: What a server has to accept a connection, at least.
_CONNECT_MIN_S = 0.25
#: What a server has to answer who is hasty, at least.
_ANSWER_MIN_S = 0.5


def clock_s() -> float:
    """Seconds that pass even while the machine sleeps: sessions, and leases, go on then."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SessionState(Enum):
    """What becomes of a session."""

    MADE = "made"  #: connected; the first time, again, or with a new session after a lost one
    SUSPENDED = "suspended"  #: not connected; may come back
    LOST = "lost"  #: over, with all that was ephemeral; a new one is sought


class Session:
    """A session with the servers of `url`, wanted for `timeout_s`; servers may grant another timeout.

    `on_state` is called in the loop that `start` was called in. It is kept up, and made anew when lost, until `close`.
    `hasty`: who leads by this session rather asks the next server than waits for one that hangs. Not for thousands,
    who may all come at once to servers that then need their time.
    """

    def __init__(
        self, url: Url, timeout_s: float, *, on_state: Callable[[SessionState], None], hasty: bool = False
    ) -> None:
        self.url = url
        self._on_state = on_state
        self._log = logs.get(zookeeper=str(url))
        handler = _Handler(max(timeout_s / (3 * (len(url.servers) + 1)), _CONNECT_MIN_S))
        self.acl: list[ACL] = (
            [*CREATOR_ALL_ACL, *READ_ACL_UNSAFE] if url.credentials is not None else [*OPEN_ACL_UNSAFE]
        )
        self._client = KazooClient(
            hosts=url.hosts,
            timeout=timeout_s,
            handler=handler,
            auth_data=None if url.credentials is None else [("digest", url.credentials)],
            connection_retry=KazooRetry(
                max_tries=-1,
                delay=_RETRY_FIRST_S,
                max_delay=min(_RETRY_MAX_S, timeout_s / 5),
                sleep_func=handler.sleep_func,
            ),
            logger=_quiet_logger(self._log),
        )
        self._connection = _Connection(self._client, self._client._conn_retry, logger=self._client.logger)
        self._client._connection = self._connection
        if hasty:
            self._connection.answer_timeout_s = max(timeout_s / 6, _ANSWER_MIN_S)
        self._loop: asyncio.AbstractEventLoop
        self._up = asyncio.Event()
        self._reads_many = True
        self._closed = False

    granted_timeout_s = 0.0  #: the session's timeout, as the server granted it with the last connection
    asked_s = 0.0  #: when that connection was asked for

    @property
    def session_id(self) -> int | None:
        """The session's number, as it stands in `ephemeralOwner`; None without a connection."""
        found = self._client.client_id
        return None if found is None else found[0]

    def start(self) -> None:
        """Begin to connect."""
        self._loop = asyncio.get_running_loop()
        self._client.add_listener(self._listen)
        self._client.start_async()

    async def close(self) -> None:
        """End the session: what is ephemeral goes at once. Servers that do not answer are not waited for."""
        if self._closed:
            return
        self._closed = True
        self._client.logger.disabled = True  # an end without a connection is nothing to warn of
        ended = asyncio.Event()
        # No thread of the loop's: the end of the process would wait for it.
        threading.Thread(target=self._end, args=(ended,), daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await ended.wait()

    def _end(self, ended: asyncio.Event) -> None:
        # A connection that is just being made ends by itself.
        with contextlib.suppress(WriterNotClosedException):
            self._client.stop()
        self._connection.connection_stopped.wait()
        self._client.close()
        self._hand_over(ended.set)

    def change_server(self) -> None:
        """Break the connection, which is then sought with any of the servers."""
        # Shutting down is all that another thread may do to a socket: kazoo sees its end, and closes it.
        if (connected := self._connection._socket) is not None:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    async def connected(self) -> None:
        """Returns when there is a connection, after a moment: for who was just told that there is none."""
        await asyncio.sleep(_REST_S)
        await self._up.wait()

    # ── requests ──────────────────────────────────────────────────────────────────────────────────
    def get(self, path: str, *, watch: Callable[[], None] | None = None) -> asyncio.Future[Any]:
        """`(value, ZnodeStat)`."""
        return self._future(self._client.get_async(path, watch=self._watch(watch)))

    async def get_many(self, paths: Sequence[str]) -> list[bytes]:
        """The values of `paths`, in one request where servers can do that."""
        if self._reads_many:
            result = self._client.handler.async_result()
            self._client._call(ReadMany(paths), result)
            try:
                values = await self._future(result)
            except UnimplementedError:  # before 3.6
                self._reads_many = False
            else:
                if isinstance(values, KazooException):
                    raise values
                return list(values)
        return [value for value, _ in await asyncio.gather(*map(self.get, paths))]

    def exists(self, path: str, *, watch: Callable[[], None] | None = None) -> asyncio.Future[Any]:
        """ZnodeStat, or None."""
        return self._future(self._client.exists_async(path, watch=self._watch(watch)))

    def children(self, path: str, *, watch: Callable[[], None] | None = None) -> asyncio.Future[Any]:
        """The names of the children."""
        return self._future(self._client.get_children_async(path, watch=self._watch(watch)))

    def create(
        self, path: str, value: bytes = b"", *, ephemeral: bool = False, sequence: bool = False
    ) -> asyncio.Future[Any]:
        """The path made."""
        return self._future(
            self._client.create_async(path, value, acl=self.acl, ephemeral=ephemeral, sequence=sequence)
        )

    def set(self, path: str, value: bytes, version: int) -> asyncio.Future[Any]:
        """ZnodeStat."""
        return self._future(self._client.set_async(path, value, version))

    def transaction(self) -> Any:
        """Operations to be done all or none: kazoo's TransactionRequest, for `commit`."""
        return self._client.transaction()

    def commit(self, transaction: Any) -> asyncio.Future[list[Any]]:
        """What became of each operation: its result, or an exception in its place if nothing was done."""
        return self._future(transaction.commit_async())

    async def ensure(self, path: str) -> None:
        """Make `path`, and what is above it, unless it is there. Raises KazooException."""
        if path and await self.exists(path) is None:
            await self.ensure(path.rpartition("/")[0])
            with contextlib.suppress(NodeExistsError):
                await self.create(path)

    # ── from kazoo's threads into the loop ────────────────────────────────────────────────────────
    def _future(self, result: IAsyncResult) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        result.rawlink(lambda done: self._hand_over(_settle, future, done))
        return future

    def _watch(self, call: Callable[[], None] | None) -> Callable[[object], None] | None:
        return None if call is None else lambda _: self._hand_over(call)

    def _listen(self, state: KazooState) -> None:
        if state == KazooState.CONNECTED:
            # Taken now: by the time the loop hears of it there may be the next attempt.
            self._hand_over(self._made, *self._connection.made)
        elif state == KazooState.SUSPENDED:
            self._hand_over(self._tell, SessionState.SUSPENDED)
        else:
            self._hand_over(self._tell, SessionState.LOST)

    def _hand_over(self, call: Callable[..., None], *arguments: object) -> None:
        # The loop is closed only when its process ends: nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _made(self, granted_timeout_s: float, asked_s: float) -> None:
        self.granted_timeout_s, self.asked_s = granted_timeout_s, asked_s
        self._tell(SessionState.MADE)

    def _tell(self, state: SessionState) -> None:
        if self._closed:
            return
        if state is SessionState.MADE:
            self._up.set()
            self._log.info("session made", timeout_s=self.granted_timeout_s)
        else:
            self._up.clear()
            self._log.warning(f"session {state.value}")
        self._on_state(state)


class _Handler(SequentialThreadingHandler):  # type: ignore[misc]
    """Kazoo's threads, with a bound on how long a server may take to accept a connection."""

    def __init__(self, connect_timeout_s: float) -> None:
        super().__init__()
        self._connect_timeout_s = connect_timeout_s

    def create_connection(self, *arguments: Any, timeout: float, **options: Any) -> Any:
        return super().create_connection(*arguments, timeout=min(timeout, self._connect_timeout_s), **options)


class _Connection(ConnectionHandler):  # type: ignore[misc]
    """Kazoo's connection, which keeps what it hears about the session's timeout."""

    made = (0.0, 0.0)  #: the timeout granted with the last connection, and when that was asked for
    answer_timeout_s = math.inf  #: how long a server may take to take us on
    _sought_s: float | None = None  #: since when a connection is sought; None while there is one

    def _connect(self, *place: Any) -> Any:
        now_s, (granted_s, _) = clock_s(), self.made
        if self._sought_s is None:
            self._sought_s = now_s
        if now_s > self._sought_s + granted_s:
            # Our session has ended, and with it the claim to see nothing older than before: servers that know less than
            # we have seen, because their data was lost, or restored, would never let us in with that.
            self.client.last_zxid = 0
        found = super()._connect(*place)
        self._sought_s = None
        return found

    def _invoke(self, timeout: float, request: Any, xid: int | None = None) -> Any:
        if not isinstance(request, Connect):
            return super()._invoke(timeout, request, xid)
        asked_s = clock_s()
        answer = super()._invoke(min(timeout, self.answer_timeout_s), request, xid)
        self.made = (answer[0].time_out / 1000, asked_s)
        return answer


def _settle(future: asyncio.Future[Any], result: IAsyncResult) -> None:
    if future.done():  # cancelled meanwhile
        return
    if result.exception is not None:
        future.set_exception(result.exception)
    else:
        future.set_result(result.value)


def _quiet_logger(log: Any) -> logging.Logger:
    """What kazoo warns of, in our logs. The rest names passwords."""
    logger = logging.Logger("kazoo", logging.WARNING)
    logger.addHandler(_Forward(log))
    return logger


class _Forward(logging.Handler):
    """Each text once in a while: attempts to connect may fail many times a second."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self._to = log
        self._told_s: dict[str, float] = {"Transition to CONNECTING": math.inf}  # which we say ourselves

    def emit(self, record: logging.LogRecord) -> None:
        text, now_s = record.getMessage(), time.monotonic()
        if now_s >= self._told_s.get(text, -math.inf) + _REPEAT_S:
            self._told_s[text] = now_s
            self._to.warning(text)
