"""A process's place among those of its service.

    STANDBY ──elected──▶ PREPARING ──store opened, all read──▶ LEADING
       └──────────────────────┴──────────────────────────────────┴──deposed, failed, stopped──▶ OVER

Elected, we fence off the leader before us, read what it has left, and lead. `OVER` is final: the process ends (`exits`).
Whether we may act at this moment says `may_act`; it is asked before everything that a leader does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from koinon import logs
from koinon.coordination import Election, Fenced, Leader, Store, StoreError
from koinon.coordination.embedded import EmbeddedStore
from koinon.coordination.embedded_election import Election as EmbeddedElection
from koinon.coordination.zookeeper import Url
from koinon.service.exits import Exit, Fatal
from koinon.service.large import open_large

if TYPE_CHECKING:
    from koinon.coordination.zookeeper.election import Election as ZooKeeperElection


class Phase(Enum):
    """See above."""

    STANDBY = "standby"
    PREPARING = "preparing"
    LEADING = "leading"
    OVER = "over"


class Coordination(Protocol):
    """Where processes stand for election, and the leader keeps its memory."""

    @property
    def election(self) -> Election:
        """The one that we stand for."""
        ...

    async def reach(self) -> None:
        """Returns when an election can be held. Raises Fatal."""
        ...

    async def open_store(self, epoch: int) -> Store:
        """The memory, for the leader of `epoch`. Raises StoreError."""
        ...


class InZooKeeper:
    """Below the path of `url`: `leader/` for the election, `store/` for the memory."""

    def __init__(self, url: Url, *, session_timeout_s: float, connection_timeout_s: float) -> None:
        # Only who asks for ZooKeeper pays for the import.
        from koinon.coordination.zookeeper.election import Election as ZooKeeperElection

        self._url = url
        self._connection_timeout_s = connection_timeout_s
        below = msgspec.structs.replace(url, path=f"{url.path}/leader")
        self.election: ZooKeeperElection = ZooKeeperElection(below, timeout_s=session_timeout_s)

    async def reach(self) -> None:
        """See `Coordination.reach`."""
        try:
            async with asyncio.timeout(self._connection_timeout_s):
                await self.election.session.connected()
        except TimeoutError:
            raise Fatal(
                Exit.ZOOKEEPER_UNREACHABLE,
                f"ZooKeeper at {self._url} has not answered for {self._connection_timeout_s:g} s",
            ) from None

    async def open_store(self, epoch: int) -> Store:
        """See `Coordination.open_store`."""
        from koinon.coordination.zookeeper.store import open_store

        store = await open_store(self.election.session, f"{self._url.path}/store", epoch=epoch)
        return await open_large(store)


class OnThisMachine:
    """In a directory, whose lock the leader holds."""

    def __init__(self, directory: Path, *, owner: str) -> None:
        self._directory = directory
        self.election: Election = EmbeddedElection(directory, owner=owner)

    async def reach(self) -> None:
        """See `Coordination.reach`."""

    async def open_store(self, epoch: int) -> Store:
        """See `Coordination.open_store`."""
        return EmbeddedStore(self._directory / "store.sqlite")


class Leadership:
    """One process's way through the phases, from `stand` to `close`.

    `prepare(store, epoch)` is awaited when we are elected, for `prepare_timeout_s` at most; then we lead. `on_over(why)` is
    called, from the event loop, at the moment when we may act no more, but for `close`. `alone`: others must not lead.
    """

    def __init__(
        self,
        coordination: Coordination,
        *,
        prepare: Callable[[Store, int], Awaitable[None]],
        on_over: Callable[[Fatal], None],
        prepare_timeout_s: float,
        alone: bool = False,
    ) -> None:
        self.phase = Phase.STANDBY
        self.leader: Leader | None = None  #: who leads, ourselves included, as far as is known
        self.epoch = 0  #: of our leadership
        self.store: Store | None = None
        self._coordination = coordination
        self._prepare = prepare
        self._on_over = on_over
        self._prepare_timeout_s = prepare_timeout_s
        self._alone = alone
        self._own: Leader
        self._log = logs.get()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def leads(self) -> bool:
        """Whether requests are ours to answer."""
        return self.phase is Phase.LEADING and self.may_act()

    def may_act(self) -> bool:
        """Whether we lead, or prepare to, at this moment."""
        if self.phase not in (Phase.PREPARING, Phase.LEADING):
            return False
        if self._coordination.election.held():
            return True
        self._deposed("the lease is over")
        return False

    def stand(self, host: str, port: int) -> None:
        """Stand for election as the process that is reached at `host` and `port`."""
        self._own = Leader(host, port)
        info = {"address": {"hostname": host, "port": port}, "hostname": host, "port": port}
        self._coordination.election.stand(
            msgspec.json.encode(info),
            on_elected=self._elected,
            on_deposed=self._deposed,
            on_leader=self._follow,
        )
        self._begin(self._reach())

    async def change(self, timeout_s: float) -> bool:
        """Return when something has changed, or after so long, and then False."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Act no more, let go of the memory and then of the leadership."""
        self._move(Phase.OVER)
        for task in self._tasks:
            task.cancel()
        if self.store is not None:
            await self.store.close()
        await self._coordination.election.close()

    # ── what the election says ────────────────────────────────────────────────────────────────────
    def _follow(self, leader: Leader | None) -> None:
        if self.phase is not Phase.STANDBY:
            return
        self.leader = leader
        if leader is None:
            self._log.info("nobody leads")
        elif self._alone:
            self._fail(Fatal(Exit.LEADERSHIP_LOST, f"{leader.address} leads, and --ha is off"))
        else:
            self._log.info("another one leads", leader=leader.address, epoch=leader.epoch)
        self._move(self.phase)

    def _elected(self, epoch: int) -> None:
        self._log.info("elected", epoch=epoch)
        self.epoch = epoch
        self.leader = msgspec.structs.replace(self._own, epoch=epoch)
        self._move(Phase.PREPARING)
        self._begin(self._take_over(epoch))

    def _deposed(self, reason: str) -> None:
        self._fail(Fatal(Exit.LEADERSHIP_LOST, f"deposed: {reason}"))

    # ── from election to leadership ───────────────────────────────────────────────────────────────
    async def _take_over(self, epoch: int) -> None:
        try:
            async with asyncio.timeout(self._prepare_timeout_s):
                self.store = await self._coordination.open_store(epoch)
                await self._prepare(self.store, epoch)
        except Fatal as fatal:
            self._fail(fatal)
        except Fenced as error:
            self._deposed(str(error))
        except StoreError as error:
            self._fail(Fatal(Exit.TAKEOVER_FAILED, str(error)))
        except TimeoutError:
            reason = f"elected, and not ready to lead within {self._prepare_timeout_s:g} s"
            self._fail(Fatal(Exit.TAKEOVER_FAILED, reason))
        except Exception as error:
            self._log.exception("elected, and unable to lead")
            self._fail(Fatal(Exit.UNCAUGHT, f"unable to lead: {error!r}"))
        else:
            if self.may_act():
                self._log.info("leads", epoch=epoch)
                self._move(Phase.LEADING)

    async def _reach(self) -> None:
        try:
            await self._coordination.reach()
        except Fatal as fatal:
            self._fail(fatal)

    def _fail(self, why: Fatal) -> None:
        if self.phase is not Phase.OVER:
            self._move(Phase.OVER)
            self._on_over(why)

    def _move(self, phase: Phase) -> None:
        self.phase = phase
        self._changed.set()
        self._changed.clear()  # those who wait have been woken

    def _begin(self, work: Awaitable[None]) -> None:
        self._tasks.append(asyncio.ensure_future(work))
