"""As much of an HTTP server as the shells' clients need: requests in, answers out, streams, and agents' channels.

The master's and the agent's real servers sit on aiohttp, which takes its time. What they do with a request is done here
in their stead: see `masters.py` and `agents.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from koinon.mesos import codec, recordio
from koinon.mesos.v1.base import V1Message
from koinon.simulator.machines import Process
from koinon.simulator.network import End

_REASONS = {
    200: "OK",
    202: "Accepted",
    307: "Temporary Redirect",
    400: "Bad Request",
    503: "Service Unavailable",
}


class HttpConnection(asyncio.Protocol):
    """One connection to a server. `handle(connection, path, headers, body)` answers each request, in order."""

    def __init__(self, handle: Callable[[HttpConnection, str, dict[str, str], bytes], None]) -> None:
        self._handle = handle
        self._buffer = b""
        self._transport: asyncio.Transport
        #: Who takes over the connection: told of bytes, and of its end.
        self.on_bytes: Callable[[bytes], None] | None = None
        self.on_lost: Callable[[], None] | None = None

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """A whole answer."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        reason = _REASONS.get(status, "Something")
        head = f"HTTP/1.1 {status} {reason}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def stream(self, on_closed: Callable[[str], None], may_act: Callable[[], bool]) -> Stream:
        """An answer that does not end; it begins with `open`. `may_act` is asked before each write."""
        stream = Stream(self._transport, on_closed, may_act)
        self.on_lost = stream.lost
        return stream

    def write(self, data: bytes) -> None:
        """Bytes, for who has taken over."""
        self._transport.write(data)

    def close(self) -> None:
        """The end."""
        self._transport.close()

    @property
    def peer(self) -> Process | None:
        """Whose the other end is; None if that is closed."""
        return cast(End, self._transport).peer_process

    # ── asyncio's side ────────────────────────────────────────────────────────────────────────────
    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: D102
        if self.on_bytes is not None:
            self.on_bytes(data)
            return
        self._buffer += data
        while (head_end := self._buffer.find(b"\r\n\r\n")) >= 0:
            line, *fields = self._buffer[:head_end].decode("latin-1").split("\r\n")
            headers = {name: value.strip() for name, _, value in (one.partition(":") for one in fields)}
            body_end = head_end + 4 + int(headers.get("Content-Length", "0"))
            if len(self._buffer) < body_end:
                return
            body, self._buffer = self._buffer[head_end + 4 : body_end], self._buffer[body_end:]
            self._handle(self, line.split(" ")[1], headers, body)
            if self.on_bytes is not None:
                self.on_bytes(self._buffer)
                return

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if self.on_lost is not None:
            self.on_lost()


class Stream:
    """Stands in for `koinon.edge.EventStream`: what is sent in one turn leaves in one write."""

    def __init__(
        self, transport: asyncio.Transport, on_closed: Callable[[str], None], may_act: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._on_closed = on_closed
        self._may_act = may_act
        self._loop = asyncio.get_running_loop()
        self._queued: list[bytes] = []
        self._begun = False
        self._open = True

    def open(self, headers: Mapping[str, str]) -> None:
        """The answer begins."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._transport.write(f"HTTP/1.1 200 OK\r\n{lines}Transfer-Encoding: chunked\r\n\r\n".encode())
        self._begun = True
        self._flush()
        if not self._open:
            self._end()

    @property
    def unread_bytes(self) -> int:
        """How much the subscriber has not taken yet."""
        return sum(map(len, self._queued)) + self._transport.get_write_buffer_size()

    def send(self, message: V1Message) -> None:
        """Queue a message."""
        if self._open:
            if not self._queued:
                self._loop.call_soon(self._flush)
            self._queued.append(recordio.frame(codec.encode(message)))

    def close(self) -> None:
        """Send what is queued, then end the stream."""
        if self._open:
            self._open = False
            if self._begun:
                self._flush()
                self._end()

    def lost(self) -> None:
        """The connection is over."""
        if self._open:
            self._open = False
            self._loop.call_soon(self._on_closed, "the subscriber closed the connection")

    def _flush(self) -> None:
        if self._queued and self._begun:
            payload = b"".join(self._queued)
            self._queued.clear()
            if not self._may_act():
                return
            self._transport.write(b"%x\r\n%b\r\n" % (len(payload), payload))

    def _end(self) -> None:
        self._transport.write(b"0\r\n\r\n")
        self._transport.close()


class Frames:
    """Bytes to frames: each has its length in front, in four bytes."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= 4:
            end = 4 + int.from_bytes(self._buffer[:4], "big")
            if len(self._buffer) < end:
                break
            frames.append(self._buffer[4:end])
            self._buffer = self._buffer[end:]
        return frames


def framed(payload: bytes) -> bytes:
    """One frame."""
    return len(payload).to_bytes(4, "big") + payload
