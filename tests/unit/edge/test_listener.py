"""Connections by the hundred are accepted in few turns of the loop; trouble with one is trouble with one only."""

import asyncio
import socket

import pytest

from koinon.edge import listener as module
from koinon.edge.listener import Listener


class Greeter(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
        transport.close()


@pytest.fixture
async def listener():
    one = Listener(Greeter, "127.0.0.1", 0)
    yield one
    one.close()


async def greeting(listener):
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


async def test_hundreds_of_connections_are_accepted_in_few_turns_of_the_loop(listener):
    waiting = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(300)]
    turns = 0
    for connection in waiting:
        connection.setblocking(False)
        while True:
            try:
                assert connection.recv(5) == b"hello"
                break
            except BlockingIOError:
                await asyncio.sleep(0)
                turns += 1
        connection.close()
    assert turns < 30


async def test_when_there_are_no_more_descriptors_it_rests_and_goes_on(listener, monkeypatch):
    monkeypatch.setattr(module, "_REST_S", 0.02)
    real, failures = listener._socket, 2

    class Full:
        def __getattr__(self, name):
            return getattr(real, name)

        def accept(self):
            nonlocal failures
            if failures:
                failures -= 1
                raise OSError(24, "Too many open files")
            return real.accept()

    listener._socket = Full()
    assert await greeting(listener) == b"hello"
    assert failures == 0
    listener._socket = real


async def test_after_the_end_nobody_is_accepted():
    one = Listener(Greeter, "127.0.0.1", 0)
    one.close()
    with pytest.raises(ConnectionRefusedError):
        await greeting(one)


async def test_an_address_that_is_taken_is_an_error(listener):
    with pytest.raises(OSError, match="in use"):
        Listener(Greeter, "127.0.0.1", listener.port)


async def test_it_listens_on_ipv6_too():
    one = Listener(Greeter, "::1", 0)
    reader, writer = await asyncio.open_connection("::1", one.port)
    assert await asyncio.wait_for(reader.read(), 5) == b"hello"
    writer.close()
    one.close()
