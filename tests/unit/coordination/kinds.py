"""The two kinds of coordination, behind one face: what holds for one holds for the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

from koinon.coordination import Detector, Election, Leader, Store
from koinon.coordination import embedded_election as on_one_machine
from koinon.coordination.embedded import EmbeddedStore
from koinon.coordination.zookeeper import parse_url
from koinon.coordination.zookeeper.detector import Detector as ZooKeeperDetector
from koinon.coordination.zookeeper.election import Election as ZooKeeperElection
from koinon.coordination.zookeeper.session import Session
from koinon.coordination.zookeeper.store import open_store

WAIT_S = 15.0


class Kind(Protocol):
    """Makes stores, elections and detectors of one place."""

    async def open_store(self) -> Store: ...
    def election(self) -> Election: ...
    def detector(self) -> Detector: ...
    async def close(self) -> None: ...


class Embedded:
    """On one machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    async def open_store(self) -> Store:
        return EmbeddedStore(self._directory / "store.db")

    def election(self) -> Election:
        return on_one_machine.Election(self._directory, owner="a test")

    def detector(self) -> Detector:
        return on_one_machine.Detector(self._directory)

    async def close(self) -> None:
        pass


class InZooKeeper:
    """In a real ZooKeeper."""

    def __init__(self, url: str, *, session_s: float = 4.0) -> None:
        self.url = parse_url(url)
        self._session_s = session_s
        self._sessions = AsyncExitStack()
        self._epoch = 0

    async def session(self) -> Session:
        """A session of its own, connected, which is closed with this."""
        session = Session(self.url, self._session_s, on_state=lambda state: None)
        session.start()
        self._sessions.push_async_callback(session.close)
        await session.connected()
        return session

    async def open_store(self) -> Store:
        self._epoch += 1
        return await open_store(await self.session(), self.url.store_path, epoch=self._epoch)

    def election(self) -> ZooKeeperElection:
        return ZooKeeperElection(self.url, timeout_s=self._session_s)

    def detector(self) -> Detector:
        return ZooKeeperDetector(self.url)

    async def close(self) -> None:
        await self._sessions.aclose()


class Candidate:
    """One that stands for election, and what it has heard."""

    def __init__(self, election: Election, number: int) -> None:
        self.election = election
        self.info = b'{"address":{"hostname":"m%d","ip":"10.0.0.%d","port":5050},"id":"%d"}' % (
            number,
            number,
            number,
        )
        self.number = number
        self.epoch: int | None = None
        self.deposed: str | None = None
        self.follows: Leader | None = None
        self.changed = asyncio.Event()
        election.stand(self.info, on_elected=self._elected, on_deposed=self._deposed, on_leader=self._follow)

    def _elected(self, epoch: int) -> None:
        self.epoch = epoch
        self.changed.set()

    def _deposed(self, reason: str) -> None:
        self.deposed = reason
        self.changed.set()

    def _follow(self, leader: Leader | None) -> None:
        self.follows = leader
        self.changed.set()

    def as_leader(self, epoch: int) -> Leader:
        return Leader(f"10.0.0.{self.number}", 5050, epoch, self.info)

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Returns when it holds, which can only change when this candidate hears something."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError(f"never: {what}") from None

    async def elected(self) -> int:
        await self.until(lambda: self.epoch is not None, "elected")
        assert self.epoch is not None
        return self.epoch

    async def lost(self) -> str:
        await self.until(lambda: self.deposed is not None, "deposed")
        assert self.deposed is not None
        return self.deposed


async def following(detector: Detector, wanted: Leader | None) -> list[Leader | None]:
    """All that `detector` says until it says `wanted`."""
    heard = []
    async with asyncio.timeout(WAIT_S):
        async for leader in detector.leaders():
            heard.append(leader)
            if leader == wanted:
                return heard
    raise AssertionError("a detector never ends")


__all__ = ["Candidate", "Embedded", "InZooKeeper", "Kind", "following"]
