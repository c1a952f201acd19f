"""`POST /api/v1/executor`: custom executors talk to the agent.

SUBSCRIBE is answered with the stream of events, any other call with 202: it was taken in.
"""

from __future__ import annotations

import asyncio
import uuid

from aiohttp import web
from aiohttp.web_request import BaseRequest

from koinon import logs
from koinon.agent.core import custom
from koinon.agent.core.events import ExecutorCalled, ExecutorStreamClosed, ExecutorSubscribed, Refused
from koinon.agent.runtime import Runtime
from koinon.edge import Answer, EventStream, HttpError, preferred_type, read_call
from koinon.edge.answers import ACCEPTED
from koinon.mesos.v1.executor import Call, Event

_HEARTBEAT_S = 30 * 60.0
_HEARTBEAT = Event(type=Event.Type.HEARTBEAT)

#: Calls whose message of the same name, in lower case, must be there.
_WITH_BODY = frozenset((Call.Type.SUBSCRIBE, Call.Type.UPDATE, Call.Type.MESSAGE))


class ExecutorApi:
    """The handler, bound to one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._log = logs.get(role="agent")
        self._plan_heartbeat()

    async def __call__(self, request: BaseRequest) -> Answer | web.StreamResponse:
        """Answer one call."""
        call = await read_call(request, Call)
        if call.type is None:
            raise HttpError(400, "The call has no type, or one that nobody knows.")
        name = call.type.value
        if call.type is Call.Type.UNKNOWN:
            raise HttpError(501, "Calls of type UNKNOWN cannot be answered.")
        if call.type in _WITH_BODY and getattr(call, name.lower()) is None:
            raise HttpError(400, f"A call of type {name} must have the field {name.lower()}.")
        if (problem := custom.problem(call)) is not None:
            raise HttpError(400, problem)
        if call.type is Call.Type.SUBSCRIBE:
            return await self._subscribe(request, call)
        if call.type is not Call.Type.HEARTBEAT:
            try:
                self._runtime.feed(ExecutorCalled(call))
            except Refused as refused:
                raise HttpError(refused.status, refused.message) from refused
        if call.type is Call.Type.UPDATE and "respond-async" not in request.headers.get("Prefer", ""):
            await self._runtime.written()  # there are clients that never repeat what was answered
        return ACCEPTED

    async def _subscribe(self, request: BaseRequest, call: Call) -> web.StreamResponse:
        content_type = preferred_type(request.headers)
        stream_id, streams = str(uuid.uuid4()), self._runtime.streams

        def closed(reason: str) -> None:
            if streams.pop(stream_id, None) is not None:
                self._log.info("event stream ended", executor=call.executor_id.value, reason=reason)
                self._runtime.tell(ExecutorStreamClosed(stream_id))

        stream = streams[stream_id] = EventStream(content_type, closed)
        try:
            self._runtime.feed(ExecutorSubscribed(stream_id, call))
        except Refused as refused:
            del streams[stream_id]
            raise HttpError(refused.status, refused.message) from refused
        return await stream.serve(request)

    def _plan_heartbeat(self) -> None:
        asyncio.get_running_loop().call_later(_HEARTBEAT_S, self._beat)

    def _beat(self) -> None:
        for stream in list(self._runtime.streams.values()):
            stream.send(_HEARTBEAT)
        self._plan_heartbeat()
