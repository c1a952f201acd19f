"""Paths, methods, bodies and answers of the HTTP server."""

import asyncio
import contextlib
import gzip
import time

import aiohttp
import pytest

from koinon.edge import Answer, HttpError, answer_json, content_type_of, preferred_type, read_call
from koinon.edge.slices import slices
from koinon.mesos.v1.scheduler import Call


async def show_path(request):
    return Answer(request.path.encode(), content_type="text/plain")


async def echo(request):
    return answer_json({"body": (await request.read()).decode()})


def answering(name):
    async def handler(request):
        return answer_json(name)

    return handler


@pytest.mark.parametrize(
    "path",
    ["/state", "/state/", "/slave(1)/state", "/slave%281%29/state", "/state.json", "/slave(1)/state.json"],
)
async def test_spellings_of_a_path_reach_the_same_handler(server, client, path):
    server.route("/state", answering("state"))
    async with client.get(path) as response:
        assert (response.status, await response.json()) == (200, "state")


async def test_longest_known_prefix_answers(server, client):
    server.route("/api/v1", answering("operator"), methods=("POST",))
    server.route("/api/v1/scheduler", answering("scheduler"), methods=("POST",))
    for path, name in [
        ("/api/v1", "operator"),
        ("/api/v1/operator", "operator"),
        ("/api/v1/scheduler", "scheduler"),
        ("/slave(1)/api/v1/scheduler/", "scheduler"),
    ]:
        async with client.post(path) as response:
            assert await response.json() == name


async def test_path_with_json_of_its_own_keeps_it(server, client):
    server.route("/system/stats.json", answering("stats"))
    async with client.get("/system/stats.json") as response:
        assert await response.json() == "stats"
    async with client.get("/system/stats") as response:
        assert response.status == 404


async def test_a_guard_is_asked_before_all_that_is_not_open(server, client):
    def check(request):
        raise HttpError(503, f"not {request.path}")

    server.route("/open/one", answering("open"))
    server.route("/closed", answering("closed"), methods=("POST",))
    server.guard(check, frozenset({"/open/one"}))
    for path, status in [("/open/one", 200), ("/slave(1)/open/one/", 200), ("/open", 404), ("/closed", 503)]:
        async with client.get(path) as response:
            assert response.status == status
    server.guard(None)
    async with client.post("/closed") as response:
        assert await response.json() == "closed"


async def test_unknown_path_is_404_in_one_line(server, client):
    for path in ["/", "/slave(1)", "/nothing", "/slave(2)/state"]:
        async with client.get(path) as response:
            assert (response.status, await response.text()) == (404, "404 Not Found.\n")
            assert response.content_type == "text/plain"


async def test_wrong_method_names_the_right_one(server, client):
    server.route("/api/v1", echo, methods=("POST",))
    async with client.get("/api/v1") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_head_is_get_without_the_body(server, client):
    async def many(request):
        return Answer(slices(iter([b"[1", b",2]"])))

    server.route("/state", answering("state"))
    server.route("/many", many)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for path in (b"/state", b"/many", b"/state"):
        writer.write(b"HEAD %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200 ")  # and so right behind the head of the one before
    writer.close()


async def test_refusal_is_one_line_of_text(server, client):
    async def refuse(request):
        raise HttpError(409, "Taken.")

    server.route("/x", refuse)
    async with client.get("/x") as response:
        assert (response.status, await response.text(), response.content_type) == (
            409,
            "Taken.\n",
            "text/plain",
        )


async def test_failing_handler_is_500_and_the_connection_goes_on(server, client):
    async def fail(request):
        raise KeyError("inside")

    server.route("/x", fail)
    server.route("/y", answering("y"))
    async with client.get("/x") as response:
        assert response.status == 500
        assert "inside" not in (await response.text()).replace("failed inside", "")
    async with client.get("/y") as response:
        assert response.status == 200


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_body_over_the_bound_is_413(server, client, encoding):
    server.route("/x", echo, methods=("POST",))
    body = b"x" * 10_001
    headers = {}
    if encoding == "gzip":  # small on the wire, large inside
        body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
    async with client.post("/x", data=body, headers=headers) as response:
        assert response.status == 413
        assert "10000" in await response.text()


async def test_gzipped_body_is_read(server, client):
    server.route("/x", echo, methods=("POST",))
    async with client.post(
        "/x", data=gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"}
    ) as response:
        assert await response.json() == {"body": "hello"}


async def test_body_that_is_not_gzip_is_400(server, client):
    server.route("/x", echo, methods=("POST",))
    async with client.post("/x", data=b"hello", headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 400
        assert len((await response.text()).splitlines()) == 1


async def test_answers_are_gzipped_for_who_wants_it(server, client):
    server.route("/x", answering("y" * 5000))

    async def many(request):
        return Answer(slices(iter([b'["', b"z" * 5000, b'"]'])))

    server.route("/many", many)
    for path, want in [("/x", "y" * 5000), ("/many", ["z" * 5000])]:
        async with client.get(path, headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert await response.json() == want
        async with client.get(path, headers={"Accept-Encoding": "identity"}) as response:
            assert "Content-Encoding" not in response.headers
            assert await response.json() == want


async def test_jsonp_wraps_json_in_a_call(server, client):
    server.route("/x", answering({"a": 1}))

    async def many(request):
        return Answer(slices(iter([b"[1", b",2]"])))

    server.route("/many", many)
    async with client.get("/x?jsonp=show.it") as response:
        assert await response.text() == 'show.it({"a":1});'
        assert response.content_type == "text/javascript"
    async with client.get("/many?jsonp=f") as response:
        assert await response.text() == "f([1,2]);"
    async with client.get("/x?jsonp=alert(1)") as response:
        assert response.status == 400


async def test_slices_let_others_in_between(server, client):
    order = []

    def pieces():
        for number in range(5):
            order.append(number)
            time.sleep(0.003)  # work
            yield b"x" * 10

    async def many(request):
        order.append("begin")
        asyncio.get_running_loop().call_soon(order.append, "other")
        return Answer(slices(pieces()), content_type="text/plain")

    server.route("/many", many)
    async with client.get("/many", headers={"Accept-Encoding": "identity"}) as response:
        assert await response.text() == "x" * 50
    assert order.index("other") < order.index(4)


async def test_answer_that_breaks_off_breaks_the_connection(server, client):
    def pieces():
        yield b"some"
        raise RuntimeError("view failed")

    async def many(request):
        return Answer(slices(pieces()), content_type="text/plain")

    server.route("/many", many)
    with pytest.raises(aiohttp.ClientError):
        async with client.get("/many", headers={"Accept-Encoding": "identity"}) as response:
            await response.read()


async def test_expect_100_continue_is_answered(server, client):
    server.route("/x", echo, methods=("POST",))
    async with client.post("/x", data=b"hello", expect100=True) as response:
        assert await response.json() == {"body": "hello"}


# ── content types ─────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
async def typed(server, client):
    async def types(request):
        return answer_json([content_type_of(request.headers), preferred_type(request.headers)])

    server.route("/x", types, methods=("POST",))
    return client


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/x-protobuf", 200),
        ("application/json; charset=utf-8", 415),
        ("application/recordio", 415),
        ("text/plain", 415),
        (None, 400),
    ],
)
async def test_content_type_is_compared_exactly(typed, content_type, status):
    headers = {} if content_type is None else {"Content-Type": content_type}
    skip = ["Content-Type"] if content_type is None else []
    async with typed.post("/x", data=b"{}", headers=headers, skip_auto_headers=skip) as response:
        assert response.status == status
        if status != 200:
            assert len((await response.text()).splitlines()) == 1


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/x-protobuf", "application/x-protobuf"),
        ("application/x-protobuf, application/json", "application/json"),
        ("application/json;q=0, */*", "application/x-protobuf"),
        ("text/html, application/json;q=0.9", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
    ],
)
async def test_accept_chooses_json_first(typed, accept, preferred):
    headers = {"Content-Type": "application/json"} | ({} if accept is None else {"Accept": accept})
    skip = ["Accept"] if accept is None else []
    async with typed.post("/x", data=b"{}", headers=headers, skip_auto_headers=skip) as response:
        if preferred is None:
            assert response.status == 406
        else:
            assert (await response.json())[1] == preferred


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b"\xff\xfe"),
        ("application/x-protobuf", b"\xff\xff"),
    ],
)
async def test_body_that_is_no_message_is_400_in_one_line(server, client, content_type, body):
    async def take(request):
        await read_call(request, Call)
        return Answer()

    server.route("/x", take, methods=("POST",))
    async with client.post("/x", data=body, headers={"Content-Type": content_type}) as response:
        assert response.status == 400
        assert len((await response.text()).splitlines()) == 1


# ── the end ───────────────────────────────────────────────────────────────────────────────────────
async def test_after_hanging_up_nothing_that_comes_in_is_answered_and_what_came_before_is(server, client):
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def answer_slowly(request):
        asked.set()
        await may_answer.wait()
        if "refuse" in request.query:
            raise HttpError(503, "not any more")
        return answer_json("done")

    server.route("/slow", answer_slowly)
    server.route("/call", answering("called"), methods=("POST",))
    server.hot("/call", lambda headers, body: Answer(b"hot"))
    kept = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
    calls = [  # one for the short way, one for aiohttp, and one that says nothing before
        b"POST /call HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"POST /call HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"",
    ]
    for (reader, writer), call in zip(kept[:2], calls[:2], strict=True):
        writer.write(call)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    slow = asyncio.create_task(client.get("/slow"))
    refused = asyncio.create_task(client.get("/slow?refuse"))
    await asked.wait()
    await asyncio.sleep(0)

    server.hang_up()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
    for (reader, writer), call in zip(kept, (*calls[:2], calls[1]), strict=True):
        writer.write(call)
        answered = b""
        with contextlib.suppress(ConnectionError):
            answered = await asyncio.wait_for(reader.read(), 5)
        assert b"HTTP/1.1" not in answered
        writer.close()
    may_answer.set()
    async with await slow as response:
        assert (response.status, await response.json()) == (200, "done")
    with pytest.raises(aiohttp.ClientError):
        await refused
