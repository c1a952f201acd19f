"""A server that says what the test tells it to, over real sockets; independent of Koinon's own servers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import httptools
import pytest

from koinon.mesos import codec, recordio
from koinon.mesos.v1 import executor, scheduler
from koinon.mesos.v1.base import V1Message
from tests.unit.sdk.frameworks import SUBSCRIBED


class FakeSubscription:
    """A SUBSCRIBE that the server answered with a stream."""

    def __init__(self, call: Any, headers: dict[str, str], connection: FakeConnection) -> None:
        self.call = call
        self.headers = headers
        self._connection = connection

    def send(self, event: V1Message) -> None:
        self.send_bytes(recordio.frame(codec.encode(event, self.headers["accept"])))

    def send_bytes(self, data: bytes) -> None:
        self._connection.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    @property
    def unsent_bytes(self) -> int:
        return self._connection.transport.get_write_buffer_size()

    def end(self) -> None:
        self._connection.transport.write(b"0\r\n\r\n")

    def drop(self) -> None:
        self._connection.transport.abort()

    @property
    def closed(self) -> asyncio.Event:
        return self._connection.closed


class FakeConnection(asyncio.Protocol):
    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self.closed = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._server.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        server, headers = self._server, self._headers
        call = codec.decode(server.call_kind, self._body, headers["content-type"])
        if call.type is not server.call_kind.Type.SUBSCRIBE:
            server.calls.put_nowait((headers, call))
            answer = server.answer(call)
        elif server.subscribe_answers:
            answer = server.subscribe_answers.popleft()
        else:
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: %b\r\nContent-Type: %b\r\n\r\n"
                % (server.stream_id.encode(), headers["accept"].encode())
            )
            server.subscriptions.put_nowait(FakeSubscription(call, headers, self))
            return
        if answer is None:
            self.transport.abort()
        else:
            status, extra, text = answer
            self.transport.write(
                f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(text)}\r\n\r\n{text}".encode()
            )


#: Status, further headers, body; None drops the connection instead.
Answer = tuple[int, str, str] | None


class FakeServer:
    """Subscriptions and calls can be awaited; answers are 200 streams and 202 unless set otherwise."""

    def __init__(self, call_kind: Any) -> None:
        self.call_kind = call_kind
        self.stream_id = "stream-1"
        self.subscriptions: asyncio.Queue[FakeSubscription] = asyncio.Queue()
        self.calls: asyncio.Queue[tuple[dict[str, str], Any]] = asyncio.Queue()
        self.connections: list[FakeConnection] = []
        self.subscribe_answers: deque[Answer] = deque()
        self.answer: Callable[[Any], Answer] = lambda call: (202, "", "")

    async def subscription(self) -> FakeSubscription:
        return await asyncio.wait_for(self.subscriptions.get(), 5)

    async def call(self) -> Any:
        return (await asyncio.wait_for(self.calls.get(), 5))[1]

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: FakeConnection(self), "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        self._server.close()
        for connection in self.connections:
            connection.transport.abort()
        for connection in self.connections:
            await connection.closed.wait()


@pytest.fixture
async def master() -> AsyncIterator[FakeServer]:
    server = FakeServer(scheduler.Call)
    await server.listen()
    yield server
    await server.close()


@pytest.fixture
async def other_master() -> AsyncIterator[FakeServer]:
    server = FakeServer(scheduler.Call)
    await server.listen()
    yield server
    await server.close()


@pytest.fixture
async def agent() -> AsyncIterator[FakeServer]:
    server = FakeServer(executor.Call)
    await server.listen()
    yield server
    await server.close()


@pytest.fixture
async def running() -> AsyncIterator[Callable[[Any], asyncio.Task[None]]]:
    """Runs a scheduler or executor in the background; it is cancelled at the end of the test."""
    tasks = []

    def run(client: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(client.run())
        tasks.append(task)
        return task

    yield run
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


@pytest.fixture
def start(running):
    """Runs a scheduler and brings it to the point where it is subscribed."""

    async def start(scheduler, master):
        running(scheduler)
        subscription = await master.subscription()
        subscription.send(SUBSCRIBED)
        assert await scheduler.next() == ("subscribed", "F-0000")
        return subscription

    return start
