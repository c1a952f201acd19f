"""The event stream of one subscription: a request whose answer does not end.

Events arrive as RecordIO; they wait here until the consumer takes them, and in the socket beyond that.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from koinon.mesos import codec
from koinon.mesos.recordio import RecordDecoder, RecordError
from koinon.mesos.v1.base import V1Message
from koinon.sdk.addresses import Address
from koinon.sdk.connection import HttpConnection
from koinon.sdk.errors import ApiError, StreamLost

E = TypeVar("E", bound=V1Message)

#: How long the server may take to answer SUBSCRIBE.
ANSWER_TIMEOUT_S = 15.0

#: Reading stops while so many bytes of events wait for the consumer.
_WAITING_BYTES_MAX = 4 * 1024 * 1024


class Redirected(Exception):
    """The server is not the one to subscribe with; `location` is."""

    def __init__(self, location: str) -> None:
        super().__init__(f"redirected to {location}")
        self.location = location


class EventStream(Generic[E]):
    """Events of type `E`, in order. Open it with `open`, take them with `next`."""

    def __init__(self, kind: type[E], content_type: str) -> None:
        self._kind = kind
        self._content_type = content_type
        self._loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._status = 0
        self._text = b""
        self._location = ""
        self._decoder = RecordDecoder()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._paused = False
        self._connection: HttpConnection | None = None
        self._lost: StreamLost | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._woken = False
        self._watch: asyncio.TimerHandle | None = None
        self.stream_id: str | None = None  #: what calls of this subscription carry as Mesos-Stream-Id

    @classmethod
    async def open(cls, address: Address, request: bytes, kind: type[E], content_type: str) -> EventStream[E]:
        """Sends `request` to `address` and waits for the stream to begin.

        Raises Redirected, ApiError for another refusal, OSError when there is no answer at all.
        """
        stream = cls(kind, content_type)
        stream._connection = await HttpConnection.open(address, stream)
        try:
            stream._connection.write(request)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await stream._answered
        except BaseException:
            stream.close()
            raise
        return stream

    async def next(self) -> list[E]:
        """The events that have arrived, at least one; or none when somebody called `wake`.

        Raises StreamLost when there are no more.
        """
        while not self._waiting and not self._woken:
            if self._lost is not None:
                raise self._lost
            self._arrival = self._loop.create_future()
            await self._arrival
        self._woken = False
        records, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if self._paused and self._connection is not None:
            self._paused = False
            self._connection.heard_s = self._loop.time()
            self._connection.resume_reading()
        kind, content_type = self._kind, self._content_type
        try:
            return [codec.decode(kind, record, content_type) for record in records]
        except codec.DecodeError as error:
            self.close()
            raise StreamLost(f"an event cannot be read: {error}") from error

    def wake(self) -> None:
        """Makes `next` return even though nothing has arrived."""
        self._woken = True
        self._arrived()

    def watch(self, silence_s: float) -> None:
        """From now on the stream is lost when nothing arrives for `silence_s`."""
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_later(silence_s, self._check_silence, silence_s)

    def close(self, reason: str = "closed") -> None:
        """Closes the connection; what has arrived can still be taken, then StreamLost tells the reason."""
        self._lose(StreamLost(reason))

    def _check_silence(self, silence_s: float) -> None:
        if self._connection is None:
            return
        left_s = self._connection.heard_s + silence_s - self._loop.time()
        if self._paused:
            left_s = silence_s
        if left_s <= 0:
            self._lose(StreamLost(f"nothing heard for {silence_s:g} s"))
        else:
            self._watch = self._loop.call_later(left_s, self._check_silence, silence_s)

    def _arrived(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _lose(self, error: StreamLost) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lost is None:
            self._lost = error
        self._arrived()

    # ── the answer ────────────────────────────────────────────────────────────────────────────────
    def answer_began(self, status: int, headers: dict[bytes, bytes]) -> None:
        """200 opens the stream; the body of anything else is the reason."""
        self._status = status
        self._location = headers.get(b"location", b"").decode("latin-1")
        if status == 200:
            stream_id = headers.get(b"mesos-stream-id")
            self.stream_id = stream_id.decode("latin-1") if stream_id else None
            if not self._answered.done():
                self._answered.set_result(None)

    def answer_body(self, data: bytes) -> None:
        """A piece of the stream, cut anywhere."""
        if self._status != 200:
            self._text += data
            return
        try:
            records = self._decoder.feed(data)
        except RecordError as error:
            self._lose(StreamLost(f"the stream cannot be read: {error}"))
            return
        if not records:
            return
        self._waiting += records
        self._waiting_bytes += sum(map(len, records))
        if self._waiting_bytes > _WAITING_BYTES_MAX and not self._paused and self._connection is not None:
            self._paused = True
            self._connection.pause_reading()
        self._arrived()

    def answer_ended(self) -> None:
        """The end of the stream, or of a refusal."""
        if self._status == 200:
            self._lose(StreamLost("the server ended the stream"))
        elif self._status >= 200 and not self._answered.done():
            if self._status in (307, 308) and self._location:
                self._answered.set_exception(Redirected(self._location))
            else:
                text = self._text.decode(errors="replace").strip()
                self._answered.set_exception(ApiError(self._status, text))

    def connection_lost(self, error: Exception) -> None:
        """No more will come."""
        self._connection = None
        if not self._answered.done():
            self._answered.set_exception(ConnectionError(f"no answer to the subscription: {error}"))
        self._lose(StreamLost(str(error)))
