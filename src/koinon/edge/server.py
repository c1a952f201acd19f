"""The HTTP server of a role: finds the handler for a path and sends what it answers.

It sits on aiohttp's low-level server, below its router: our table knows the rules of the API (names of
processes in front, longest prefix, `.json` spellings), and one dictionary look-up costs less.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, NoReturn, cast

from aiohttp import StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_request import BaseRequest

from koinon import logs
from koinon.edge.answers import Answer, HttpError, answer_error
from koinon.edge.compression import GZIP_BYTES_MIN, gzip, new_compressor
from koinon.edge.hot import HotConnection, HotHandler
from koinon.edge.listener import Listener
from koinon.edge.negotiation import accepts_gzip
from koinon.edge.turns import Turns
from koinon.mesos import codec

Handler = Callable[[BaseRequest], Awaitable[Answer | web.StreamResponse]]

#: The largest body of a request, after decompression.
BODY_BYTES_MAX = 64 * 1024 * 1024
#: What is made in slices is written in pieces of this size.
_WRITE_BYTES = 64 * 1024
#: How long requests under way may go on once the server stops.
_STOP_GRACE_S = 0.5

_CALLBACK_NAME = re.compile(r"[A-Za-z_$][\w$.]*\Z")


class Connection(RequestHandler):
    """aiohttp's protocol, with our word for requests that are no HTTP."""

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Refuse in one line, without a page in the log or an echo of what may be anything."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer is on its way already")
        response = web.Response(status=status, text="The request is not well-formed HTTP.")
        response.force_close()
        return response

    def log_exception(self, *arguments: Any, **more: Any) -> None:
        """Log what went wrong in here; a body that cannot be unpacked has been refused already."""
        if not isinstance(more.get("exc_info"), RequestPayloadError):
            super().log_exception(*arguments, **more)


class _Request(BaseRequest):
    """aiohttp's request, its body unpacked piece by piece."""

    async def read(self) -> bytes:
        """The whole body. aiohttp by itself unpacks as much at once as a body may have, and holds it twice.

        Raises HTTPRequestEntityTooLarge.
        """
        pieces: list[bytes] = []
        size = 0
        while piece := await self.content.readany():
            pieces.append(piece)
            size += len(piece)
            if size > self.client_max_size:
                raise web.HTTPRequestEntityTooLarge(self.client_max_size, size)
        return b"".join(pieces)


class _Route(NamedTuple):
    handler: Handler
    methods: tuple[str, ...]


class Server:
    """HTTP on one port. `process` is the name that may stand in front of each path (`master`, `slave(1)`)."""

    def __init__(self, process: str, *, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self._prefix = f"/{process}/"
        self._body_bytes_max = body_bytes_max
        self._routes: dict[str, _Route] = {}
        self._log = logs.get(role=process.partition("(")[0])
        self._guard: Callable[[BaseRequest], None] | None = None
        self._open_paths: frozenset[str] = frozenset()
        self._hot: dict[bytes, HotHandler] = {}
        self._hot_connections: set[HotConnection] = set()
        self._patient: tuple[bytes, ...] = ()
        self._http: web.Server | None = None
        self._listener: Listener | None = None
        self._has_hung_up = False
        self.turns: Turns  #: for what patient clients ask for later, too

    def route(
        self, path: str, handler: Handler, methods: tuple[str, ...] = ("GET",), *, patient: bool = False
    ) -> None:
        """Let `handler` answer `path` and all below it that has no handler of its own. HEAD comes with GET.

        `patient`: who begins a connection with that may come by the thousand, and waits in `turns` with the others.
        """
        self._routes[path] = _Route(handler, methods)
        if patient:
            self._patient += tuple(f"{method} {path} HTTP/1.1\r\n".encode() for method in methods)

    def guard(
        self, check: Callable[[BaseRequest], None] | None, open_paths: frozenset[str] = frozenset()
    ) -> None:
        """Ask `check` before each request for a route, but those of `open_paths`; it refuses by HttpError.

        Hot handlers are not guarded: add them when nobody guards any more (None).
        """
        self._guard, self._open_paths = check, open_paths

    def hot(self, path: str, handler: HotHandler) -> None:
        """Let `handler` answer POST requests for `path` that are plain, before the handler of its route."""
        for spelling in (path, self._prefix.rstrip("/") + path):
            self._hot[f"POST {spelling} HTTP/1.1".encode()] = handler

    async def start(self, ip: str, port: int) -> None:
        """Listen. Raises OSError when the address is taken or not ours."""
        self.turns = Turns()
        self._http = web.Server(
            self._serve,
            request_factory=self._request,
            handler_cancellation=True,  # a reader that went away costs nothing more
        )
        self._listener = Listener(self._protocol, ip, port)

    @property
    def port(self) -> int:
        """The port we listen on; interesting when 0 was asked for."""
        assert self._listener is not None, "the server has not started"
        return self._listener.port

    async def stop(self) -> None:
        """Stop listening, let requests under way end for a moment, close all connections."""
        if self._http is not None:
            self.hang_up()
            self._http.pre_shutdown()
            await self._http.shutdown(_STOP_GRACE_S)

    def hang_up(self) -> None:
        """As if the process had died: nobody is let in any more, and what comes in from now on is not answered.

        What is being answered may go on until `stop`.
        """
        self._has_hung_up = True
        if self._listener is not None:
            self._listener.close()
        self._hot.clear()
        for connection in list(self._hot_connections):
            connection.close()

    def _protocol(self) -> asyncio.Protocol:
        return HotConnection(
            self._hot,
            self._ordinary_protocol,
            self._hot_connections,
            self._body_bytes_max,
            self._patient,
            self.turns,
        )

    def _ordinary_protocol(self) -> asyncio.Protocol:
        assert self._http is not None
        no_log = cast(logging.Logger, None)  # aiohttp takes it, its annotation does not
        return Connection(self._http, loop=asyncio.get_running_loop(), access_log=no_log)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> BaseRequest:
        loop = asyncio.get_running_loop()
        return _Request(message, payload, protocol, writer, task, loop, client_max_size=self._body_bytes_max)

    async def _serve(self, request: BaseRequest) -> web.StreamResponse:
        if self._has_hung_up:
            _break(request)
        try:
            handler = self._find(request)
            if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.transport:
                request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            answer = await handler(request)
            if isinstance(answer, web.StreamResponse):
                return answer
            answer = _wrap_in_callback(request, answer)
        except HttpError as error:
            if self._has_hung_up:  # it came before, and is refused because of that
                _break(request)
            answer = answer_error(error)
        except web.HTTPRequestEntityTooLarge:
            limit = self._body_bytes_max
            answer = answer_error(HttpError(413, f"The body of a request may have {limit} bytes at most."))
        except RequestPayloadError:
            answer = answer_error(HttpError(400, "The body cannot be read as its headers say."))
        except ConnectionError:
            raise
        except Exception:
            self._log.exception("request failed", method=request.method, path=request.path)
            answer = answer_error(HttpError(500, "The request failed inside; the log has the details."))
        return await self._send(request, answer)

    def _find(self, request: BaseRequest) -> Handler:
        found = self._match(request.path)
        if found is None:
            raise HttpError(404, "404 Not Found.")
        path, route = found
        if self._guard is not None and path not in self._open_paths:
            self._guard(request)
        method = "GET" if request.method == "HEAD" else request.method
        if method not in route.methods:
            allowed = ", ".join(route.methods)
            raise HttpError(405, f"The method must be {allowed}.", {hdrs.ALLOW: allowed})
        return route.handler

    def _match(self, path: str) -> tuple[str, _Route] | None:
        """The route for `path`, and the path that it was made for."""
        path = path.rstrip("/")
        if path.startswith(self._prefix):
            path = path[len(self._prefix) - 1 :]
        if path.endswith(".json") and path not in self._routes:
            path = path.removesuffix(".json")
        while path:
            if (route := self._routes.get(path)) is not None:
                return path, route
            path = path.rpartition("/")[0]
        return None

    async def _send(self, request: BaseRequest, answer: Answer) -> web.StreamResponse:
        headers = {hdrs.SERVER: "Koinon", **answer.headers}
        body = answer.body
        if not isinstance(body, bytes):
            return await self._send_slices(request, answer, body, headers)
        if body:
            headers[hdrs.CONTENT_TYPE] = answer.content_type
        if len(body) >= GZIP_BYTES_MIN and accepts_gzip(request.headers):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            body = await gzip(body)
        response = web.Response(status=answer.status, body=body, headers=headers)
        await response.prepare(request)
        await response.write_eof()
        return response

    async def _send_slices(
        self, request: BaseRequest, answer: Answer, slices: AsyncIterator[bytes], headers: dict[str, str]
    ) -> web.StreamResponse:
        headers[hdrs.CONTENT_TYPE] = answer.content_type
        if request.method == "HEAD":
            return await _send_head(request, answer.status, headers)
        compressor = None
        if accepts_gzip(request.headers):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            compressor = new_compressor()
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        try:
            async for piece in _in_large_pieces(slices):
                if compressor is not None:
                    piece = await loop.run_in_executor(None, compressor.compress, piece)
                if piece:
                    await response.write(piece)
            await response.write_eof(compressor.flush() if compressor is not None else b"")
        except ConnectionError:
            raise
        except Exception:
            # The status is out already; a connection that breaks tells the reader that this is not all.
            self._log.exception("answer broken off", path=request.path)
            if request.transport is not None:
                request.transport.abort()
        return response


def _break(request: BaseRequest) -> NoReturn:
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionAbortedError


def _wrap_in_callback(request: BaseRequest, answer: Answer) -> Answer:
    """`?jsonp=name` asks for a script that calls `name` with the answer."""
    name = request.query.get("jsonp") if request.method == "GET" else None
    if not name or answer.content_type != codec.JSON:
        return answer
    if not _CALLBACK_NAME.match(name):
        raise HttpError(400, "The parameter jsonp must be the name of a function.")
    return Answer(
        _framed(name, answer.body),
        status=answer.status,
        content_type="text/javascript",
        headers=answer.headers,
    )


def _framed(name: str, body: bytes | AsyncIterator[bytes]) -> bytes | AsyncIterator[bytes]:
    if isinstance(body, bytes):
        return b"%b(%b);" % (name.encode(), body)

    async def slices() -> AsyncIterator[bytes]:
        yield f"{name}(".encode()
        async for piece in body:
            yield piece
        yield b");"

    return slices()


async def _send_head(request: BaseRequest, status: int, headers: dict[str, str]) -> web.StreamResponse:
    """The answer without its body, which is not made at all; so nobody knows its length."""
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    await response.write_eof()
    return response


async def _in_large_pieces(slices: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes, fit for one write each."""
    gathered: list[bytes] = []
    size = 0
    async for piece in slices:
        gathered.append(piece)
        size += len(piece)
        if size >= _WRITE_BYTES:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    if size:
        yield b"".join(gathered)
