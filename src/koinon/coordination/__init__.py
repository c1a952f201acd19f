"""Coordination: the durable memory of a role, and who may act on it.

- A **store** keeps small values under text keys (`agents/<id>`, one key per object) and writes sets of
  changes atomically. What a role promises, it has committed before.
- A **lock** says who owns a directory or acts as leader on this machine.

`koinon.coordination.embedded` serves one machine (SQLite, `flock`) and needs nothing installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

__all__ = ["Change", "Store", "StoreError"]

#: A key with its new value; None deletes the key (whether or not it exists).
Change = tuple[str, bytes | None]


class StoreError(Exception):
    """The store cannot be opened, read or written; the text says which and what to do."""


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
        fails with StoreError if nothing was written (disk full); the store stays usable.
        """
        ...

    async def close(self) -> None:
        """Finish the commits that are under way and let go of the files."""
        ...
