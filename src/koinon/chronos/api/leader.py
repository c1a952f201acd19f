"""`leader`: who leads."""

from __future__ import annotations

from aiohttp import web

from koinon.chronos.api.shell import Shell
from koinon.chronos.model.problems import Refused
from koinon.service.answers import json_answer


def routes(shell: Shell, prefix: str) -> list[web.AbstractRouteDef]:
    """The endpoint, below `prefix`."""

    async def leader(request: web.Request) -> web.Response:
        if (address := shell.leader()) is None:
            raise Refused("nobody leads at the moment", 503)
        return json_answer({"leader": address})

    return [web.get(f"{prefix}/leader", leader)]
