"""Streams of a container, over the agent's API: its output as records, our input as a request that goes on.

Input is sent by a thread, output is read by the caller; both block.
"""

from __future__ import annotations

import http
import http.client
import json
import os
import select
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from koinon.cli.client import Client
from koinon.cli.errors import Failure
from koinon.mesos.recordio import RecordDecoder, frame

_RECORDIO = "application/recordio"
_JSON = "application/json"
_READ_BYTES = 1 << 16
_HEARTBEAT_S = 30.0
_HEARTBEAT = {"interval": {"nanoseconds": int(_HEARTBEAT_S * 1e9)}}
#: Ctrl-P Ctrl-Q lets go of a task.
_DETACH = b"\x10\x11"

Record = dict[str, Any]


class Output:
    """What a container writes: pairs of `STDOUT` or `STDERR` and bytes. Raises Failure."""

    def __init__(self, agent: Client, call: Record) -> None:
        self._address = agent.address
        self._connection = http.client.HTTPConnection(agent.address)
        headers = {"Content-Type": _JSON, "Accept": _RECORDIO, "Message-Accept": _JSON}
        try:
            self._connection.request("POST", "/api/v1", json.dumps(call).encode(), headers)
            self._socket = self._connection.sock
            self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"agent at {agent.address} cannot be reached: {error}") from None
        if self._response.status != 200:
            reason = self._response.read().decode(errors="replace").strip()
            raise Failure(f"the agent refused: {reason.rstrip('.') or self._response.status}")
        self.closed = False

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        decoder = RecordDecoder()
        while data := self._read():
            for record in decoder.feed(data):
                io = json.loads(record)
                if io["type"] == "DATA":
                    yield io["data"]["type"], b64decode(io["data"].get("data", ""))

    def _read(self) -> bytes:
        try:
            return self._response.read1(_READ_BYTES)
        except (OSError, http.client.HTTPException) as error:
            if self.closed:
                return b""
            raise Failure(f"the connection to the agent at {self._address} broke: {error}") from None

    def close(self) -> None:
        """Let go, from another thread: the reader is at the end."""
        self.closed = True
        with suppress(OSError):
            self._socket.shutdown(2)


class Input(threading.Thread):
    """Gives a container what comes from `source` (None: nothing, and its end at once), and the size of a terminal.

    `busy` is called if somebody else does so already.
    """

    def __init__(
        self,
        agent: Client,
        container_id: Record,
        *,
        source: int | None,
        size: Callable[[], dict[str, int]] | None = None,
        detach: Callable[[], None] | None = None,
        busy: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(agent.address)
        self._container_id = container_id
        self._source = source
        self._size = size
        self._detach = detach
        self._busy = busy
        self._woken, self._waker = os.pipe()
        self._held = b""

    def resized(self) -> None:
        """The terminal has another size now."""
        os.write(self._waker, b"\0")

    def run(self) -> None:
        """Send until the source ends, or the agent has had enough; a container that has ended needs no more."""
        with suppress(OSError, http.client.HTTPException):
            with suppress(OSError):  # the answer may have come before
                self._begin()
                self._pass_on()
                self._connection.send(b"0\r\n\r\n")
            answer = self._connection.getresponse()
            answer.read()
            if answer.status == http.HTTPStatus.CONFLICT and self._busy is not None:
                self._busy()
                self._look_on()

    def _begin(self) -> None:
        self._connection.putrequest("POST", "/api/v1", skip_accept_encoding=True)
        for name, value in (
            ("Content-Type", _RECORDIO),
            ("Message-Content-Type", _JSON),
            ("Accept", _JSON),
            ("Transfer-Encoding", "chunked"),
        ):
            self._connection.putheader(name, value)
        self._connection.endheaders()
        self._send({"type": "CONTAINER_ID", "container_id": self._container_id})
        self._give_size()

    def _pass_on(self) -> None:
        if self._source is None and self._size is None:
            self._give(b"")
            return
        sources = [self._woken, self._connection.sock]
        if self._source is not None:
            sources.append(self._source)
        while True:
            ready, _, _ = select.select(sources, [], [], _HEARTBEAT_S)
            if self._connection.sock in ready:
                return  # the answer
            if not ready:
                self._control({"type": "HEARTBEAT", "heartbeat": _HEARTBEAT})
            if self._woken in ready:
                os.read(self._woken, 64)
                self._give_size()
            if self._source in ready:
                assert self._source is not None
                data = os.read(self._source, _READ_BYTES)
                if not data:
                    # A terminal has no end of its input, but a key that says so.
                    self._give(b"\x04" if self._size is not None else b"")
                    return
                if self._is_detached(data):
                    return

    def _look_on(self) -> None:
        """Pass nothing on, and let go when that is wanted."""
        while self._source is not None and (data := os.read(self._source, _READ_BYTES)):
            self._held += data
            if _DETACH in self._held and self._detach is not None:
                self._detach()
                return
            self._held = self._held[-1:]

    def _is_detached(self, data: bytes) -> bool:
        if self._detach is None:
            self._give(data)
            return False
        data, self._held = self._held + data, b""
        before, found, _ = data.partition(_DETACH)
        if not found and data.endswith(_DETACH[:1]):
            before, self._held = data[:-1], _DETACH[:1]
        if before:
            self._give(before)
        if found:
            self._detach()
        return bool(found)

    def _give_size(self) -> None:
        if self._size is not None:
            self._control({"type": "TTY_INFO", "tty_info": {"window_size": self._size()}})

    def _control(self, control: Record) -> None:
        self._send({"type": "PROCESS_IO", "process_io": {"type": "CONTROL", "control": control}})

    def _give(self, data: bytes) -> None:
        stdin = {"type": "STDIN", "data": b64encode(data).decode()}
        self._send({"type": "PROCESS_IO", "process_io": {"type": "DATA", "data": stdin}})

    def _send(self, attach: Record) -> None:
        record = frame(
            json.dumps({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": attach}).encode()
        )
        self._connection.send(b"%x\r\n%b\r\n" % (len(record), record))
