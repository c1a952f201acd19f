"""The operators' event stream: who listens, and what they are told.

A subscriber first gets all of the state, made in slices at the pace it reads; what happens meanwhile waits.
Events are rendered only while somebody listens, once for all who listen in the same encoding.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from aiohttp import web
from aiohttp.web_request import BaseRequest

from koinon import logs
from koinon.edge import EventStream
from koinon.edge.slices import slices
from koinon.master.core.events import Fact
from koinon.master.runtime import Runtime
from koinon.master.views import listings, messages
from koinon.mesos import codec
from koinon.mesos.v1.master import Event

HEARTBEAT_S = 15.0
_HEARTBEAT = Event(type=Event.Type.HEARTBEAT)


class Watchers:
    """All subscribers of one master."""

    def __init__(self, runtime: Runtime, *, subscribers_max: int) -> None:
        self._runtime = runtime
        self._subscribers_max = subscribers_max
        self._streams: dict[EventStream, None] = {}
        self._beat: asyncio.TimerHandle | None = None
        self._log = logs.get(role="master")

    def __len__(self) -> int:
        return len(self._streams)

    async def serve(self, request: BaseRequest, content_type: str) -> web.StreamResponse:
        """Answer SUBSCRIBE; returns when the subscriber is gone."""
        stream = EventStream(content_type, self._closed, may_write=self._runtime.may_act)
        self._streams[stream] = None
        if len(self._streams) > self._subscribers_max:
            oldest = next(iter(self._streams))
            self._log.info("oldest subscriber of the operators' event stream cut off: there are too many")
            oldest.close()
            self._drop(oldest)
        self._runtime.watch = self._tell
        if self._beat is None:
            self._beat = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._heartbeat)
        state = listings.everything(self._runtime.core.state, content_type)
        subscribed = listings.subscribed(state, HEARTBEAT_S, content_type)
        stream.send(_HEARTBEAT)
        try:
            return await stream.serve(request, preface=_record(subscribed))
        finally:
            self._drop(stream)

    def stop(self) -> None:
        """End all streams."""
        for stream in list(self._streams):
            stream.close()
            self._drop(stream)

    def _tell(self, fact: Fact) -> None:
        event = messages.event(fact)
        encoded: dict[str, bytes] = {}
        for stream in list(self._streams):
            if (payload := encoded.get(stream.content_type)) is None:
                payload = encoded[stream.content_type] = codec.encode(event, stream.content_type)
            stream.send_encoded(payload)

    def _heartbeat(self) -> None:
        self._beat = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._heartbeat)
        for stream in list(self._streams):
            stream.send(_HEARTBEAT)

    def _drop(self, stream: EventStream) -> None:
        self._streams.pop(stream, None)
        if not self._streams:
            self._runtime.watch = None
            if self._beat is not None:
                self._beat.cancel()
                self._beat = None

    def _closed(self, reason: str) -> None:
        self._log.info("subscriber of the operators' event stream ended", reason=reason)


async def _record(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces as one record, which must say its length first."""
    payload = [piece async for piece in slices(pieces)]
    yield b"%d\n" % sum(map(len, payload))
    async for piece in slices(iter(payload)):
        yield piece
