"""Looking at and signalling processes, as far as the launcher needs it. Processes may vanish at any time."""

from __future__ import annotations

import contextlib
import os
import re


def read(path: str) -> bytes:
    """A file of /proc; empty if the process is gone."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return b""
    try:
        # A file of /proc comes in pages, and may end early with the process.
        text = page = os.read(fd, 65536)
        while page:
            page = os.read(fd, 65536)
            text += page
        return text
    except ProcessLookupError:
        return b""
    finally:
        os.close(fd)


def start_ticks(pid: int | str) -> int:
    """When a process started, in ticks since boot: with its pid the name of a process for good. 0 if gone."""
    stat = read(f"/proc/{pid}/stat")
    return int(stat[stat.rindex(b")") + 2 :].split()[19]) if stat else 0


def everybody() -> list[int]:
    """All processes of the machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def environment_words(pid: int) -> set[bytes]:
    """The words (file names, ids) in the environment a process was started with; none if we may not look."""
    try:
        return set(re.findall(rb"[\w.-]+", read(f"/proc/{pid}/environ")))
    except PermissionError:
        return set()


def children(pid: int) -> list[int]:
    """The children of a process, of all its threads, dead ones not yet waited for too."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for thread in threads for child in read(f"/proc/{pid}/task/{thread}/children").split()]


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, parents first; may miss some that move while it looks."""
    found = [pid]
    for parent in found:  # grows while we walk
        found.extend(children(parent))
    return found[1:]


def group_of(pid: int) -> int:
    """The process group of a process, 0 if it is gone."""
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


def session_of(pid: int) -> int:
    """The session of a process, 0 if it is gone."""
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)
    return 0


def kill(pid: int, signum: int) -> bool:
    """Send a signal to a process (a group if negative), which may be gone. False: not permitted."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    return True


def set_oom_score(score: int) -> None:
    """How ready the kernel is to kill this process when memory runs out (-1000 to 1000). Raises OSError."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(score))
