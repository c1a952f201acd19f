"""Coordination: the durable memory of a role, and who may act on it.

- A **store** keeps small values under text keys (`agents/<id>`, one key per object) and writes sets of
  changes atomically. What a role promises, it has committed before.
- An **election** decides who leads. Each leadership has an **epoch**, greater than all before it. A leader holds a
  **lease**, and asks it before it acts.
- A **detector** says who leads, to those who do not stand for election themselves.
- A **lock** says who owns a directory of this machine.

`koinon.coordination.embedded` serves one machine (SQLite, `flock`) and needs nothing installed,
`koinon.coordination.zookeeper` serves a cluster. `koinon.coordination.detection.detect` takes what people write after
`--master`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:  # commands that only look start sooner without
    import asyncio

__all__ = [
    "Change",
    "DetectionError",
    "Detector",
    "Election",
    "Fenced",
    "Leader",
    "Lease",
    "Store",
    "StoreError",
]

#: A key with its new value; None deletes the key (whether or not it exists).
Change = tuple[str, bytes | None]


class StoreError(Exception):
    """The store cannot be opened, read or written; the text says which and what to do."""


class Fenced(StoreError):
    """Somebody else leads since: nothing was written, and nothing ever will be."""


class Store(Protocol):
    """Durable keys and values of one role. All methods are called from one event loop."""

    def load(self, prefix: str = "") -> dict[str, bytes]:
        """All entries whose key starts with `prefix`, sorted by key; sees every finished commit.

        Blocks: meant for start-up. Raises StoreError.
        """
        ...

    def commit(self, changes: Iterable[Change]) -> asyncio.Future[None]:
        """Write `changes` atomically; the future is done once they would survive a power cut.

        Takes its place in the order of commits at once, awaited or not: of two commits to one key
        the one called later wins, and no later commit is durable before an earlier one. The future
        fails with StoreError if nothing was written (disk full); the store stays usable, unless it is Fenced.
        """
        ...

    async def close(self) -> None:
        """Finish the commits that are under way and let go of the files."""
        ...


class Leader(Struct, frozen=True):
    """Who leads, as far as is known."""

    host: str  #: name or address, without brackets
    port: int
    #: Of its leadership; 0 when there is no election. Whoever has heard of a greater one is right not to believe it.
    epoch: int = 0
    #: What it says about itself (for a master its MasterInfo as JSON); empty when it was not asked.
    info: bytes = b""

    @property
    def address(self) -> str:
        """As it stands in a URL: `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Detector(Protocol):
    """Finds the leader, and follows it."""

    def leaders(self) -> AsyncIterator[Leader | None]:
        """Who leads now, then each change; None = nobody, as far as is known. Never ends by itself.

        What is missed while nobody asks is left out: the next one is the newest. For one reader at a time. Raises
        DetectionError for what waiting does not mend (a wrong password).
        """
        ...

    def suspect(self, leader: Leader) -> None:
        """To be called when `leader` does not answer, or says that it is none: leads to the next guess, if there is one.

        A redirection may be followed without that.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class DetectionError(Exception):
    """No leader can be found this way; the text says why, and what to do."""


class Lease(Protocol):
    """The right to act as the leader, for now."""

    def held(self) -> bool:
        """Whether the process may act at this moment. Once false it is never true again."""
        ...


class Election(Protocol):
    """Stands for election, once. Who is deposed ends its process."""

    def stand(
        self,
        info: bytes,
        *,
        on_elected: Callable[[int], None],
        on_deposed: Callable[[str], None],
        on_leader: Callable[[Leader | None], None],
    ) -> None:
        """Stand under `info`, which says who we are. Calls back from the event loop, perhaps before this returns.

        `on_elected(epoch)`: we lead. `on_deposed(reason)`: we do not any more, or can not stand; nothing follows.
        `on_leader(leader)`: as a standby, who leads now; None = nobody.
        """
        ...

    def held(self) -> bool:
        """See `Lease.held`."""
        ...

    async def close(self) -> None:
        """Stand no more; another one may lead at once."""
        ...
