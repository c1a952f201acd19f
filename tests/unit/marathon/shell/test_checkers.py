"""Looks at instances, at real sockets."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from koinon.marathon.checkers import Checkers
from koinon.marathon.core.events import Probe, Probed

IP = "127.0.0.1"
#: Of nobody that anybody knows, for another host: with its key, made by `openssl req -x509`, valid for a hundred years.
CERTIFICATE = Path(__file__).with_name("elsewhere.pem")


class App:
    """What is looked at: answers with `status`, when it is `awake`."""

    def __init__(self) -> None:
        self.status = 200
        self.awake = asyncio.Event()
        self.awake.set()
        self.asked = 0
        self.under_way = 0
        self.most_under_way = 0
        self.two = asyncio.Event()  #: two are under way

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        if self.under_way == 2:
            self.two.set()
        try:
            await self.awake.wait()
        finally:
            self.under_way -= 1
        if request.path == "/moved":
            raise web.HTTPFound("/elsewhere")
        return web.Response(status=self.status, text=f"{request.path_qs} {self.asked}")


@pytest.fixture
async def app() -> App:
    return App()


async def served(app: App, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_get("/{path:.*}", app.answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, IP, 0, ssl_context=context)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
async def port(app: App) -> AsyncIterator[int]:
    async for found in served(app):
        yield found


@pytest.fixture
async def tls_port(app: App) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    async for found in served(app, context):
        yield found


@pytest.fixture
async def looks() -> AsyncIterator["Looks"]:
    made = Looks()
    yield made
    await made.checkers.close()


class Looks:
    """Checkers, and what they tell."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Probed] = asyncio.Queue()
        self.checkers = Checkers(self.told.put_nowait, concurrent_max=2)

    async def next(self) -> Probed:
        async with asyncio.timeout(5):
            return await self.told.get()


def probe(port: int, key: str = "k", protocol: str = "HTTP", path: str = "/", **more: object) -> Probe:
    times = {"delay_s": 0.0, "interval_s": 0.05, "timeout_s": 2.0}
    return Probe(key, protocol, IP, port, path, **{**times, **more})  # type: ignore[arg-type]


async def test_it_is_looked_at_again_and_again_until_that_is_stopped(
    app: App, port: int, looks: Looks
) -> None:
    looks.checkers.start(probe(port))
    assert [await looks.next() for _ in range(3)] == [Probed("k", True, 200, "text/plain; charset=utf-8")] * 3
    looks.checkers.stop("k")
    looks.checkers.stop("k")
    assert len(looks.checkers) == 0
    before = app.asked
    looks.checkers.start(probe(port, "other", interval_s=0.01))
    for _ in range(5):
        assert (await looks.next()).key == "other"
    assert app.asked >= before + 5


@pytest.mark.parametrize(
    ("status", "passed"), [(200, True), (204, True), (399, True), (400, False), (503, False)]
)
async def test_statuses_up_to_399_pass(app: App, port: int, looks: Looks, status: int, passed: bool) -> None:
    app.status = status
    looks.checkers.start(probe(port))
    looked = await looks.next()
    assert (looked.status, looked.passed) == (status, passed)
    assert looked.cause == ("" if passed else f"status {status}")


async def test_or_those_that_are_named(app: App, port: int, looks: Looks) -> None:
    app.status = 503
    looks.checkers.start(probe(port, passing=(503,)))
    assert (await looks.next()).passed


async def test_a_redirection_is_an_answer_and_not_followed(app: App, port: int, looks: Looks) -> None:
    looks.checkers.start(probe(port, path="moved"))
    assert ((await looks.next()).status, app.asked) == (302, 1)


async def test_the_answer_is_kept_if_that_is_wanted(port: int, looks: Looks) -> None:
    looks.checkers.start(probe(port, path="/a?b=c", keep_body=True))
    assert (await looks.next()).body == "/a?b=c 1"


async def test_no_answer_in_time_fails(app: App, port: int, looks: Looks) -> None:
    app.awake.clear()
    looks.checkers.start(probe(port, timeout_s=0.1))
    assert await looks.next() == Probed("k", False, cause="no answer within 0.1 s")


async def test_nobody_there_fails_with_the_reason(looks: Looks) -> None:
    with socket.create_server((IP, 0)) as server:
        port = server.getsockname()[1]
    for protocol in ("HTTP", "TCP"):
        looks.checkers.start(probe(port, protocol=protocol))
        looked = await looks.next()
        looks.checkers.stop("k")
        assert not looked.passed
        assert "Connect" in looked.cause or "refused" in looked.cause


async def test_any_certificate_will_do(tls_port: int, looks: Looks) -> None:
    looks.checkers.start(probe(tls_port, protocol="HTTPS"))
    assert (await looks.next()).passed


async def test_tcp_passes_when_it_is_accepted(port: int, looks: Looks) -> None:
    looks.checkers.start(probe(port, protocol="TCP"))
    assert await looks.next() == Probed("k", True)


async def test_a_host_that_means_nothing_fails(looks: Looks) -> None:
    looks.checkers.start(Probe("k", "HTTP", "no host", 80, "/", 0.0, 1.0, 1.0))
    assert not (await looks.next()).passed


async def test_only_so_many_are_under_way_at_a_time(app: App, port: int, looks: Looks) -> None:
    app.awake.clear()
    for number in range(5):
        looks.checkers.start(probe(port, str(number), interval_s=10.0))
    async with asyncio.timeout(5):
        await app.two.wait()
    app.awake.set()
    assert {(await looks.next()).key for _ in range(5)} == {"0", "1", "2", "3", "4"}
    assert app.most_under_way == 2


async def test_what_begins_anew_takes_the_place_of_what_was_before(app: App, port: int, looks: Looks) -> None:
    app.awake.clear()
    looks.checkers.start(probe(port, interval_s=10.0))
    app.awake.set()
    looks.checkers.start(probe(port, path="/new", keep_body=True, interval_s=10.0))
    assert (await looks.next()).body.startswith("/new")
    assert len(looks.checkers) == 1
