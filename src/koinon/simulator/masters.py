"""Masters: the real core in the real runtime, behind a small HTTP server.

What `master/server.py` does with requests is done here: calls go to the real `SchedulerApi`, SUBSCRIBE opens a stream,
and an agent's request for its channel opens one.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any, cast

from koinon.coordination import StoreError
from koinon.edge import HttpError, Metrics
from koinon.master.core import Config, Master, Refused, events
from koinon.master.core.validation.calls import check_call
from koinon.master.runtime import Runtime
from koinon.master.scheduler_api import STREAM_ID, SchedulerApi
from koinon.mesos import codec, internal, v1
from koinon.mesos.v1.scheduler import Call
from koinon.simulator.disk import DiskStore
from koinon.simulator.http import Frames, HttpConnection, framed
from koinon.simulator.machines import Machine, Process

PORT = 5050

#: How long a supervisor waits before it starts a master again.
RESTART_S = 0.5


class MasterNode:
    """A master that is started again and again."""

    def __init__(self, machine: Machine, name: str, config: Config) -> None:
        self.machine = machine
        self.name = name
        self.config = config
        self.world = machine.world
        self.wanted = True  #: it is to run
        self.process: Process | None = None
        self.core: Master | None = None
        self._random = self.world.random(name)
        self._starts = count(1)

    def start(self) -> None:
        """Start a process, if it is to run and does not."""
        if self.process is not None or not self.wanted or not self.machine.up:
            return
        process = self.process = Process(self.machine, f"{self.name}.{next(self._starts)}")
        process.on_end.append(self._ended)
        process.start(self._main(process))

    def _ended(self) -> None:
        self.process = self.core = None
        self.world.after(RESTART_S, self.start)

    async def _main(self, process: Process) -> int:
        core = self.core = Master(
            self.config,
            master_info=self._info(),
            seed=self._random.getrandbits(64),
            now=process.machine.wall(),
        )
        runtime = Runtime(core, cast(Any, DiskStore(process, self.machine.disk, "registry")), Metrics())
        front = Front(process, runtime)
        self.machine.network.listen(process, PORT, front.accept)
        runtime.start()
        try:
            await runtime.failed
        except StoreError as error:
            self.world.tell(process.name, f"stops: {error}")
        return 1

    def _info(self) -> v1.MasterInfo:
        ip = self.machine.ip
        number = int.from_bytes(bytes(map(int, ip.split("."))), "little")
        digits = f"{self._random.getrandbits(64):016x}"
        return v1.MasterInfo(
            id=f"{self.name}-{digits}",
            ip=number,
            port=PORT,
            pid=f"master@{ip}:{PORT}",
            hostname=self.name,
            address=v1.Address(hostname=self.name, ip=ip, port=PORT),
        )


class Front:
    """What listens on a master's port."""

    def __init__(self, process: Process, runtime: Runtime) -> None:
        self._process = process
        self._runtime = runtime
        self._api = SchedulerApi(runtime)
        self._channels = count(1)
        self._streams = count(1)

    def accept(self) -> HttpConnection:
        """A connection was made."""
        return HttpConnection(self._handle)

    def _handle(self, connection: HttpConnection, path: str, headers: dict[str, str], body: bytes) -> None:
        if path == internal.PATH:
            channel_id = f"{self._process.name}-channel-{next(self._channels)}"
            self._runtime.channels[channel_id] = Channel(connection, self._runtime, channel_id)  # type: ignore[assignment]
            return
        self._process.world.story.tell(self._process.name, body)
        try:
            if (answer := self._api.hot(headers, body)) is None:  # type: ignore[arg-type]
                self._subscribe(connection, codec.decode(Call, body))
                return
            assert isinstance(answer.body, bytes)
            connection.answer(answer.status, answer.body)
        except (HttpError, Refused) as error:
            self._process.world.tell(self._process.name, f"refuses: {error.status} {error}")
            connection.answer(error.status, str(error).encode())

    def _subscribe(self, connection: HttpConnection, call: Call) -> None:
        check_call(call)
        stream_id = f"{self._process.name}-stream-{next(self._streams)}"
        runtime, streams = self._runtime, self._runtime.streams

        def closed(reason: str) -> None:
            if streams.pop(stream_id, None) is not None:
                runtime.tell(events.SchedulerStreamClosed(stream_id, reason))

        stream = connection.stream(closed)
        streams[stream_id] = stream  # type: ignore[assignment]
        try:
            runtime.feed(events.SchedulerSubscribed(stream_id, call))
        except Refused:
            del streams[stream_id]
            raise
        stream.open({STREAM_ID: stream_id, "Content-Type": codec.JSON})


class Channel:
    """Stands in for the master's end of an agent's channel: what is sent in one turn is one frame."""

    def __init__(self, connection: HttpConnection, runtime: Runtime, channel_id: str) -> None:
        self._connection = connection
        self._runtime = runtime
        self._id = channel_id
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._queued: list[internal.MasterMessage] = []
        self._open = True
        connection.answer(101)
        connection.on_bytes, connection.on_lost = self._hear, self._lost

    def send(self, message: internal.MasterMessage) -> None:
        """Queue a message."""
        if not self._queued:
            self._loop.call_soon(self._flush)
        self._queued.append(message)

    def close(self) -> None:
        """Close the connection after what was sent."""
        self._loop.call_soon(self._close)

    def _close(self) -> None:
        self._flush()
        self._connection.close()

    def _flush(self) -> None:
        if self._queued and self._open:
            payload = internal.encode(self._queued)
            self._connection.write(framed(payload))
        self._queued.clear()

    def _hear(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            for message in internal.decode_from_agent(frame):
                self._runtime.tell(events.AgentSaid(self._id, message))

    def _lost(self) -> None:
        self._open = False
        self._runtime.channels.pop(self._id, None)
        self._runtime.tell(events.AgentChannelClosed(self._id))
