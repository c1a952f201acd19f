"""Chronoses: the real process with its leadership, runtime, driver and core, on a modelled machine.

Modelled are its port, on which nobody knocks, the directory of one that is alone, and its history, which is a database
elsewhere. What tasks have written is not asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from koinon.chronos import runtime as chronos_runtime
from koinon.chronos.core import events
from koinon.chronos.flags import ChronosFlags, ZkHosts
from koinon.chronos.model import Run
from koinon.chronos.server import ChronosProcess
from koinon.coordination import Leader, Store
from koinon.coordination.detection import Masters
from koinon.service import process as service
from koinon.service.exits import Exit, Fatal
from koinon.service.flags import Milliseconds, Seconds
from koinon.service.leadership import Leadership
from koinon.simulator.disk import DiskStore
from koinon.simulator.keepers.server import PORT as KEEPER_PORT
from koinon.simulator.machines import Machine, Node, Process
from koinon.simulator.observer import Observer
from koinon.simulator.plan import Plan
from koinon.simulator.world import World

PORT = 4400
#: For these reasons a process may end by itself, and another one begin.
_USUAL = (
    Exit.LEADERSHIP_LOST,
    Exit.ZOOKEEPER_UNREACHABLE,
    Exit.TAKEOVER_FAILED,
    Exit.DRIVER_FAILED,  # what an earlier one has sent may reach the master late, and take the place of this one
    Exit.UNCAUGHT,
)
_MISTAKES = ("the core failed", "unable to lead", "the driver failed")
#: What is on the disk of one that is alone.
_FILE = "chronos"
_EPOCH = "epoch"
#: How long the history takes for a write, on average.
_WRITE_S = 0.005


class ChronosNode(Node):
    """A Chronos; with servers of ZooKeeper it stands for election, without it leads from the start."""

    def __init__(
        self,
        machine: Machine,
        name: str,
        plan: Plan,
        masters: str,
        keepers: Iterable[Machine],
        database: Database,
        observer: Observer,
    ) -> None:
        super().__init__(machine, name)
        assert plan.chronos is not None
        self.observer = observer
        self.database = database
        self.chronos: ChronosProcess | None = None
        servers = tuple((keeper.ip, KEEPER_PORT) for keeper in keepers)
        self._flags = ChronosFlags(
            master=Masters.parse(masters),
            work_dir=None if servers else Path("/var/lib/chronos"),
            zk_hosts=ZkHosts(servers, "", None) if servers else None,
            zk_session_timeout=Milliseconds(plan.session_s),
            hostname=machine.ip,
            http_port=PORT,
            history="elsewhere",
            user="nobody",
            mesos_task_disk=0.0,  # agents have none to offer
            failure_retry=Milliseconds(plan.chronos.retry_s),
            task_epsilon=Seconds(plan.chronos.epsilon_s),
        )

    def over(self) -> None:
        """See `Node.over`."""
        self.chronos = None

    @property
    def leader(self) -> ChronosProcess | None:
        """Its process, if that leads and can be asked."""
        chronos, process = self.chronos, self.process
        if chronos is None or process is None or process.frozen:
            return None
        found: list[bool] = []
        process.within(lambda: found.append(chronos.leadership.leads))
        return chronos if found[0] else None

    async def main(self, process: Process) -> int:
        """What `koinon chronos` does."""

        def over(why: Fatal) -> None:
            self.world.tell(process.name, str(why))
            if why.status == Exit.LEADERSHIP_LOST:
                process.end_now(str(why))

        chronos = self.chronos = ObservedChronos(self, self._flags, on_over=over)
        try:
            await chronos.start()
            await chronos.over
        except Fatal as why:
            if why.status not in _USUAL or str(why).startswith(_MISTAKES):
                self.world.accuse("no process fails", f"{process.name}: {why}", process.name)
            return why.status
        return 0


class ObservedChronos(ChronosProcess):
    """The process, with somebody who looks on."""

    def __init__(self, node: ChronosNode, flags: ChronosFlags, *, on_over: Callable[[Fatal], None]) -> None:
        self.node = node
        super().__init__(flags, on_over=on_over)
        core = self.runtime.core
        handle = core.handle

        def handle_observed(event: events.Event, now: float, wall: float) -> list[events.Effect]:
            effects = handle(event, now, wall)
            node.observer.chronos_handled(node, event, effects)
            return effects

        core.handle = handle_observed  # type: ignore[method-assign]

    def _coordination(self) -> Any:
        return super()._coordination() if self._zk is not None else _OwnDisk(self.node)


class _ObservedLeadership(Leadership):
    """Says when it says that it may act."""

    def may_act(self) -> bool:
        """See `Leadership.may_act`."""
        may_act = super().may_act()
        process = Process.current
        assert process is not None
        if may_act:
            node = next(one for one in process.machine.nodes if isinstance(one, ChronosNode))
            node.observer.chronos_acts(node, self.epoch)
        return may_act


class _OwnDisk:
    """Stands in for `OnThisMachine`: nobody else is there."""

    def __init__(self, node: ChronosNode) -> None:
        process = Process.current
        assert process is not None
        self._store = DiskStore(process, node.machine.disk, _FILE)
        self.election = self

    async def reach(self) -> None:
        """See `Coordination.reach`."""

    async def open_store(self, epoch: int) -> Store:
        """See `Coordination.open_store`."""
        return self._store

    def stand(
        self,
        info: bytes,
        *,
        on_elected: Callable[[int], None],
        on_deposed: Callable[[str], None],
        on_leader: Callable[[Leader | None], None],
    ) -> None:
        """See `Election.stand`."""
        epoch = int(self._store.load(_EPOCH).get(_EPOCH, b"0")) + 1

        def written(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is not None:
                on_deposed(str(done.exception()))
            else:
                on_elected(epoch)

        self._store.commit([(_EPOCH, b"%d" % epoch)]).add_done_callback(written)

    def held(self) -> bool:
        """See `Lease.held`."""
        return True

    async def close(self) -> None:
        """See `Election.close`."""


# ── the history ───────────────────────────────────────────────────────────────────────────────────
class Database:
    """What is remembered of runs, in a database that is on no machine of the cluster and may be away."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random("history")
        self.away = False
        self.runs: dict[str, Run] = {}

    def write(self, process: Process, runs: tuple[Run, ...], done: asyncio.Future[None]) -> None:
        """Keep runs, as soon as it is there; it may have them before the process knows."""
        if not process.alive:
            return
        if self.away:
            self.world.after(1.0, self.write, process, runs, done)
            return
        self.world.after(_WRITE_S * self.random.uniform(0.5, 1.5), self._write, process, runs, done)

    def _write(self, process: Process, runs: tuple[Run, ...], done: asyncio.Future[None]) -> None:
        if self.away:
            self.write(process, runs, done)
            return
        for run in runs:
            self.runs[run.id] = run
        self.world.after(_WRITE_S * self.random.uniform(0.1, 1.5), process.loop.deliver, _settle, done)


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


class _History:
    """As much of a `History` as a runtime uses."""

    def __init__(self, database: Database) -> None:
        process = Process.current
        assert process is not None
        self._process = process
        self._database = database

    async def opened(self) -> None:
        """See `History.opened`."""

    def record(self, runs: Iterable[Run]) -> asyncio.Future[None]:
        """See `History.record`."""
        done: asyncio.Future[None] = self._process.loop.create_future()
        self._database.write(self._process, tuple(runs), done)
        return done

    async def close(self) -> None:
        """See `History.close`."""


class _NoSandboxes:
    """Stands in for `Sandboxes`: there is nothing to be read."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def note(self, offers: object) -> None:
        """See `Sandboxes.note`."""

    async def output(self, run: Run, *, patient: bool = True) -> None:
        """See `Sandboxes.output`."""

    async def close(self) -> None:
        """See `Sandboxes.close`."""


class _Port:
    """Stands in for `HttpServer`."""

    def __init__(self, app: object) -> None:
        pass

    async def start(self, ip: str, port: int) -> int:
        """See `HttpServer.start`."""
        return port


# ── what it stands on ─────────────────────────────────────────────────────────────────────────────
@contextmanager
def chronoses_simulated(database: Database) -> Iterator[None]:
    """Until the end of the block what is modelled takes the place of what is real."""
    replacements: list[tuple[object, str, object]] = [
        (service, "HttpServer", _Port),
        (service, "Leadership", _ObservedLeadership),
        (chronos_runtime, "History", lambda url, bounds: _History(database)),
        (chronos_runtime, "Sandboxes", _NoSandboxes),
    ]
    with ExitStack() as stack:
        for owner, name, replacement in replacements:
            stack.enter_context(patch.object(owner, name, replacement))
        yield
