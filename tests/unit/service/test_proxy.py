"""A standby answers what the leader answers."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from koinon.coordination import Leader
from tests.unit.service.echo import Echo, ask, follows, leads, running


@asynccontextmanager
async def pair(tmp_path: Path, **more: str) -> AsyncIterator[tuple[Echo, Echo]]:
    """A leader, and one that stands by and knows it."""
    async with running(tmp_path, **more) as leader:
        await leads(leader)
        async with running(tmp_path, **more) as standby:
            await follows(standby, leader)
            yield leader, standby


async def test_a_request_is_passed_on_as_it_came(tmp_path: Path) -> None:
    async with pair(tmp_path) as (leader, standby):
        path = "/echo/a%2Fb//c?x=1&x=%20"
        headers = {"X-One": "1", "X-Forwarded-For": "192.0.2.1", "User-Agent": "me"}
        answer = await ask(standby, path, "PATCH", data=b"words", headers=headers)
    heard = answer.json()
    assert (heard["by"], heard["method"], heard["path"], heard["body"]) == (
        leader.address,
        "PATCH",
        path,
        "words",
    )
    assert heard["headers"]["x-one"] == "1"
    assert heard["headers"]["user-agent"] == "me"
    assert heard["headers"]["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
    assert heard["headers"]["x-echo-via"] == f"1.1 {standby.address}"
    assert heard["headers"]["host"] == leader.address
    assert heard["headers"]["x-forwarded-host"] == standby.address


async def test_a_body_that_is_compressed_arrives(tmp_path: Path) -> None:
    async with pair(tmp_path) as (leader, standby):
        for process in (leader, standby):
            body, headers = gzip.compress(b"words" * 100), {"Content-Encoding": "gzip"}
            answer = await ask(process, "/echo/x", "POST", data=body, headers=headers)
            assert answer.json()["body"] == "words" * 100


async def test_status_headers_and_body_come_back_as_they_are(tmp_path: Path) -> None:
    async with pair(tmp_path) as (leader, standby):
        teapot = await ask(standby, "/echo/teapot")
        large = {
            one.address: await ask(one, "/large", headers={"Accept-Encoding": "gzip"})
            for one in (leader, standby)
        }
        head = await ask(standby, "/large", "HEAD")
    assert teapot.status == 418
    assert teapot.headers.getall("X-Echo-Leader") == [f"http://{leader.address}"]
    assert teapot.headers.getall("Cache-Control") == ["no-cache, no-store, must-revalidate"]
    direct, proxied = large[leader.address], large[standby.address]
    assert proxied.body == direct.body
    assert proxied.headers["Content-Encoding"] == "gzip"
    assert {*direct.headers} - {"Date"} == {*proxied.headers} - {"Date"}
    assert (head.status, head.body) == (200, b"")


async def test_answers_are_passed_on_piece_by_piece(tmp_path: Path) -> None:
    async with (
        pair(tmp_path) as (leader, standby),
        aiohttp.ClientSession() as session,
        session.get(f"http://{standby.address}/pieces") as answer,
    ):
        assert await answer.content.readexactly(4) == b"one "
        leader.held.set()
        assert await answer.content.read() == b"two"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET http://elsewhere.example/echo/x", 200),
        ("GET //elsewhere.example/echo/x", 404),
        ("GET @elsewhere.example/echo/x", 400),
        ("OPTIONS *", 404),
        ("CONNECT elsewhere.example:80", 404),
        ("GET /echo/\xff", 400),
        ("GET /echo/{}", 200),
    ],
)
async def test_whatever_is_asked_for_only_the_leader_is_asked(tmp_path: Path, line: str, status: int) -> None:
    async def said(process: Echo) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
        writer.write(f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = await reader.read()
        writer.close()
        return answer.decode().split("\r\n", 1)[0].split()[1]

    async with pair(tmp_path) as (leader, standby):
        assert [await said(leader), await said(standby)] == [str(status)] * 2


async def test_a_page_of_ours_may_ask_whichever_process_it_came_from(tmp_path: Path) -> None:
    async with pair(tmp_path) as (_, standby):
        own = await ask(standby, "/echo/x", "POST", headers={"Origin": f"http://{standby.address}"})
        other = await ask(standby, "/echo/x", "POST", headers={"Origin": "http://evil.example"})
    assert (own.status, other.status) == (200, 403)


async def test_a_request_that_comes_back_is_refused(tmp_path: Path) -> None:
    async with pair(tmp_path) as (_, standby):
        seen = {"X-Echo-Via": f"1.1 other:80, 1.1 {standby.address}"}
        answer = await ask(standby, "/echo/x", headers=seen)
    assert answer.status == 502
    assert "circle" in answer.json()["message"]


async def test_two_that_take_each_other_for_the_leader_refuse(tmp_path: Path) -> None:
    async with pair(tmp_path / "1") as (_, one), pair(tmp_path / "2") as (_, other):
        one.leadership.leader = Leader("127.0.0.1", other.port)
        other.leadership.leader = Leader("127.0.0.1", one.port)
        answer = await ask(one, "/echo/x")
    assert answer.status == 502
    assert "circle" in answer.json()["message"]


async def test_a_leader_that_cannot_be_reached_is_502(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with pair(tmp_path) as (_, standby):
        standby.leadership.leader = Leader("127.0.0.1", port)
        answer = await ask(standby, "/echo/x")
    assert (answer.status, answer.json()) == (
        502,
        {"message": f"The leader 127.0.0.1:{port} does not answer."},
    )


async def test_a_leader_that_is_silent_is_502(tmp_path: Path) -> None:
    async with pair(tmp_path, leader_proxy_read_timeout="200") as (_, standby):
        assert (await ask(standby, "/slow")).status == 502


async def test_an_answer_that_breaks_off_breaks_off(tmp_path: Path) -> None:
    async with (
        pair(tmp_path, leader_proxy_read_timeout="200") as (_, standby),
        aiohttp.ClientSession() as session,
        session.get(f"http://{standby.address}/pieces") as answer,
    ):
        try:
            await answer.read()
        except aiohttp.ClientPayloadError:
            broken = True
        else:
            broken = False
    assert broken


async def test_streams_are_redirected(tmp_path: Path) -> None:
    async with pair(tmp_path) as (leader, standby):
        answer = await ask(standby, "/stream?a=%2F")
    assert (answer.status, answer.headers["Location"]) == (302, f"http://{leader.address}/stream?a=%2F")


async def test_bodies_have_a_limit_there_too(tmp_path: Path) -> None:
    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 1000

    async with pair(tmp_path) as (_, standby):
        standby._proxy._body_bytes_max = 5000
        fits = await ask(standby, "/echo/x", "POST", data=pieces(5))
        told = await ask(standby, "/echo/x", "POST", data=b"x" * 6000)
        untold = await ask(standby, "/echo/x", "POST", data=pieces(6))
    assert (fits.status, told.status, untold.status) == (200, 413, 413)


async def test_a_client_that_goes_away_frees_its_place_with_the_leader(tmp_path: Path) -> None:
    async with pair(tmp_path, leader_proxy_max_open_connections="1") as (leader, standby):
        asked = asyncio.create_task(ask(standby, "/slow"))
        await leader.asked.wait()
        asked.cancel()
        async with asyncio.timeout(5):
            assert (await ask(standby, "/echo/x")).status == 200


async def test_bodies_that_cannot_be_unpacked_are_refused_by_all(tmp_path: Path) -> None:
    async with pair(tmp_path) as processes:
        answers = [
            await ask(one, "/echo/x", "POST", data=b"not packed", headers={"Content-Encoding": "gzip"})
            for one in processes
        ]
    assert [answer.status for answer in answers] == [400, 400]


async def test_who_sends_slowly_keeps_no_place_with_the_leader(tmp_path: Path) -> None:
    """Until the body is there, or much of it."""
    async with pair(tmp_path, leader_proxy_max_open_connections="1") as (_, standby):
        reader, writer = await asyncio.open_connection(standby.host, standby.port)
        writer.write(b"POST /echo/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nwo")
        await writer.drain()
        for _ in range(3):
            assert (await ask(standby, "/echo/x", "POST", data=b"y" * 1_000_000)).status == 200
        writer.write(b"rds of!")
        assert b" 200 " in await reader.readline()
        assert b'"words of"' in await reader.read(2000)
        writer.close()
