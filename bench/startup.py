"""From `koinon up` to `ready`, and what the cluster takes when it has nothing to do.

Resident memory is that of all processes: `up` itself, master, agent, launcher, Marathon, Chronos. The idle CPU is
that of all of them, in percent of one core, some seconds after `ready`.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench import figures
from bench.figures import Figure
from bench.processes import Account


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Starts of a new cluster, then of one that was there before; the last one is looked at when idle."""
    settle_s, idle_s = (0.1, 0.3) if given.quick else (3.0, 20.0)
    with tempfile.TemporaryDirectory() as directory:
        again_s = []
        for number in range(1 if given.quick else 4):
            begun_s = time.perf_counter()
            argv = [sys.executable, "-m", "koinon", "up", "--work-dir", directory]
            ports = [f"--{role}-port=0" for role in ("master", "agent", "marathon", "chronos")]
            up = subprocess.Popen([*argv, *ports], stdout=subprocess.PIPE, text=True)
            try:
                _wait_ready(up)
                took_s = time.perf_counter() - begun_s
                if number == 0:
                    yield Figure("`koinon up` → ready, first time", took_s, "s", at_most=3)
                    yield from _idle(Path(directory), up, settle_s, idle_s)
                else:
                    again_s.append(took_s)
            finally:
                up.send_signal(signal.SIGINT)
                up.wait(20)
        if again_s:
            yield Figure("`koinon up` → ready, again (p50)", median(again_s), "s", at_most=3)


def _wait_ready(up: subprocess.Popen[str]) -> None:
    assert up.stdout is not None
    for line in up.stdout:
        if line == "ready\n":
            return
    raise SystemExit("`koinon up` ends before it is ready")


def _idle(directory: Path, up: subprocess.Popen[str], settle_s: float, idle_s: float) -> Iterator[Figure]:
    roles = {"up": Account(up.pid), **_roles(directory)}
    time.sleep(settle_s)
    before_s = sum(role.cpu_s for role in roles.values())
    time.sleep(idle_s)
    busy_percent = (sum(role.cpu_s for role in roles.values()) - before_s) / idle_s * 100
    memory_mb = {name: role.memory_mb for name, role in roles.items()}
    yield Figure("memory of all roles, idle", sum(memory_mb.values()), "MB", at_most=250)
    for name, used_mb in memory_mb.items():
        yield Figure(
            f"memory of {name}, idle", used_mb, "MB", peer="74" if name in ("master", "agent") else ""
        )
    yield Figure("CPU of all roles, idle", busy_percent, "%", at_most=1)


def _roles(directory: Path) -> dict[str, Account]:
    """The processes that work below `directory`, by what they are."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().decode().replace("\0", " ")
            except OSError:  # gone since
                continue
            for name, sign in (
                ("master", "koinon master"),
                ("agent", "koinon agent"),
                ("launcher", "/launcher/"),
                ("marathon", "koinon marathon"),
                ("chronos", "koinon chronos"),
            ):
                if sign in command and f"{directory}/" in command:
                    found[name] = Account(int(entry.name))
    return found


if __name__ == "__main__":
    figures.run("startup", __doc__, measure)
