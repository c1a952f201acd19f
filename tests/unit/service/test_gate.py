"""What happens to every request."""

import asyncio
import base64
import gzip
import json
from pathlib import Path

from tests.unit.service.echo import ask, leads, running


async def test_answers_are_not_kept_by_anybody_and_name_the_leader(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        await leads(process)
        answer = await ask(process, "/echo/x")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
    assert (answer.headers["Pragma"], answer.headers["Expires"]) == ("no-cache", "0")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-XSS-Protection"] == "1; mode=block"
    assert answer.headers["X-Echo-Leader"] == f"http://{process.address}"


async def test_requests_are_held_until_the_leader_is_ready(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        process.ready.clear()
        asked = asyncio.create_task(ask(process, "/echo/x"))
        while process.leadership.phase.value != "preparing":
            await process.leadership.change(5)
        assert not asked.done()
        process.ready.set()
        assert (await asked).status == 200


async def test_what_is_held_for_too_long_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        process.ready.clear()
        answer = await ask(process, "/echo/x")
        process.ready.set()
    assert (answer.status, answer.json()) == (
        502,
        {"message": "At the moment the leader is not ready yet: try again."},
    )


async def test_unknown_paths_and_methods_are_refused_as_json(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        await leads(process)
        unknown, wrong = await ask(process, "/nowhere"), await ask(process, "/large", "DELETE")
    assert (unknown.status, unknown.json()) == (404, {"message": "URI not found"})
    assert (wrong.status, wrong.json()) == (405, {"message": "The method DELETE is not allowed here."})
    assert wrong.headers["Allow"] == "GET,HEAD"


async def test_what_goes_wrong_inside_is_an_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        await leads(process)
        answer, late = await ask(process, "/broken"), await ask(process, "/late")
    assert (answer.status, late.status) == (500, 503)
    assert answer.json() == {"message": "The request failed inside; the log has the details."}


async def test_large_answers_are_compressed_for_who_can_read_that(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        await leads(process)
        plain = await ask(process, "/large", headers={"Accept-Encoding": "identity"})
        small = await ask(process, "/large", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == small.headers["Vary"] == "Accept-Encoding"
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(small.body) < len(plain.body) / 10
    assert gzip.decompress(small.body) == plain.body == json.dumps(["word"] * 1000).replace(" ", "").encode()


async def test_compression_can_be_switched_off(tmp_path: Path) -> None:
    async with running(tmp_path, http_compression="false") as process:
        await leads(process)
        answer = await ask(process, "/large", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers


async def test_only_who_knows_the_password_is_served(tmp_path: Path) -> None:
    def basic(text: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    async with running(tmp_path, http_credentials="ann:a:b", http_realm='the "place"') as process:
        await leads(process)
        refused = await ask(process, "/echo/x")
        assert refused.headers["WWW-Authenticate"] == 'Basic realm="the \\"place\\""'
        headers = [
            {},
            basic("ann:a"),
            basic("bob:a:b"),
            {"Authorization": "Basic %%%"},
            {"Authorization": "Bearer x"},
        ]
        assert {(await ask(process, "/echo/x", headers=one)).status for one in headers} == {401}
        assert (await ask(process, "/echo/x", headers=basic("ann:a:b"))).status == 200
        assert (await ask(process, "/ping")).body == b"pong"


async def test_more_requests_than_allowed_are_refused_but_streams_do_not_count(tmp_path: Path) -> None:
    async with running(tmp_path, http_max_concurrent_requests="1") as process:
        await leads(process)
        slow = asyncio.create_task(ask(process, "/slow"))
        async with asyncio.timeout(5):
            while (refused := await ask(process, "/echo/x")).status == 200:
                pass
        assert refused.status == 503
        assert (await ask(process, "/stream")).status == 200
        process.held.set()
        assert (await slow).status == 200
        assert (await ask(process, "/echo/x")).status == 200


async def test_pages_of_other_origins_may_ask_when_that_is_allowed(tmp_path: Path) -> None:
    async with running(tmp_path, access_control_allow_origin="http://a, http://b") as process:
        await leads(process)
        asking = {"Origin": "http://b", "Access-Control-Request-Headers": "X-One"}
        preflight = await ask(process, "/echo/x", "OPTIONS", headers=asking)
        other = await ask(process, "/echo/x")
    assert preflight.status == 200
    assert preflight.headers.getall("Access-Control-Allow-Origin") == ["http://b"]
    assert preflight.headers["Access-Control-Allow-Headers"] == "X-One"
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert preflight.headers["Access-Control-Max-Age"] == "86400"
    assert other.headers.getall("Access-Control-Allow-Origin") == ["http://a", "http://b"]


async def test_pages_of_others_change_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, access_control_allow_origin="http://friend") as process:
        await leads(process)
        statuses = [
            (await ask(process, "/echo/x", method, headers={"Origin": origin, **more})).status
            for method, origin, more in [
                ("POST", "http://evil.example", {}),
                ("DELETE", "null", {}),
                ("GET", "http://evil.example", {}),
                ("POST", f"http://{process.address}", {}),
                ("POST", "http://friend", {}),
                ("POST", "https://front.example", {"X-Forwarded-Host": "front.example"}),
            ]
        ]
    assert statuses == [403, 403, 200, 200, 200, 200]


async def test_ping_answers_in_the_form_that_is_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        await leads(process)
        answers = {
            accept: await ask(process, "/ping", headers={"Accept": accept})
            for accept in ("*/*", "text/html", "application/json", "image/png")
        }
    assert {accept: (one.status, one.body) for accept, one in answers.items()} == {
        "*/*": (200, b"pong"),
        "text/html": (200, b"pong"),
        "application/json": (200, b'"pong"'),
        "image/png": (204, b""),
    }


async def test_the_way_to_the_page(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        answer = await ask(process, "/")
    assert (answer.status, answer.headers["Location"]) == (302, "/ui/")


async def test_numbers_are_shown_in_both_forms(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        await leads(process)
        process.metrics.counter("words").value += 3
        process.metrics.timer("thinking").observe(250)
        plain = {"Accept-Encoding": "identity"}
        shown = (await ask(process, "/metrics", headers=plain)).json()
        text = (await ask(process, "/metrics/prometheus", headers=plain)).body
    assert shown["version"].split(".")[0] == "4"
    assert shown["gauges"]["echo.leadership.gauge"] == {"value": 1.0}
    assert shown["counters"]["echo.words.counter"] == {"count": 3}
    assert shown["timers"]["echo.thinking.timer.seconds"]["max"] == 0.25
    assert b"echo_words_counter_total 3.0" in text
    assert b"echo_thinking_timer_seconds_sum 0.25" in text


async def test_what_may_be_asked_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        await leads(process)
        answer = await ask(process, "/large", "OPTIONS")
        refused = await ask(process, "/large", "PUT")
    assert (answer.status, answer.headers["Allow"]) == (200, "GET,HEAD")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET,HEAD")
