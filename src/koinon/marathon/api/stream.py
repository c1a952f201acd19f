"""`GET /v2/events`: what happens, as it happens (Server-Sent Events)."""

from __future__ import annotations

from aiohttp import hdrs, web

from koinon.marathon.api.requests import client_of
from koinon.marathon.bus import Listener
from koinon.marathon.runtime import Runtime
from koinon.service.answers import error_answer

_TYPE = "text/event-stream"
#: A sign of life after so long without an event; and what it looks like: nothing.
_SILENCE_S = 10.0
_SIGN_OF_LIFE = b"\r\n"


def routes(runtime: Runtime) -> list[web.AbstractRouteDef]:
    """The one route."""

    async def stream(request: web.Request) -> web.StreamResponse:
        """Events until the reader leaves, falls behind, or this process leads no more."""
        if not _accepts_events(request):
            return error_answer(405, f"What is here can only be had as {_TYPE}: name it in Accept.")
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: f"{_TYPE};charset=UTF-8"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        bus, address = runtime.bus, client_of(request)
        listener = bus.listen(request.query.getall("event_type", []), on_cut_off=lambda: _break_off(request))
        bus.publish("event_stream_attached", {"remoteAddress": address}, runtime.now())
        try:
            await _pass_on(listener, response)
        finally:
            bus.leave(listener)
            bus.publish("event_stream_detached", {"remoteAddress": address}, runtime.now())
        return response

    return [web.get("/v2/events", stream, allow_head=False)]


def _accepts_events(request: web.Request) -> bool:
    given = ",".join(request.headers.getall(hdrs.ACCEPT, []))
    return any(one.partition(";")[0].strip().lower() == _TYPE for one in given.split(","))


def _break_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _pass_on(listener: Listener, response: web.StreamResponse) -> None:
    while True:
        frames = await listener.frames(_SILENCE_S)
        if listener.is_cut_off:
            return
        if frames or not listener.is_closed:
            await response.write(frames or _SIGN_OF_LIFE)
        if listener.is_closed:
            return
