"""Starting a launcher: lock, socket, journal, and into the background."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time

from koinon.agent.launcher.processes import read, set_oom_score
from koinon.agent.launcher.program import become_subreaper, open_many_files
from koinon.agent.launcher.server import Launcher

#: The lock of a launcher that died is held until the children it had just forked have become their programs,
#: so that the next one reads a journal in which they are all recorded.
_LOCK_WAIT_S = 5.0
#: Where it is permitted the kernel should rather kill a container than the launcher.
_OOM_SCORE = -900


def serve(directory: str) -> None:
    """Prepare in the foreground, so that whoever starts us sees why it fails; then serve in the background."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o177)  # the socket is for the agent's user alone
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    os.chdir("/")
    lock = _lock(folder)
    try:
        launcher = Launcher(folder, _listen(folder, "socket"), _listen(folder, "terminals"), _protect())
    except OSError as error:
        sys.exit(f"{error.filename or directory}: {error.strerror}")
    if os.fork():
        os._exit(0)
    os.setsid()
    log = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600, dir_fd=folder)
    for fd in (1, 2):
        os.dup2(log, fd)
    os.close(log)
    become_subreaper()
    open_many_files()
    launcher.group = os.getpgid(0)
    launcher.run()
    for name in ("socket", "terminals"):
        with contextlib.suppress(FileNotFoundError):  # the whole directory may have been removed
            os.unlink(name, dir_fd=folder)
    os.close(lock)


def _lock(folder: int) -> int:
    fd = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=folder)
    until_s = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > until_s:
                sys.exit("another launcher holds the lock")
            time.sleep(0.05)


def _listen(folder: int, name: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    # Through the open directory, since the path of a Unix socket has at most 107 bytes.
    listener.bind(f"/proc/self/fd/{folder}/{name}")
    listener.listen()
    return listener


def _protect() -> bytes:
    """Be among the last the kernel kills when memory runs out, if permitted; returns what containers get."""
    own = int(read("/proc/self/oom_score_adj"))
    changed = True
    try:
        set_oom_score(min(own, _OOM_SCORE))
    except PermissionError:
        changed = False
    return b"%d" % max(own, 0) if changed or own < 0 else b""
