"""Event streams: framing, joining, the end, and readers that do not read."""

import asyncio
import socket

import pytest

from koinon.edge import EventStream, streams
from koinon.edge.slices import slices
from koinon.mesos import codec
from koinon.mesos.recordio import RecordDecoder
from koinon.mesos.v1.scheduler import Event

BEAT = Event(type=Event.Type.HEARTBEAT)


def error(text):
    return Event(type=Event.Type.ERROR, error=Event.Error(message=text))


class Subscribers:
    """A handler whose streams the test can reach."""

    def __init__(self, content_type=codec.JSON, preface=(), **options):
        self.content_type = content_type
        self.preface = preface
        self.options = options
        self.streams = asyncio.Queue()
        self.closed = asyncio.Queue()

    async def __call__(self, request):
        await request.read()
        stream = EventStream(self.content_type, self.closed.put_nowait, **self.options)
        stream.send(error("first"))
        self.streams.put_nowait(stream)
        preface = slices(iter(self.preface)) if self.preface else None
        return await stream.serve(request, {"Mesos-Stream-Id": "7"}, preface)


async def read_events(response, count, content_type=codec.JSON):
    decoder, events = RecordDecoder(), []
    while len(events) < count:
        data = await response.content.readany()
        assert data, "the stream ended early"
        events += [codec.decode(Event, record, content_type) for record in decoder.feed(data)]
    return events


@pytest.mark.parametrize("content_type", [codec.JSON, codec.PROTOBUF])
async def test_stream_carries_events_as_they_come(server, client, content_type):
    subscribers = Subscribers(content_type)
    server.route("/x", subscribers, methods=("POST",))
    async with client.post("/x") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == content_type
        assert response.headers["Mesos-Stream-Id"] == "7"
        assert response.headers["Transfer-Encoding"] == "chunked"
        stream = await subscribers.streams.get()
        stream.send(BEAT)
        assert await read_events(response, 2, content_type) == [error("first"), BEAT]
        stream.send(error("later"))
        assert await read_events(response, 1, content_type) == [error("later")]


async def test_closed_stream_ends_after_what_was_sent_and_reports_nothing(server, client):
    subscribers = Subscribers()
    server.route("/x", subscribers, methods=("POST",))
    async with client.post("/x") as response:
        stream = await subscribers.streams.get()
        stream.send(error("bye"))
        stream.close()
        stream.send(error("too late"))
        body = await response.read()
    assert [codec.decode(Event, record) for record in RecordDecoder().feed(body)] == [
        error("first"),
        error("bye"),
    ]
    assert subscribers.closed.empty()


async def test_stream_closed_before_it_is_served_still_says_why(server, client):
    async def refuse(request):
        stream = EventStream(codec.JSON, lambda reason: None)
        stream.send(error("no"))
        stream.close()
        return await stream.serve(request)

    server.route("/x", refuse, methods=("POST",))
    async with client.post("/x") as response:
        assert response.status == 200
        assert RecordDecoder().feed(await response.read()) == [codec.encode(error("no"))]


async def test_subscriber_that_goes_away_is_reported_once(server, client):
    subscribers = Subscribers()
    server.route("/x", subscribers, methods=("POST",))
    async with client.post("/x") as response:
        await read_events(response, 1)
        response.close()
    assert "closed" in await asyncio.wait_for(subscribers.closed.get(), 5)
    stream = await subscribers.streams.get()
    stream.send(BEAT)
    assert not stream.is_open
    assert subscribers.closed.empty()


async def test_events_of_one_turn_go_out_in_one_chunk(server, client):
    subscribers = Subscribers()
    server.route("/x", subscribers, methods=("POST",))
    async with client.post("/x") as response:
        stream = await subscribers.streams.get()
        await read_events(response, 1)
        for number in range(100):
            stream.send(error(str(number)))
        chunk = b""
        while not chunk:  # the end of the chunk before comes as an empty one
            chunk, _ = await response.content.readchunk()
        assert len(RecordDecoder().feed(chunk)) == 100


async def test_reader_that_does_not_read_is_cut_off(server, client):
    subscribers = Subscribers(backlog_bytes_max=100_000)
    server.route("/x", subscribers, methods=("POST",))
    with socket.create_connection(("127.0.0.1", server.port)) as reader:
        reader.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        stream = await subscribers.streams.get()
        for _ in range(10_000):
            if not stream.is_open:
                break
            stream.send(error("x" * 10_000))
            await asyncio.sleep(0)
        assert not stream.is_open
        assert "100000 bytes" in await asyncio.wait_for(subscribers.closed.get(), 5)


async def test_reader_whose_machine_confirms_nothing_is_cut_off(server, client, monkeypatch):
    """A machine that takes nothing in any more, and little was sent, stands for one that is gone."""
    monkeypatch.setattr(streams, "UNCONFIRMED_S", 0.5)
    subscribers = Subscribers()
    server.route("/x", subscribers, methods=("POST",))
    with socket.create_connection(("127.0.0.1", server.port)) as reader:
        reader.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        stream = await subscribers.streams.get()
        stream.send(error("x" * 8_000_000))  # more than the buffers hold
        await asyncio.wait_for(subscribers.closed.get(), 10)
        assert not stream.is_open


async def test_preface_larger_than_the_backlog_reaches_a_slow_reader_whole(server, client):
    large = codec.encode(error("z" * 3_000_000))
    pieces = [b"%d\n" % len(large), *(large[at : at + 100_000] for at in range(0, len(large), 100_000))]
    subscribers = Subscribers(backlog_bytes_max=1000, preface=pieces)
    server.route("/x", subscribers, methods=("POST",))
    async with client.post("/x") as response:
        stream = await subscribers.streams.get()
        stream.send(BEAT)
        events = await read_events(response, 3)
    assert events == [error("z" * 3_000_000), error("first"), BEAT]


async def test_old_protocol_gets_the_stream_without_chunks(server, client):
    subscribers = Subscribers()
    server.route("/x", subscribers, methods=("POST",))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /x HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
    (await subscribers.streams.get()).close()
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert RecordDecoder().feed(body) == [codec.encode(error("first"))]
    writer.close()


async def test_non_ascii_text_arrives_whole(server, client):
    subscribers = Subscribers()
    server.route("/x", subscribers, methods=("POST",))
    async with client.post("/x") as response:
        (await subscribers.streams.get()).send(error("κοινόν"))
        assert (await read_events(response, 2))[1] == error("κοινόν")


async def test_what_may_not_leave_is_forgotten(server, client):
    allowed = True
    subscribers = Subscribers(may_write=lambda: allowed)
    server.route("/x", subscribers, methods=("POST",))
    async with client.post("/x") as response:
        stream = await subscribers.streams.get()
        assert await read_events(response, 1) == [error("first")]
        stream.send(error("second"))
        allowed = False  # it was to leave at the end of this turn
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        allowed = True
        stream.send(BEAT)
        assert await read_events(response, 1) == [BEAT]
