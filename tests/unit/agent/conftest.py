"""A real agent with a master that the test plays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.agent.shell import AgentProcess, FakeMaster
from tests.unit.agent.streams import Api


@pytest.fixture
async def master() -> AsyncIterator[FakeMaster]:
    async with FakeMaster() as master:
        yield master


@pytest.fixture
async def agent(master: FakeMaster, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    """Started and registered."""
    agent = AgentProcess(tmp_path / "agent", master.address)
    await agent.start()
    try:
        await master.registered()
        yield agent
    finally:
        await agent.finish()


@pytest.fixture
async def api(agent: AgentProcess, master: FakeMaster) -> AsyncIterator[Api]:
    """The agent's operator API."""
    api = Api(agent, master, await master.registered())
    yield api
    await api.http.close()
