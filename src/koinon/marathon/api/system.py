"""`/v2/info`, `/v2/leader`, `/v2/plugins`: about this process and who leads."""

from __future__ import annotations

from aiohttp import web

from koinon.marathon.model.problems import BadArgument, NotFound
from koinon.marathon.runtime import Runtime
from koinon.service.answers import json_answer


def routes(runtime: Runtime) -> list[web.AbstractRouteDef]:
    """All of them."""

    async def info(request: web.Request) -> web.Response:
        """Version, flags, who leads."""
        return json_answer(runtime.info())

    async def leader(request: web.Request) -> web.Response:
        """Who leads."""
        if (address := runtime.leader()) is None:
            raise NotFound("There is no leader")
        return json_answer({"leader": address})

    async def abdicate(request: web.Request) -> web.Response:
        """Let another one lead."""
        if runtime.leader() is None:
            raise NotFound("There is no leader")
        for name in ("backup", "restore"):
            if name in request.query:
                raise BadArgument(f"There is no {name}: copy the work directory, or what ZooKeeper holds")
        runtime.abdicate()
        return json_answer({"message": "Leadership abdicated"})

    async def plugins(request: web.Request) -> web.Response:
        """There are none."""
        return json_answer({"plugins": []})

    async def plugin(request: web.Request) -> web.Response:
        """None of that id."""
        raise NotFound(f"Plugin '{request.match_info['id']}' does not exist")

    return [
        web.get("/v2/info", info),
        web.get("/v2/leader", leader),
        web.delete("/v2/leader", abdicate),
        web.get("/v2/plugins", plugins),
        web.route("*", "/v2/plugins/{id}/{path:.*}", plugin),
    ]
