"""One server: its process, what it knows, and its clients' connections.

client → server     (number, operation, arguments); number 0 is the greeting
server → client     (number, result or exception); number -1 tells that something watched has changed
"""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from kazoo.exceptions import KazooException, SessionExpiredError

from koinon.simulator.http import Frames, framed
from koinon.simulator.keepers.ensemble import Answer, Ensemble
from koinon.simulator.keepers.tree import Change, CloseSession, Create, Multi, OpenSession, Tree
from koinon.simulator.machines import Machine, Node, Process

PORT = 2181

_READS = ("get", "stat", "children")


class ServerNode(Node):
    """A server of ZooKeeper."""

    def __init__(self, machine: Machine, name: str, ensemble: Ensemble) -> None:
        super().__init__(machine, name)
        self.ensemble = ensemble
        self.term = 0  #: the term that it believes in; 0: it is lost
        self.tree = Tree()
        self._applied = 0
        self.connections: list[Connection] = []
        ensemble.servers.append(self)

    @property
    def is_awake(self) -> bool:
        """Does its process run?"""
        return self.process is not None and not self.process.frozen

    def over(self) -> None:
        """See `Node.over`."""
        self.term = 0
        self.connections.clear()

    async def main(self, process: Process) -> int:
        """Serve, until somebody ends it."""
        self.machine.network.listen(process, PORT, lambda: Connection(self))
        await process.loop.create_future()
        return 0

    def send_away(self) -> None:
        """It can serve no more."""
        for connection in list(self.connections):
            connection.close()

    def catch_up(self, index: int, then: tuple[Answer, object] | None = None) -> None:
        """Everything up to `index` is committed."""
        if self.process is not None:
            self.process.loop.deliver(self._catch_up, index, then)

    def _catch_up(self, index: int, then: tuple[Answer, object] | None) -> None:
        while self._applied < index:
            change = self.ensemble.log[self._applied]
            self._applied += 1
            self.tree.apply(change)
            for connection in list(self.connections):
                connection.changed(self.tree)
            if isinstance(change, CloseSession):
                for connection in list(self.connections):
                    if connection.session == change.number:
                        connection.close()
        if then is not None:
            then[0](then[1])


class Connection(asyncio.Protocol):
    """A client's connection, at the server."""

    def __init__(self, server: ServerNode) -> None:
        self.session = 0
        self._server = server
        self._ensemble = server.ensemble
        self._transport: asyncio.Transport
        self._frames = Frames()
        self._requests: deque[tuple[int, str, tuple[Any, ...]]] = deque()
        self._busy = False  #: a change is under way; what came after it waits
        self._watched_values: set[str] = set()
        self._watched_children: set[str] = set()

    def close(self) -> None:
        """Send the client away."""
        self._transport.abort()

    def changed(self, tree: Tree) -> None:
        """Something has changed, perhaps something that is watched."""
        for watched, paths in ((self._watched_values, tree.touched), (self._watched_children, tree.grown)):
            for path in sorted(watched & paths):
                watched.discard(path)
                self._say(-1, path)

    # ── asyncio's side ────────────────────────────────────────────────────────────────────────────
    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.append(self)
        if not self._server.term:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if self in self._server.connections:
            self._server.connections.remove(self)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        for frame in self._frames.feed(data):
            self._requests.append(pickle.loads(frame))
        self._serve()

    # ── requests, one after the other ─────────────────────────────────────────────────────────────
    def _serve(self) -> None:
        while self._requests and not self._busy and not self._transport.is_closing():
            number, operation, arguments = self._requests.popleft()
            if self.session:
                self._ensemble.touch(self._server, self.session)
            if operation in _READS:
                self._read(number, operation, *arguments)
            elif operation == "ping":
                self._say(number, None)
            elif operation == "greet":
                self._greet(number, *arguments)
            else:
                self._change(number, arguments[0])

    def _read(self, number: int, operation: str, path: str, watch: bool) -> None:
        try:
            result: object = getattr(self._server.tree, operation)(path)
        except KazooException as error:
            result = error
        if watch:
            (self._watched_children if operation == "children" else self._watched_values).add(path)
        self._say(number, result)

    def _greet(self, number: int, session: int, timeout_s: float) -> None:
        if session:
            lives = self._ensemble.touch_at_once(self._server, session)
            if lives is None:
                self.close()
            elif lives:
                self.session = session
                self._say(number, (session, self._server.tree.sessions.get(session, timeout_s)))
            else:
                self._say(number, SessionExpiredError())
            return
        new, ensemble = self._ensemble.new_session(), self._ensemble
        granted_s = min(max(timeout_s, 2 * ensemble.tick_s), 20 * ensemble.tick_s)

        def opened(_: object) -> None:
            self.session = new
            self._say(number, (new, granted_s))

        self._propose(OpenSession(new, granted_s), opened)

    def _change(self, number: int, change: Change) -> None:
        if self.session not in self._server.tree.sessions:
            self._say(number, SessionExpiredError())
            return
        self._propose(_owned(change, self.session), lambda result: self._say(number, result))

    def _propose(self, change: Change, answer: Callable[[object], None]) -> None:
        self._busy = True

        def done(result: object) -> None:
            answer(result)
            self._busy = False
            self._serve()

        self._ensemble.propose(self._server, self.session, change, done)

    def _say(self, number: int, result: object) -> None:
        self._transport.write(framed(pickle.dumps((number, result))))


def _owned(change: Change, session: int) -> Change:
    """What is ephemeral belongs to the session."""
    if isinstance(change, Create) and change.owner:
        return change._replace(owner=session)
    if isinstance(change, Multi):
        return Multi(tuple(cast(Any, _owned(one, session)) for one in change.operations))
    return change
