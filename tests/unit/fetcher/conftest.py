"""A fetcher, and a web server that does what a test wants."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from koinon.agent.core.uris import fetches
from koinon.agent.fetcher import Fetcher
from koinon.mesos.v1 import CommandInfo

URI = CommandInfo.URI
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Site:
    """A server on the loopback: bodies and handlers by path; it counts who asks."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.handlers: dict[str, Handler] = {}
        self.asked: list[str] = []
        self.under_way = 0
        self.address = ""

    def url(self, path: str) -> str:
        return f"http://{self.address}{path}"

    async def start(self) -> None:
        self._runner = web.ServerRunner(
            web.Server(self._serve, handler_cancellation=True), shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        self.under_way += 1
        try:
            if (handler := self.handlers.get(request.path)) is not None:
                return await handler(request)
            if request.path not in self.bodies:
                return web.Response(status=404, text="no such thing")
            return web.Response(body=self.bodies[request.path])
        finally:
            self.under_way -= 1


class Desk:
    """One fetcher, and sandboxes to fetch into."""

    def __init__(self, folder: Path, site: Site, *, cache_size: int = 1 << 20, stall_s: float = 5.0) -> None:
        self.folder = folder
        self.site = site
        self.fetcher = Fetcher(folder / "cache", cache_size_bytes=cache_size, stall_timeout_s=stall_s)
        self._count = 0

    def sandbox(self) -> Path:
        self._count += 1
        path = self.folder / "sandboxes" / str(self._count)
        path.mkdir(parents=True)
        return path

    async def fetch(
        self,
        *uris: str | URI,
        into: Path | None = None,
        user: str | None = None,
        limit: int | None = None,
    ) -> Path:
        """Fetch into a new sandbox, and return that."""
        into = into or self.sandbox()
        wanted = [uri if isinstance(uri, URI) else URI(value=uri) for uri in uris]
        async with asyncio.timeout(30):
            await self.fetcher.fetch(str(into), user, fetches(wanted, None), limit)
        return into

    async def fetch_body(self, path: str, body: bytes, **more: object) -> Path:
        """Serve `body` at `path` and fetch it."""
        self.site.bodies[path] = body
        return await self.fetch(self.site.url(path), **more)  # type: ignore[arg-type]


async def until(condition: Callable[[], object]) -> None:
    """Wait for it; the test has a time-out."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
async def desk(tmp_path: Path, site: Site) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path, site)
    yield desk
    await desk.fetcher.close()


def everything(folder: Path) -> dict[str, object]:
    """What is in a folder, without stderr: text of files, targets of links, None for directories."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = None
        elif name != "stderr":
            found[name] = path.read_bytes().decode(errors="replace")
    return found


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
