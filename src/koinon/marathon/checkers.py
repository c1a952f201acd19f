"""Marathon's own looks at instances: health checks by HTTP, HTTPS and TCP, and readiness checks.

The core says what to look at and how often (`Probe`), and hears of each look (`Probed`); what that means it decides itself.
Between two looks a probe is a timer. They are spread a little at random, so that those that began together do not look
together for ever; at most so many are under way at a time, and the others wait.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import aiohttp
from msgspec import Struct

from koinon.marathon.core.events import Probe, Probed

#: By such a part of the interval a look may come sooner or later.
_JITTER = 0.05
#: More of an answer is not kept.
_BODY_BYTES_MAX = 64 * 1024


class _Looking(Struct, gc=False):
    """A probe that goes on."""

    probe: Probe
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None


class Checkers:
    """Looks, from `start(probe)` to `stop(key)`; `tell` hears of each look."""

    def __init__(self, tell: Callable[[Probed], None], *, concurrent_max: int) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(concurrent_max)
        self._looking: dict[str, _Looking] = {}
        self._session: aiohttp.ClientSession | None = None

    def __len__(self) -> int:
        return len(self._looking)

    def start(self, probe: Probe) -> None:
        """Look from now on, instead of what was looked at under that key before."""
        self.stop(probe.key)
        looking = self._looking[probe.key] = _Looking(probe)
        self._look_in(looking, probe.delay_s + random.uniform(0, _JITTER) * probe.interval_s)

    def stop(self, key: str) -> None:
        """Look no more. What is under way is forgotten."""
        looking = self._looking.pop(key, None)
        if looking is None:
            return
        if looking.timer is not None:
            looking.timer.cancel()
        if looking.task is not None:
            looking.task.cancel()

    async def close(self) -> None:
        """Stop everything, and let go of connections."""
        for key in list(self._looking):
            self.stop(key)
        if self._session is not None:
            await self._session.close()

    def _look_in(self, looking: _Looking, wait_s: float) -> None:
        looking.timer = self._loop.call_later(max(wait_s, 0.0), self._begin, looking)

    def _begin(self, looking: _Looking) -> None:
        looking.timer = None
        looking.task = self._loop.create_task(self._look(looking))

    async def _look(self, looking: _Looking) -> None:
        probe = looking.probe
        begun_s = self._loop.time()
        async with self._places:
            probed = await self._probe(probe)
        looking.task = None
        interval_s = probe.interval_s * random.uniform(1 - _JITTER, 1 + _JITTER)
        self._look_in(looking, begun_s + interval_s - self._loop.time())
        self._tell(probed)

    async def _probe(self, probe: Probe) -> Probed:
        try:
            async with asyncio.timeout(probe.timeout_s):
                if probe.protocol == "TCP":
                    return await self._connect(probe)
                return await self._ask(probe)
        except TimeoutError:
            cause = f"no answer within {probe.timeout_s:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            cause = str(error) or type(error).__name__
        return Probed(probe.key, passed=False, cause=cause)

    async def _connect(self, probe: Probe) -> Probed:
        _, writer = await asyncio.open_connection(probe.host, probe.port)
        # A free port may be given to us, and the connection be one with ourselves.
        alone = writer.get_extra_info("sockname") == writer.get_extra_info("peername")
        writer.close()
        return Probed(probe.key, not alone, cause="nobody listens there" if alone else "")

    async def _ask(self, probe: Probe) -> Probed:
        host = f"[{probe.host}]" if ":" in probe.host else probe.host
        path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
        url = f"{probe.protocol.lower()}://{host}:{probe.port}{path}"
        async with self._open_session().get(url, allow_redirects=False) as answer:
            status = answer.status
            passed = 200 <= status < 400 if probe.passing is None else status in probe.passing
            body = await _beginning(answer) if probe.keep_body else b""
            return Probed(
                probe.key,
                passed,
                status,
                answer.headers.get("Content-Type", ""),
                body.decode(errors="replace"),
                "" if passed else f"status {status}",
            )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Whoever serves an app has its certificate from whom he likes; and a look says nothing about a connection
            # that another look has left open.
            connector = aiohttp.TCPConnector(ssl=False, limit=0, force_close=True)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "Koinon"},
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) >= _BODY_BYTES_MAX:
            break
    return body[:_BODY_BYTES_MAX]
