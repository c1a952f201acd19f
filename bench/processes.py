"""The real processes that benchmarks measure: masters and agents, started, accounted for, ended by their pids.

CPU times are those of the kernel's accounts: on a busy machine they say more than the time on the wall.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from koinon.cli.up.zookeeper import ZooKeeper

IP = "127.0.0.1"
ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 30.0

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Account:
    """What the kernel says of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def cpu_s(self) -> float:
        """CPU time so far, in user and kernel, all threads."""
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    @property
    def children_cpu_s(self) -> float:
        """CPU time of its children that have ended."""
        fields = self._stat()
        return (int(fields[13]) + int(fields[14])) / _TICKS_PER_S

    @property
    def threads(self) -> int:
        """How many it has."""
        return int(self._stat()[17])

    @property
    def memory_mb(self) -> float:
        """Resident memory."""
        return int(self._read("statm").split()[1]) * _PAGE_BYTES / 2**20

    @property
    def files(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def children(self) -> list[int]:
        """Pids of its children, zombies included."""
        return [
            int(pid)
            for thread in os.listdir(f"/proc/{self.pid}/task")
            for pid in self._read(f"task/{thread}/children").split()
        ]

    def _stat(self) -> list[str]:
        return self._read("stat").rpartition(")")[2].split()

    def _read(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text()


class Process(Account):
    """A child of ours that runs a Python module; with `profile` it leaves a profile there when it ends."""

    def __init__(self, argv: Sequence[str], *, profile: Path | None = None, **options: Any) -> None:
        profiler = [] if profile is None else ["cProfile", "-o", str(profile), "-m"]
        self.popen = subprocess.Popen([sys.executable, "-m", *profiler, *argv], cwd=ROOT, **options)
        super().__init__(self.popen.pid)

    def stop(self) -> None:
        """Ends it."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(30)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


class Costs:
    """CPU time that named processes spend between `begin` and `end`."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts

    def begin(self) -> None:
        """The work begins."""
        self._began_s = time.perf_counter()
        self._before = self._now()

    def end(self) -> tuple[float, dict[str, float]]:
        """The work is done: seconds on the wall, CPU seconds by name; "client" is this process."""
        wall_s = time.perf_counter() - self._began_s
        now = self._now()
        return wall_s, {name: now[name] - before for name, before in self._before.items()}

    def _now(self) -> dict[str, float]:
        return {"client": time.process_time(), **{name: one.cpu_s for name, one in self._accounts.items()}}


# ── roles ─────────────────────────────────────────────────────────────────────────────────────────────
@contextlib.contextmanager
def started_master(
    directory: Path, name: str = "master", *, profile: Path | None = None, **flags: str
) -> Iterator[tuple[Process, str]]:
    """A master with its folder and log in `directory`, and its address."""
    port = free_port()
    with _role(directory, "master", port, flags, name=name, profile=profile) as process:
        yield process, f"{IP}:{port}"


@contextlib.contextmanager
def started_zookeeper(directory: Path) -> Iterator[tuple[str, str]]:
    """A ZooKeeper of one server, as `koinon up` starts it; its URL for masters, and for those who look for them."""
    server = ZooKeeper(directory / "zookeeper", free_port(), directory / "zookeeper.log")
    server.start()
    try:
        until(server.answers, "ZooKeeper answers")
        yield server.secret_url, server.url
    finally:
        server.signal(signal.SIGTERM)
        server.wait(10)


@contextlib.contextmanager
def started_agent(
    directory: Path, master: str, resources: str, **flags: str
) -> Iterator[tuple[Process, Account]]:
    """A registered agent, and its launcher."""
    port = free_port()
    own = {"master": master, "resources": resources, "registration_backoff_factor": "50ms"}
    launchers = []
    try:
        with _role(directory, "agent", port, {**own, **flags}) as process:
            launchers = [_launcher_below(directory / "agent")]
            until(lambda: b'"active":true' in get(master, "/slaves"), "the agent is registered")
            yield process, Account(launchers[0])
    finally:
        for pid in launchers:
            os.kill(pid, signal.SIGTERM)  # it ends its tasks first
            until(lambda pid=pid: has_ended(pid), "the launcher has ended")


@contextlib.contextmanager
def started_fleet(
    master: str, count: int, resources: str, *, starts: Path | None = None
) -> Iterator[Process]:
    """Emulated agents, registered; when which task started is noted in `starts`."""
    argv = ["bench.emulated", f"--master={master}", f"--agents={count}", f"--resources={resources}"]
    argv += [] if starts is None else [f"--starts={starts}"]
    process = Process(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert process.popen.stdout is not None
        if not process.popen.stdout.readline().startswith("ready"):
            raise SystemExit("the emulated agents do not start")
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def started_marathon(
    directory: Path, name: str = "marathon", *, profile: Path | None = None, **flags: str
) -> Iterator[tuple[Process, str]]:
    """A Marathon, and its address; without `zk` it keeps everything in a folder in `directory`."""
    port = free_port()
    own = {"http_address": IP, "hostname": IP, "http_port": str(port)}
    if "zk" not in flags:
        own["work_dir"] = str(directory / name)
    with _process(
        directory, "marathon", port, {**own, **flags}, name=name, profile=profile, ready="/ping"
    ) as process:
        yield process, f"{IP}:{port}"


@contextlib.contextmanager
def started_chronos(
    directory: Path, *, profile: Path | None = None, **flags: str
) -> Iterator[tuple[Process, str]]:
    """A Chronos that leads, and its address; its history is in `directory`, and all else in ZooKeeper."""
    port = free_port()
    own = {
        "http_address": IP,
        "hostname": IP,
        "http_port": str(port),
        "history": str(directory / "history.db"),
    }
    with _process(
        directory, "chronos", port, {**own, **flags}, name="chronos", profile=profile, ready="/ping"
    ) as process:
        yield process, f"{IP}:{port}"


@contextlib.contextmanager
def _role(
    directory: Path,
    kind: str,
    port: int,
    flags: Mapping[str, str],
    *,
    name: str = "",
    profile: Path | None = None,
) -> Iterator[Process]:
    name = name or kind
    own = {"ip": IP, "hostname": IP, "port": str(port), "work_dir": str(directory / name)}
    with _process(directory, kind, port, {**own, **flags}, name=name, profile=profile) as process:
        yield process


@contextlib.contextmanager
def _process(
    directory: Path,
    kind: str,
    port: int,
    flags: Mapping[str, str],
    *,
    name: str,
    profile: Path | None,
    ready: str = "/health",
) -> Iterator[Process]:
    argv = [f"--{flag}={value}" for flag, value in flags.items()]
    with (directory / f"{name}.log").open("w+") as log:
        process = Process(["koinon", kind, *argv], profile=profile, stdout=log, stderr=log)
        try:
            deadline_s = time.monotonic() + START_TIMEOUT_S
            while not _healthy(port, ready):
                if process.popen.poll() is not None or time.monotonic() > deadline_s:
                    log.seek(0)
                    raise SystemExit(f"the {kind} does not start:\n{log.read()}")
                time.sleep(0.02)
            yield process
        finally:
            process.stop()


def _launcher_below(directory: Path) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:  # gone since
                continue
            if any(one.endswith(b"/launcher/__main__.py") for one in argv) and any(
                one.startswith(os.fsencode(f"{directory}/")) for one in argv
            ):
                return int(entry.name)
    raise SystemExit(f"no launcher below {directory}")


def has_ended(pid: int) -> bool:
    """Whether the process is gone; one that only waits to be reaped by its parent is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


# ── the network ───────────────────────────────────────────────────────────────────────────────────────
def get(address: str, path: str) -> bytes:
    """What is answered there."""
    connection = HTTPConnection(address, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"GET {path}: {answer.status} {answer.read(300)!r}")
        return answer.read()
    finally:
        connection.close()


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.create_server((IP, 0)) as probe:
        return int(probe.getsockname()[1])


def _healthy(port: int, path: str) -> bool:
    connection = HTTPConnection(IP, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def until(ask: Any, what: str, timeout_s: float = START_TIMEOUT_S) -> None:
    """Returns when `ask()` is true; fails when it takes too long."""
    deadline_s = time.monotonic() + timeout_s
    while not ask():
        if time.monotonic() > deadline_s:
            raise SystemExit(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)
