"""The terminals that the launcher made: handed over to the agent, and logged while there is no agent."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Callable, Mapping

from koinon.agent.launcher.journal import Container


class Terminals:
    """Those of `containers`; `watch` and `leave` are the loop's."""

    def __init__(
        self,
        listener: socket.socket,
        containers: Mapping[str, Container],
        watch: Callable[[int, Callable[[], None]], None],
        leave: Callable[[int], None],
    ) -> None:
        #: Who connects here sends a container's id, and gets its terminal and its log.
        self.listener = listener
        self._containers = containers
        self._watch = watch
        self._leave = leave
        self._logged: set[int] = set()

    def accept(self) -> None:
        """Somebody wants a terminal and will say which."""
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        self._watch(connection.fileno(), functools.partial(self._hand_over, connection))

    def _hand_over(self, connection: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            container = self._containers.get(connection.recv(4096).decode())
            if container and container.terminal:
                container.terminal.hand_over(connection)
        self._leave(connection.fileno())
        connection.close()

    def resume(self) -> None:
        """There is no agent: log what the terminals show."""
        for container in self._containers.values():
            if container.terminal:
                container.terminal.is_read = False
            if container.terminal and container.terminal.fd not in self._logged:
                self._logged.add(container.terminal.fd)
                self._watch(container.terminal.fd, functools.partial(self._drain, container))

    def leave_all(self) -> None:
        """An agent has come that does it."""
        for fd in self._logged:
            self._leave(fd)
        self._logged.clear()

    def remove(self, container: Container) -> None:
        """The container is forgotten."""
        if container.terminal:
            if not container.terminal.is_read:
                container.terminal.drain()
            self._leave(container.terminal.fd)
            self._logged.discard(container.terminal.fd)
            container.terminal.close()

    def _drain(self, container: Container) -> None:
        if container.terminal and not container.terminal.drain():
            self._leave(container.terminal.fd)  # it stays among the logged: nothing will come any more
