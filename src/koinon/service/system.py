"""What every service tells of itself: its flags, how much it logs, and a page that says what there is."""

from __future__ import annotations

from aiohttp import web

from koinon.flags import describe
from koinon.service.answers import json_answer
from koinon.service.flags import ServiceFlags
from koinon.service.levels import level_routes


def own_routes(flags: ServiceFlags, page: str) -> list[web.RouteDef]:
    """Handlers for `/config`, `/logging` and `/ui/`, which answers `page` (HTML)."""

    async def config(request: web.Request) -> web.StreamResponse:
        return json_answer(describe(flags))

    async def show_page(request: web.Request) -> web.StreamResponse:
        return web.Response(text=page, content_type="text/html")

    return [
        web.get("/config", config),
        *level_routes(flags.logging_level),
        web.get("/ui", to_page),
        web.get("/ui/", show_page),
    ]


async def to_page(request: web.Request) -> web.StreamResponse:
    """Sends a browser to `/ui/`."""
    raise web.HTTPFound("/ui/")
