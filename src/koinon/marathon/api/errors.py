"""Refusals: what the core, the reading of bodies and the changes refuse is answered in JSON, with the status they say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from koinon.marathon.model.problems import NotFound, Refused
from koinon.service.answers import error_answer, json_answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what `handler` refuses."""
    try:
        return await handler(request)
    except Refused as refused:
        return json_answer(refused.body, refused.status)
    except TimeoutError:
        return error_answer(503, "This took too long inside; it may be carried out all the same.")


def unknown(kind: str, what: str) -> NotFound:
    """404: `App '/x' does not exist`."""
    return NotFound(f"{kind} '{what}' does not exist")
