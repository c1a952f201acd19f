"""What happens to every request of a service, before and after its handler.

too many? ─▶ who asks? ─▶ do we lead? ──yes──▶ handler ─▶ compressed ─▶ headers
                               │ no: hold, redirect, or
                               └──────▶ the leader's answer, as it is
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestPayloadError

from koinon import logs
from koinon.edge import accepts_gzip
from koinon.edge.compression import GZIP_BYTES_MIN, gzip
from koinon.service.answers import error_answer
from koinon.service.authentication import IDENTITY, Authenticator
from koinon.service.flags import Names
from koinon.service.leadership import Leadership
from koinon.service.loop import NotLeading
from koinon.service.metrics import ServiceMetrics
from koinon.service.proxy import PROXIED, Proxy, url_at

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: How long a request waits for a leader, or for one that is not ready yet.
_HOLD_S = 2.5
#: Answered by every process, and to everybody: it tells nothing.
_PING = "/ping"

_HARMLESS = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)

_HEADERS = {
    hdrs.CACHE_CONTROL: "no-cache, no-store, must-revalidate",
    hdrs.PRAGMA: "no-cache",
    hdrs.EXPIRES: "0",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
}


class Gate:
    """The outermost middleware of a service's application.

    `streams` are paths that never end answering: they do not count as requests under way, and standbys redirect them.
    """

    def __init__(
        self,
        leadership: Leadership,
        proxy: Proxy,
        *,
        service: str,
        authenticator: Authenticator | None = None,
        origins: Names | None = None,
        requests_max: int | None = None,
        compression: bool = True,
        streams: frozenset[str] = frozenset(),
        metrics: ServiceMetrics,
    ) -> None:
        self._leadership = leadership
        self._proxy = proxy
        self._leader_header = f"X-{service}-Leader"
        self._authenticator = authenticator
        self._origins = origins
        self._requests_max = requests_max
        self._compression = compression
        self._streams = streams
        self._log = logs.get()
        self._took = metrics.timer("http.requests.duration")
        self._answers = {kind: metrics.counter(f"http.responses.{kind}xx") for kind in range(2, 6)}
        self._idle = asyncio.Event()
        self._idle.set()
        self.under_way = 0  #: requests, without streams

    def install(self, app: web.Application) -> None:
        """Stand before all handlers of `app`."""
        app.middlewares.append(self._pass)
        app.on_response_prepare.append(self._add_headers)

    async def idle(self, timeout_s: float) -> None:
        """Return when no request is under way, or after so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            self._log.warning("requests are broken off", count=self.under_way)

    @web.middleware
    async def _pass(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in self._streams:
            return await self._checked(request, handler)
        if self._requests_max is not None and self.under_way >= self._requests_max:
            return error_answer(503, f"There are {self.under_way} requests under way already: try again.")
        self.under_way += 1
        self._idle.clear()
        try:
            with self._took.time():
                answer = await self._checked(request, handler)
            self._answers[answer.status // 100].value += 1
            return answer
        finally:
            self.under_way -= 1
            if not self.under_way:
                self._idle.set()

    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if self._is_preflight(request):
                return web.Response()
            if self._is_foreign(request):
                return error_answer(
                    403,
                    f"Pages of {request.headers[hdrs.ORIGIN]} may not change anything here; if they may, name that in"
                    " --access_control_allow_origin.",
                )
            if self._authenticator is not None and request.path != _PING:
                if (identity := self._authenticator.authenticate(request)) is None:
                    challenge = {str(hdrs.WWW_AUTHENTICATE): self._authenticator.challenge}
                    return error_answer(401, "Say who you are: user and password are needed here.", challenge)
                request[IDENTITY] = identity
            return await self._compressed(request, await self._answer(request, handler))
        except web.HTTPException as error:
            return _plain(request, error)
        except NotLeading:
            return error_answer(503, "This process leads no more: try again.")
        except RequestPayloadError:  # its body says that it is compressed, and is not
            return error_answer(400, "The body of the request cannot be unpacked, or is cut short.")
        except (ConnectionError, asyncio.CancelledError):  # nobody waits for an answer any more
            raise
        except Exception:
            self._log.exception("request failed", method=request.method, path=request.path)
            return error_answer(500, "The request failed inside; the log has the details.")

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/":  # every process may redirect, as it would be the same
            return await handler(request)
        leadership = self._leadership
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + _HOLD_S
        while not leadership.leads:
            leader = leadership.leader
            if leader is not None and leader.address != self._proxy.own:
                if request.path in self._streams:
                    raise web.HTTPFound(url_at(leader, request))
                return await self._proxy.forward(request, leader)
            if not await leadership.change(deadline_s - loop.time()):
                what = "no process leads" if leader is None else "the leader is not ready yet"
                return error_answer(502, f"At the moment {what}: try again.")
        return await handler(request)

    async def _compressed(self, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        if (
            self._compression
            and isinstance(answer, web.Response)
            and not answer.prepared
            and isinstance(answer.body, bytes)
            and len(answer.body) >= GZIP_BYTES_MIN
            and hdrs.CONTENT_ENCODING not in answer.headers
        ):
            answer.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
            if accepts_gzip(request.headers):
                answer.headers[hdrs.CONTENT_ENCODING] = "gzip"
                answer.body = await gzip(answer.body)
        return answer

    # ── headers ───────────────────────────────────────────────────────────────────────────────────
    async def _add_headers(self, request: web.Request, answer: web.StreamResponse) -> None:
        if answer.get(PROXIED):
            return
        headers = answer.headers
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        headers[hdrs.SERVER] = "Koinon"
        if self._leadership.leads:
            headers[self._leader_header] = f"http://{self._proxy.own}"
        if self._origins is not None:
            self._allow_origin(request, answer)

    def _allow_origin(self, request: web.Request, answer: web.StreamResponse) -> None:
        assert self._origins is not None
        headers = answer.headers
        asking = request.headers.get(hdrs.ORIGIN)
        # Browsers take one origin only: theirs, if it is among several.
        for origin in (asking,) if asking and asking in self._origins else self._origins:
            headers.add(hdrs.ACCESS_CONTROL_ALLOW_ORIGIN, origin)
        if asked := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = asked
        headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, HEAD, OPTIONS"
        headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "86400"

    def _is_foreign(self, request: web.Request) -> bool:
        """Whether a browser asks for a change on behalf of a page that is not ours.

        A page of anybody may send a form to any address that its reader can reach, this machine's own among them.
        """
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or request.method in _HARMLESS or origin in (self._origins or ()):
            return False
        # A proxy may have another name than we; pages cannot say the second header.
        return origin.partition("://")[2] not in (request.host, request.headers.get(hdrs.X_FORWARDED_HOST))

    def _is_preflight(self, request: web.Request) -> bool:
        return (
            self._origins is not None
            and request.method == hdrs.METH_OPTIONS
            and hdrs.ORIGIN in request.headers
        )


def _plain(request: web.Request, error: web.HTTPException) -> web.Response:
    """What aiohttp says by an exception, in our form: the router's 404 and 405, a body that is too large, redirects."""
    kept = {str(name): error.headers[name] for name in (hdrs.LOCATION, hdrs.ALLOW) if name in error.headers}
    if error.status < 400:
        return web.Response(status=error.status, headers=kept)
    if error.status == 405 and request.method == hdrs.METH_OPTIONS:  # what may be asked is told
        return web.Response(headers=kept)
    message = {
        404: "URI not found",
        405: f"The method {request.method} is not allowed here.",
    }.get(error.status, error.text or error.reason)
    return error_answer(error.status, message, kept)
