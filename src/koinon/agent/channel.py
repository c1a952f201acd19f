"""The agent's end of the channel to its master: a WebSocket that we open, again and again.

A frame is a JSON array of messages; what is sent within one turn of the event loop goes into one frame. Pings are
answered here. A master that is silent for too long is left; so is one, at once, when another one leads. One that is not
the leader names the one that is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import aiohttp
from aiohttp import WSMsgType
from msgspec import DecodeError

from koinon import logs
from koinon.agent.core.events import Event, MasterConnected, MasterLost, MasterSaid
from koinon.coordination import Detector, Leader
from koinon.coordination.detection import detect, parse_leader
from koinon.coordination.following import Following
from koinon.mesos import internal

_WAIT_MAX_S = 60.0
_CONNECT_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0
#: Until the master has said what silence means.
_SILENCE_FIRST_S = 30.0
#: Redirections followed in a row before we start over.
_REDIRECTIONS_MAX = 5


def _client() -> aiohttp.ClientSession:
    # Redirections are ours to follow: we have to know with whom we are connected.
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_to_follow)
    return aiohttp.ClientSession(trace_configs=[trace])


async def _refuse_to_follow(_: object, __: object, redirect: aiohttp.TraceRequestRedirectParams) -> None:
    answer = redirect.response
    answer.close()
    raise aiohttp.WSServerHandshakeError(
        answer.request_info, answer.history, status=answer.status, headers=answer.headers
    )


class Channel:
    """Keeps a connection to the leading master. `run` until cancelled. `http` makes the client that opens it, which
    follows no redirection.
    """

    def __init__(
        self,
        masters: Detector | str,
        feed: Callable[[Event], None],
        *,
        backoff_s: float,
        http: Callable[[], aiohttp.ClientSession] = _client,
    ) -> None:
        detector = detect(masters) if isinstance(masters, str) else masters
        self._following = Following(detector, self._leader_changed)
        self._http = http
        self._feed = feed
        self._backoff_s = backoff_s
        self._log = logs.get(role="agent")
        self._session = 0
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._queued: list[internal.AgentMessage] = []
        self._sender: asyncio.Task[None] | None = None
        self._visit: asyncio.Task[bool] | None = None
        self._address = ""  #: of the master that is visited
        self._worth = True  #: whether this visit is any
        self._closing: set[asyncio.Task[bool]] = set()  #: held, so that they are not collected
        self._silence_s = _SILENCE_FIRST_S
        self._spread_s = backoff_s  #: over which all agents return when they lose their master
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
        if session == self._session and self._socket is not None:
            self._worth = False
            self._end_visit(reason)

    async def run(self) -> None:
        """Connect, listen, and connect again. Raises DetectionError when no master will ever be found."""
        self._following.start()
        try:
            async with self._http() as http:
                await self._visit_leaders(http)
        finally:
            await self._following.close()
            if self._closing:
                await asyncio.wait(self._closing)

    async def _visit_leaders(self, http: aiohttp.ClientSession) -> None:
        following = self._following
        wait_s = 0.0
        failed = 0  # attempts in a row
        while True:
            leader = following.look()
            if leader is None:
                await following.pause()
                wait_s, failed = self._spread_s, 0
                continue
            # Random, so that not all agents come at once: to a leader that is new, or one that was away.
            if wait_s and await following.pause(random.uniform(0, wait_s)):
                wait_s, failed = self._spread_s, 0
                continue
            if await self._visited(http, leader):
                wait_s, failed = self._spread_s, 0
            else:
                following.suspect(leader)
                wait_s, failed = min(self._backoff_s * 2 ** min(failed, 16), _WAIT_MAX_S), failed + 1

    async def flush(self) -> None:
        """Wait until what was sent has left; for the end of the process."""
        if self._sender is not None:
            await asyncio.wait([self._sender], timeout=_CLOSE_TIMEOUT_S)

    async def _visited(self, http: aiohttp.ClientSession, leader: Leader) -> bool:
        """One connection from its beginning to its end; False if there was none, or none worth having."""
        self._address, self._worth = leader.address, True
        self._visit = asyncio.get_running_loop().create_task(self._connect(http))
        try:
            await asyncio.wait((self._visit,))
        finally:
            if self._visit.cancel():  # we are ended
                await asyncio.wait((self._visit,))
        return self._worth if self._visit.cancelled() else self._visit.result()

    def _leader_changed(self) -> None:
        leader = self._following.leader
        if leader is None or leader.address != self._address:
            self._end_visit("no master leads" if leader is None else "another master leads")

    def _end_visit(self, reason: str) -> None:
        """At once: what the master would still say does not reach us any more."""
        if self._visit is not None and self._visit.cancel():
            self._log.warning("the master is left", master=self._address, reason=reason)

    async def _connect(self, http: aiohttp.ClientSession) -> bool:
        for _ in range(_REDIRECTIONS_MAX):
            address = self._address
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
                    try:
                        self._address = parse_leader(location).address
                    except ValueError as wrong:
                        self._log.warning("the master redirects to nowhere", master=address, error=str(wrong))
                        return False
                    continue
                self._log.warning("the master refuses the channel", master=address, status=error.status)
                return False
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self._log.warning("no master", master=address, error=str(error) or type(error).__name__)
                return False
            await self._serve(socket, address)
            return True
        self._log.warning("the masters redirect in a circle", master=self._address)
        return False

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse, address: str) -> None:
        self._session += 1
        session, self._socket, self.connected_to = self._session, socket, address
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
            # A master that does not answer does not keep us from the next one.
            closing = asyncio.get_running_loop().create_task(socket.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._log.warning("connection to the master lost", master=address)
            self._feed(MasterLost(session))

    def _hear(self, session: int, data: bytes) -> None:
        for message in internal.decode_from_master(data):
            if isinstance(message, internal.Ping):
                self.send(session, internal.Pong())
                continue
            if isinstance(message, internal.Registered):
                self._silence_s = message.silence_timeout_s
                self._spread_s = max(self._backoff_s, message.return_within_s)
            self._feed(MasterSaid(message))
            if isinstance(message, internal.Registered) and self._worth:
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
