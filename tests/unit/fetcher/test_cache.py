"""The cache: fetched once, bounded, a user's own, and never in the way."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from aiohttp import web

from koinon.agent.fetcher import FetchError
from tests.unit.fetcher.archives import HONEST
from tests.unit.fetcher.conftest import URI, Desk, everything, until


def cached(url: str, **more: object) -> URI:
    return URI(value=url, cache=True, **more)  # type: ignore[arg-type]


def users(desk: Desk) -> int:
    return desk.fetcher.cache.users


async def test_the_second_time_it_comes_from_the_cache(desk, site):
    site.bodies["/f"] = b"once"
    for _ in range(2):
        assert everything(await desk.fetch(cached(site.url("/f")))) == {"f": "once"}
    assert site.asked == ["/f"]
    assert desk.fetcher.cache.used_bytes == 4


async def test_without_the_mark_nothing_is_kept(desk, site):
    site.bodies["/f"] = b"twice"
    for _ in range(2):
        await desk.fetch(site.url("/f"))
    assert site.asked == ["/f", "/f"]
    assert desk.fetcher.cache.used_bytes == 0


async def test_an_archive_stays_in_the_cache(desk, site):
    site.bodies["/a.tar"] = HONEST
    for _ in range(2):
        found = everything(await desk.fetch(cached(site.url("/a.tar"))))
        assert "a.tar" not in found
        assert found["top/deep/er/data"] == "data"
    assert site.asked == ["/a.tar"]


async def test_an_executable_from_the_cache_can_be_executed(desk, site):
    site.bodies["/x"] = b"#!/bin/sh\n"
    sandbox = await desk.fetch(cached(site.url("/x"), executable=True, output_file="bin/run"))
    assert (sandbox / "bin/run").stat().st_mode & 0o7777 == 0o755


async def test_who_asks_at_the_same_time_waits_for_the_same_download(desk, site):
    go = asyncio.Event()

    async def slowly(request):
        await go.wait()
        return web.Response(body=b"shared")

    site.handlers["/f"] = slowly
    fetching = [asyncio.ensure_future(desk.fetch(cached(site.url("/f")))) for _ in range(5)]
    async with asyncio.timeout(10):
        await until(lambda: site.asked)
        await until(lambda: users(desk) == 5)
        go.set()
        for sandbox in await asyncio.gather(*fetching):
            assert everything(sandbox) == {"f": "shared"}
    assert site.asked == ["/f"]


async def test_the_first_who_asked_may_leave_and_the_others_get_it(desk, site):
    go = asyncio.Event()

    async def slowly(request):
        await go.wait()
        return web.Response(body=b"shared")

    site.handlers["/f"] = slowly
    first, second = (asyncio.ensure_future(desk.fetch(cached(site.url("/f")))) for _ in range(2))
    async with asyncio.timeout(10):
        await until(lambda: site.asked)
        await until(lambda: users(desk) == 2)
        first.cancel()
        await asyncio.wait([first])
        go.set()
        assert everything(await second) == {"f": "shared"}
    assert site.asked == ["/f"]


async def test_a_download_that_nobody_waits_for_ends(desk, site):
    async def never(request):
        await asyncio.Event().wait()

    site.handlers["/f"] = never
    fetching = asyncio.ensure_future(desk.fetch(cached(site.url("/f"))))
    async with asyncio.timeout(10):
        await until(lambda: site.under_way)
        fetching.cancel()
        await until(lambda: not site.under_way)
    assert desk.fetcher.cache.used_bytes == 0


async def test_a_failure_is_told_to_all_and_not_kept(desk, site):
    results = await asyncio.gather(
        *(desk.fetch(cached(site.url("/f"))) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(result, FetchError) and "404" in str(result) for result in results)
    site.bodies["/f"] = b"now"
    assert everything(await desk.fetch(cached(site.url("/f")))) == {"f": "now"}


async def test_the_one_not_used_for_longest_makes_room(tmp_path, site):
    desk = Desk(tmp_path, site, cache_size=250)
    for name in "abc":
        site.bodies[f"/{name}"] = name.encode() * 100
    for name in "abacab":
        await desk.fetch(cached(site.url(f"/{name}")))
    assert site.asked == ["/a", "/b", "/c", "/b"]
    assert desk.fetcher.cache.used_bytes == 200
    assert len(list((tmp_path / "cache").iterdir())) == 2
    await desk.fetcher.close()


@pytest.mark.parametrize("tells_size", [True, False])
async def test_what_is_too_large_goes_past_the_cache(tmp_path, site, tells_size):
    async def large(request):
        response = web.StreamResponse(headers={"Content-Length": "5000"} if tells_size else {})
        await response.prepare(request)
        await response.write(b"x" * 5000)
        return response

    site.handlers["/f"] = large
    desk = Desk(tmp_path, site, cache_size=1000)
    assert everything(await desk.fetch(cached(site.url("/f")))) == {"f": "x" * 5000}
    assert desk.fetcher.cache.used_bytes == 0
    assert list((tmp_path / "cache").iterdir()) == []
    await desk.fetcher.close()


async def test_a_cache_that_cannot_be_written_is_not_in_the_way(tmp_path, site):
    (tmp_path / "cache").write_text("in the way")
    desk = Desk(tmp_path, site)
    site.bodies["/f"] = b"x"
    assert everything(await desk.fetch(cached(site.url("/f")))) == {"f": "x"}
    await desk.fetcher.close()


async def test_a_cache_that_somebody_emptied_is_not_in_the_way(desk, site, tmp_path):
    site.bodies["/f"] = b"x"
    await desk.fetch(cached(site.url("/f")))
    shutil.rmtree(tmp_path / "cache")
    for _ in range(2):
        assert everything(await desk.fetch(cached(site.url("/f")))) == {"f": "x"}


async def test_users_do_not_share(desk, site):
    site.bodies["/f"] = b"x"
    async with (
        desk.fetcher.cache.borrow("one", site.url("/f")),
        desk.fetcher.cache.borrow("two", site.url("/f")),
    ):
        pass
    assert site.asked == ["/f", "/f"]
