"""The agents' channel: frames of every size, joining, and agents that do not read."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from koinon.edge.turns import Turns
from koinon.master import channel as module
from koinon.master.channel import Channel
from koinon.mesos import internal


class Listener:
    """A server whose one path is the master's end of a channel."""

    def __init__(self):
        self.channels = asyncio.Queue()
        self.heard = asyncio.Queue()
        self.ended = asyncio.Queue()

    async def __aenter__(self):
        self._turns = Turns()
        server = web.Server(self._serve, handler_cancellation=True)
        self._runner = web.ServerRunner(server)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _serve(self, request):
        channel = Channel(self.heard.put_nowait, self._turns)
        self.channels.put_nowait(channel)
        try:
            return await channel.serve(request)
        finally:
            self.ended.put_nowait(channel)


@pytest.fixture
async def listener():
    async with Listener() as made:
        yield made


@pytest.fixture
async def agent(listener):
    async with aiohttp.ClientSession() as session, session.ws_connect(listener.url) as socket:
        yield socket


async def messages_in(socket):
    frame = await asyncio.wait_for(socket.receive(), 5)
    assert frame.type is aiohttp.WSMsgType.BINARY
    return internal.decode_from_master(frame.data)


@pytest.mark.parametrize("size", [0, 60, 125, 126, 200, 65_000, 65_536, 200_000])
async def test_frames_of_every_size_arrive(listener, agent, size):
    channel = await listener.channels.get()
    message = internal.Shutdown(message="x" * size)
    channel.send(message)
    assert await messages_in(agent) == [message]


async def test_messages_of_one_turn_share_a_frame(listener, agent):
    channel = await listener.channels.get()
    for _ in range(3):
        channel.send(internal.Ping())
    assert await messages_in(agent) == [internal.Ping()] * 3
    channel.send(internal.Ping())
    assert await messages_in(agent) == [internal.Ping()]


async def test_messages_in_one_frame_are_heard_in_order(listener, agent):
    await agent.send_bytes(internal.encode([internal.Pong(), internal.Unregister()]))
    await agent.send_str(internal.encode([internal.Pong()]).decode())
    heard = [await asyncio.wait_for(listener.heard.get(), 5) for _ in range(3)]
    assert heard == [internal.Pong(), internal.Unregister(), internal.Pong()]


async def test_close_comes_after_what_was_sent(listener, agent):
    channel = await listener.channels.get()
    channel.send(internal.Refused(message="not you"))
    channel.close()
    assert await messages_in(agent) == [internal.Refused(message="not you")]
    assert (await agent.receive()).type is aiohttp.WSMsgType.CLOSE
    assert await asyncio.wait_for(listener.ended.get(), 5) is channel


async def test_agent_that_goes_away_ends_the_channel(listener, agent):
    channel = await listener.channels.get()
    await agent.close()
    assert await asyncio.wait_for(listener.ended.get(), 5) is channel
    channel.send(internal.Ping())  # does nothing
    channel.close()
    await asyncio.sleep(0)


async def test_agent_that_does_not_read_is_given_up(listener, monkeypatch):
    monkeypatch.setattr(module, "_UNREAD_BYTES_MAX", 1_000_000)
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(listener.url)
        channel = await listener.channels.get()
        transport = socket._response.connection.transport
        transport.pause_reading()
        for _ in range(1000):
            channel.send(internal.Shutdown(message="x" * 100_000))
            await asyncio.sleep(0)
            if not listener.ended.empty():
                break
        assert await asyncio.wait_for(listener.ended.get(), 5) is channel
        transport.abort()  # it would wait for an answer to its good-bye


async def test_bytes_of_the_first_agent_ever_recorded_let_it_in(master):
    recording = Path(__file__).parents[2] / "protocols" / "protocol_1.jsonl"
    _, first, *_ = (json.loads(line) for line in recording.read_text().splitlines())
    url = f"http://127.0.0.1:{master.about.port}{internal.PATH}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_bytes(json.dumps(first["said"]).encode())
        (registered,) = await messages_in(socket)
        assert registered.master_id == master.about.master_id
        (agent,) = master.runtime.core.state.agents.values()
        assert (agent.hostname, agent.connected) == ("agent.example", True)
