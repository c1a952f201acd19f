"""The API over a core in a small world: requests are real, and so is the history; time passes when a test says so.

async def test_it(api):
    assert (await api.post("/v1/scheduler/iso8601", {"name": "a", "command": "true"})).status == 204
    api.world.run(10)
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from koinon.chronos import api as rest
from koinon.chronos.core import Chronos
from koinon.chronos.core.events import Event
from koinon.chronos.history import History, Output
from koinon.chronos.model import Defaults, Run
from koinon.timestamps import stamp
from tests.unit.chronos.core.world import World

JSON = {"Content-Type": "application/json"}
V1 = "/v1/scheduler"
V0 = "/scheduler"


class Answer(NamedTuple):
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def message(self) -> str:
        return str(self.json["message"])


class Flags:
    job_history_limit = 5


class FakeShell:
    """What the API needs of the shell, over a world's core."""

    def __init__(self, world: World, history: History) -> None:
        self.world = world
        self.history = history
        self.flags = Flags()
        self.defaults = Defaults()
        self.leads: str | None = "127.0.0.1:4400"
        self.outputs: dict[str, Output] = {}  #: of tasks that go on

    @property
    def core(self) -> Chronos:
        return self.world.core

    def now(self) -> float:
        return self.world.now

    def feed(self, event: Event) -> None:
        self.world.time += 0.001
        self.world.tell(event)

    async def settled(self) -> None:
        self.world.run(0.006)

    async def output(self, run: Run) -> Output | None:
        return self.outputs.get(run.id) or await self.history.output(run.id)

    def leader(self) -> str | None:
        return self.leads


class Api:
    """Asks, as clients do."""

    def __init__(self, shell: FakeShell, client: TestClient[Any, Any]) -> None:
        self.shell = shell
        self.world = shell.world
        self.client = client

    async def ask(self, method: str, path: str, body: Any = None, headers: Any = None) -> Answer:
        data = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        url = URL(str(self.client.make_url("/")).rstrip("/") + path.replace(" ", "%20"), encoded=True)
        async with (
            ClientSession() as session,
            session.request(method, url, data=data, headers=JSON if headers is None else headers) as answer,
        ):
            return Answer(answer.status, answer.headers, await answer.text())

    async def get(self, path: str) -> Answer:
        return await self.ask("GET", path)

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self.ask("POST", path, body)

    async def put(self, path: str, body: Any = None) -> Answer:
        return await self.ask("PUT", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.ask("DELETE", path)

    async def create(self, name: str, *parents: str, in_s: float = 10.0, **more: Any) -> None:
        """A job that runs in `in_s`, or after its parents, with the world's agents."""
        body = {"name": name, "command": "true", "cpus": 1} | more
        if parents:
            body["parents"] = list(parents)
        elif "schedule" not in body:
            body["schedule"] = f"R/{stamp(self.world.now + in_s)}/PT1H"
        answer = await self.post(f"{V1}/{'dependency' if parents else 'iso8601'}", body)
        assert answer.status == 204, answer.text

    async def recorded(self) -> None:
        """What the world's history has is in the real one."""
        await self.shell.history.record(self.world.history.values())


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    world = World()
    world.run(5)
    history = History(str(tmp_path / "history.db"))
    shell = FakeShell(world, history)
    app = web.Application(middlewares=[rest.errors])
    app.add_routes(rest.routes(shell))
    async with TestClient(TestServer(app)) as client:
        yield Api(shell, client)
    await history.close()
