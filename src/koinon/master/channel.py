"""The master's end of an agent's channel: a WebSocket that the agent opened.

A frame is a JSON array of messages; what is sent within one turn of the event loop goes into one frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.web_request import BaseRequest
from msgspec import DecodeError

from koinon import logs
from koinon.mesos import internal

#: The largest frame: an agent that comes back reports all its tasks in one message.
FRAME_BYTES_MAX = 256 * 1024 * 1024
#: Messages an agent may leave unread before it is given up; it will register again.
_UNREAD_MAX = 100_000
#: How long the closing handshake may take.
_CLOSE_S = 2.0


class Channel:
    """One agent's connection. `on_message` is called for each message, `serve` returns when it is over."""

    def __init__(self, on_message: Callable[[internal.AgentMessage], None]) -> None:
        self._on_message = on_message
        self._socket = web.WebSocketResponse(
            max_msg_size=FRAME_BYTES_MAX, compress=False, timeout=_CLOSE_S, autoping=True
        )
        self._queued: list[internal.MasterMessage] = []
        self._closing = False
        self._ready = False
        self._sender: asyncio.Task[None] | None = None
        self._log = logs.get(role="master")

    def send(self, message: internal.MasterMessage) -> None:
        """Queue a message."""
        self._queued.append(message)
        if len(self._queued) > _UNREAD_MAX:
            self._log.warning("agent does not read its messages; connection closed")
            self._queued.clear()
            self.close()
        else:
            self._start_sender()

    def close(self) -> None:
        """Close the connection after what was sent."""
        self._closing = True
        self._start_sender()

    async def serve(self, request: BaseRequest) -> web.WebSocketResponse:
        """Read until the agent goes away, sends what cannot be read, or `close` is called."""
        socket = self._socket
        await socket.prepare(request)
        self._ready = True
        try:
            async for frame in socket:
                if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    continue
                try:
                    messages = internal.decode_from_agent(frame.data)
                except DecodeError as error:
                    self._log.warning("agent sent what is no message", peer=request.remote, error=str(error))
                    await socket.close(code=WSCloseCode.INVALID_TEXT, message=b"not a message")
                    break
                for message in messages:
                    self._on_message(message)
        finally:
            self._closing = True
            if self._sender is not None:
                self._sender.cancel()
        return socket

    def _start_sender(self) -> None:
        if self._ready and self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send())
            self._sender.add_done_callback(self._sent)

    async def _send(self) -> None:
        """Send until nothing is queued; a slow agent holds up only itself."""
        while self._queued:
            batch, self._queued = self._queued, []
            await self._socket.send_bytes(internal.encode(batch))
        if self._closing:
            await self._socket.close()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sender = None
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            if self._queued:
                self._start_sender()
        elif not isinstance(error, ConnectionError):
            self._log.error("sending to an agent failed", error=repr(error))
