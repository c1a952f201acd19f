"""Leaders as tests want them: by word of the test, or through a real election."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from koinon.coordination import Leader
from koinon.coordination.detection import parse_leader
from koinon.coordination.zookeeper import parse_url
from koinon.coordination.zookeeper.election import Election
from tests.zookeeper import SESSION_S


class Word:
    """A `Detector` that says what the test says; an exception ends it."""

    def __init__(self, *said: Leader | Exception | None) -> None:
        self._said: asyncio.Queue[Leader | Exception | None] = asyncio.Queue()
        self.suspected: list[Leader] = []
        for one in said:
            self.say(one)

    def say(self, leader: Leader | Exception | None) -> None:
        self._said.put_nowait(leader)

    async def leaders(self) -> AsyncIterator[Leader | None]:
        while True:
            leader = await self._said.get()
            if isinstance(leader, Exception):
                raise leader
            yield leader

    def suspect(self, leader: Leader) -> None:
        self.suspected.append(leader)

    async def close(self) -> None:
        pass


def at(address: str, epoch: int = 1) -> Leader:
    """A leader at `host:port`."""
    leader = parse_leader(address)
    return Leader(leader.host, leader.port, epoch)


@contextlib.asynccontextmanager
async def leading(place: str, address: str) -> AsyncIterator[None]:
    """In ZooKeeper, at `place`, the one at `address` stands for election, and leads when nobody else does."""
    election, elected = Election(parse_url(place), timeout_s=SESSION_S), asyncio.Event()
    leader = parse_leader(address)
    election.stand(
        msgspec.json.encode({"address": {"ip": leader.host, "port": leader.port}}),
        on_elected=lambda epoch: elected.set(),
        on_deposed=lambda reason: None,
        on_leader=lambda leader: None,
    )
    try:
        await elected.wait()
        yield
    finally:
        await election.close()
