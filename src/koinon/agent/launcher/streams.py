"""Streams that are no files: pipes that the agent made, or a pseudo-terminal.

A container whose life is tied to the agent's (a session) has three pipes or a terminal of the agent's making, which
are opened by their paths. One that outlives the agent has a terminal of our making. We keep its other end, so that it
does not hang up; the agent gets a copy, and while there is no agent what is written goes into the log from here.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import stat
import termios
from typing import Any

from koinon.agent.launcher.rotation import Logs, open_logs

_COMMON = os.O_NOCTTY | os.O_NONBLOCK
_LOG = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | _COMMON
_READ_BYTES = 1 << 16


class Streams:
    """The ends that a container gets as stdin, stdout and stderr. Raises OSError."""

    def __init__(self, spec: dict[str, Any], beside: Logs | None) -> None:
        #: The other end of a terminal that we made.
        self.kept = -1
        self._opened: list[int] = []
        self.is_terminal = True
        #: Those that we write into files, if any.
        self.logs: Logs | None = None
        try:
            if window := spec.get("window"):
                self.kept, end = os.openpty()
                self._opened.append(end)
                os.set_blocking(self.kept, False)
                fcntl.ioctl(end, termios.TIOCSWINSZ, array.array("H", (*window, 0, 0)))
            elif path := spec.get("terminal"):
                self._open(path, os.O_RDWR)
            elif beside:
                self.is_terminal = False
                if (shared := beside.another_end()) is not None:
                    self._opened.append(shared)
            elif not spec.get("pipes"):
                self.is_terminal = False
                self.logs = open_logs(spec)
            else:
                self.is_terminal = False
                for path, flags in zip(spec["pipes"], (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True):
                    self._open(path, flags)
        except OSError:
            self.give_up()
            raise
        self.ends: list[int | None] = [*self._opened * (3 if self.is_terminal else 1)]
        if self.logs:
            self.ends = self.logs.ends
        elif beside:
            self.ends = [None, *self.ends * 2]

    def _open(self, path: str, flags: int) -> None:
        fd = os.open(path, flags | _COMMON)
        self._opened.append(fd)
        os.set_blocking(fd, True)

    def close(self) -> None:
        """The container has its ends."""
        while self._opened:
            os.close(self._opened.pop())
        if self.logs:
            self.logs.close_ends()

    def give_up(self) -> None:
        """There will be no container."""
        self.close()
        if self.logs:
            self.logs.close()
        if self.kept >= 0:
            os.close(self.kept)


def open_streams(spec: dict[str, Any], beside: Logs | None) -> Streams | None:
    """The streams that a launch asks for, if any; `beside` are the logs that it shares. Raises OSError."""
    asked = beside or any(spec.get(name) for name in ("window", "terminal", "pipes", "rotate"))
    return Streams(spec, beside) if asked else None


class Terminal:
    """Our end of a container's terminal, and the log that its output goes to (-1: to none)."""

    def __init__(self, fd: int, log_path: str) -> None:
        self.fd = fd
        self._log_path = log_path
        self._log = -1

    def open_log(self, pid: int) -> None:
        """The main process runs, and has made the log."""
        self._log = _open_log(self._log_path, pid)

    def hand_over(self, connection: socket.socket) -> None:
        """Send copies of both to the agent."""
        fds = [fd for fd in (self.fd, self._log) if fd >= 0]
        with contextlib.suppress(BlockingIOError, ConnectionError):
            socket.send_fds(connection, [b"+"], fds)

    def drain(self) -> bool:
        """Log what is there; False when nothing will come any more."""
        while True:
            try:
                data = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                return True
            except OSError:  # nobody has the other end
                return False
            with contextlib.suppress(OSError):  # a full disk must not stop the task
                os.write(self._log, data)

    def close(self) -> None:
        """Hang up."""
        os.close(self.fd)
        if self._log >= 0:
            os.close(self._log)


def _open_log(path: str, pid: int) -> int:
    """The file that the main process `pid` has made, unless its owner has put something else there."""
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
        fd = os.open(path, _LOG)
    except OSError:
        return -1
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_uid == owner and found.st_nlink == 1:
        return fd
    os.close(fd)
    return -1
