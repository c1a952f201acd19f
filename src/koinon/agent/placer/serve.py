"""Becoming the task's user, and doing what the agent asks for."""

from __future__ import annotations

import codecs
import json
import os
import resource
import select
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, NoReturn

from koinon.agent.placer.tree import Refused, Room, Tree

_STDERR = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MESSAGE_BYTES = 1 << 16
#: Compressed data may ask for any amount of memory; a task that has not started yet has none.
_MEMORY_BYTES = 1 << 30
_PIECE = 1 << 18
_PROGRESS_S = 10.0


def serve(control: int, configuration: str) -> None:
    """Answer requests until the agent hangs up."""
    given = json.loads(configuration)
    sys.path.extend(given["path"])  # before the import that looks for zstd there
    from koinon.agent.placer.archives import extract

    for name in ("cp437", "iso8859-1"):  # what would be looked up later the task's user may not read
        codecs.lookup(name)
    connection = socket.socket(fileno=control)
    try:
        folder = _become(given)
    except OSError as error:
        _answer(connection, error=f"cannot enter the sandbox as its user: {error.strerror}")
        return
    threading.Thread(target=_end_with_agent, args=(connection.fileno(),), daemon=True).start()
    placer = _Placer(folder, Tree(folder, Room(folder, given["limit_bytes"])), extract)
    _answer(connection, bytes=0)
    while True:
        message, fds, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 1)
        if not message:
            return
        attached = fds[0] if fds else -1
        try:
            _answer(connection, bytes=placer.do(json.loads(message), attached))
        except Refused as refused:
            _answer(connection, error=str(refused))
        except OSError as error:
            _answer(connection, error=error.strerror or str(error))
        finally:
            if attached >= 0:
                os.close(attached)


def _answer(connection: socket.socket, **answer: object) -> None:
    connection.send(json.dumps(answer).encode())


def _become(given: dict[str, Any]) -> int:
    """Give up all rights but those of the task's user; returns the open sandbox. Raises OSError."""
    os.chdir(given["sandbox"])  # first: directories above it may be closed to the user
    if given["uid"] is not None:
        os.setgroups(given["groups"])
        os.setgid(given["gid"])
        os.setuid(given["uid"])
        if os.stat(".").st_uid != given["uid"]:
            raise PermissionError(1, "it belongs to somebody else")
    os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _end_with_agent(connection: int) -> NoReturn:
    hang_up = select.poll()
    hang_up.register(connection, select.POLLHUP | select.POLLERR)
    hang_up.poll()
    os._exit(1)


class _Placer:
    """Carries out requests."""

    def __init__(self, folder: int, tree: Tree, extract: Callable[[Tree, str, IO[bytes]], None]) -> None:
        self._folder = folder
        self._tree = tree
        self._extract = extract
        self._stderr = -1

    def do(self, request: dict[str, Any], attached: int) -> int:
        """Returns the number of bytes written. Raises Refused, OSError."""
        if request["do"] == "say":
            self._say(request["text"])
            return 0
        if request["do"] == "store":
            source = _open(request["source"]) if "source" in request else os.dup(attached)
            try:
                pieces = self._watched(source, request["path"], request["size"])
                return self._tree.write(request["path"], request["mode"], pieces)
            finally:
                os.close(source)
        archive = self._tree.open(request["path"]) if "path" in request else os.dup(attached)
        with open(archive, "rb") as file:
            file.seek(0)
            self._extract(self._tree, request["name"], file)
        return 0

    def _say(self, text: str) -> None:
        if self._stderr < 0:
            fd = os.open("stderr", _STDERR, 0o644, dir_fd=self._folder)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                return
            self._stderr = fd
        os.write(self._stderr, text.encode(errors="backslashreplace") + b"\n")

    def _watched(self, source: int, path: str, size: int | None) -> Iterator[bytes]:
        """What comes from `source`; says now and then how far it is."""
        done, due_s = 0, time.monotonic() + _PROGRESS_S
        while piece := os.read(source, _PIECE):
            yield piece
            done += len(piece)
            if time.monotonic() > due_s:
                due_s = time.monotonic() + _PROGRESS_S
                of = f" of {size / 1e6:.1f}" if size is not None else ""
                self._say(f"  {path}: {done / 1e6:.1f}{of} MB")


def _open(source: str) -> int:
    """A file of this machine, opened with the rights of the task's user. Raises Refused, OSError."""
    fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Refused("it is no regular file")
    return fd
