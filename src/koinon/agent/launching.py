"""The agent's end of the launcher: start it, talk to it, never lose what it says.

The **launcher** (`koinon.agent.launcher`) is a process of its own that runs the containers of one agent and
outlives it. `LauncherClient` connects to the one that serves a directory, or starts it. Requests of one
turn of the event loop leave in one write. Connections may break and launchers may die at any time:

- A request not yet answered is sent again over the next connection; the launcher takes each as said once.
- An **exit** is told at every connection until it is forgotten; the client passes each on once.
- After the death of a launcher the next one ends what it left running (the **orphans**, known by pid and
  start time) and tells their exits with `status` None and a `message` that says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import msgspec
from msgspec import Struct

__all__ = ["Container", "Exit", "LaunchFailed", "LaunchSpec", "LauncherClient", "LauncherError"]

#: What both ends must speak; the launcher tells its own in its first line.
PROTOCOL = 3
_LAUNCHER = Path(__file__).parent / "launcher" / "__main__.py"
_START_TIMEOUT_S = 30.0
_RETRY_S = 1.0
_ATTEMPTS = 3


class LauncherError(Exception):
    """There is no launcher and none can be started; the text says why."""


class LaunchFailed(Exception):
    """A container was not started; nothing of it runs.

    `step` tells what could not be done: "user", "directory" (the working directory), "output" (stdout or
    stderr), "limits", "journal" (the launcher's own disk), "program" (missing, not executable, no permission)
    or "launcher" (no process can be made, or the launcher is away).
    """

    def __init__(self, step: str, sentence: str) -> None:
        super().__init__(sentence)
        self.step = step


class LaunchSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to run. The environment is exactly `env`; stdin is empty; no other file is open.

    Instead of the files a container may have `pipes` or a `terminal` of the agent, or a terminal of its own (`window`),
    which `LauncherClient.terminal` gives; its `stdout` is then the log of that terminal, which whoever has that writes.
    """

    #: Unique for all times; launching a container that exists already gives its pid.
    container_id: str
    #: The arguments, the name of the program first.
    argv: list[str]
    #: The program when it is not `argv[0]`. Without a slash it is looked for in the PATH of `env`.
    program: str = ""
    env: dict[str, str]
    #: Absolute paths. The two files are made if missing, by the task's user, and appended to.
    cwd: str
    stdout: str = ""
    stderr: str = ""
    #: Paths of stdin, stdout and stderr, to be opened as the agent's user.
    pipes: tuple[str, str, str] | None = None
    #: Path of a terminal, likewise.
    terminal: str = ""
    #: Rows and columns.
    window: tuple[int, int] | None = None
    #: Destroyed when the client that asked for it is gone, instead of running on.
    tied: bool = False
    #: Otherwise destroyed when there has been no client for so long; None: it runs on for ever.
    patience_s: float | None = None
    #: How many bytes stdout and stderr may have (0: any number) before they are renamed, and how many such files of
    #: each are kept. They are in `cwd`. None: they are bound by nothing.
    rotate: tuple[int, int, int] | None = None
    #: Container whose stderr it writes into, within the bounds of that, if that has any.
    beside: str = ""
    #: Empty: the user of the agent. Another user needs root.
    user: str = ""
    #: By the names of v1 `RLimitInfo` (`RLMT_NOFILE`): soft and hard limit, None for unlimited.
    rlimits: dict[str, tuple[int | None, int | None]] = {}


class Exit(Struct, frozen=True, kw_only=True):
    """The end of a container: its main process has ended and nothing else of its tree is left."""

    container_id: str
    #: The main process's wait status (for `os.WIFEXITED` and friends); None when nobody saw it end.
    status: int | None
    ended_s: float
    #: Why there is no status, or that processes of other users could not be ended.
    message: str = ""


class Container(Struct, frozen=True, kw_only=True):
    """A container that the launcher knows: running, or ended (`exit`) and not yet forgotten."""

    container_id: str
    pid: int
    launched_s: float
    exit: Exit | None = None
    #: Whether it has a terminal that `LauncherClient.terminal` gives.
    terminal: bool = False


class _Line(Struct, frozen=True, kw_only=True):
    """A line from the launcher: its greeting (`protocol`), an exit, or the answer to request `id`."""

    protocol: int = 0
    id: int = 0
    pid: int = 0
    step: str = ""
    error: str = ""
    found: bool = False
    containers: list[Container] = []
    exit: Exit | None = None


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


class LauncherClient:
    """Runs containers through the launcher of `directory` (made if missing, for the agent alone).

    `on_exit` is called once for each container that ended, in a turn of its own. `on_trouble` gets a
    sentence whenever the launcher was lost or cannot be started; the client goes on trying.
    """

    def __init__(
        self, directory: Path, *, on_exit: Callable[[Exit], None], on_trouble: Callable[[str], None]
    ) -> None:
        self._directory = directory
        self._on_exit = on_exit
        self._on_trouble = on_trouble
        #: The launcher's process; 0 before the first connection.
        self.pid = 0
        self._connection: _Connection | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._closing = False
        self._ids = 0
        #: Requests without an answer, in order: resent over a new connection.
        self._pending: dict[int, tuple[bytes, asyncio.Future[_Line]]] = {}
        self._unsent: list[int] = []
        #: Those of the pending ones that a launcher may have heard.
        self._said: set[int] = set()
        #: Exits passed on and not yet forgotten.
        self._told: set[str] = set()

    async def start(self) -> None:
        """Connect to the launcher, or start one. Exits not yet forgotten follow. Raises LauncherError."""
        await self._connect()

    async def launch(self, spec: LaunchSpec) -> int:
        """Start a container and return the pid of its main process, or raise LaunchFailed."""
        answer = await self._ask("launch", spec=spec)
        if answer.error:
            raise LaunchFailed(answer.step, answer.error)
        return answer.pid

    async def signal(self, container_id: str, signum: int) -> bool:
        """Send a signal to every process of a container. False if it has ended already or is unknown.

        Raises LauncherError if the main process has become another user's and may not be signalled.
        """
        return (await self._ask("signal", container_id=container_id, signum=signum)).found

    async def destroy(self, container_id: str) -> bool:
        """Have every process of a container killed. The end follows as its exit; False as for `signal`."""
        return (await self._ask("destroy", container_id=container_id)).found

    def forget(self, container_id: str) -> None:
        """Say that the exit of a container is stored safely: it will not be told again."""
        self._send("forget", container_id=container_id).add_done_callback(
            lambda _: self._told.discard(container_id)
        )

    async def list(self) -> list[Container]:
        """All containers the launcher knows, the ended and not yet forgotten ones too."""
        return (await self._ask("list")).containers

    async def terminal(self, container_id: str) -> tuple[int, ...]:
        """The other end of a container's terminal, and what to write its log into, if that can be.

        Empty if the container has ended and was forgotten. Raises LauncherError.
        """
        return await asyncio.to_thread(self._fetch_terminal, container_id)

    def _fetch_terminal(self, container_id: str) -> tuple[int, ...]:
        try:
            if (dialled := self._dial("terminals")) is None:
                return ()
            with dialled:
                dialled.settimeout(_START_TIMEOUT_S)
                dialled.sendall(container_id.encode())
                _, fds, _, _ = socket.recv_fds(dialled, 1, 2)
        except OSError as error:
            raise LauncherError(f"cannot get the terminal of {container_id}: {error}") from error
        return tuple(fds)

    async def stop(self) -> None:
        """Kill all containers and end the launcher. Exits are told first; untold ones stay in its journal.

        Raises LauncherError if there is no launcher, and none can be started to look for orphans.
        """
        await self._give_up_reconnecting()
        if self._connection is None:
            await self._connect()
        assert self._connection is not None
        lost = self._connection.lost
        self._send("stop")
        await lost
        await self.close()

    async def close(self) -> None:
        """Leave the launcher and its containers alone. Requests under way are cancelled."""
        await self._give_up_reconnecting()
        if self._connection is not None:
            self._flush()
            self._connection.transport.close()
            await self._connection.lost
        for _, answer in self._pending.values():
            answer.cancel()
        self._pending.clear()

    async def _give_up_reconnecting(self) -> None:
        self._closing = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reconnecting
            self._reconnecting = None

    # ── requests and answers ──────────────────────────────────────────────────────────────────────
    async def _ask(self, do: str, **fields: object) -> _Line:
        answer = await self._send(do, **fields)
        if answer.error and do != "launch":
            raise LauncherError(answer.error)
        return answer

    def _send(self, do: str, **fields: object) -> asyncio.Future[_Line]:
        loop = asyncio.get_running_loop()
        self._ids += 1
        line = _encode({"id": self._ids, "do": do, **fields}) + b"\n"
        answer: asyncio.Future[_Line] = loop.create_future()
        self._pending[self._ids] = (line, answer)
        if self._connection is not None:
            if not self._unsent:
                loop.call_soon(self._flush)
            self._unsent.append(self._ids)
        return answer

    def _flush(self) -> None:
        if self._connection is not None:
            self._say(self._unsent)
        self._unsent.clear()

    def _say(self, numbers: Iterable[int]) -> None:
        assert self._connection is not None
        self._connection.transport.write(b"".join(self._pending[number][0] for number in numbers))
        self._said.update(numbers)

    def _heard(self, line: _Line) -> None:
        if line.exit is not None:
            if line.exit.container_id not in self._told:
                self._told.add(line.exit.container_id)
                asyncio.get_running_loop().call_soon(self._on_exit, line.exit)
        elif waiting := self._pending.pop(line.id, None):
            self._said.discard(line.id)
            if not waiting[1].done():
                waiting[1].set_result(line)

    # ── connections ───────────────────────────────────────────────────────────────────────────────
    async def _connect(self) -> None:
        """One connection, to a new launcher if there is none. Raises LauncherError."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            greeted = await self._greet(self._dial())
            for _ in range(_ATTEMPTS):
                if greeted:
                    break
                # Nobody answered, or a process that a dying launcher had only just forked.
                await asyncio.to_thread(self._start_launcher)
                greeted = await self._greet(self._dial())
            if not greeted:
                raise LauncherError(f"the launcher in {self._directory} ends at once; see the file log there")
        except OSError as error:
            raise LauncherError(f"cannot reach a launcher in {self._directory}: {error.strerror}") from error
        connection, greeting = greeted
        if greeting.protocol != PROTOCOL:
            connection.transport.abort()
            raise LauncherError(
                f"the launcher in {self._directory}, pid {greeting.pid}, is of another version (protocol"
                f" {greeting.protocol}, not {PROTOCOL}); end its tasks with that version's agent first"
            )
        if self.pid not in (0, greeting.pid):
            self._on_trouble(
                f"the launcher, pid {self.pid}, died; pid {greeting.pid} took over and ends what it left running"
            )
        self.pid = greeting.pid
        self._unsent.clear()
        self._connection = connection
        self._say(self._pending)

    async def _greet(self, dialled: socket.socket | None) -> tuple[_Connection, _Line] | None:
        """A connection over the socket and what it is greeted with; None if the other end hangs up."""
        if dialled is None:
            return None
        _, connection = await asyncio.get_running_loop().create_unix_connection(
            lambda: _Connection(self._heard, self._connection_lost), sock=dialled
        )
        try:
            return connection, await asyncio.wait_for(connection.greeted, _START_TIMEOUT_S)
        except ConnectionError:
            return None
        except TimeoutError as error:
            raise LauncherError(f"the launcher in {self._directory} does not answer") from error
        finally:
            if not connection.greeted.done() or connection.greeted.cancelled():
                connection.transport.abort()

    def _dial(self, name: str = "socket") -> socket.socket | None:
        """A socket connected to the launcher, None if none listens."""
        # The path of a Unix socket has at most 107 bytes; through the open directory any path is short.
        folder = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            dialled.connect(f"/proc/self/fd/{folder}/{name}")
        except (FileNotFoundError, ConnectionRefusedError):
            dialled.close()
            return None
        except OSError:
            dialled.close()
            raise
        finally:
            os.close(folder)
        dialled.setblocking(False)
        return dialled

    def _start_launcher(self) -> None:
        """Start a launcher; it serves when this returns (its first process has then ended), unless killed. Blocks."""
        try:
            started = subprocess.run(
                [sys.executable, "-I", "-S", "-X", "utf8", str(_LAUNCHER), str(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={},  # ours may name the password of ZooKeeper, and the launcher outlives us
                start_new_session=True,
                timeout=_START_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LauncherError(f"cannot start a launcher in {self._directory}: {error}") from error
        if started.returncode > 0:
            said = started.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise LauncherError(f"cannot start a launcher in {self._directory}: {said}")

    def _connection_lost(self, connection: _Connection) -> None:
        if connection is not self._connection:
            return  # one that never got as far as being used
        self._connection = None
        if not self._closing:
            self._on_trouble(f"lost the connection to the launcher, pid {self.pid}; connecting again")
            self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        while True:
            try:
                await self._connect()
            except LauncherError as error:
                self._on_trouble(str(error))
                self._fail_launches(str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _fail_launches(self, why: str) -> None:
        """Without a launcher no launch succeeds. What one has heard of before it died, the next one knows."""
        for number, (line, answer) in list(self._pending.items()):
            if number not in self._said and msgspec.json.decode(line)["do"] == "launch":
                del self._pending[number]
                if not answer.done():
                    answer.set_result(_Line(step="launcher", error=why))


class _Connection(asyncio.Protocol):
    """Bytes to lines, and the two moments that matter: greeted and lost."""

    def __init__(self, heard: Callable[[_Line], None], on_lost: Callable[[_Connection], None]) -> None:
        self._heard = heard
        self._on_lost = on_lost
        self._partial = b""
        self.transport: asyncio.Transport
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[_Line] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for text in lines:
            line = _decode(text)
            if line.protocol:
                if not self.greeted.done():
                    self.greeted.set_result(line)
            else:
                self._heard(line)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError("the launcher hung up"))
            self.greeted.exception()  # seen: nobody may be waiting any more
        self.lost.set_result(None)
        self._on_lost(self)
