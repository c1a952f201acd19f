"""`POST /api/v1/scheduler`: frameworks talk to the master.

What arrives is read and handed to the core, in the order in which it arrived; the answer to a call says that
it was taken in, not that it was acted on. SUBSCRIBE is answered with the stream of events.
"""

from __future__ import annotations

import uuid

from aiohttp import web
from aiohttp.web_request import BaseRequest

from koinon import logs
from koinon.edge import Answer, EventStream, HttpError, preferred_type, read_call
from koinon.edge.answers import ACCEPTED, EMPTY
from koinon.edge.negotiation import Headers, content_type_of, decode_call
from koinon.master.core import Refused, events
from koinon.master.core.validation.calls import check_call
from koinon.master.runtime import Runtime
from koinon.mesos.v1.scheduler import Call

STREAM_ID = "Mesos-Stream-Id"

#: Calls whose answer is a stream, or depends on what the client accepts.
_WITH_MORE = (Call.Type.SUBSCRIBE, Call.Type.RECONCILE_OPERATIONS)


class SchedulerApi:
    """The handler, bound to one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._log = logs.get(role="master")

    async def __call__(self, request: BaseRequest) -> Answer | web.StreamResponse:
        """Answer one call."""
        call = await read_call(request, Call)
        stream_id = request.headers.get(STREAM_ID)
        if call.type in _WITH_MORE:
            _check(call)  # whoever says it wrongly hears so before what the answer would look like matters
            content_type = preferred_type(request.headers)
            if call.type is Call.Type.SUBSCRIBE:
                return await self._subscribe(request, call, stream_id, content_type)
        return self._take(call, stream_id)

    def hot(self, headers: Headers, body: bytes) -> Answer | None:
        """Answer a call on the short way; None if it is one that has more to it."""
        call = decode_call(Call, body, content_type_of(headers))
        if call.type in _WITH_MORE:
            return None
        return self._take(call, headers.get(STREAM_ID))

    def _take(self, call: Call, stream_id: str | None) -> Answer:
        """Hand a call other than SUBSCRIBE to the core. Raises HttpError when it is refused."""
        try:
            self._runtime.feed(events.SchedulerCalled(stream_id, call))
        except Refused as refused:
            raise HttpError(refused.status, refused.message) from refused
        return EMPTY if call.type is Call.Type.UPDATE_FRAMEWORK else ACCEPTED

    async def _subscribe(
        self, request: BaseRequest, call: Call, carried_id: str | None, content_type: str
    ) -> web.StreamResponse:
        if carried_id is not None:
            raise HttpError(400, f"A SUBSCRIBE call must not carry {STREAM_ID}: it begins a new stream.")
        stream_id = str(uuid.uuid4())
        streams = self._runtime.streams

        def closed(reason: str) -> None:
            if streams.pop(stream_id, None) is not None:
                self._log.info("event stream of a framework ended", stream_id=stream_id, reason=reason)
                self._runtime.tell(events.SchedulerStreamClosed(stream_id, reason))

        stream = streams[stream_id] = EventStream(content_type, closed, may_write=self._runtime.may_act)
        try:
            self._runtime.feed(events.SchedulerSubscribed(stream_id, call))
        except Refused as refused:
            del streams[stream_id]
            raise HttpError(refused.status, refused.message) from refused
        return await stream.serve(request, {STREAM_ID: stream_id})


def _check(call: Call) -> None:
    """Refuse a call that lacks what its type demands. Raises HttpError."""
    try:
        check_call(call)
    except Refused as refused:
        raise HttpError(refused.status, refused.message) from refused
