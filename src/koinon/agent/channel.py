"""The agent's end of the channel to its master: a WebSocket that we open, again and again.

A frame is a JSON array of messages; what is sent within one turn of the event loop goes into one frame. Pings are
answered here. A master that is silent for too long is left; one that is not the leader names the one that is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import aiohttp
from aiohttp import WSMsgType
from msgspec import DecodeError
from yarl import URL

from koinon import logs
from koinon.agent.core.events import Event, MasterConnected, MasterLost, MasterSaid
from koinon.mesos import internal

_WAIT_MAX_S = 60.0
_CONNECT_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0
#: Until the master has said what silence means.
_SILENCE_FIRST_S = 30.0
#: Redirections followed in a row before we start over.
_REDIRECTIONS_MAX = 5


class Channel:
    """Keeps a connection to the leading master. `run` until cancelled. `http` makes the client that opens it."""

    def __init__(
        self,
        master: str,
        feed: Callable[[Event], None],
        *,
        backoff_s: float,
        http: Callable[[], aiohttp.ClientSession] = aiohttp.ClientSession,
    ) -> None:
        self._master = master
        self._http = http
        self._feed = feed
        self._backoff_s = backoff_s
        self._log = logs.get(role="agent")
        self._session = 0
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._queued: list[internal.AgentMessage] = []
        self._sender: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[bool] | None = None
        self._silence_s = _SILENCE_FIRST_S
        #: host:port of the master that we are connected to.
        self.connected_to: str | None = None

    def send(self, session: int, message: internal.AgentMessage) -> None:
        """Queue a message; dropped when that session is over."""
        if session != self._session or self._socket is None:
            return
        self._queued.append(message)
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send_queued(self._socket))

    def leave(self, session: int, reason: str) -> None:
        """End that session, if it still stands; the wait before the next grows as after a failure."""
        if session == self._session and self._socket is not None and self._leaving is None:
            self._log.warning("the master is left", master=self.connected_to, reason=reason)
            self._leaving = asyncio.get_running_loop().create_task(self._socket.close())

    async def run(self) -> None:
        """Connect, listen, and connect again."""
        async with self._http() as http:
            lost = 0  # attempts without success
            while True:
                connected = await self._visit(http)
                lost = 0 if connected else lost + 1
                wait_s = min(self._backoff_s * 2 ** min(max(lost - 1, 0), 16), _WAIT_MAX_S)
                # Random, so that the agents of a restarted master do not all come at once.
                await asyncio.sleep(random.uniform(0, wait_s))

    async def flush(self) -> None:
        """Wait until what was sent has left; for the end of the process."""
        if self._sender is not None:
            await asyncio.wait([self._sender], timeout=_CLOSE_TIMEOUT_S)

    async def _visit(self, http: aiohttp.ClientSession) -> bool:
        """One connection from its beginning to its end; False if there was none, or none worth having."""
        address = self._master
        for _ in range(_REDIRECTIONS_MAX):
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):  # wait_for may swallow that we are cancelled
                    socket = await http.ws_connect(
                        f"http://{address}{internal.PATH}",
                        max_msg_size=0,
                        timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
                    )
            except aiohttp.WSServerHandshakeError as error:
                location = error.headers.get("Location") if error.headers is not None else None
                if error.status == 307 and location is not None:
                    leader = URL(f"http://{address}/").join(URL(location))
                    address = f"{leader.host}:{leader.port}"
                    continue
                self._log.warning("the master refuses the channel", master=address, status=error.status)
                return False
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self._log.warning("no master", master=address, error=str(error) or type(error).__name__)
                return False
            return await self._serve(socket, address)
        self._log.warning("the masters redirect in a circle", master=self._master)
        return False

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse, address: str) -> bool:
        self._session += 1
        session, self._socket, self.connected_to = self._session, socket, address
        self._leaving = None
        self._silence_s = _SILENCE_FIRST_S
        try:
            self._feed(MasterConnected(session))
            while (frame := await socket.receive(self._silence_s)).type in (WSMsgType.BINARY, WSMsgType.TEXT):
                self._hear(session, frame.data)
        except TimeoutError:
            self._log.warning("the master is silent", master=address, silence_s=self._silence_s)
        except DecodeError as error:
            self._log.error("the master sent what is no message", master=address, error=str(error))
        finally:
            self._socket, self.connected_to = None, None
            self._queued.clear()
            if self._sender is not None:
                self._sender.cancel()
                self._sender = None
            await socket.close()
            if self._leaving is not None:
                await self._leaving
            self._log.warning("connection to the master lost", master=address)
            self._feed(MasterLost(session))
        return self._leaving is None

    def _hear(self, session: int, data: bytes) -> None:
        for message in internal.decode_from_master(data):
            if isinstance(message, internal.Ping):
                self.send(session, internal.Pong())
                continue
            if isinstance(message, internal.Registered):
                self._silence_s = message.silence_timeout_s
            self._feed(MasterSaid(message))
            if isinstance(message, internal.Registered) and self._leaving is None:
                self._log.info("registered", master=self.connected_to, agent_id=message.agent_id)

    async def _send_queued(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while self._queued:
                batch, self._queued = self._queued, []
                await socket.send_bytes(internal.encode(batch))
        except (ConnectionError, aiohttp.ClientError):
            self._queued.clear()  # the reader notices the end, too, and says so
        finally:
            if asyncio.current_task() is self._sender:
                self._sender = None
