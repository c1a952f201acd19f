"""Masters: the real core in the real runtime, behind a small HTTP server.

What `master/server.py` does with requests is done here: calls go to the real `SchedulerApi`, SUBSCRIBE opens a stream,
and an agent's request for its channel opens one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from koinon.coordination import Fenced, Leader, StoreError
from koinon.coordination.zookeeper import Url
from koinon.coordination.zookeeper.election import Election
from koinon.coordination.zookeeper.store import open_store
from koinon.edge import HttpError, Metrics
from koinon.master.core import Config, Master, Refused, events
from koinon.master.core.validation.calls import check_call
from koinon.master.runtime import Runtime
from koinon.master.scheduler_api import STREAM_ID, SchedulerApi
from koinon.master.standby import Standby
from koinon.mesos import codec, internal, v1
from koinon.mesos.v1.scheduler import Call
from koinon.simulator.disk import DiskStore
from koinon.simulator.http import Frames, HttpConnection, framed
from koinon.simulator.machines import Machine, Node, Process
from koinon.simulator.observer import Observer

PORT = 5050


class MasterNode(Node):
    """A master; with the URL of a ZooKeeper it stands for election, without it leads from the start."""

    def __init__(
        self,
        machine: Machine,
        name: str,
        config: Config,
        observer: Observer,
        url: Url | None,
        session_s: float,
    ) -> None:
        super().__init__(machine, name)
        self.config = config
        self.core: Master | None = None
        self.runtime: Runtime | None = None
        self._observer = observer
        self._url = url
        self._session_s = session_s

    def over(self) -> None:
        """See `Node.over`."""
        self.core = self.runtime = None

    @property
    def may_act(self) -> bool:
        """Would it act, if it were asked now?"""
        if self.process is None or self.runtime is None:
            return False
        found: list[bool] = []
        self.process.within(lambda: found.append(cast(Runtime, self.runtime).may_act()))
        return found[0]

    def is_connected_with(self, channel_id: str | None, process: Process | None) -> bool:
        """Does this channel lead to that process, and is it open at both ends?"""
        if self.runtime is None or channel_id is None:
            return False
        channel = cast(Any, self.runtime.channels.get(channel_id))
        return channel is not None and channel.leads_to(process)

    async def main(self, process: Process) -> int:
        """What `master/server.py` does."""
        info = self._info()
        core = self.core = ObservedMaster(
            self,
            self._observer,
            self.config,
            master_info=info,
            seed=self.random.getrandbits(64),
            now=process.machine.wall(),
        )
        if self._url is None:
            runtime = self.runtime = Runtime(core, Metrics())
            self._listen(process, runtime, None)
            runtime.start(DiskStore(process, self.machine.disk, "registry"))
        else:
            election = Election(self._url, timeout_s=self._session_s)
            runtime = self.runtime = Runtime(core, Metrics(), lease=election.held)
            life = _Life(process, runtime, election)
            self._listen(process, runtime, life.standby)
            life.stand(info)
        try:
            await runtime.failed
        except StoreError as error:
            self.world.tell(process.name, f"stops: {error}")
        return 1

    def _listen(self, process: Process, runtime: Runtime, standby: Standby | None) -> None:
        front = Front(process, runtime, standby, self._acts)
        self.machine.network.listen(process, PORT, front.accept)

    def _acts(self) -> bool:
        """It is about to send something, if it may."""
        may_act = self.runtime is not None and self.runtime.may_act()
        if may_act:
            self._observer.master_acts(self)
        return may_act

    def _info(self) -> v1.MasterInfo:
        ip = self.machine.ip
        number = int.from_bytes(bytes(map(int, ip.split("."))), "little")
        digits = f"{self.random.getrandbits(64):016x}"
        return v1.MasterInfo(
            id=f"{self.name}-{digits}",
            ip=number,
            port=PORT,
            pid=f"master@{ip}:{PORT}",
            hostname=self.name,
            address=v1.Address(hostname=self.name, ip=ip, port=PORT),
        )


class _Life:
    """From standing by to being deposed, as `master/server.py` has it."""

    def __init__(self, process: Process, runtime: Runtime, election: Election) -> None:
        self.standby = Standby()
        self._process = process
        self._runtime = runtime
        self._election = election

    def stand(self, info: v1.MasterInfo) -> None:
        """Stand for election."""
        self._election.stand(
            msgspec.json.encode(info),
            on_elected=self._elected,
            on_deposed=self._deposed,
            on_leader=self._follow,
        )

    def _follow(self, leader: Leader | None) -> None:
        self.standby.leader = leader

    def _elected(self, epoch: int) -> None:
        self._process.world.tell(self._process.name, f"elected, epoch {epoch}")
        self.standby.elected = True
        self._process.loop.create_task(self._take_over(epoch))

    async def _take_over(self, epoch: int) -> None:
        session = self._election.session
        try:
            store = await open_store(session, f"{session.url.path}/registry", epoch=epoch)
            self._runtime.start(store, epoch)
        except Fenced as error:
            self._deposed(str(error))
        except Exception as error:
            self._runtime.fail(error)

    def _deposed(self, reason: str) -> None:
        self._process.end_now(f"deposed: {reason}")


class ObservedMaster(Master):
    """The core, with somebody who looks on."""

    def __init__(self, node: MasterNode, observer: Observer, config: Config, **options: Any) -> None:
        super().__init__(config, **options)
        self._node = node
        self._observer = observer

    def handle(self, event: events.Event, now: float) -> list[events.Effect]:
        """See `Master.handle`."""
        effects = super().handle(event, now)
        self._observer.master_handled(self._node, event, effects)
        return effects


class Front:
    """What listens on a master's port."""

    def __init__(
        self, process: Process, runtime: Runtime, standby: Standby | None, may_act: Callable[[], bool]
    ) -> None:
        self._process = process
        self._runtime = runtime
        self._standby = standby  #: who answers until we lead
        self._may_act = may_act
        self._api = SchedulerApi(runtime)
        self._channels = count(1)
        self._streams = count(1)

    def accept(self) -> HttpConnection:
        """A connection was made."""
        return HttpConnection(self._handle)

    def _handle(self, connection: HttpConnection, path: str, headers: dict[str, str], body: bytes) -> None:
        try:
            if self._standby is not None and self._runtime.core.state.recovered is False:
                self._standby.guard(cast(Any, SimpleNamespace(path=path, path_qs=path)))
        except HttpError as error:
            connection.answer(error.status, str(error).encode(), error.headers)
            return
        if path == internal.PATH:
            channel_id = f"{self._process.name}-channel-{next(self._channels)}"
            self._runtime.channels[channel_id] = Channel(connection, self._runtime, channel_id, self._may_act)  # type: ignore[assignment]
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

        stream = connection.stream(closed, self._may_act)
        streams[stream_id] = stream  # type: ignore[assignment]
        try:
            runtime.feed(events.SchedulerSubscribed(stream_id, call))
        except Refused:
            del streams[stream_id]
            raise
        stream.open({STREAM_ID: stream_id, "Content-Type": codec.JSON})


class Channel:
    """Stands in for the master's end of an agent's channel: what is sent in one turn is one frame."""

    def __init__(
        self, connection: HttpConnection, runtime: Runtime, channel_id: str, may_act: Callable[[], bool]
    ) -> None:
        self._may_act = may_act
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

    def leads_to(self, process: Process | None) -> bool:
        """Is that process at the other end, and has it not closed it?"""
        return self._open and self._connection.peer is process

    def _close(self) -> None:
        self._flush()
        self._connection.close()

    def _flush(self) -> None:
        queued, self._queued = self._queued, []
        if queued and self._open and self._may_act():
            self._connection.write(framed(internal.encode(queued)))

    def _hear(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            for message in internal.decode_from_agent(frame):
                self._runtime.tell(events.AgentSaid(self._id, message))

    def _lost(self) -> None:
        self._open = False
        self._runtime.channels.pop(self._id, None)
        self._runtime.tell(events.AgentChannelClosed(self._id))
