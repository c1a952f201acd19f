"""Downloads over HTTP: one GET, its body in pieces as they come, and a sentence for whatever goes wrong."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from koinon import __version__
from koinon.agent.fetcher.sentences import FetchError

_PIECE = 1 << 18
#: We ask for the file as it is; a server that compresses all the same is understood if it does so like this.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"koinon/{__version__}"}
_GZIP = ("gzip", "x-gzip")
#: Files that servers like to call "encoded", meaning that they are compressed files.
_COMPRESSED = (".gz", ".tgz")


class Download:
    """A body on its way. `size` is None if the server does not tell."""

    def __init__(self, size: int | None, pieces: AsyncIterator[bytes]) -> None:
        self.size = size
        self.pieces = pieces


class Downloads:
    """Makes downloads. One that brings less than a byte a second for `stall_timeout_s` is given up."""

    def __init__(self, stall_timeout_s: float) -> None:
        self._stall_s = stall_timeout_s
        self._http: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def get(self, uri: str) -> AsyncIterator[Download]:
        """A download that has begun. It and its pieces raise FetchError."""
        if self._http is None:
            self._http = aiohttp.ClientSession(
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._stall_s),
                read_bufsize=_PIECE,
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            async with asyncio.timeout(self._stall_s):
                response = await self._http.get(uri)
        except TimeoutError as error:
            raise FetchError(f"the server has not answered for {self._stall_s:g} seconds") from error
        except aiohttp.ClientError as error:
            raise FetchError(_sentence(error)) from error
        except ValueError as error:
            raise FetchError(f"it is no address: {error}") from error
        try:
            if response.status != 200:
                raise FetchError(f"the server answered {response.status} {response.reason or ''}".rstrip())
            encoding = response.headers.get("Content-Encoding", "identity").lower()
            if encoding == "identity" or (encoding in _GZIP and response.url.path.endswith(_COMPRESSED)):
                yield Download(response.content_length, self._pieces(response))
            elif encoding in _GZIP:
                yield Download(None, _decoded(self._pieces(response)))
            else:
                raise FetchError(f"the server sent it encoded as {encoding}, which it was not asked for")
        finally:
            response.close()

    async def close(self) -> None:
        """End all downloads."""
        if self._http is not None:
            await self._http.close()

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        done = recent = 0
        due_s = loop.time() + self._stall_s
        while True:
            try:
                async with asyncio.timeout_at(due_s):
                    piece = await response.content.read(_PIECE)
            except TimeoutError as error:
                raise FetchError(
                    f"no more came for {self._stall_s:g} seconds, after {_of(done, response.content_length)}"
                ) from error
            except (aiohttp.ClientError, OSError) as error:
                raise FetchError(
                    f"the connection broke after {_of(done, response.content_length)}"
                ) from error
            if not piece:
                return
            done += len(piece)
            recent += len(piece)
            yield piece
            if recent >= self._stall_s:  # a byte a second will do
                recent = 0
                due_s = loop.time() + self._stall_s


async def _decoded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    try:
        async for piece in pieces:
            while piece:
                if data := decoder.decompress(piece, _PIECE):
                    yield data
                piece = decoder.unconsumed_tail
    except zlib.error as error:
        raise FetchError(f"the server sent it encoded as gzip, but that is damaged: {error}") from error
    if not decoder.eof:
        raise FetchError("the server sent it encoded as gzip, and not to its end")


def _of(done: int, size: int | None) -> str:
    return f"{done} bytes" if size is None else f"{done} of {size} bytes"


def _sentence(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.TooManyRedirects():
            return "the server redirects without end"
        case aiohttp.NonHttpUrlRedirectClientError():
            return "the server redirects to what is no http address"
        case aiohttp.InvalidURL():
            return "it is no address"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return f"the server's certificate or encryption cannot be trusted: {error}"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            why = os.strerror(number) if number and number > 0 else error.os_error.strerror
            return f"cannot connect to {error.host}:{error.port}: {why or error.os_error}"
        case aiohttp.ServerDisconnectedError():
            return "the server hung up"
    return str(error) or type(error).__name__
