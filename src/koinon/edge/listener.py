"""A listening socket that keeps up with thousands of connections at once.

The event loop's own (libuv) accepts one connection in each of its turns. When a cluster's agents all come to a new master,
every turn is busy with those that are there, and others would wait in the kernel's queue for seconds behind the rest: a
health check, for instance.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from koinon import logs

#: Connections that may wait to be accepted: a whole cluster comes back at once after a restart.
_BACKLOG = 4096
#: Accepted in one turn of the loop, which takes about a millisecond.
_ACCEPTS_MAX = 64
#: How long no connections are accepted when there are no more file descriptors.
_REST_S = 0.5


class Listener:
    """Accepts connections at `ip` and `port` for `protocol`, until it is closed. Raises OSError."""

    def __init__(self, protocol: Callable[[], asyncio.Protocol], ip: str, port: int) -> None:
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._log = logs.get()
        self._accepting: set[asyncio.Task[None]] = set()  #: held, so that they are not collected
        self._rest: asyncio.TimerHandle | None = None
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self._socket = socket.create_server((ip, port), family=family, backlog=_BACKLOG)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._begin()

    def close(self) -> None:
        """Accept no more; what was accepted goes on."""
        if self._rest is not None:
            self._rest.cancel()
        if self._socket.fileno() >= 0:  # not closed before
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _begin(self) -> None:
        self._rest = None
        self._loop.add_reader(self._socket, self._accept_some)

    def _accept_some(self) -> None:
        for _ in range(_ACCEPTS_MAX):
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # it has gone again
                continue
            except OSError as error:  # as when all file descriptors are in use
                self._log.error("no connection can be accepted", error=error.strerror)
                self._loop.remove_reader(self._socket)
                self._rest = self._loop.call_later(_REST_S, self._begin)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._open(connection))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it has gone again
            connection.close()
