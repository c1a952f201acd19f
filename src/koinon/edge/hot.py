"""The short way for requests that come by the thousand.

A connection begins here. Requests for *hot* paths in their plain form (HTTP/1.1, a body of known length, nothing
unusual asked for) are answered by a function, at once, and the answers of one turn of the event loop go out in one
write. A turn is short: a client that sends thousands of requests at once is answered over many of them, between which
others get theirs, and is not read from meanwhile. With the first request that is anything else the connection is
handed to aiohttp, together with the bytes of that request, and stays there: this module knows how to recognise what it
can do, not HTTP.

    connection ──▶ head plain and path hot? ──yes──▶ handler(headers, body) ──▶ Answer, HttpError
                              │ no                            │ None: not for me
                              ▼                               ▼
                           aiohttp ◀──────────────────────────┘

Requests of clients that are *patient* wait for their turn before they are handed over.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple, cast

from multidict import CIMultiDict, CIMultiDictProxy

from koinon import logs
from koinon.edge.answers import Answer, HttpError, answer_error
from koinon.edge.negotiation import Headers
from koinon.edge.turns import Turns

#: Takes headers and body; None gives the request, untouched, to the ordinary way. Raises HttpError.
HotHandler = Callable[[Headers, bytes], Answer | None]

#: A head that is longer is for aiohttp, which says what it thinks of it.
_HEAD_BYTES_MAX = 8 * 1024
#: After so long in one turn other connections get theirs.
_TURN_S = 0.005
#: Clients send few different heads; so many are remembered per connection.
_HEADS_MAX = 16
_HEAD_END = b"\r\n\r\n"
#: A header of which nobody can be in doubt.
_PLAIN_HEADER = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([\x20-\x7e]*?)[ \t]*\Z")
#: Headers that change how a request is read or answered.
_UNUSUAL = frozenset((b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"))


class _Head(NamedTuple):
    """What the first lines of a request say."""

    handler: HotHandler
    headers: CIMultiDictProxy[str]
    body_bytes: int


class HotConnection(asyncio.Protocol):
    """One connection, until it is handed over.

    `routes` maps request lines (`POST /x HTTP/1.1`) to handlers; `ordinary` makes aiohttp's protocol; `connections`
    holds all that are open here. `patient` has request lines, for which `turns` are taken.
    """

    __slots__ = (
        "_body_bytes_max",
        "_buffer",
        "_connections",
        "_heads",
        "_is_blocked",
        "_is_leaving",
        "_loop",
        "_ordinary",
        "_patient",
        "_routes",
        "_transport",
        "_turns",
    )

    def __init__(
        self,
        routes: Mapping[bytes, HotHandler],
        ordinary: Callable[[], asyncio.Protocol],
        connections: set[HotConnection],
        body_bytes_max: int,
        patient: tuple[bytes, ...],
        turns: Turns,
    ) -> None:
        self._routes = routes
        self._patient = patient
        self._turns = turns
        self._ordinary = ordinary
        self._connections = connections
        self._body_bytes_max = body_bytes_max
        self._buffer = bytearray()  #: what is not answered yet
        self._heads: dict[bytes, _Head] = {}
        self._is_blocked = False  #: the client does not read its answers
        self._is_leaving = False  #: it waits to be handed over
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        if (connection := transport.get_extra_info("socket")) is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._connections.discard(self)

    def pause_writing(self) -> None:
        """See asyncio. A client that does not read its answers is not read from."""
        self._is_blocked = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio."""
        self._is_blocked = False
        self._loop.call_soon(self._answer)

    def close(self) -> None:
        """End the connection after what was answered."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Answer requests that are whole now."""
        self._buffer += data
        self._answer()

    def _answer(self) -> None:
        """Answer what is whole, as long as the turn lasts; then read on, or go on in the next turn."""
        transport = self._transport
        if transport.is_closing() or self._is_blocked or self._is_leaving:
            return
        buffer, answers = self._buffer, list[bytes]()
        at, end = 0, len(buffer)
        turn_ends_s = time.perf_counter() + _TURN_S
        is_over = False
        while at < end and not is_over:
            body_at = buffer.find(_HEAD_END, at, at + _HEAD_BYTES_MAX) + len(_HEAD_END)
            if body_at < len(_HEAD_END):  # the head is not whole
                if end - at >= _HEAD_BYTES_MAX or not buffer.startswith(b"POST /"[: end - at], at):
                    self._hand_over(answers, at)
                    return
                break
            head = self._head(bytes(buffer[at:body_at]))
            if head is None:
                self._hand_over(answers, at)
                return
            next_at = body_at + head.body_bytes
            if next_at > end:
                break
            answer = _answer(head, bytes(buffer[body_at:next_at]))
            if answer is None:
                self._hand_over(answers, at)
                return
            answers.append(answer)
            at = next_at
            is_over = time.perf_counter() >= turn_ends_s
        del buffer[:at]
        if answers:
            transport.write(b"".join(answers))  # may block us
        if buffer and is_over:
            transport.pause_reading()
            self._loop.call_soon(self._answer)
        elif not self._is_blocked:
            transport.resume_reading()

    def _head(self, raw: bytes) -> _Head | None:
        """The head, if it is one for us."""
        head = self._heads.get(raw)
        if head is None:
            head = _read_head(raw, self._routes, self._body_bytes_max)
            if head is not None:
                if len(self._heads) >= _HEADS_MAX:
                    self._heads.clear()
                self._heads[raw] = head
        return head

    def _hand_over(self, answers: list[bytes], at: int) -> None:
        """Let aiohttp have the connection, and the requests from `at` on."""
        if answers:
            self._transport.write(b"".join(answers))
        del self._buffer[:at]
        self._is_leaving = True
        if self._buffer.startswith(self._patient):
            self._transport.pause_reading()
            self._turns.add(self._leave)
        else:
            self._leave()

    def _leave(self) -> None:
        transport, rest = self._transport, bytes(self._buffer)
        if transport.is_closing():
            return
        self._connections.discard(self)
        transport.resume_reading()  # that was our care; aiohttp has its own
        successor = self._ordinary()
        transport.set_protocol(successor)
        successor.connection_made(transport)
        if self._is_blocked:
            successor.pause_writing()
        successor.data_received(rest)


def _read_head(raw: bytes, routes: Mapping[bytes, HotHandler], body_bytes_max: int) -> _Head | None:
    line, *lines = raw[: -len(_HEAD_END)].split(b"\r\n")
    handler = routes.get(line)
    if handler is None:
        return None
    headers: CIMultiDict[str] = CIMultiDict()
    for header in lines:
        plain = _PLAIN_HEADER.match(header)
        if plain is None:
            return None
        name, value = plain[1], plain[2]
        lower = name.lower()
        if lower in _UNUSUAL or (lower == b"connection" and value.lower() != b"keep-alive"):
            return None
        headers.add(name.decode(), value.decode())
    lengths = headers.getall("Content-Length", ())
    if len(lengths) != 1 or not lengths[0].isdecimal() or "Host" not in headers:
        return None
    body_bytes = int(lengths[0])
    if body_bytes > body_bytes_max:
        return None
    return _Head(handler, CIMultiDictProxy(headers), body_bytes)


def _answer(head: _Head, body: bytes) -> bytes | None:
    try:
        answer = head.handler(head.headers, body)
    except HttpError as error:
        answer = answer_error(error)
    except Exception:
        logs.get().exception("request failed")
        answer = answer_error(HttpError(500, "The request failed inside; the log has the details."))
    return None if answer is None else _written(answer)


def _written(answer: Answer) -> bytes:
    assert isinstance(answer.body, bytes), "an answer in slices is not for the short way"
    lines = [
        _status_line(answer.status),
        _date_line(int(time.time())),
        b"Content-Length: %d\r\n" % len(answer.body),
    ]
    if answer.body:
        lines.append(f"Content-Type: {answer.content_type}\r\n".encode())
    lines += [f"{name}: {value}\r\n".encode() for name, value in answer.headers.items()]
    return b"".join((*lines, b"\r\n", answer.body))


_status_lines: dict[int, bytes] = {}
_date: tuple[int, bytes] = (0, b"")


def _status_line(status: int) -> bytes:
    if (line := _status_lines.get(status)) is None:
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: Koinon\r\n".encode()
        _status_lines[status] = line
    return line


def _date_line(now_s: int) -> bytes:
    global _date
    if _date[0] != now_s:
        _date = now_s, f"Date: {formatdate(now_s, usegmt=True)}\r\n".encode()
    return _date[1]
