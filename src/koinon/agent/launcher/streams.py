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

from koinon.agent.launcher.rotation import Logs, TerminalLog, open_logs, open_terminal_log

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
        #: The log of that terminal, if it has a bound.
        self.terminal_log: TerminalLog | None = None
        try:
            if window := spec.get("window"):
                self.terminal_log = open_terminal_log(spec)
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
        for logs in (self.logs, self.terminal_log):
            if logs:
                logs.close_ends()
                logs.close()
        if self.kept >= 0:
            os.close(self.kept)


def open_streams(spec: dict[str, Any], beside: Logs | None) -> Streams | None:
    """The streams that a launch asks for, if any; `beside` are the logs that it shares. Raises OSError."""
    asked = beside or any(spec.get(name) for name in ("window", "terminal", "pipes", "rotate"))
    return Streams(spec, beside) if asked else None


class Terminal:
    """Our end of a container's terminal, and the log that its output goes to: one with a bound, or a file."""

    def __init__(self, fd: int, log_path: str, log: TerminalLog | None) -> None:
        self.fd = fd
        #: An agent has a copy, and reads.
        self.is_read = False
        self.log = log
        self._log_path = log_path
        self._file = -1

    def open_log(self, pid: int) -> None:
        """The main process runs, and has made the file."""
        if not self.log:
            self._file = _open_log(self._log_path, pid)

    def hand_over(self, connection: socket.socket) -> None:
        """Send copies of both to the agent."""
        fds = [fd for fd in (self.fd, self.log.end if self.log else self._file) if fd >= 0]
        with contextlib.suppress(BlockingIOError, ConnectionError):
            socket.send_fds(connection, [b"+"], fds)
            self.is_read = True

    def drain(self) -> bool:
        """Log what is there; False when nothing will come any more."""
        while True:
            try:
                data = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                return True
            except OSError:  # nobody has the other end
                return False
            if self.log:
                self.log.append(data)
                continue
            with contextlib.suppress(OSError):  # a full disk must not stop the task
                os.write(self._file, data)

    def close(self) -> None:
        """Hang up. What an agent still writes is logged."""
        os.close(self.fd)
        if self._file >= 0:
            os.close(self._file)
        if self.log:
            self.log.close_ends()


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
