"""The collector looks at young objects only, until memory has grown very much."""

import asyncio
import gc
import weakref

import pytest
import uvloop

from koinon.edge import Answer, EventStream, Server
from koinon.edge import collector as module
from koinon.edge.collector import Collector
from koinon.mesos.codec import JSON


class Node:
    """Something that can refer to itself."""

    def __init__(self):
        self.me = self


@pytest.fixture
def collector():
    made = Collector()
    made.install()
    yield made
    made.remove()


def test_young_cycle_is_collected(collector):
    node = weakref.ref(Node())
    gc.collect()
    assert node() is None


def test_survivors_are_not_looked_at_again(collector):
    keep = [Node() for _ in range(1000)]
    gc.collect()
    assert not any(isinstance(found, Node) for found in gc.get_objects())
    assert keep


def test_old_cycle_is_collected_once_memory_has_grown(collector, monkeypatch):
    node = Node()
    gc.collect()
    node, old = None, weakref.ref(node)
    gc.collect()
    assert old() is not None
    resident = module._resident_bytes()
    monkeypatch.setattr(module, "_resident_bytes", lambda: 5 * resident + module._GROWTH_BYTES)
    gc.collect()
    assert old() is None


def test_closed_connections_leave_no_cycles():
    """They are old when they are closed, so nobody would look for them."""
    assert uvloop.run(cycles_of_closed_connections(20)) < 20


async def cycles_of_closed_connections(count):
    """How many objects of so many connections of each kind are found by the collector only."""

    async def answer(request):
        return Answer(b"seen")

    async def follow(request):
        return await EventStream(JSON, lambda reason: None).serve(request)

    async def connect(path):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" % path)
        await reader.readuntil(b"200 OK")
        return writer

    async def disconnect(writers):
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.1)

    server = Server("master")
    server.hot("/hot", lambda headers, body: Answer(b"seen"))
    server.route("/ordinary", answer, methods=("POST",))
    server.route("/events", follow, methods=("POST",))
    await server.start("127.0.0.1", 0)
    paths = (b"/hot", b"/ordinary", b"/events")
    await disconnect([await connect(path) for path in paths])
    writers = [await connect(path) for path in paths for _ in range(count)]
    gc.collect()
    gc.disable()
    try:
        await disconnect(writers)
        writers.clear()
        return gc.collect()
    finally:
        gc.enable()
        await server.stop()
