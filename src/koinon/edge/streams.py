"""Event streams: v1 messages to one subscriber, RecordIO framed, for as long as it reads.

What is sent within one turn of the event loop goes out in one write. A subscriber that falls behind is cut
off: the server never holds more for it than `BACKLOG_BYTES_MAX` and what one turn brings. So is one of which nothing
is heard any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.web_request import BaseRequest

from koinon.mesos import codec, recordio
from koinon.mesos.v1.base import V1Message

#: Unread bytes at which a subscriber is given up.
BACKLOG_BYTES_MAX = 16 * 1024 * 1024

#: A subscriber whose machine does not confirm for so long to have got what was sent is given up. One that is lost without
#: a word would hold its offers for a quarter of an hour else; heartbeats come often enough to notice.
UNCONFIRMED_S = 60.0


class EventStream:
    """One subscriber's stream. `send` at any time; `serve` in the handler of its request.

    `on_closed(reason)` is called once when the stream is over because of the subscriber: it went away or fell
    behind. It is not called after `close`. `may_write` is asked right before anything leaves; what it forbids is
    forgotten.
    """

    def __init__(
        self,
        content_type: str,
        on_closed: Callable[[str], None],
        *,
        backlog_bytes_max: int = BACKLOG_BYTES_MAX,
        may_write: Callable[[], bool] | None = None,
    ) -> None:
        self.content_type = content_type
        self._on_closed = on_closed
        self._backlog_bytes_max = backlog_bytes_max
        self._may_write = may_write
        self._loop = asyncio.get_running_loop()
        self._queued: list[bytes] = []
        self._queued_bytes = 0
        self._transport: asyncio.WriteTransport | None = None
        self._chunked = True
        self._flushing = False
        self._open = True
        self._ended: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_open(self) -> bool:
        """Whether the subscriber can still be reached."""
        return self._open

    @property
    def unread_bytes(self) -> int:
        """How much the subscriber has not taken yet."""
        written = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._queued_bytes + written

    def send(self, message: V1Message) -> None:
        """Queue a message. Sending to a stream that is over does nothing: its end has been reported."""
        if self._open:
            self.send_encoded(codec.encode(message, self.content_type))

    def send_encoded(self, payload: bytes) -> None:
        """As `send`, for a message that is bytes already."""
        if not self._open:
            return
        self._queued.append(recordio.frame(payload))
        self._queued_bytes += len(payload)
        if self._transport is None:
            if self._queued_bytes > self._backlog_bytes_max:
                self._cut_off()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what is queued, then end the stream."""
        if self._open:
            self._open = False
            if self._transport is not None:
                self._write()
                self._end()

    async def serve(
        self,
        request: BaseRequest,
        headers: Mapping[str, str] | None = None,
        preface: AsyncIterator[bytes] | None = None,
    ) -> web.StreamResponse:
        """Answer `request` with the stream; returns when it is over.

        `preface` are bytes that go before all messages, at the pace of the reader: a record too large to be
        made or held at once. Messages sent meanwhile wait.
        """
        response = web.StreamResponse(
            headers={hdrs.SERVER: "Koinon", hdrs.CONTENT_TYPE: self.content_type, **(headers or {})}
        )
        self._chunked = request.version >= HttpVersion11
        try:
            await response.prepare(request)
            if preface is not None:
                async for piece in preface:
                    await response.write(piece)
            if (transport := request.transport) is None:
                raise ConnectionResetError
            self._transport = transport
            _bound_silence(transport)
            self._write()
            if self._open:
                await self._ended
        except (asyncio.CancelledError, ConnectionError):
            self._close_because("the subscriber closed the connection")
            raise
        response.force_close()
        with contextlib.suppress(ConnectionError):  # the subscriber may have gone meanwhile
            await response.write_eof()
        return response

    def _flush(self) -> None:
        self._flushing = False
        transport = self._transport
        if not self._open or transport is None:
            return
        if transport.get_write_buffer_size() > self._backlog_bytes_max:
            self._cut_off()
        else:
            self._write()

    def _write(self) -> None:
        transport = self._transport
        if self._queued and transport is not None and not transport.is_closing():
            payload = b"".join(self._queued)
            self._queued.clear()
            self._queued_bytes = 0
            if self._may_write is not None and not self._may_write():
                return
            if self._chunked:
                payload = b"%x\r\n%b\r\n" % (len(payload), payload)
            transport.write(payload)

    def _cut_off(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._close_because(f"the subscriber left more than {self._backlog_bytes_max} bytes unread")

    def _close_because(self, reason: str) -> None:
        if self._open:
            self._open = False
            self._queued.clear()
            self._end()
            # Not at once: we may be in the middle of carrying out effects, whose order counts.
            self._loop.call_soon(self._on_closed, reason)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def _bound_silence(transport: asyncio.BaseTransport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNCONFIRMED_S * 1000))
