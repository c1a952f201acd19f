"""The calls of one subscription: in order, over one connection, pipelined.

    send ──▶ queued ──one write per turn of the loop──▶ unanswered ──2xx──▶ done
                ▲                                         │  │
                └──connection broke; harmless to repeat───┘  └──anything else──▶ refused

No call waits for the answer to the one before it. The connection opens with the first call; the event
stream has one of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from koinon.mesos import codec
from koinon.mesos.v1.base import V1Message
from koinon.sdk.addresses import Address
from koinon.sdk.connection import HttpConnection
from koinon.sdk.errors import ApiError, CallError, CutOff, Undelivered

C = TypeVar("C", bound=V1Message)

#: A connection that was idle for longer may be about to be closed by the server: a new one is taken
#: before a call is lost in it.
IDLE_MAX_S = 20.0


class _Entry(Generic[C]):
    """A call on its way."""

    __slots__ = ("answer", "call", "repeatable", "request")

    def __init__(
        self, call: C, request: bytes, answer: asyncio.Future[bytes] | None, repeatable: bool
    ) -> None:
        self.call = call
        self.request = request  #: head and body
        self.answer = answer  #: who waits for it, if anybody
        self.repeatable = repeatable  #: may be sent once more when no answer came


class CallChannel(Generic[C]):
    """Sends calls to one server.

    `head` is the head of every request up to the value of Content-Length. Calls that fail, and that nobody
    awaits, go to `refused(call, error)`. `harmless(call)` tells whether taking effect twice does no harm.
    """

    def __init__(
        self,
        address: Address,
        head: bytes,
        content_type: str,
        *,
        refused: Callable[[C, CallError], None],
        harmless: Callable[[C], bool],
    ) -> None:
        self._address = address
        self._head = head
        self._content_type = content_type
        self._refused = refused
        self._harmless = harmless
        self._loop = asyncio.get_running_loop()
        self._queued: deque[_Entry[C]] = deque()
        self._unanswered: deque[_Entry[C]] = deque()
        self._connection: HttpConnection | None = None
        self._used_s = 0.0  #: when the connection was last written to
        self._flushing = False
        self._opening: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._closed = False
        self._status = 0
        self._text = b""

    def send(self, call: C) -> None:
        """Sends `call` and does not wait."""
        self._enqueue(call, None)

    async def call(self, call: C) -> bytes:
        """Sends `call` and returns the body of the answer. Raises CallError."""
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._enqueue(call, answer)
        return await answer

    async def drain(self) -> None:
        """Returns when every call so far has been answered or refused."""
        while self._queued or self._unanswered:
            if self._drained is None:
                self._drained = self._loop.create_future()
            await asyncio.shield(self._drained)

    def close(self) -> None:
        """Closes the connection; calls without an answer are refused as undelivered."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._refuse_all("the subscription ended before an answer came")

    def _enqueue(self, call: C, answer: asyncio.Future[bytes] | None) -> None:
        body = codec.encode(call, self._content_type)
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        self._queued.append(_Entry(call, request, answer, self._harmless(call)))
        if self._closed:
            self._refuse_all("the subscription has ended")
        else:
            self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._closed or self._opening is not None:
            return
        now_s = self._loop.time()
        if self._connection is not None and not self._unanswered and now_s - self._used_s > IDLE_MAX_S:
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._opening = self._loop.create_task(self._open())
            return
        self._used_s = now_s
        self._connection.write(b"".join([entry.request for entry in self._queued]))
        self._unanswered += self._queued
        self._queued.clear()

    async def _open(self) -> None:
        try:
            self._connection = await HttpConnection.open(self._address, self)
        except OSError as error:
            self._refuse_all(f"cannot connect to {self._address}: {error or 'timed out'}")
        else:
            self._used_s = self._loop.time()
        finally:
            self._opening = None
        if self._queued:
            self._schedule_flush()

    # ── answers, in the order of the calls ────────────────────────────────────────────────────────
    def answer_began(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The answer to the oldest unanswered call begins."""
        self._status = status
        self._text = b""

    def answer_body(self, data: bytes) -> None:
        """More of its body."""
        self._text += data

    def answer_ended(self) -> None:
        """It is complete."""
        if self._status < 200:  # "100 Continue" and the like precede the answer
            return
        if not self._unanswered:
            raise ConnectionError("the server answered a call that was not made")
        entry = self._unanswered.popleft()
        if self._status >= 300:
            self._refuse(entry, ApiError(self._status, self._text.decode(errors="replace").strip()))
        elif entry.answer is not None and not entry.answer.done():
            entry.answer.set_result(self._text)
        self._check_drained()

    def connection_lost(self, error: Exception) -> None:
        """Calls without an answer are repeated, once, where that is harmless."""
        self._connection = None
        unanswered, self._unanswered = self._unanswered, deque()
        again = []
        for entry in unanswered:
            if entry.repeatable:
                entry.repeatable = False
                again.append(entry)
            else:
                self._refuse(entry, Undelivered(f"no answer, and it may have taken effect: {error}"))
        self._queued.extendleft(reversed(again))
        if self._queued:
            self._schedule_flush()
        self._check_drained()

    def _refuse_all(self, reason: str) -> None:
        sent, waiting = list(self._unanswered), list(self._queued)
        self._unanswered.clear()
        self._queued.clear()
        for entry in sent:
            self._refuse(entry, CutOff(reason, sent=True))
        for entry in waiting:
            self._refuse(entry, CutOff(reason))
        self._check_drained()

    def _refuse(self, entry: _Entry[C], error: CallError) -> None:
        if entry.answer is None:
            self._refused(entry.call, error)
        elif not entry.answer.done():
            entry.answer.set_exception(error)

    def _check_drained(self) -> None:
        if self._drained is not None and not self._queued and not self._unanswered:
            self._drained.set_result(None)
            self._drained = None
