"""Refusals: what the core, the reading of bodies and the changes refuse is answered in JSON, with the status they say."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from koinon.marathon.model.problems import NotFound, Refused
from koinon.service.answers import error_answer, json_answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what `handler` refuses."""
    try:
        return await _answer(request, handler)
    except RecursionError:
        return error_answer(400, "The body is nested too deeply.")
    except Refused as refused:
        return json_answer(refused.body, refused.status)
    except TimeoutError:
        return error_answer(503, "This took too long inside; it may be carried out all the same.")


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """`/v2/apps/`, `//v2/apps` and `/v2//apps` are `/v2/apps`: clients put paths together."""
    path = request.rel_url.raw_path
    plain = re.sub("/{2,}", "/", path).rstrip("/")
    if plain == path or not plain.startswith("/v2/"):
        return await handler(request)
    other = request.clone(rel_url=request.rel_url.with_path(plain, encoded=True, keep_query=True))
    match = await request.app.router.resolve(other)
    match.add_app(request.app)
    match.freeze()
    other._match_info = match
    return await match.handler(other)


def unknown(kind: str, what: str) -> NotFound:
    """404: `App '/x' does not exist`."""
    return NotFound(f"{kind} '{what}' does not exist")
