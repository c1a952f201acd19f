"""What comes over HTTP, and what may go wrong on the way."""

from __future__ import annotations

import asyncio
import gzip
import os

import pytest
from aiohttp import web

from koinon.agent.fetcher import FetchError
from tests.unit.fetcher.archives import HONEST
from tests.unit.fetcher.conftest import URI, Desk, everything, until


async def test_a_file_comes_whole_and_is_told_of(desk, site):
    body = os.urandom(3 << 20)
    sandbox = await desk.fetch_body("/d/big", body)
    assert (sandbox / "big").read_bytes() == body
    assert (sandbox / "stderr").read_text() == f"Fetching {site.url('/d/big')} to big\n"
    assert (desk.fetcher.succeeded, desk.fetcher.failed) == (1, 0)


async def test_an_executable_can_be_executed_and_is_not_taken_apart(desk, site):
    site.bodies["/x.tar"] = b"#!/bin/sh\n"
    sandbox = await desk.fetch(URI(value=site.url("/x.tar"), executable=True))
    assert (sandbox / "x.tar").stat().st_mode & 0o7777 == 0o755


async def test_the_query_is_no_part_of_the_name(desk, site):
    site.bodies["/f"] = b"x"
    assert everything(await desk.fetch(site.url("/f?a=/b#c"))) == {"f": "x"}


async def test_an_output_file_gets_its_directories(desk, site):
    site.bodies["/"] = b"index"
    sandbox = await desk.fetch(URI(value=site.url("/"), output_file="a/b/index"))
    assert everything(sandbox) == {"a": None, "a/b": None, "a/b/index": "index"}


async def test_later_files_replace_earlier_ones(desk, site):
    site.bodies |= {"/a/f": b"first, and longer", "/b/f": b"second"}
    assert everything(await desk.fetch(site.url("/a/f"), site.url("/b/f"))) == {"f": "second"}


async def test_redirects_are_followed(desk, site):
    async def redirect(request):
        return web.Response(status=302, headers={"Location": "/there"})

    site.handlers["/here"] = redirect
    site.bodies["/there"] = b"found"
    assert everything(await desk.fetch(site.url("/here"))) == {"here": "found"}


async def test_redirects_without_end_are_given_up(desk, site):
    async def redirect(request):
        return web.Response(status=302, headers={"Location": "/round"})

    site.handlers["/round"] = redirect
    with pytest.raises(FetchError, match="redirects without end"):
        await desk.fetch(site.url("/round"))


async def test_a_redirect_does_not_lead_to_files_of_the_agent(desk, site):
    async def redirect(request):
        return web.Response(status=302, headers={"Location": "file:///etc/passwd"})

    site.handlers["/x"] = redirect
    with pytest.raises(FetchError, match="no http address"):
        await desk.fetch(site.url("/x"))


async def test_what_is_not_there_is_said_to_both(desk, site):
    sandbox = desk.sandbox()
    sentence = f"Failed to fetch {site.url('/none')}: the server answered 404 Not Found"
    with pytest.raises(FetchError) as failed:
        await desk.fetch(site.url("/none"), into=sandbox)
    assert str(failed.value) == sentence
    assert (sandbox / "stderr").read_text().splitlines()[-1] == sentence
    assert (desk.fetcher.succeeded, desk.fetcher.failed) == (0, 1)


async def test_nothing_more_is_fetched_after_a_failure(desk, site):
    site.bodies["/second"] = b"x"
    with pytest.raises(FetchError):
        await desk.fetch(site.url("/none"), site.url("/second"))
    assert site.asked == ["/none"]


async def test_nobody_listens(desk, unused_port):
    with pytest.raises(FetchError, match=f"cannot connect to 127.0.0.1:{unused_port}: Connection refused"):
        await desk.fetch(f"http://127.0.0.1:{unused_port}/f")


@pytest.mark.parametrize("claimed", [1000, None])
async def test_a_body_that_breaks_off_is_no_file(desk, site, claimed):
    async def half(request):
        response = web.StreamResponse(headers={} if claimed is None else {"Content-Length": str(claimed)})
        await response.prepare(request)
        await response.write(b"x" * 400)
        request.transport.close()
        return response

    site.handlers["/f"] = half
    with pytest.raises(FetchError, match="broke after 400 of 1000" if claimed else "broke after 400 bytes"):
        await desk.fetch(site.url("/f"))


async def test_a_server_that_stalls_half_way_is_given_up(tmp_path, site):
    leave = asyncio.Event()

    async def stall(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 300)
        await leave.wait()
        return response

    site.handlers["/f"] = stall
    desk = Desk(tmp_path, site, stall_s=0.5)
    with pytest.raises(FetchError, match=r"no more came for 0\.5 seconds, after 300 of 1000 bytes"):
        await desk.fetch(site.url("/f"))
    leave.set()
    await desk.fetcher.close()


async def test_a_trickle_is_a_stall(tmp_path, site):
    async def trickle(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x")
            await asyncio.sleep(1.5)
        return response

    site.handlers["/f"] = trickle
    desk = Desk(tmp_path, site, stall_s=2.0)
    with pytest.raises(FetchError, match=r"no more came for 2 seconds, after \d bytes"):
        await desk.fetch(site.url("/f"))
    await desk.fetcher.close()


async def test_a_server_that_never_answers_is_given_up(tmp_path, site):
    async def silence(request):
        await asyncio.Event().wait()

    site.handlers["/f"] = silence
    desk = Desk(tmp_path, site, stall_s=0.3)
    with pytest.raises(FetchError, match=r"has not answered for 0\.3 seconds"):
        await desk.fetch(site.url("/f"))
    await desk.fetcher.close()


@pytest.mark.parametrize(
    ("name", "encoding", "result"),
    [("page", "gzip", b"text"), ("page.gz", "x-gzip", gzip.compress(b"text", mtime=0))],
)
async def test_a_server_that_encodes_unasked_is_understood(desk, site, name, encoding, result):
    async def encode(request):
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=gzip.compress(b"text", mtime=0), headers={"Content-Encoding": encoding})

    site.handlers[f"/{name}"] = encode
    sandbox = await desk.fetch(URI(value=site.url(f"/{name}"), extract=False))
    assert (sandbox / name).read_bytes() == result


async def test_an_unknown_encoding_is_a_failure(desk, site):
    async def encode(request):
        return web.Response(body=b"?", headers={"Content-Encoding": "rot13"})

    site.handlers["/f"] = encode
    with pytest.raises(FetchError, match="encoded as rot13"):
        await desk.fetch(site.url("/f"))


async def test_what_is_larger_than_the_disk_quota_is_stopped(desk, site):
    with pytest.raises(FetchError, match=r"larger than the 1\.0 MB of disk"):
        await desk.fetch_body("/f", bytes(3 << 20), limit=1 << 20)


async def test_a_password_is_not_shown(desk, site):
    url = site.url("/none").replace("//", "//me:secret@")
    sandbox = desk.sandbox()
    with pytest.raises(FetchError) as failed:
        await desk.fetch(url, into=sandbox)
    assert "secret" not in str(failed.value) + (sandbox / "stderr").read_text()


async def test_a_fetch_that_is_cancelled_stops(desk, site):
    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 16))
            await asyncio.sleep(0.01)

    site.handlers["/f"] = endless
    sandbox = desk.sandbox()
    fetching = asyncio.ensure_future(desk.fetch(site.url("/f"), into=sandbox))
    async with asyncio.timeout(10):
        await until(lambda: (sandbox / "f").exists() and (sandbox / "f").stat().st_size >= 1 << 16)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        size = (sandbox / "f").stat().st_size
        await until(lambda: not site.under_way)
    assert (sandbox / "f").stat().st_size == size


# ── files of this machine ─────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
async def test_files_of_this_machine_are_copied(desk, tmp_path, form):
    (tmp_path / "source").write_text("here")
    sandbox = await desk.fetch(form.format(tmp_path / "source"))
    assert everything(sandbox) == {"source": "here"}
    assert (tmp_path / "source").read_text() == "here"


@pytest.mark.parametrize(("path", "why"), [("/none", "No such file"), ("/dev/null", "no regular file")])
async def test_files_that_cannot_be_copied(desk, path, why):
    with pytest.raises(FetchError, match=why):
        await desk.fetch(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_user_gets_what_it_may_read_and_owns_it(desk, site, tmp_path):
    open_file, secret = tmp_path / "open", tmp_path / "secret"
    open_file.write_text("all")
    secret.write_text("mine")
    secret.chmod(0o600)
    os.chmod(tmp_path, 0o755)
    sandbox = desk.sandbox()
    os.chown(sandbox, 65534, 65534)
    site.bodies["/a.tar"] = HONEST
    await desk.fetch("/etc/hostname", site.url("/a.tar"), into=sandbox, user="nobody")
    assert {path.lstat().st_uid for path in sandbox.rglob("*")} == {65534}
    with pytest.raises(FetchError, match=r"secret: Permission denied"):
        await desk.fetch(str(secret), into=sandbox, user="nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_sandbox_of_somebody_else_is_not_written_to(desk, tmp_path):
    sandbox = desk.sandbox()
    with pytest.raises(FetchError, match="belongs to somebody else"):
        await desk.fetch("/etc/hostname", into=sandbox, user="nobody")
    assert list(sandbox.iterdir()) == []


async def test_a_link_in_the_place_of_stderr_is_not_written_through(desk, tmp_path):
    target = tmp_path / "target"
    target.write_text("")
    sandbox = desk.sandbox()
    (sandbox / "stderr").symlink_to(target)
    with pytest.raises(FetchError):
        await desk.fetch("/etc/hostname", into=sandbox)
    assert target.read_text() == ""
