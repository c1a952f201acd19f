from collections.abc import AsyncIterator

import aiohttp
import pytest

from koinon.edge import Server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server without routes, not yet listening."""
    made = Server("slave(1)", body_bytes_max=10_000)
    yield made
    await made.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of `server`, which listens from now on."""
    await server.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session
