"""The port of a service: where its application is served."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import cast

from aiohttp import web

from koinon.edge.listener import Listener
from koinon.edge.server import Connection
from koinon.service.exits import Exit, Fatal

#: How long connections may take to end once the port is closed: what is left then is event streams.
_CLOSE_S = 0.5


class HttpServer:
    """Serves `app` from `start` to `stop`."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,  # a reader that went away costs nothing more
            shutdown_timeout=_CLOSE_S,
        )
        self._listener: Listener | None = None

    async def start(self, ip: str, port: int) -> int:
        """Listen; returns the port. Raises Fatal when the address is taken or not ours."""
        await self._runner.setup()
        try:
            self._listener = Listener(self._protocol, ip, port)
        except OSError as error:
            raise Fatal(
                Exit.PORT_TAKEN,
                f"cannot listen on {ip}:{port}: {os.strerror(error.errno or 0)}; stop what uses the port, or choose"
                " another --http_port (0 = any free one) or --http_address",
            ) from error
        return self._listener.port

    def close(self) -> None:
        """Accept no more connections; those that are there go on."""
        if self._listener is not None:
            self._listener.close()

    async def stop(self) -> None:
        """End all connections."""
        self.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.Protocol:
        assert self._runner.server is not None
        no_log = cast(logging.Logger, None)  # aiohttp takes it, its annotation does not
        return Connection(self._runner.server, loop=asyncio.get_running_loop(), access_log=no_log)
