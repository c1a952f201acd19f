"""The API over a core in a small world: requests are real, all else is in memory, and time passes when a test says so.

async def test_it(api):
    assert (await api.post("/v2/apps", {"id": "/a", "cmd": "sleep 1"})).status == 201
    api.world.settle()
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from koinon.marathon import api as rest
from koinon.marathon.bus import EventBus
from koinon.marathon.core import Marathon
from koinon.marathon.core.events import Event
from koinon.marathon.model.settings import Rules
from tests.unit.marathon.world import World

APP = {"id": "/app", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16}
JSON = {"Content-Type": "application/json"}


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


class FakeRuntime:
    """What the API needs of the shell, over a world's core."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bus = EventBus(outstanding_max=20)
        self.rules: Rules = world.config.rules
        self.leads = "127.0.0.1:8080"
        self.abdications = 0
        self._numbers = itertools.count(1)
        self._published = 0
        world.watch = self._publish

    @property
    def core(self) -> Marathon:
        return self.world.core

    def now(self) -> float:
        return self.world.now

    def new_id(self) -> str:
        return f"deployment-{next(self._numbers)}"

    def feed(self, event: Event) -> None:
        self.world.now += 0.001
        self.world.tell(event)

    async def settled(self) -> None:
        self.world.run(0.001)

    def info(self) -> dict[str, Any]:
        return {"name": "marathon"}

    def leader(self) -> str | None:
        return self.leads or None

    def abdicate(self) -> None:
        self.abdications += 1

    def _publish(self) -> None:
        for event in self.world.events[self._published :]:
            self.bus.publish(event.event_type, event.fields, self.world.now)
        self._published = len(self.world.events)


class Api:
    """Asks, as clients do."""

    def __init__(self, runtime: FakeRuntime, client: TestClient[Any, Any]) -> None:
        self.runtime = runtime
        self.world = runtime.world
        self.client = client

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        url = URL(str(self.client.make_url("/")).rstrip("/") + path.replace(" ", "%20"), encoded=True)
        async with (
            ClientSession() as session,
            session.request(method, url, data=data, headers={**JSON, **named}) as answer,
        ):
            return Answer(answer.status, answer.headers, await answer.text())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self.ask("POST", path, body)

    async def put(self, path: str, body: Any) -> Answer:
        return await self.ask("PUT", path, body)

    async def patch(self, path: str, body: Any) -> Answer:
        return await self.ask("PATCH", path, body)

    async def delete(self, path: str, body: Any = None) -> Answer:
        return await self.ask("DELETE", path, body)

    async def create(self, path: str = "/app", **more: Any) -> dict[str, Any]:
        """An app that is deployed."""
        answer = await self.post("/v2/apps", {**APP, "id": path, **more})
        assert answer.status == 201, answer.text
        if more.get("instances", 1):
            self.world.settle()
        app: dict[str, Any] = answer.json
        return app


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    world = World()
    world.run(1)
    runtime = FakeRuntime(world)
    app = web.Application(middlewares=[rest.errors])
    app.add_routes(rest.routes(runtime))  # type: ignore[arg-type]
    async with TestClient(TestServer(app)) as client:
        yield Api(runtime, client)
