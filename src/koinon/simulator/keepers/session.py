"""Stands in for `koinon.coordination.zookeeper.session.Session`: kazoo's behaviour towards the model's servers.

A connection that brings nothing for two thirds of the session's timeout is given up, and the next server is tried, for
ever. Only a server can say that a session is over. What was asked on a connection that broke fails; what is asked while
there is none waits for the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from kazoo.exceptions import (
    ConnectionClosedError,
    ConnectionLoss,
    KazooException,
    NodeExistsError,
    SessionExpiredError,
)

from koinon.coordination.zookeeper.session import SessionState
from koinon.coordination.zookeeper.url import Url
from koinon.simulator.http import Frames, framed
from koinon.simulator.keepers.tree import Change, Check, Create, Delete, Multi, Operation, SetData
from koinon.simulator.machines import Process

_RETRY_S = 0.05
_RETRY_MAX_S = 1.0
_REST_S = 0.02
_CONNECT_MIN_S = 0.25
_ANSWER_MIN_S = 0.5


class Transaction:
    """Stands in for kazoo's TransactionRequest."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def create(self, path: str, value: bytes = b"", acl: object = None) -> None:
        """See kazoo."""
        self.operations.append(Create(path, value))

    def delete(self, path: str, version: int = -1) -> None:
        """See kazoo."""
        self.operations.append(Delete(path, version))

    def set_data(self, path: str, value: bytes, version: int = -1) -> None:
        """See kazoo."""
        self.operations.append(SetData(path, value, version))

    def check(self, path: str, version: int) -> None:
        """See kazoo."""
        self.operations.append(Check(path, version))


class Session:
    """See the real one."""

    def __init__(
        self, url: Url, timeout_s: float, *, on_state: Callable[[SessionState], None], hasty: bool = False
    ) -> None:
        process = Process.current
        assert process is not None
        self.url = url
        self.acl: list[object] = []
        self.granted_timeout_s = 0.0
        self.asked_s = 0.0
        self._hasty = hasty
        self._process = process
        self._timeout_s = timeout_s
        self._on_state = on_state
        self._number = 0  #: of the session; 0: none
        self._link: _Link | None = None  #: the connection, once it is greeted
        self._waiting: deque[tuple[str, tuple[Any, ...], asyncio.Future[Any], Callable[[], None] | None]] = (
            deque()
        )
        self._up = asyncio.Event()
        self._closed = False
        self._running: asyncio.Task[None] | None = None

    @property
    def session_id(self) -> int | None:
        """See the real one."""
        return self._number or None

    def start(self) -> None:
        """See the real one."""
        self._running = self._process.loop.create_task(self._run())

    async def close(self) -> None:
        """See the real one; here the session is left to expire."""
        self._closed = True
        if self._running is not None:
            self._running.cancel()
        self.change_server()

    def change_server(self) -> None:
        """See the real one."""
        if self._link is not None:
            self._link.abort()

    async def connected(self) -> None:
        """See the real one."""
        await asyncio.sleep(_REST_S)
        await self._up.wait()

    # ── requests ──────────────────────────────────────────────────────────────────────────────────
    def get(self, path: str, *, watch: Callable[[], None] | None = None) -> asyncio.Future[Any]:
        """See the real one."""
        return self._ask("get", path, watch=watch)

    async def get_many(self, paths: Sequence[str]) -> list[bytes]:
        """See the real one."""
        return [value for value, _ in await asyncio.gather(*map(self.get, paths))]

    def exists(self, path: str, *, watch: Callable[[], None] | None = None) -> asyncio.Future[Any]:
        """See the real one."""
        return self._ask("stat", path, watch=watch)

    def children(self, path: str, *, watch: Callable[[], None] | None = None) -> asyncio.Future[Any]:
        """See the real one."""
        return self._ask("children", path, watch=watch)

    def create(
        self, path: str, value: bytes = b"", *, ephemeral: bool = False, sequence: bool = False
    ) -> asyncio.Future[Any]:
        """See the real one."""
        return self._change(Create(path, value, owner=int(ephemeral), sequence=sequence))

    def set(self, path: str, value: bytes, version: int) -> asyncio.Future[Any]:
        """See the real one."""
        return self._change(SetData(path, value, version))

    def transaction(self) -> Any:
        """See the real one."""
        return Transaction()

    def commit(self, transaction: Any) -> asyncio.Future[list[Any]]:
        """See the real one."""
        return self._change(Multi(tuple(transaction.operations)))

    async def ensure(self, path: str) -> None:
        """See the real one."""
        if path and await self.exists(path) is None:
            await self.ensure(path.rpartition("/")[0])
            with contextlib.suppress(NodeExistsError):
                await self.create(path)

    def _change(self, change: Change) -> asyncio.Future[Any]:
        return self._submit("change", (change,), None)

    def _ask(self, operation: str, path: str, *, watch: Callable[[], None] | None) -> asyncio.Future[Any]:
        return self._submit(operation, (path, watch is not None), watch)

    def _submit(
        self, operation: str, arguments: tuple[Any, ...], watch: Callable[[], None] | None
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._process.loop.create_future()
        if self._closed:
            future.set_exception(ConnectionClosedError("Connection has been closed"))
        elif self._link is not None:
            self._link.ask(operation, arguments, future, watch)
        else:
            self._waiting.append((operation, arguments, future, watch))
        return future

    # ── connections ───────────────────────────────────────────────────────────────────────────────
    async def _run(self) -> None:
        servers = list(self.url.servers)
        random = self._process.machine.network.random
        retry_s = _RETRY_S
        while not self._closed:
            random.shuffle(servers)
            for host, port in servers:
                link = await self._connect(host, port)
                if link is not None:
                    retry_s = _RETRY_S
                    await self._use(link)
            await asyncio.sleep(retry_s * random.uniform(0.5, 1))
            retry_s = min(retry_s * 2, _RETRY_MAX_S)

    async def _connect(self, host: str, port: int) -> _Link | None:
        """A connection with a session, or None."""
        patience_s = max(self._timeout_s / (3 * (len(self.url.servers) + 1)), _CONNECT_MIN_S)
        link: _Link | None = None
        try:
            async with asyncio.timeout(patience_s):
                _, protocol = await self._process.loop.create_connection(_Link, host, port)
                link = cast(_Link, protocol)
            greeting = self._process.loop.create_future()
            asked_s = self._process.machine.monotonic()
            link.ask("greet", (self._number, self._timeout_s), greeting, None)
            answer_s = max(self._timeout_s / 6, _ANSWER_MIN_S) if self._hasty else self._timeout_s * 2 / 3
            async with asyncio.timeout(answer_s):
                self._number, self.granted_timeout_s = await greeting
            self.asked_s = asked_s
        except SessionExpiredError:
            if link is not None:
                link.abort()
            self._number = 0
            self._fail_waiting(SessionExpiredError())
            self._tell(SessionState.LOST)
            return None
        except (OSError, KazooException):
            if link is not None:
                link.abort()
            return None
        return link

    async def _use(self, link: _Link) -> None:
        """Until it is over."""
        self._link = link
        self._tell(SessionState.MADE)
        for request in self._waiting:
            link.ask(*request)
        self._waiting.clear()
        read_s = self.granted_timeout_s * 2 / 3
        loop = self._process.loop
        while not link.is_lost:
            silent_s = loop.time() - link.heard_s
            if silent_s >= read_s:
                link.abort()
                break
            if silent_s >= read_s / 2 and not link.pinged:
                link.ping()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(read_s / 4):
                    await asyncio.shield(link.lost)
        self._link = None
        self._fail_waiting(ConnectionLoss())
        link.fail(ConnectionLoss())
        self._tell(SessionState.SUSPENDED)

    def _fail_waiting(self, error: KazooException) -> None:
        waiting, self._waiting = self._waiting, deque()
        for _, _, future, _ in waiting:
            if not future.done():
                future.set_exception(error)

    def _tell(self, state: SessionState) -> None:
        if self._closed:
            return
        self._process.world.tell(self._process.name, f"session {self._number} {state.value}")
        if state is SessionState.MADE:
            self._up.set()
        else:
            self._up.clear()
        self._on_state(state)


class _Link(asyncio.Protocol):
    """A connection, at the client."""

    def __init__(self) -> None:
        process = Process.current
        assert process is not None
        self._loop = process.loop
        self._transport: asyncio.Transport
        self._frames = Frames()
        self._asked: deque[tuple[asyncio.Future[Any] | None, tuple[str, Callable[[], None]] | None]] = deque()
        self._watches: dict[str, list[Callable[[], None]]] = {}
        self.heard_s = self._loop.time()
        self.pinged = False
        self.is_lost = False
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def ask(
        self,
        operation: str,
        arguments: tuple[Any, ...],
        future: asyncio.Future[Any] | None,
        watch: Callable[[], None] | None,
    ) -> None:
        """Send a request."""
        self._asked.append((future, None if watch is None else (arguments[0], watch)))
        self._transport.write(framed(pickle.dumps((len(self._asked), operation, arguments))))

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.pinged = True
        self.ask("ping", (), None, None)

    def abort(self) -> None:
        """End it."""
        self._transport.abort()

    def fail(self, error: KazooException) -> None:
        """What was asked is not answered any more."""
        while self._asked:
            future, _ = self._asked.popleft()
            if future is not None and not future.done():
                future.set_exception(error)

    # ── asyncio's side ────────────────────────────────────────────────────────────────────────────
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.fail(ConnectionLoss())
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.heard_s = self._loop.time()
        for frame in self._frames.feed(data):
            number, result = pickle.loads(frame)
            if number < 0:
                for call in self._watches.pop(result, ()):
                    call()
            else:
                self._answered(result)

    def _answered(self, result: object) -> None:
        self.pinged = False
        future, watch = self._asked.popleft()
        if watch is not None:
            self._watches.setdefault(watch[0], []).append(watch[1])
        if future is None or future.done():
            return
        if isinstance(result, KazooException):
            future.set_exception(result)
        else:
            future.set_result(result)
