"""What goes in and out of containers that do not just write files: sessions, and tasks with a terminal.

    container ──terminal or pipes──▶ Switch ──▶ Observer, Observer, …
              ◀───────input────────┘      └───▶ log (a task's stdout)

A **switch** reads only as fast as its observers do: one that has not taken what waits for it stops the container's
output, so that nothing grows here. An observer that only looks on may do so for a while (`STALL_S`) and is then cut off;
the **owner** of a session may do so as long as it likes.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import termios
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

import msgspec

from koinon.agent.containerizer.base import Containerizer, LaunchFailed, LaunchSpec
from koinon.mesos.v1.agent import ProcessIO

Kind = ProcessIO.Data.Type

STALL_S = 10.0
#: Read at once.
_READ_BYTES = 1 << 16
#: What may wait for one observer.
_BACKLOG_BYTES = 1 << 18


class Chunk(NamedTuple):
    """Some output."""

    kind: Kind
    data: bytes


class Ends(NamedTuple):
    """File descriptors that are ours: a terminal as both `stdin` and `stdout`, or three pipes."""

    stdin: int
    stdout: int
    stderr: int | None = None
    log: int | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether there is one for all."""
        return self.stdin == self.stdout


class Observer:
    """Somebody who gets the output from now on."""

    def __init__(self, changed: Callable[[], None], *, owner: bool) -> None:
        self._changed = changed
        self._owner = owner
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0
        self._taker: asyncio.Future[None] | None = None
        self._slow_since_s: float | None = None
        self._ended = False
        #: It was too slow, and has lost the rest.
        self.cut_off = False

    async def take(self) -> list[Chunk]:
        """What has come, once there is something; empty at the end."""
        while not self._chunks and not self._ended:
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        taken = list(self._chunks)
        self._chunks.clear()
        self._bytes = 0
        if self._slow_since_s is not None:
            self._slow_since_s = None
            self._changed()
        return taken

    def put(self, chunk: Chunk) -> None:
        """More output."""
        if not self._ended:
            self._chunks.append(chunk)
            self._bytes += len(chunk.data)
            self._wake()

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._wake()

    def is_slow(self, now: float) -> bool:
        """Whether the container must wait for it; one that has made it wait too long is cut off."""
        if self._ended or self._bytes < _BACKLOG_BYTES:
            return False
        if self._slow_since_s is None:
            self._slow_since_s = now
        if self._owner or now < self._slow_since_s + STALL_S:
            return True
        self.cut_off = True
        self._chunks.clear()
        self.end()
        return False

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)


class Switch:
    """The streams of one container. They close when it has ended (`conclude`) and everybody has the rest."""

    def __init__(self, ends: Ends, disk: Executor) -> None:
        self.is_terminal = ends.is_terminal
        #: Somebody gives it input.
        self.has_input = False
        self._ends = ends
        self._disk = disk
        self._loop = asyncio.get_running_loop()
        self._observers: list[Observer] = []
        self._changed = asyncio.Event()
        self._concluded = asyncio.Event()
        #: What waits for a file descriptor.
        self._waits: set[asyncio.Future[None]] = set()
        self._stdin_open = True
        self._closed = False
        for fd in {ends.stdin, ends.stdout, ends.stderr} - {None}:
            assert fd is not None
            os.set_blocking(fd, False)
        self.closed = self._loop.create_task(self._run())

    def conclude(self) -> None:
        """The container has ended: what it wrote is all that comes."""
        self._concluded.set()
        self._wake_all()

    # ── output ────────────────────────────────────────────────────────────────────────────────────
    def observe(self, *, owner: bool = False) -> Observer:
        """Somebody new."""
        observer = Observer(self._changed.set, owner=owner)
        if self._closed:
            observer.end()
        else:
            self._observers.append(observer)
            self._changed.set()
        return observer

    def leave(self, observer: Observer) -> None:
        """Somebody has gone."""
        if observer in self._observers:
            self._observers.remove(observer)
            self._changed.set()

    async def _run(self) -> None:
        pumps = [self._pump(self._ends.stdout, Kind.STDOUT)]
        if self._ends.stderr is not None:
            pumps.append(self._pump(self._ends.stderr, Kind.STDERR))
        try:
            await asyncio.gather(*pumps)
            await self._concluded.wait()
        finally:
            self._close()

    async def _pump(self, fd: int, kind: Kind) -> None:
        while True:
            await self._readiness()
            if not (data := await self._read(fd)):
                return
            for observer in self._observers:
                observer.put(Chunk(kind, data))
            if (log := self._ends.log) is not None:
                await self._loop.run_in_executor(self._disk, _write_whole, log, data)

    async def _readiness(self) -> None:
        """Wait until somebody wants output, and nobody has too much of it."""
        while True:
            self._changed.clear()
            now = self._loop.time()
            slow = [observer for observer in self._observers if observer.is_slow(now)]
            wanted = self._observers or self._ends.log is not None or self._concluded.is_set()
            if wanted and not slow:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALL_S if slow else None):
                    await self._changed.wait()

    async def _read(self, fd: int) -> bytes:
        """Some output, empty at the end."""
        while True:
            gathered = b""
            try:
                while len(gathered) < _READ_BYTES and (data := os.read(fd, _READ_BYTES)):
                    gathered += data  # a terminal gives little at once
            except BlockingIOError:
                if not gathered and not self._concluded.is_set():
                    await self._wait_for(self._loop.add_reader, self._loop.remove_reader, fd)
                    continue
            except OSError:  # nobody has the other end of the terminal any more
                pass
            return gathered

    # ── input ─────────────────────────────────────────────────────────────────────────────────────
    async def write(self, data: bytes) -> None:
        """Give input, as fast as the container takes it. What nobody reads any more is dropped."""
        rest = memoryview(data)
        while rest and self._stdin_open:
            try:
                rest = rest[os.write(self._ends.stdin, rest) :]
            except BlockingIOError:
                await self._wait_for(self._loop.add_writer, self._loop.remove_writer, self._ends.stdin)
            except OSError:
                self.end_input()
                return

    def end_input(self) -> None:
        """The end of stdin. A terminal has none: there it is a key."""
        if self._stdin_open and not self.is_terminal:
            self._stdin_open = False
            os.close(self._ends.stdin)

    def resize(self, rows: int, columns: int) -> None:
        """The terminal has another size now, of which the kernel tells its programs (SIGWINCH)."""
        if self.is_terminal and not self._closed:
            with contextlib.suppress(OSError):
                set_size(self._ends.stdin, rows, columns)

    # ── helpers ───────────────────────────────────────────────────────────────────────────────────
    async def _wait_for(
        self, add: Callable[[int, Callable[[], None]], None], remove: Callable[[int], bool], fd: int
    ) -> None:
        ready = self._loop.create_future()
        self._waits.add(ready)
        add(fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            remove(fd)
            self._waits.discard(ready)

    def _wake_all(self) -> None:
        self._changed.set()
        for ready in self._waits:
            if not ready.done():
                ready.set_result(None)

    def _close(self) -> None:
        self._closed = True
        open_fds = {self._ends.stdout, self._ends.stderr, self._ends.log}
        if self._stdin_open:
            open_fds.add(self._ends.stdin)
        self._stdin_open = False
        self._wake_all()
        for fd in open_fds - {None}:
            assert fd is not None
            # The loop may still look at it until this turn is over.
            self._loop.call_soon(os.close, fd)
        for observer in self._observers:
            observer.end()


class Offer(NamedTuple):
    """The streams of a container that is about to be launched: our ends, and the paths of those for it."""

    ends: Ends
    theirs: tuple[int, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the launcher, which is another process of our user, opens its ends."""
        return tuple(f"/proc/{os.getpid()}/fd/{fd}" for fd in self.theirs)

    def close_theirs(self) -> None:
        """The container has opened them, or will not."""
        for fd in self.theirs:
            os.close(fd)

    def close_ours(self) -> None:
        """There will be no container."""
        for fd in {self.ends.stdin, self.ends.stdout, self.ends.stderr} - {None}:
            assert fd is not None
            os.close(fd)


def offer(window: tuple[int, int] | None) -> Offer:
    """A terminal of that size (rows, columns), or three pipes. Raises OSError."""
    if window is not None:
        ours, theirs = os.openpty()
        set_size(ours, *window)
        return Offer(Ends(ours, ours), (theirs,))
    opened: list[tuple[int, int]] = []
    try:
        for _ in range(3):
            opened.append(os.pipe())
    except OSError:
        for fd in (fd for pair in opened for fd in pair):
            os.close(fd)
        raise
    (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = opened
    return Offer(Ends(to_stdin, from_stdout, from_stderr), (stdin, stdout, stderr))


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set the size of a terminal. Raises OSError."""
    size = array.array("H", (min(rows, 0xFFFF), min(columns, 0xFFFF), 0, 0))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def _write_whole(log: int, data: bytes) -> None:
    rest = memoryview(data)
    with contextlib.suppress(OSError):  # a full disk must not stop the task, only its log
        while rest:
            rest = rest[os.write(log, rest) :]


class Switchboard:
    """The switches of all containers that have one, by the names that the launcher has for containers."""

    def __init__(self, disk: Executor) -> None:
        self._disk = disk
        self._switches: dict[str, Switch] = {}
        self.containerizer: Containerizer  #: set once, before anything is done

    def get(self, key: str) -> Switch | None:
        """The switch of a container."""
        return self._switches.get(key)

    async def launch_session(self, spec: LaunchSpec, window: tuple[int, int] | None) -> int:
        """Launch a container whose streams come here and nowhere else; returns its pid. Raises LaunchFailed."""
        try:
            offered = offer(window)
        except OSError as error:
            raise LaunchFailed("output", f"cannot make its streams: {error.strerror}") from error
        if window is not None:
            spec = msgspec.structs.replace(spec, terminal=offered.paths[0])
        else:
            stdin, stdout, stderr = offered.paths
            spec = msgspec.structs.replace(spec, pipes=(stdin, stdout, stderr))
        try:
            pid = await self.containerizer.launch(spec)
        except BaseException:
            offered.close_ours()
            raise
        finally:
            offered.close_theirs()
        self._add(spec.container_id, offered.ends)
        return pid

    async def take_terminal(self, key: str) -> None:
        """Look after the terminal of a container that has one of its own. Raises LauncherError."""
        match await self.containerizer.terminal(key):
            case (terminal,):  # what was to be its log is no file of its owner's any more
                self._add(key, Ends(terminal, terminal))
            case (terminal, log):
                self._add(key, Ends(terminal, terminal, log=log))

    def conclude(self, key: str) -> None:
        """The container has ended."""
        if (switch := self._switches.get(key)) is not None:
            switch.conclude()

    async def close(self) -> None:
        """Let go of everything."""
        for switch in list(self._switches.values()):
            switch.closed.cancel()
        await asyncio.gather(*(switch.closed for switch in self._switches.values()), return_exceptions=True)

    def _add(self, key: str, ends: Ends) -> None:
        switch = self._switches[key] = Switch(ends, self._disk)
        switch.closed.add_done_callback(lambda _: self._switches.pop(key, None))
