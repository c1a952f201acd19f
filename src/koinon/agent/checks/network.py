"""Looking at a task from the network: a request to it, or no more than a connection."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
from yarl import URL

#: Of an answer no more is read. What says more than this has answered.
_BODY_BYTES = 1 << 20
_REDIRECTS_MAX = 50


class Http:
    """Asks with GET, follows redirections, takes any certificate, remembers nothing."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str) -> tuple[int | None, str]:
        """The status of the answer, or None, and what happened in words. The whole answer must come."""
        try:
            async with self._open().get(URL(url), max_redirects=_REDIRECTS_MAX) as answer:
                read = 0
                async for piece in answer.content.iter_chunked(1 << 16):
                    if (read := read + len(piece)) > _BODY_BYTES:
                        break
                return answer.status, f"{url} answered {answer.status}"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return None, f"{url} did not answer: {str(error) or type(error).__name__}"

    async def close(self) -> None:
        """Let go of everything."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A certificate is for a name; what is asked is this machine, whatever it calls itself.
                connector=aiohttp.TCPConnector(ssl=False, limit=0, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # who asks has a time-out
                auto_decompress=False,
                headers={"User-Agent": "koinon-check"},
            )
        return self._session


async def connect(address: str, port: int) -> str:
    """Why no connection can be made; empty if one can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            await asyncio.get_running_loop().sock_connect(probe, (address, port))
            # A free port may be given to us, and the connection be one with ourselves.
            if probe.getsockname() == probe.getpeername():
                return f"nobody listens on {address} port {port}"
    except (OSError, OverflowError) as error:
        return f"cannot connect to {address} port {port}: {getattr(error, 'strerror', None) or error}"
    return ""
