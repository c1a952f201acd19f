"""The registry: what the master has promised, made durable before anybody sees it.

The core says what to store (`Store(ticket, changes)`) and goes on; once the changes are durable it is told
(`RegistryStored`) and lets out what depends on them. The store gathers commits while it writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from koinon.coordination import Change, Store
from koinon.edge import Metrics


class MemoryStore:
    """A `Store` that is gone with the process: `--registry=in_memory`."""

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}

    def load(self, prefix: str = "") -> dict[str, bytes]:
        """See `Store.load`."""
        return {key: value for key, value in sorted(self._entries.items()) if key.startswith(prefix)}

    def commit(self, changes: Iterable[Change]) -> asyncio.Future[None]:
        """See `Store.commit`."""
        for key, value in changes:
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = value
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def close(self) -> None:
        """See `Store.close`."""


class Registry:
    """Writes for the core. `on_stored(ticket)` follows each write; `on_failed` means that the master must stop."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        on_stored: Callable[[int], None],
        on_failed: Callable[[BaseException], None],
    ) -> None:
        self._store: Store  #: given with `load`
        self._on_stored = on_stored
        self._on_failed = on_failed
        self._sizes: dict[str, int] = {}
        self._bytes = 0
        self._waiting = 0
        self._latest: asyncio.Future[None] | None = None  #: the newest commit
        self._fetch_ms = 0.0
        self._store_ms = metrics.timer("registrar/state_store_ms")
        metrics.gauge("registrar/queued_operations", lambda: self._waiting)
        metrics.gauge("registrar/registry_size_bytes", lambda: self._bytes)
        metrics.gauge("registrar/state_fetch_ms", lambda: self._fetch_ms)
        # Tools watch a replicated log here: ours is read before the master answers, and has one member.
        metrics.gauge("registrar/log/recovered", lambda: 1)
        metrics.gauge("registrar/log/ensemble_size", lambda: 1)

    def load(self, store: Store, opened_in_s: float) -> dict[str, bytes]:
        """All entries of `store`, which took so long to open, and is written to from now on. Raises StoreError."""
        self._store = store
        begun_s = time.perf_counter()
        entries = store.load()
        self._fetch_ms = (time.perf_counter() - begun_s + opened_in_s) * 1000
        for key, value in entries.items():
            self._measure(key, value)
        return entries

    def write(self, ticket: int, changes: Iterable[Change]) -> None:
        """Store the changes, all or none."""
        changes = list(changes)
        for key, value in changes:
            self._measure(key, value)
        begun_s = time.perf_counter()
        self._waiting += 1

        def stored(done: asyncio.Future[None]) -> None:
            self._waiting -= 1
            if done.cancelled():  # the master is going down
                return
            if (error := done.exception()) is not None:
                self._on_failed(error)
                return
            self._store_ms.observe((time.perf_counter() - begun_s) * 1000)
            self._on_stored(ticket)

        self._latest = self._store.commit(changes)
        self._latest.add_done_callback(stored)

    async def settled(self) -> None:
        """Returns when every write so far is durable and told. Raises what the last one failed with."""
        if self._latest is not None:
            await asyncio.shield(self._latest)  # commits end in their order

    def _measure(self, key: str, value: bytes | None) -> None:
        self._bytes -= self._sizes.pop(key, 0)
        if value is not None:
            self._sizes[key] = size = len(key) + len(value)
            self._bytes += size
