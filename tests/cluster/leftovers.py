"""What tasks have started and what processes have open, from /proc: for tests that nothing is left."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: In the environment of every process of a task, with a value of the test's own.
MARKER = "KOINON_TEST_MARK"


def processes(holds: Callable[[Path], bool]) -> dict[int, str]:
    """Running processes (not those only waiting to be reaped) for which it holds, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX" and holds(entry):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # gone meanwhile
                continue
    return found


def of_tasks(mark: str, work_dir: Path) -> dict[int, str]:
    """Whatever a task has started: known by its environment, or by where it works."""

    def holds(entry: Path) -> bool:
        marked = f"{MARKER}={mark}".encode() in (entry / "environ").read_bytes()
        return marked or os.readlink(entry / "cwd").startswith(f"{work_dir}/")

    return processes(holds)


def naming(path: Path) -> dict[int, str]:
    """Processes that have something below the path in their command line."""
    return processes(lambda entry: f"{path}".encode() in (entry / "cmdline").read_bytes())


def open_files(pid: int) -> Counter[str]:
    """What a process has open: kinds of things, or names of files."""
    found: Counter[str] = Counter()
    with suppress(FileNotFoundError):  # the process may have ended
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):  # closed meanwhile
                found[os.readlink(f"/proc/{pid}/fd/{fd}").partition(":[")[0]] += 1
    return found or Counter({"no process": 1})


def mounts(directory: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{directory}" in line]


def sockets(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_socket()}
