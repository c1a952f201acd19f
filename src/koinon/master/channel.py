"""The master's end of an agent's channel: a WebSocket that the agent opened.

A frame is a JSON array of messages; what is sent within one turn of the event loop goes into one frame. aiohttp
reads the frames. We write ours to the transport ourselves, as what a server sends has a head of a few bytes and no
more to it; going through a task for each would cost more than the message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.web_request import BaseRequest
from msgspec import DecodeError

from koinon import logs
from koinon.edge.turns import Turns
from koinon.mesos import internal

#: The largest frame: an agent that comes back reports all its tasks in one message.
FRAME_BYTES_MAX = 256 * 1024 * 1024
#: What an agent may leave unread before it is given up; it will register again.
_UNREAD_BYTES_MAX = 64 * 1024 * 1024
#: How long the closing handshake may take.
_CLOSE_S = 2.0
#: First byte of a frame that is whole and binary.
_BINARY = b"\x82"


class Channel:
    """One agent's connection. `on_message` is called for each message, `serve` returns when it is over.

    `may_send` is asked right before anything leaves; what it forbids is forgotten. When many agents talk at once, each
    frame waits for its turn in `turns`.
    """

    __slots__ = (
        "_closer",
        "_closing",
        "_flushing",
        "_log",
        "_may_send",
        "_on_message",
        "_queued",
        "_socket",
        "_transport",
        "_turns",
    )

    def __init__(
        self,
        on_message: Callable[[internal.AgentMessage], None],
        turns: Turns,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self._turns = turns
        self._on_message = on_message
        self._may_send = may_send
        self._socket = web.WebSocketResponse(max_msg_size=FRAME_BYTES_MAX, compress=False, timeout=_CLOSE_S)
        self._queued: list[internal.MasterMessage] = []
        self._transport: asyncio.WriteTransport | None = None
        self._flushing = False
        self._closing = False
        self._closer: asyncio.Task[bool] | None = None
        self._log = logs.get(role="master")

    def send(self, message: internal.MasterMessage) -> None:
        """Queue a message."""
        self._queued.append(message)
        self._flush_soon()

    def close(self) -> None:
        """Close the connection after what was sent."""
        self._closing = True
        self._flush_soon()

    async def serve(self, request: BaseRequest) -> web.WebSocketResponse:
        """Read until the agent goes away, sends what cannot be read, or `close` is called."""
        socket = self._socket
        await socket.prepare(request)
        self._transport = request.transport
        if self._closing:  # before it began
            self._flush_soon()
        try:
            async for frame in socket:
                if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    continue
                try:
                    await self._turns.do(partial(self._hear, frame.data))
                except DecodeError as error:
                    self._log.warning("agent sent what is no message", peer=request.remote, error=str(error))
                    await socket.close(code=WSCloseCode.INVALID_TEXT, message=b"not a message")
                    break
        finally:
            self._transport = None
            if self._closer is not None:
                await self._closer
        return socket

    def _hear(self, data: str | bytes) -> None:
        for message in internal.decode_from_agent(data):
            self._on_message(message)

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._queued and not self._may_send():
            self._queued.clear()
        if self._queued:
            if transport.get_write_buffer_size() > _UNREAD_BYTES_MAX:
                self._log.warning("agent does not read its messages; connection closed")
                transport.abort()
                return
            payload = internal.encode(self._queued)
            self._queued.clear()
            transport.write(_head(len(payload)) + payload)
        if self._closing and self._closer is None:
            self._closer = asyncio.get_running_loop().create_task(self._socket.close())


def _head(payload_bytes: int) -> bytes:
    """What stands before a frame's payload (RFC 6455, 5.2), unmasked as a server's frames are."""
    if payload_bytes < 126:
        return _BINARY + payload_bytes.to_bytes(1, "big")
    if payload_bytes < 1 << 16:
        return _BINARY + b"\x7e" + payload_bytes.to_bytes(2, "big")
    return _BINARY + b"\x7f" + payload_bytes.to_bytes(8, "big")
