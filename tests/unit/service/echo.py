"""A service that keeps words and says what it was asked; several of its processes run in one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from koinon.coordination import Store
from koinon.flags import load
from koinon.service.answers import json_answer
from koinon.service.exits import Fatal
from koinon.service.flags import ServiceFlags, conventions
from koinon.service.loop import NotLeading
from koinon.service.metrics import ServiceMetrics
from koinon.service.process import ServiceProcess


class Echo(ServiceProcess):
    """Answers what it hears."""

    name = "Echo"
    streams = frozenset({"/stream"})

    def __init__(self, flags: ServiceFlags, *, on_over: Callable[[Fatal], None] = lambda why: None) -> None:
        super().__init__(flags, zk=None, metrics=ServiceMetrics("echo"), on_over=on_over)
        self.ready = asyncio.Event()
        self.ready.set()
        self.store: Store
        self.epochs: list[int] = []
        self.has_left = False
        self.held = asyncio.Event()  #: ends /slow
        self.asked = asyncio.Event()  #: somebody has asked for /slow

    def route(self, app: web.Application) -> None:
        app.router.add_route("*", "/echo/{tail:.*}", self._echo)
        app.router.add_get("/large", self._large)
        app.router.add_get("/slow", self._slow)
        app.router.add_get("/broken", self._broken)
        app.router.add_get("/late", self._late)
        app.router.add_get("/stream", self._stream)
        app.router.add_get("/pieces", self._pieces)
        app.router.add_put("/words/{word}", self._keep)
        app.router.add_get("/words", self._words)

    async def lead(self, store: Store, epoch: int) -> None:
        await self.ready.wait()
        self.store = store
        self.epochs.append(epoch)

    async def leave(self) -> None:
        self.has_left = True

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        return json_answer(
            {
                "by": self.address,
                "method": request.method,
                "path": request.raw_path,
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "body": body.decode(),
            },
            status=418 if "teapot" in request.path else 200,
        )

    async def _large(self, request: web.Request) -> web.StreamResponse:
        return json_answer(["word"] * 1000)

    async def _slow(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        await self.held.wait()
        return json_answer("done")

    async def _broken(self, request: web.Request) -> web.StreamResponse:
        raise ZeroDivisionError

    async def _late(self, request: web.Request) -> web.StreamResponse:
        raise NotLeading

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return json_answer(self.address)

    async def _pieces(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"one ")
        await self.held.wait()
        await answer.write(b"two")
        return answer

    async def _keep(self, request: web.Request) -> web.StreamResponse:
        await self.store.commit([(f"words/{request.match_info['word']}", b"")])
        return json_answer({})

    async def _words(self, request: web.Request) -> web.StreamResponse:
        return json_answer([key.removeprefix("words/") for key in self.store.load("words/")])


def flags_of(work_dir: Path, **more: str) -> ServiceFlags:
    given = {"master": "127.0.0.1:1", "work_dir": str(work_dir), "http_port": "0", **more}
    argv = [f"--{name}={value}" for name, value in given.items()]
    return load(ServiceFlags, argv, environ={}, conventions=conventions())


@asynccontextmanager
async def running(work_dir: Path, **more: str) -> AsyncIterator[Echo]:
    """One process, that need not lead."""
    process = Echo(flags_of(work_dir, **more))
    await process.start()
    try:
        yield process
    finally:
        process.held.set()
        await process.stop()


async def leads(process: Echo) -> None:
    """Returns when the process leads."""
    async with asyncio.timeout(10):
        while not process.leadership.leads:
            await process.leadership.change(10)


async def follows(process: Echo, leader: Echo) -> None:
    """Returns when the process knows the leader."""
    async with asyncio.timeout(10):
        while process.leader_address != leader.address:
            await process.leadership.change(10)


class Answer:
    """What was answered, whole."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(process: Echo, path: str, method: str = "GET", **more: Any) -> Answer:
    """One request; redirections are not followed, nothing is unpacked."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.request(
            method, URL(f"http://{process.address}{path}", encoded=True), allow_redirects=False, **more
        ) as answer,
    ):
        return Answer(answer.status, answer.headers, await answer.read())
