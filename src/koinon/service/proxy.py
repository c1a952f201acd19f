"""A standby's answers: those of the leader.

Each request is passed on as it came, piece by piece, and so is the answer. A chain of processes that pass a request on says
so in `X-<Service>-Via`: one that finds itself there has come full circle.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import aiohttp
from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestPayloadError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from koinon import logs
from koinon.coordination import Leader
from koinon.service.answers import error_answer

#: What is between two neighbours only.
_HOP_BY_HOP = frozenset(
    name.lower()
    for name in (
        hdrs.CONNECTION,
        hdrs.KEEP_ALIVE,
        hdrs.PROXY_AUTHENTICATE,
        hdrs.PROXY_AUTHORIZATION,
        hdrs.TE,
        hdrs.TRAILER,
        hdrs.TRANSFER_ENCODING,
        hdrs.UPGRADE,
        hdrs.EXPECT,
    )
)
_PIECE_BYTES = 64 * 1024
#: Of a body; most are smaller as a whole.
_BEGIN_BYTES = 256 * 1024

#: Marks an answer that has its headers from the leader.
PROXIED = web.ResponseKey("proxied", bool)


class _TooLarge(Exception):
    """The body of the request is."""


class Proxy:
    """Passes requests on. `via` is the header's name, `own` our `host:port`."""

    def __init__(
        self,
        *,
        via: str,
        connect_timeout_s: float,
        read_timeout_s: float,
        connections_max: int,
        body_bytes_max: int,
    ) -> None:
        self.own = ""
        self._via = via
        self._connect_timeout_s = connect_timeout_s
        self._body_bytes_max = body_bytes_max
        self._log = logs.get()
        self._connections_max = connections_max
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_timeout_s, sock_connect=connect_timeout_s, sock_read=read_timeout_s
        )
        self._session: aiohttp.ClientSession | None = None
        self._silent: Leader | None = None  #: who did not answer last time

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()

    async def forward(self, request: web.Request, leader: Leader) -> web.StreamResponse:
        """The answer of `leader`; 502 when it does not answer, 500 when something else goes wrong."""
        hops = request.headers.getall(self._via, ())
        if any(hop.split()[-1:] == [self.own] for value in hops for hop in value.split(",")):
            return error_answer(502, f"The request has gone in a circle: {self.own} has seen it before.")
        if (request.content_length or 0) > self._body_bytes_max:
            return self._too_large()
        try:
            answer = await self._ask(request, leader)
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            if isinstance(error.__cause__, _TooLarge):
                return self._too_large()
            if isinstance(error.__cause__, RequestPayloadError):
                raise error.__cause__ from None
            if leader != self._silent:  # say it once: who is asked often would fill the log
                self._silent = leader
                self._log.warning("the leader does not answer", leader=leader.address, error=repr(error))
            return error_answer(502, f"The leader {leader.address} does not answer.")
        except aiohttp.ClientError as error:
            self._log.warning("a request could not be passed on", leader=leader.address, error=repr(error))
            return error_answer(500, f"The request could not be passed on to the leader {leader.address}.")
        self._silent = None
        async with answer:
            return await self._copy(request, answer)

    async def _ask(self, request: web.Request, leader: Leader) -> aiohttp.ClientResponse:
        begin = await _begin(request)
        return await self._open_session().request(
            request.method,
            url_at(leader, request),
            headers=self._headers(request, leader),
            data=self._body(request, begin) if begin else None,
            allow_redirects=False,
        )

    def _headers(self, request: web.Request, leader: Leader) -> CIMultiDict[str]:
        headers = _passed_on(request.headers)
        if headers.popall(hdrs.CONTENT_ENCODING, ()):  # the body has been unpacked on its way in
            headers.popall(hdrs.CONTENT_LENGTH, ())
        for name, value in (
            (self._via, f"1.1 {self.own}"),
            (hdrs.X_FORWARDED_FOR, request.remote or "unknown"),
        ):
            before = ", ".join(headers.popall(name, ()))
            headers[name] = f"{before}, {value}" if before else value
        headers.setdefault(hdrs.X_FORWARDED_HOST, request.host)
        headers[hdrs.HOST] = leader.address
        return headers

    async def _body(self, request: web.Request, begin: Sequence[bytes]) -> AsyncIterator[bytes]:
        size = 0
        for piece in begin:
            size += len(piece)
            yield self._checked(piece, size)
        while piece := await request.content.readany():
            size += len(piece)
            yield self._checked(piece, size)

    def _checked(self, piece: bytes, size: int) -> bytes:
        if size > self._body_bytes_max:
            raise _TooLarge
        return piece

    async def _copy(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        copy = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=_passed_on(answer.headers)
        )
        copy[PROXIED] = True
        await copy.prepare(request)
        try:
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                await copy.write(piece)
        except (TimeoutError, aiohttp.ClientError) as error:
            # The status is out already; a connection that breaks tells the reader that this is not all.
            self._log.warning("the leader broke off its answer", error=repr(error))
            if request.transport is not None:
                request.transport.abort()
            return copy
        await copy.write_eof()
        return copy

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections_max),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
            )
        return self._session

    def _too_large(self) -> web.Response:
        return error_answer(413, f"The body of a request may have {self._body_bytes_max} bytes at most.")


async def _begin(request: web.Request) -> list[bytes]:
    """What of the body is read before the leader is asked: whoever sends slowly keeps no connection to it."""
    found: list[bytes] = []
    size = 0
    while size < _BEGIN_BYTES and (piece := await request.content.readany()):
        found.append(piece)
        size += len(piece)
    return found


def url_at(leader: Leader, request: web.Request) -> URL:
    """What is asked for, at another process; nothing of its path is decoded."""
    path = request.raw_path
    if not path.startswith("/"):  # a whole URL, as for a proxy of another kind; or *
        path = request.rel_url.raw_path_qs
    return URL(f"http://{leader.address}/{path.removeprefix('/')}", encoded=True)


def _passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """All but what is for the neighbour only."""
    named = {
        name.strip().lower() for value in headers.getall(hdrs.CONNECTION, ()) for name in value.split(",")
    }
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in named
    )
