"""One HTTP/1.1 connection of a client: bytes out, parsed answers in, in the order of the requests."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import httptools

from koinon.sdk.addresses import Address

#: How long connecting may take.
CONNECT_TIMEOUT_S = 10.0

_BUFFER_BYTES = 64 * 1024


class AnswerReader(Protocol):
    """Who reads the answers on a connection."""

    def answer_began(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Status and headers (names in lower case) of the next answer are there."""

    def answer_body(self, data: bytes) -> None:
        """More of its body."""

    def answer_ended(self) -> None:
        """The answer is complete."""

    def connection_lost(self, error: Exception) -> None:
        """No more will come."""


class HttpConnection(asyncio.BufferedProtocol):
    """A connection to one server. `write` whole requests; answers go to the reader.

    It reads into one buffer of its own: with `data_received` the loop would allocate 256 KiB for each read.
    """

    def __init__(self, reader: AnswerReader) -> None:
        self._reader = reader
        self._parser = httptools.HttpResponseParser(self)
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._headers: dict[bytes, bytes] = {}
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._error: Exception | None = None
        self.heard_s = self._loop.time()  #: when bytes last came in, on the loop's clock

    @classmethod
    async def open(cls, address: Address, reader: AnswerReader) -> HttpConnection:
        """Connects. Raises OSError, TimeoutError among them."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, connection = await loop.create_connection(lambda: cls(reader), address.host, address.port)
        return connection

    def write(self, data: bytes) -> None:
        """Sends requests, as many as there are."""
        if self._transport is not None:
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Lets what the server sends wait in the socket, until `resume_reading`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """Closes without a word to the reader."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # ── asyncio's side ────────────────────────────────────────────────────────────────────────────
    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: D102
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102
        self.heard_s = self._loop.time()
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except httptools.HttpParserCallbackError as error:
            self._give_up(error.__context__ or error)
        except httptools.HttpParserError as error:
            self._give_up(ConnectionError(f"the server does not speak HTTP/1.1 ({error})"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if self._transport is not None:
            self._transport = None
            error = self._error or exc or ConnectionResetError("the server closed the connection")
            self._reader.connection_lost(error)

    def _give_up(self, error: BaseException) -> None:
        self._error = error if isinstance(error, Exception) else RuntimeError(str(error))
        if self._transport is not None:
            self._transport.abort()

    # ── the parser's side ─────────────────────────────────────────────────────────────────────────
    def on_message_begin(self) -> None:  # noqa: D102
        self._headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:  # noqa: D102
        self._reader.answer_began(self._parser.get_status_code(), self._headers)

    def on_body(self, body: bytes) -> None:  # noqa: D102
        self._reader.answer_body(body)

    def on_message_complete(self) -> None:  # noqa: D102
        self._reader.answer_ended()
