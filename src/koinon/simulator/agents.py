"""Agents: the real core in the real runtime, with the real gate, channel and containers, on a modelled machine.

Modelled are the disk below the checkpoint, the launcher, and the HTTP server towards custom executors.
"""

from __future__ import annotations

import asyncio
import contextlib
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
from aiohttp import WSMsgType

from koinon.agent.channel import Channel
from koinon.agent.containers import Containers
from koinon.agent.core import Agent, Config, custom
from koinon.agent.core.events import (
    Effect,
    Event,
    ExecutorCalled,
    ExecutorStreamClosed,
    ExecutorSubscribed,
    Incompatible,
    Refused,
    StateLoaded,
)
from koinon.agent.runtime import Runtime
from koinon.mesos import codec, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1.executor import Call
from koinon.simulator import launcher
from koinon.simulator.disk import AGENT_FILE, DiskStore
from koinon.simulator.http import Frames, HttpConnection, framed
from koinon.simulator.machines import Machine, Node, Process
from koinon.simulator.observer import Observer

PORT = 5051

_DRAIN_S = 5.0
_CLOSED = SimpleNamespace(type=WSMsgType.CLOSED, data=None)


class AgentNode(Node):
    """An agent, always on the same machine and work directory. `masters` is its `--master`."""

    def __init__(
        self,
        machine: Machine,
        name: str,
        resources: Resources,
        masters: str,
        machine_launcher: launcher.Launcher,
        observer: Observer,
    ) -> None:
        super().__init__(machine, name)
        self.resources = resources
        self.masters = masters
        self.launcher = machine_launcher
        self.core: Agent | None = None
        self.runtime: Runtime | None = None
        self._observer = observer

    def over(self) -> None:
        """See `Node.over`."""
        self.core = self.runtime = None

    async def main(self, process: Process) -> int:
        """What `agent/server.py` does."""
        store = DiskStore(process, self.machine.disk, AGENT_FILE)
        containers = Containers(
            lambda event: runtime.tell(event),
            cast(Any, None),
            (0, 0, 0),
            prepare=lambda batch: [None] * len(batch),
        )
        containers.containerizer = cast(Any, launcher.Containers(process, self.launcher, containers.ended))
        entries = store.load()
        found = await containers.recover()
        core = self.core = ObservedAgent(
            self, self._observer, self.config(), seed=self.random.getrandbits(64)
        )
        runtime = self.runtime = Runtime(core, store)
        runtime.containers = containers
        runtime.collector = cast(Any, SimpleNamespace(add=lambda *_, **__: None, drop=lambda _: None))
        runtime.probes = cast(Any, None)
        runtime.channel = Channel(
            self.masters, runtime.tell, backoff_s=1.0, http=lambda: cast(Any, Http(process))
        )
        try:
            runtime.feed(StateLoaded(entries, found, self.machine.boot_id()))
        except Incompatible as error:
            self.world.tell(process.name, str(error))
            return 1
        containers.recovered()
        self.machine.network.listen(process, PORT, Front(process, runtime).accept)
        channel = process.loop.create_task(runtime.channel.run())
        channel.add_done_callback(lambda task: task.cancelled() or task.result())
        status = await runtime.exit
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runtime.gate.drain(), _DRAIN_S)
        await runtime.channel.flush()
        return status

    def config(self) -> Config:
        """What its flags say."""
        ip = self.machine.ip
        return Config(
            agent_info=v1.AgentInfo(hostname=self.name, port=PORT, resources=self.resources.to_v1()),
            pid=f"slave(1)@{ip}:{PORT}",
            endpoint=f"{ip}:{PORT}",
            ip=ip,
            version="1.12.0",
            work_dir="/var/lib/koinon",
            user="nobody",
            switch_user=False,
        )


class ObservedAgent(Agent):
    """The core, with somebody who looks on."""

    def __init__(self, node: AgentNode, observer: Observer, config: Config, *, seed: int) -> None:
        super().__init__(config, seed=seed)
        self._node = node
        self._observer = observer

    def handle(self, event: Event, now: float) -> list[Effect]:
        """See `Agent.handle`."""
        effects = super().handle(event, now)
        self._observer.agent_handled(self._node, event, effects)
        return effects


class Front:
    """What listens on an agent's port, for executors; see `agent/executors.py`."""

    def __init__(self, process: Process, runtime: Runtime) -> None:
        self._process = process
        self._runtime = runtime
        self._streams = count(1)

    def accept(self) -> HttpConnection:
        """A connection was made."""
        return HttpConnection(self._handle)

    def _handle(self, connection: HttpConnection, path: str, headers: dict[str, str], body: bytes) -> None:
        self._process.world.story.tell(self._process.name, body)
        call = codec.decode(Call, body)
        try:
            if (problem := custom.problem(call)) is not None:
                raise Refused(400, problem)
            if call.type is Call.Type.SUBSCRIBE:
                self._subscribe(connection, call)
            else:
                self._runtime.feed(ExecutorCalled(call))
                connection.answer(202)
        except Refused as refused:
            self._process.world.tell(self._process.name, f"refuses: {refused.status} {refused}")
            connection.answer(refused.status, str(refused).encode())

    def _subscribe(self, connection: HttpConnection, call: Call) -> None:
        stream_id, streams = f"{self._process.name}-stream-{next(self._streams)}", self._runtime.streams

        def closed(reason: str) -> None:
            if streams.pop(stream_id, None) is not None:
                self._runtime.tell(ExecutorStreamClosed(stream_id))

        stream = connection.stream(closed, lambda: True)
        streams[stream_id] = cast(Any, stream)
        try:
            self._runtime.feed(ExecutorSubscribed(stream_id, call))
        except Refused:
            del streams[stream_id]
            raise
        stream.open({"Content-Type": codec.JSON})


class Http:
    """As much of aiohttp's client as the agent's channel uses."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def ws_connect(self, url: str, **options: object) -> Socket:
        """A socket. Raises OSError, and WSServerHandshakeError when the answer is not 101."""
        address, _, path = url.removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        loop = self._process.loop
        _transport, socket = await loop.create_connection(lambda: Socket(self._process), host, int(port))
        assert isinstance(socket, Socket)
        try:
            await socket.shake_hands(f"/{path}")
        except BaseException:
            socket.abort()
            raise
        return socket


class Socket(asyncio.Protocol):
    """As much of aiohttp's WebSocket as the agent's channel uses."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._loop = process.loop
        self._transport: asyncio.Transport
        self._head = b""
        self._answered: asyncio.Future[tuple[int, dict[str, str]]] = self._loop.create_future()
        self._frames = Frames()
        self._waiting: list[Any] = []
        self._arrival: asyncio.Future[None] | None = None
        self._lost = False

    async def shake_hands(self, path: str) -> None:
        """Raises WSServerHandshakeError."""
        self._transport.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        status, headers = await self._answered
        if status != 101:
            raise aiohttp.WSServerHandshakeError(
                cast(Any, None), (), status=status, message="no channel", headers=cast(Any, headers)
            )

    async def receive(self, timeout: float | None = None) -> Any:
        """See aiohttp. Raises TimeoutError."""
        while not self._waiting:
            if self._lost:
                return _CLOSED
            self._arrival = self._loop.create_future()
            async with asyncio.timeout(timeout):
                await self._arrival
        return self._waiting.pop(0)

    async def send_bytes(self, data: bytes) -> None:
        """See aiohttp."""
        if self._lost:
            raise ConnectionResetError("Cannot write to closing transport")
        self._process.world.story.tell(f"{self._process.name} →", data)
        self._transport.write(framed(data))

    async def close(self) -> None:
        """See aiohttp."""
        self._transport.close()

    def abort(self) -> None:
        """End it without a word."""
        self._transport.abort()

    # ── asyncio's side ────────────────────────────────────────────────────────────────────────────
    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        if not self._answered.done():
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            line, *fields = head.decode().split("\r\n")
            headers = {name: value.strip() for name, _, value in (one.partition(":") for one in fields)}
            self._answered.set_result((int(line.split(" ")[1]), headers))
        for frame in self._frames.feed(data):
            self._process.world.story.tell(f"→ {self._process.name}", frame)
            self._waiting.append(SimpleNamespace(type=WSMsgType.BINARY, data=frame))
        self._arrived()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._lost = True
        if not self._answered.done():
            self._answered.set_exception(ConnectionResetError("the connection broke"))
            self._answered.exception()  # seen: perhaps nobody waits any more
        self._arrived()

    def _arrived(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
