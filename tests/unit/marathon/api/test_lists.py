"""Long lists: whole, in pieces, compressed; the loop goes on meanwhile."""

import asyncio
import gzip
import json
import time

from aiohttp import ClientSession

from koinon.marathon.core import changes
from koinon.marathon.core.events import Deploy
from tests.unit.marathon.api.conftest import APP, Api

COUNT = 3000
PATHS = ("/v2/apps", "/v2/groups", "/v2/groups/apps", "/v2/tasks")


async def many_apps(api: Api) -> None:
    """So many that their list is sent in pieces."""
    bodies = [{**APP, "id": f"/team-{at % 30}/app-{at}", "instances": 0} for at in range(COUNT)]
    root = changes.put_apps(api.world.core.root, bodies, api.runtime.rules)
    api.runtime.feed(Deploy(root, "many"))
    api.world.run(5)


async def fetch(
    api: Api, path: str, method: str = "GET", encoding: str = "identity"
) -> tuple[int, bytes, str | None]:
    async with (
        ClientSession(auto_decompress=False) as session,
        session.request(method, api.client.make_url(path), headers={"Accept-Encoding": encoding}) as answer,
    ):
        return answer.status, await answer.read(), answer.headers.get("Content-Encoding")


async def test_a_long_list_is_the_same_in_every_form(api: Api) -> None:
    await many_apps(api)
    for path in PATHS:
        status, plain, encoding = await fetch(api, path)
        assert (status, encoding) == (200, None)
        status, packed, encoding = await fetch(api, path, encoding="gzip")
        if encoding is not None:  # what is sent whole is compressed by the service
            assert encoding == "gzip"
            packed = gzip.decompress(packed)
        assert packed == plain
        status, nothing, _ = await fetch(api, path, "HEAD")
        assert (status, nothing) == (200, b"")
    apps = json.loads((await fetch(api, "/v2/apps"))[1])["apps"]
    assert len({app["id"] for app in apps}) == COUNT
    groups = json.loads((await fetch(api, "/v2/groups"))[1])["groups"]
    assert sum(len(group["apps"]) for group in groups) == COUNT


async def test_others_are_served_while_a_long_list_is_made(api: Api) -> None:
    await many_apps(api)
    await fetch(api, "/v2/apps")  # definitions are encoded once
    longest_s, over = 0.0, False

    async def watch() -> None:
        nonlocal longest_s
        last_s = time.thread_time()
        while not over:
            await asyncio.sleep(0)
            now_s = time.thread_time()
            longest_s, last_s = max(longest_s, now_s - last_s), now_s

    watching = asyncio.create_task(watch())
    for path in PATHS:
        await fetch(api, path)
    over = True
    await watching
    assert longest_s < 0.05, f"the loop stood still for {longest_s * 1000:.0f} ms"
