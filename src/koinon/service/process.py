"""A process of a service: the port, the election, and what the leader does, put together.

start: listen ─▶ stand for election ─▶ (elected) `lead` ─▶ answer
stop:  no more connections ─▶ requests end ─▶ `leave` ─▶ memory, leadership, streams
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import ClassVar, NoReturn

import uvloop
from aiohttp import hdrs, web

from koinon import logs
from koinon.coordination import Store
from koinon.coordination.zookeeper import Url
from koinon.edge.addresses import told_ip
from koinon.edge.collector import Collector
from koinon.edge.server import BODY_BYTES_MAX
from koinon.edge.system import raise_file_limit
from koinon.service.answers import json_answer
from koinon.service.authentication import BasicAuthenticator
from koinon.service.exits import Exit, Fatal
from koinon.service.flags import ServiceFlags
from koinon.service.gate import Gate
from koinon.service.http import HttpServer
from koinon.service.leadership import Coordination, InZooKeeper, Leadership, OnThisMachine
from koinon.service.metrics import ServiceMetrics
from koinon.service.proxy import Proxy

#: Who asks the leader to abdicate still gets an answer.
_ABDICATION_S = 0.5


class ServiceProcess:
    """One process. Tests run several in one process.

    Subclasses say what they are (`name`, `streams`), what they answer (`route`), and what leading is (`lead`, `leave`).
    `on_over(why)` is called, from the event loop, at the moment when it may act no more; so is `over` done then.
    """

    name: ClassVar[str]  #: as in headers: `Marathon`
    #: Paths that never end answering.
    streams: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        flags: ServiceFlags,
        *,
        zk: Url | None,
        metrics: ServiceMetrics,
        on_over: Callable[[Fatal], None] = lambda why: None,
    ) -> None:
        self._service_flags = flags
        self._zk = zk
        self._on_over = on_over
        self._log = logs.get(role=self.name.lower())
        self._stopping = False
        self.metrics = metrics
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.host = flags.hostname or told_ip(flags.http_address)
        self.port = 0
        self.app = web.Application(client_max_size=BODY_BYTES_MAX)
        self.leadership = Leadership(
            self._coordination(),
            prepare=self.lead,
            on_over=self.fail,
            prepare_timeout_s=flags.on_elected_prepare_timeout,
            alone=not flags.ha,
        )
        self._proxy = Proxy(
            via=f"X-{self.name}-Via",
            connect_timeout_s=flags.leader_proxy_connection_timeout,
            read_timeout_s=flags.leader_proxy_read_timeout,
            connections_max=flags.leader_proxy_max_open_connections,
            body_bytes_max=BODY_BYTES_MAX,
        )
        credentials = flags.http_credentials
        self._gate = Gate(
            self.leadership,
            self._proxy,
            service=self.name,
            authenticator=BasicAuthenticator(credentials, flags.http_realm) if credentials else None,
            origins=flags.access_control_allow_origin,
            requests_max=flags.http_max_concurrent_requests,
            compression=flags.http_compression,
            streams=self.streams,
            metrics=metrics,
        )
        self._http = HttpServer(self.app)

    # ── for subclasses ────────────────────────────────────────────────────────────────────────────
    def route(self, app: web.Application) -> None:
        """Add what the leader answers."""
        raise NotImplementedError

    async def lead(self, store: Store, epoch: int) -> None:
        """Begin to act as the leader; requests come when this has returned. Raises Fatal, StoreError."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Act no more, so that another process can go on. Called also when we have never led."""
        raise NotImplementedError

    # ── the verbs ─────────────────────────────────────────────────────────────────────────────────
    @property
    def address(self) -> str:
        """Where others reach us: `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def leader_address(self) -> str | None:
        """Where the leader is reached, `host:port`, as far as is known."""
        leader = self.leadership.leader
        return None if leader is None else leader.address

    async def start(self) -> None:
        """Listen, and stand for election. Raises Fatal."""
        self._gate.install(self.app)
        self.app.router.add_get("/", _to_page)
        self.app.router.add_get("/ping", _pong)
        self.metrics.serve(self.app)
        self.declare()
        self.route(self.app)
        flags = self._service_flags
        self.port = await self._http.start(flags.http_address, flags.http_port)
        self._proxy.own = self.address
        self._log.info("stands by", address=self.address)
        self.leadership.stand(self.host, self.port)

    def declare(self) -> None:
        """Show the numbers of this process."""
        started_s = time.monotonic()
        self.metrics.gauge("http.requests.active", lambda: self._gate.under_way)
        self.metrics.gauge("leadership", lambda: float(self.leadership.leads))
        self.metrics.gauge("uptime", lambda: time.monotonic() - started_s, unit="seconds")

    async def stop(self) -> None:
        """Let requests under way end, leave things to the next leader, end all connections."""
        self._stopping = True
        self._http.close()
        if self.leadership.leads:
            await self._gate.idle(self._service_flags.graceful_shutdown_timeout)
        await self.leave()
        await self.leadership.close()
        await self._proxy.close()
        await self._http.stop()
        self._log.info("stopped")

    def abdicate(self) -> None:
        """Leave the leadership to another process, soon: this one ends."""
        why = Fatal(Exit.ABDICATED, "asked to give up the leadership")
        asyncio.get_running_loop().call_later(_ABDICATION_S, self.fail, why)

    def fail(self, why: Fatal) -> None:
        """The process must end; `over` says why."""
        if not self.over.done() and not self._stopping:
            self.over.set_exception(why)
            self.over.exception()  # it need not be awaited
            self._on_over(why)

    def _coordination(self) -> Coordination:
        flags = self._service_flags
        if self._zk is not None:
            return InZooKeeper(
                self._zk,
                session_timeout_s=flags.zk_session_timeout,
                connection_timeout_s=flags.zk_connection_timeout,
            )
        assert flags.work_dir is not None, "the flags have seen to it"
        return OnThisMachine(flags.work_dir, owner=f"a {self.name}")


def run(make: Callable[[Callable[[Fatal], None]], ServiceProcess], flags: ServiceFlags) -> int:
    """Run the process that `make(on_over)` makes, until SIGTERM or SIGINT, or until it must end; the exit status."""
    logs.configure(flags.logging_level)
    raise_file_limit()
    Collector().install()
    return uvloop.run(_serve(make))


async def _serve(make: Callable[[Callable[[Fatal], None]], ServiceProcess]) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    process = make(_end_if_deposed)
    try:
        await process.start()
    except Fatal as why:
        _log_end(why)
        return why.status
    waiter = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((waiter, process.over), return_when=asyncio.FIRST_COMPLETED)
    status = 0
    if process.over.done() and isinstance(end := process.over.exception(), Fatal):
        _log_end(end)
        if end.status != Exit.ABDICATED:
            # What the core promised may be wrong now. A new process knows only what is durable.
            _end_now(end.status)
        status = end.status
    await process.stop()
    return status


def _end_if_deposed(why: Fatal) -> None:
    """Another process may lead already: without a word to anybody."""
    if why.status == Exit.LEADERSHIP_LOST:
        _log_end(why)
        _end_now(why.status)


def _log_end(why: Fatal) -> None:
    logs.get().error("this process ends", reason=str(why), status=int(why.status))


def _end_now(status: int) -> NoReturn:
    sys.stderr.flush()
    os._exit(status)


async def _to_page(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/ui/")


async def _pong(request: web.Request) -> web.StreamResponse:
    accepted = request.headers.get(hdrs.ACCEPT, "*/*")
    if any(kind in accepted for kind in ("*/*", "text/*", "text/plain", "text/html")):
        return web.Response(text="pong")
    if "application/json" in accepted or "application/*" in accepted:
        return json_answer("pong")
    return web.Response(status=204)
