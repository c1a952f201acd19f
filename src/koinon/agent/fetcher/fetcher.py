"""Fetching for containers: one URI after the other into the sandbox, all of them or none counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from koinon.agent.core.uris import Fetch
from koinon.agent.fetcher.cache import Cache
from koinon.agent.fetcher.downloads import Downloads
from koinon.agent.fetcher.placing import Placer, placer
from koinon.agent.fetcher.sentences import FetchError, shown

#: Containers that are fetched for at the same time; each has a process of its own then.
_AT_ONCE = 64


class Fetcher:
    """One per agent."""

    def __init__(self, cache_dir: Path, *, cache_size_bytes: int, stall_timeout_s: float) -> None:
        self._downloads = Downloads(stall_timeout_s)
        self.cache = Cache(cache_dir, cache_size_bytes, self._downloads)
        self.succeeded = 0  #: containers all of whose URIs were fetched
        self.failed = 0
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch(
        self, sandbox: str, user: str | None, fetches: Sequence[Fetch], limit_bytes: int | None
    ) -> None:
        """Fetch all into `sandbox`, with the rights of `user` (None: our own), `limit_bytes` at most.

        Each is told in the file `stderr` there. Raises FetchError; cancelled, nothing is written any more.
        """
        try:
            async with self._slots, placer(sandbox, user, limit_bytes) as writer:
                for one in fetches:
                    await self._fetch(writer, one, user or "")
        except FetchError:
            self.failed += 1
            raise
        self.succeeded += 1

    async def close(self) -> None:
        """End all that is under way."""
        await self.cache.close()
        await self._downloads.close()

    async def _fetch(self, writer: Placer, one: Fetch, user: str) -> None:
        await writer.say(f"Fetching {shown(one.uri)} to {one.path}")
        try:
            await self._bring(writer, one, user)
        except FetchError as error:
            sentence = f"Failed to fetch {shown(one.uri)}: {error}"
            with contextlib.suppress(FetchError):  # the first failure is the one to tell
                await writer.say(sentence)
            raise FetchError(sentence) from error

    async def _bring(self, writer: Placer, one: Fetch, user: str) -> None:
        mode, name = 0o755 if one.executable else 0o644, one.path.rpartition("/")[2]
        if one.source:
            await writer.copy(one.source, one.path, mode)
        else:
            if one.cache:
                async with self.cache.borrow(user, one.uri) as file:
                    if file is not None and one.extract:
                        await writer.extract(file, name)  # the archive itself stays in the cache
                        return
                    if file is not None:
                        await writer.copy(file, one.path, mode)
                        return
            async with self._downloads.get(one.uri) as download:
                await writer.receive(download, one.path, mode)
        if one.extract:
            await writer.extract(one.path, name)
