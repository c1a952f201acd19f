"""The short way for plain requests: what it answers, what it leaves to the ordinary one, and in which order."""

import asyncio
import re

import pytest

from koinon.edge import Answer, HttpError, hot

HEAD = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"


def post(body, *headers, line=b"POST /x HTTP/1.1"):
    lines = [line, b"Host: h", *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.fixture
async def way(server):
    """Both ways answer /x with which way it was and the body; /y is ordinary only."""
    hot_bodies = []

    def answer(headers, body):
        hot_bodies.append(body)
        if body == b"not for me":
            return None
        if body == b"refuse":
            raise HttpError(409, "Taken.")
        if body == b"fail":
            raise KeyError("inside")
        if body == b"nothing":
            return Answer(status=202)
        if body == b"much":
            return Answer(bytes(16_000_000), content_type="text/plain")
        return Answer(b"hot:" + body + b":" + headers.get("X-Mark", "").encode(), content_type="text/plain")

    async def ordinary(request):
        return Answer(b"ordinary:" + await request.read(), content_type="text/plain")

    server.hot("/x", answer)
    server.hot_bodies = hot_bodies
    server.route("/x", ordinary, methods=("POST",))
    server.route("/y", ordinary, methods=("POST",))
    await server.start("127.0.0.1", 0)
    return server


async def converse(server, *pieces, answers):
    """Send the pieces apart, read until so many answers came; statuses and bodies."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return [await asyncio.wait_for(read_answer(reader), 5) for _ in range(answers)]
    finally:
        writer.close()


async def read_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] ", head)
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    return int(head[9:12]), await reader.readexactly(length)


async def test_plain_request_goes_the_short_way(way):
    assert await converse(way, post(b"a", b"X-Mark: m"), answers=1) == [(200, b"hot:a:m")]
    prefixed = post(b"a", line=b"POST /slave(1)/x HTTP/1.1")
    assert await converse(way, prefixed, answers=1) == [(200, b"hot:a:")]


async def test_request_cut_at_every_byte_is_answered_the_same(way):
    request = post(b"abc", b"X-Mark: m")
    for at in range(1, len(request)):
        assert await converse(way, request[:at], request[at:], answers=1) == [(200, b"hot:abc:m")]


async def test_ordinary_request_cut_at_every_byte_is_answered_the_same(way):
    request = post(b"abc", line=b"POST /y HTTP/1.1")
    for at in range(1, len(request)):
        assert await converse(way, request[:at], request[at:], answers=1) == [(200, b"ordinary:abc")]


@pytest.mark.parametrize("turn_s", [hot._TURN_S, 0.0])
async def test_answers_come_in_the_order_of_requests_whichever_way(way, turn_s, monkeypatch):
    monkeypatch.setattr(hot, "_TURN_S", turn_s)
    requests = [
        post(b"1"),
        post(b"refuse"),
        post(b"nothing"),
        post(b"2"),
        post(b"3", line=b"POST /y HTTP/1.1"),
        post(b"4"),
    ]
    want = [
        (200, b"hot:1:"),
        (409, b"Taken.\n"),
        (202, b""),
        (200, b"hot:2:"),
        (200, b"ordinary:3"),
        (200, b"ordinary:4"),  # once handed over, it stays there
    ]
    assert await converse(way, b"".join(requests), answers=6) == want
    assert await converse(way, *requests, answers=6) == want


async def test_request_the_handler_gives_back_is_answered_the_ordinary_way_with_its_body(way):
    assert await converse(way, post(b"1") + post(b"not for me"), answers=2) == [
        (200, b"hot:1:"),
        (200, b"ordinary:not for me"),
    ]


async def test_failing_handler_is_500_and_the_connection_goes_on(way):
    answers = await converse(way, post(b"fail") + post(b"1"), answers=2)
    assert [status for status, _ in answers] == [500, 200]
    assert b"'inside'" not in answers[0][1]


@pytest.mark.parametrize(
    "request_",
    [
        post(b"a", line=b"POST /x?q=1 HTTP/1.1"),
        post(b"a", b"Connection: close"),
        post(b"a", b"X-Odd: caf\xc3\xa9"),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        post(b"a", b"X-Long: " + b"y" * 5000, b"X-Also: " + b"y" * 5000),
    ],
)
async def test_what_is_not_plain_goes_the_ordinary_way(way, request_):
    assert await converse(way, request_, answers=1) == [(200, b"ordinary:a")]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (HEAD + b"Content-Length: 20000\r\n\r\n" + b"a" * 20000, 413),
        (b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        (
            b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"\xff" * 10_000, 400),
    ],
)
async def test_what_is_wrong_is_refused_the_ordinary_way(way, request_, status):
    ((answered, text),) = await converse(way, request_, answers=1)
    assert answered == status
    assert len(text.splitlines()) == 1
    assert len(text) < 200


async def test_continue_is_said_to_who_waits_for_it(way):
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 100")
    writer.write(b"a")
    assert await read_answer(reader) == (200, b"ordinary:a")
    writer.close()


async def test_pipelined_answers_go_out_in_one_write(way, monkeypatch):
    monkeypatch.setattr(hot, "_TURN_S", 60.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    writer.write(post(b"nothing") * 50)
    first = await reader.read(1 << 20)
    assert first.count(b"HTTP/1.1 202 Accepted\r\n") == 50
    writer.close()


async def test_clients_that_send_many_requests_at_once_are_answered_in_turns(way, monkeypatch):
    monkeypatch.setattr(hot, "_TURN_S", 0.0)  # one request a turn
    connections = [await asyncio.open_connection("127.0.0.1", way.port) for _ in range(2)]
    for name, (_, writer) in zip(b"ab", connections, strict=True):
        writer.write(post(bytes([name])) * 50)
    for name, (reader, writer) in zip(b"ab", connections, strict=True):
        for _ in range(50):
            assert await read_answer(reader) == (200, b"hot:%c:" % name)
        writer.close()
    order = b"".join(way.hot_bodies)
    longest = max(len(part) for name in (b"a", b"b") for part in order.split(name))
    assert longest <= 5, order


async def test_what_follows_a_turn_is_read_when_its_rest_is_answered(way, monkeypatch):
    monkeypatch.setattr(hot, "_TURN_S", 0.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    writer.write(post(b"a") * 30 + post(b"b")[:-1])
    await asyncio.sleep(0)
    writer.write(b"b" + post(b"c"))
    bodies = [(await asyncio.wait_for(read_answer(reader), 5))[1] for _ in range(32)]
    assert bodies == [b"hot:a:"] * 30 + [b"hot:b:", b"hot:c:"]
    writer.close()


async def test_connection_is_handed_over_with_answers_that_nobody_reads_yet(way, monkeypatch):
    monkeypatch.setattr(hot, "_TURN_S", 60.0)
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    writer.write(post(b"much") + post(b"1", line=b"POST /y HTTP/1.1"))
    await asyncio.sleep(0.05)
    status, body = await asyncio.wait_for(read_answer(reader), 5)
    assert (status, len(body)) == (200, 16_000_000)
    assert await asyncio.wait_for(read_answer(reader), 5) == (200, b"ordinary:1")
    assert not failures
    writer.close()


async def test_client_that_does_not_read_its_answers_is_not_read_from(way):
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    request = post(b"x" * 9000)
    sent = 0

    async def flood():
        nonlocal sent
        while True:
            writer.write(request)
            sent += 1
            await writer.drain()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flood(), 1.0)
    for _ in range(sent):
        assert (await asyncio.wait_for(read_answer(reader), 5))[0] == 200
    writer.close()


async def test_stop_ends_connections_that_wait(way):
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    writer.write(post(b"nothing"))
    assert await read_answer(reader) == (202, b"")
    await way.stop()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
