"""The launcher's end of the connection to its agent."""

from __future__ import annotations

import contextlib
import json
import select
import socket

#: The kernel takes 2 MB of arguments and environment, which may triple in JSON.
_LINE_BYTES = 8 << 20
#: A client that lets more answers wait is not listened to.
_OUTPUT_BYTES = 4 << 20


class Client:
    """The connection of the agent: lines in, lines out."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.partial = b""
        self.lines: list[bytes] = []
        self.output = bytearray()

    def tell(self, **line: object) -> None:
        """Queue a line."""
        self.output += json.dumps(line).encode() + b"\n"

    def receive(self) -> bool:
        """Take what has come; False when the client is gone."""
        try:
            data = self.connection.recv(1 << 18)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        *lines, self.partial = (self.partial + data).split(b"\n")
        self.lines += lines
        return bool(data) and len(self.partial) <= _LINE_BYTES

    def send(self) -> None:
        """Send what the socket takes. A client that is gone shows itself in `receive`."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            del self.output[: self.connection.send(self.output)]

    def interest(self) -> int:
        """What the loop should wait for on this connection."""
        listening = not self.lines and len(self.output) < _OUTPUT_BYTES
        return (select.EPOLLIN if listening else 0) | (select.EPOLLOUT if self.output else 0)
