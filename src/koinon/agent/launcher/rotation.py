"""Logs that never grow beyond their bound, however fast a task writes.

The task writes into a pipe, and we into the file. When the file would become larger than it may, it is renamed
(`stdout` to `stdout.1`, the next time to `stdout.2` and so on), and the oldest of those beyond the number to be kept is
removed. Numbers only grow, so whoever reads knows how far it is. A task that is faster than we are waits.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from koinon.agent.launcher.complaints import complain

_FILE = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_READ_BYTES = 1 << 16
_NEWLINE = 10
#: How much of one log is written before something else gets its turn.
_TURN_BYTES = 1 << 18
#: What is in the pipe of a container that has ended is less, unless somebody outside got hold of it.
_LAST_BYTES = 1 << 20


class Log:
    """One stream of a container, in the directory `folder`, which is open and belongs to the task's user."""

    def __init__(self, folder: int, name: str, bytes_max: int, kept: int) -> None:
        self.fd, self.end = os.pipe2(os.O_CLOEXEC)  #: ours, and the container's
        os.set_blocking(self.fd, False)
        self._folder = folder
        self.name = name
        self._bytes_max = bytes_max
        self._kept = kept
        self._file = -1
        self._size = 0
        self._number = 0  #: of the file renamed last
        self._line_ended = True
        self._complained = False

    def drain(self, bytes_max: int = _TURN_BYTES) -> bool:
        """Write what is there; False when nothing will come any more."""
        while bytes_max > 0:
            try:
                data = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            bytes_max -= len(data)
            self.append(data)
        return True

    def append(self, data: bytes) -> None:
        """Write what did not come through the pipe."""
        try:
            self._write(data)
        except OSError as error:  # a full disk must not stop the task; it cannot be told as with a file
            if not self._complained:
                self._complained = True
                complain(f"{self.name} of a container is lost from here on: {error}")

    def close(self) -> None:
        """Nothing will come any more."""
        for fd in (self.fd, self._file):
            if fd >= 0:
                os.close(fd)
        self.fd = self._file = -1

    def _write(self, data: bytes) -> None:
        if self._file < 0:
            self._open()
        while data:
            room = max(self._bytes_max - self._size, 0)
            if len(data) > room:  # files begin with a line where they can
                lines = data.rfind(b"\n", 0, room) + 1
                room = lines or (0 if self._size and self._line_ended else room)
            written = os.write(self._file, data[:room]) if room else 0
            self._size += written
            if written:
                self._line_ended = data[written - 1] == _NEWLINE
            if written < len(data):
                self._rotate()
            data = data[written:]

    def _open(self) -> None:
        with _as_owner(self._folder):
            file = os.open(self.name, _FILE, 0o644, dir_fd=self._folder)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            os.close(file)
            raise OSError(f"{self.name} is no regular file any more")
        self._file, self._size = file, found.st_size

    def _rotate(self) -> None:
        self._number += 1
        with _as_owner(self._folder), contextlib.suppress(FileNotFoundError):  # the task has removed it
            os.rename(
                self.name, f"{self.name}.{self._number}", src_dir_fd=self._folder, dst_dir_fd=self._folder
            )
            if self._number > self._kept:
                os.unlink(f"{self.name}.{self._number - self._kept}", dir_fd=self._folder)
        os.close(self._file)
        self._file = -1
        self._open()


@contextlib.contextmanager
def _as_owner(folder: int) -> Iterator[None]:
    """With the rights of the task's user: links that it plants lead nowhere it could not go itself."""
    owner = os.fstat(folder)
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(os.getgid())


class Logs:
    """The logs of one container."""

    def __init__(self, cwd: str, rotate: list[int]) -> None:
        *sizes, kept = rotate
        self._folder = os.open(cwd, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._logs: list[Log] = []
        #: The container's stdin, stdout and stderr; None where it has the file itself.
        self.ends: list[int | None] = [None]
        try:
            for name, bytes_max in zip(("stdout", "stderr"), sizes, strict=True):
                log = Log(self._folder, name, bytes_max, kept) if bytes_max else None
                self._logs += [log] if log else []
                self.ends.append(log.end if log else None)
        except OSError:
            self.close()
            self.close_ends()
            raise

    def close_ends(self) -> None:
        """The container has its ends."""
        for log in self._logs:
            if log.end >= 0:
                os.close(log.end)
                log.end = -1

    def another_end(self) -> int | None:
        """A file descriptor to write into stderr with; None if that is closed, or the container has the file itself."""
        for log in self._logs:
            if log.name == "stderr" and log.fd >= 0:
                return os.open(f"/proc/self/fd/{log.fd}", os.O_WRONLY | os.O_CLOEXEC)
        return None

    def watch(self, watch: Callable[[int, Callable[[], None]], None], leave: Callable[[int], None]) -> None:
        """Have everything written as it comes; the functions are the loop's."""
        self._leave = leave
        for log in self._logs:
            watch(log.fd, functools.partial(self._drain, log))

    def finish(self) -> None:
        """All processes are gone: write what is left."""
        for log in self._logs:
            if log.fd >= 0:
                log.drain(_LAST_BYTES)
                self._leave(log.fd)
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        for log in self._logs:
            log.close()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _drain(self, log: Log) -> None:
        if not log.drain():
            self._leave(log.fd)
            log.close()
            if all(one.fd < 0 for one in self._logs):
                self.close()


class TerminalLog(Logs):
    """What a terminal of ours shows: `stdout`. It comes through a pipe, while there is an agent, or from ourselves.

    Whoever has the other end of the pipe may write when the container has ended, too: we read up to the end of that.
    """

    def __init__(self, cwd: str, rotate: list[int]) -> None:
        bytes_max, _, kept = rotate
        super().__init__(cwd, [bytes_max, 0, kept])

    @property
    def end(self) -> int:
        """The end of the pipe to write into."""
        return self._logs[0].end

    def append(self, data: bytes) -> None:
        """Write something, behind what is in the pipe."""
        if self._logs[0].fd >= 0:
            self._logs[0].drain(_LAST_BYTES)
            self._logs[0].append(data)


def open_logs(spec: dict[str, Any]) -> Logs | None:
    """Those that a launch asks for, if any. Raises OSError."""
    return Logs(spec["cwd"], spec["rotate"]) if spec.get("rotate") else None


def open_terminal_log(spec: dict[str, Any]) -> TerminalLog | None:
    """The log of a terminal, if it is to have a bound. Raises OSError."""
    rotate = spec.get("rotate")
    return TerminalLog(spec["cwd"], rotate) if rotate and rotate[0] else None
