"""Long lists: made piece by piece, so that the event loop does other things in between, and sent as they are made."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator

from aiohttp import hdrs, web

from koinon.edge import accepts_gzip
from koinon.edge.compression import new_compressor
from koinon.edge.slices import slices

_JSON = "application/json"
#: What is not longer is sent whole.
_WHOLE_BYTES_MAX = 1 << 20
_WRITE_BYTES = 1 << 17


async def send_list(
    request: web.Request, items: Iterator[bytes], begin: bytes = b"[", end: bytes = b"]"
) -> web.StreamResponse:
    """`begin`, the items with commas between them, `end`."""
    return await send(request, joined(items, begin, end))


def joined(items: Iterator[bytes], begin: bytes = b"[", end: bytes = b"]") -> Iterator[bytes]:
    """A list in pieces."""
    before = begin
    for item in items:
        yield before + item
        before = b","
    yield end if before == b"," else begin + end


async def send(request: web.Request, pieces: Iterator[bytes]) -> web.StreamResponse:
    """JSON in pieces, each of which takes little time to make."""
    if request.method == hdrs.METH_HEAD:
        return web.Response(content_type=_JSON)
    gathered: list[bytes] = []
    size = 0
    sent: _Sent | None = None
    async for piece in slices(pieces):
        gathered.append(piece)
        size += len(piece)
        if size > (_WHOLE_BYTES_MAX if sent is None else _WRITE_BYTES):
            if sent is None:
                sent = await _Sent.begin(request)
            await sent.write(b"".join(gathered))
            gathered, size = [], 0
    last = b"".join(gathered)
    if sent is None:
        return web.Response(body=last, content_type=_JSON)
    await sent.write(last)
    return await sent.end()


class _Sent:
    """An answer on its way, compressed if the client likes that."""

    def __init__(self, response: web.StreamResponse, compressor: zlib._Compress | None) -> None:
        self._response = response
        self._compressor = compressor

    @classmethod
    async def begin(cls, request: web.Request) -> _Sent:
        headers = {hdrs.CONTENT_TYPE: _JSON, hdrs.VARY: hdrs.ACCEPT_ENCODING}
        compressor = None
        if accepts_gzip(request.headers):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            compressor = new_compressor()
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        return cls(response, compressor)

    async def write(self, data: bytes) -> None:
        if self._compressor is not None:
            data = await asyncio.get_running_loop().run_in_executor(None, self._compressor.compress, data)
        if data:
            await self._response.write(data)

    async def end(self) -> web.StreamResponse:
        await self._response.write_eof(self._compressor.flush() if self._compressor is not None else b"")
        return self._response
