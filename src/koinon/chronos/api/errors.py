"""Refusals: answered in the form of the line whose prefix was asked."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from koinon.chronos.api.requests import line_of
from koinon.chronos.history import HistoryError
from koinon.chronos.model.problems import Refused
from koinon.chronos.rendering import refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what `handler` refuses."""
    try:
        return await _answer_plain(request, handler)
    except RecursionError:
        return _answer(request, Refused("the body is nested too deeply"))
    except Refused as refused:
        return _answer(request, refused)
    except HistoryError as error:
        return _answer(request, Refused(f"the history does not answer: {error}", 503))
    except TimeoutError:
        message = "this took too long inside; it may be carried out all the same"
        return _answer(request, Refused(message, 503))
    except web.HTTPMethodNotAllowed as error:
        if request.method == hdrs.METH_OPTIONS:  # what may be asked is told
            raise
        allowed = ", ".join(sorted(error.allowed_methods))
        answer = _answer(
            request, Refused(f"{request.method} is not allowed at {request.path}, but {allowed}", 405)
        )
        answer.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return answer
    except web.HTTPNotFound:
        return _answer(request, Refused(f"there is nothing at {request.path}", 404))
    except web.HTTPRequestEntityTooLarge as error:
        return _answer(request, Refused(error.text or error.reason, 413))


async def _answer_plain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """`/scheduler/jobs/` and `/scheduler//jobs` are `/scheduler/jobs`: clients put paths together."""
    path = request.rel_url.raw_path
    plain = re.sub("/{2,}", "/", path).rstrip("/")
    if plain == path or not plain.startswith(("/scheduler/", "/v1/")):
        return await handler(request)
    other = request.clone(rel_url=request.rel_url.with_path(plain, encoded=True, keep_query=True))
    match = await request.app.router.resolve(other)
    match.add_app(request.app)
    match.freeze()
    other._match_info = match
    return await match.handler(other)


def _answer(request: web.Request, refused: Refused) -> web.Response:
    made = refusal(refused, line_of(request))
    return web.Response(status=made.status, content_type=made.content_type, charset="utf-8", body=made.body)
