"""A real cluster for tests: a master and agents as processes on loopback, with short time-outs.

    def test_work_survives(new_cluster):
        cluster = new_cluster(agents=2)
        cluster.agents[0].kill()                 # kill -9
        cluster.agents[0].start()                # the same flags, port and work directory
        cluster.wait_ready()
        assert cluster.koinon("run", "exit 3").returncode == 3

`cluster` is shared by the tests of a module and must be left whole; `new_cluster` makes clusters for one test.
When a test fails, the end of every role's log is shown. All processes end with the cluster, by their pids:
roles, launchers, and with the launchers the tasks.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from koinon.cli.client import Client
from koinon.cli.errors import Failure

IP = "127.0.0.1"
READY_TIMEOUT_S = 20.0
#: So short that a test can wait for them.
MASTER_FLAGS = {"agent_ping_timeout": "1secs", "max_agent_ping_timeouts": "3", "allocation_interval": "100ms"}
AGENT_FLAGS = {"resources": "cpus:4;mem:4096;disk:4096", "registration_backoff_factor": "100ms"}

T = TypeVar("T")


def eventually(ask: Callable[[], T], what: str, timeout_s: float = 10.0) -> T:
    """The first true answer of `ask`, which is asked again and again; fails the test after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not (answer := ask()):
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)
    return answer


def has_ended(pid: int) -> bool:
    """Whether the process is gone; one that only waits to be reaped by its parent is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_ended(pid: int, what: str) -> None:
    """Returns when the process is gone."""
    eventually(lambda: has_ended(pid), f"{what} has ended")


#: Below those that the kernel gives to connections, which would take a port between our look and its use.
PORTS = range(12_000, 32_000)


def free_port() -> int:
    """A TCP port that nobody uses now."""
    while True:
        port = random.choice(PORTS)
        with suppress(OSError), socket.create_server((IP, port)):
            return port


class Role:
    """A master or an agent: a process that can be killed and started again."""

    def __init__(self, kind: str, name: str, directory: Path, flags: Mapping[str, str]) -> None:
        self.kind = kind
        self.name = name
        self.port = free_port()
        self.address = f"{IP}:{self.port}"
        self.work_dir = directory / name
        self.log = directory / f"{name}.log"
        self.flags = dict(flags)
        #: What stands before the command: it must become the command in the end.
        self.wrapper: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        own = {"ip": IP, "hostname": IP, "port": str(self.port), "work_dir": str(self.work_dir)}
        argv = [f"--{name}={value}" for name, value in {**own, **self.flags}.items()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "koinon", self.kind, *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None, f"{self.name} does not run"
        return self.process.pid

    def kill(self) -> None:
        """`kill -9`, and wait for its end."""
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send the signal, wait for the end, return the exit status; None if it does not run."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def get(self, path: str, /, **query: str | int) -> Any:
        """The JSON it answers."""
        with Client(self.address, what=self.kind) as client:
            return client.get(path, **query)

    def call(self, call: dict[str, Any]) -> Any:
        """Answer of its operator API."""
        with Client(self.address, what=self.kind) as client:
            return client.call(call)

    def answers(self) -> bool:
        """Is it ready for requests? Fails the test if the process has ended."""
        if self.process is not None and (status := self.process.poll()) is not None:
            pytest.fail(f"{self.name} ended with status {status}:\n{self.last_words()}")
        try:
            with Client(self.address, timeout_s=2) as client:
                client.ping()
        except Failure:
            return False
        return True

    def has_kept_its_id(self) -> bool:
        """Whether an agent's checkpoint holds the id that the master gave it."""
        try:
            database = sqlite3.connect(f"file:{self.work_dir}/meta/agent.db?mode=ro", uri=True)
            with closing(database):
                return bool(database.execute("SELECT 1 FROM entries WHERE key = 'agent'").fetchall())
        except (
            sqlite3.OperationalError
        ):  # not to be seen from here: it runs where a disk of its own is mounted
            return bool(self.get("/state")["id"])

    def last_words(self, lines: int = 40) -> str:
        """The end of its log."""
        return (
            "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""
        )


class Cluster:
    """A master and its agents."""

    def __init__(
        self,
        directory: Path,
        *,
        agents: int = 1,
        master_flags: Mapping[str, str] | None = None,
        agent_flags: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.master = Role("master", "master", directory, {**MASTER_FLAGS, **(master_flags or {})})
        self.master_address = self.master.address
        self.agents: list[Role] = []
        for _ in range(agents):
            self.add_agent(**(agent_flags or {}))

    @property
    def agent_addresses(self) -> list[str]:
        """`ip:port` of each agent."""
        return [agent.address for agent in self.agents]

    @property
    def roles(self) -> list[Role]:
        """Master and agents."""
        return [self.master, *self.agents]

    def add_agent(self, **flags: str) -> Role:
        """One more agent; `start` it."""
        name = f"agent-{len(self.agents) + 1}"
        agent = Role("agent", name, self.directory, {"master": self.master_address, **AGENT_FLAGS, **flags})
        self.agents.append(agent)
        return agent

    def start(self) -> None:
        """Start all and wait until work can be run."""
        for role in self.roles:
            role.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Returns when every role that runs answers and every agent that runs is registered."""
        running = [role for role in self.roles if role.process is not None]
        for role in running:
            eventually(role.answers, f"{role.name} answers", READY_TIMEOUT_S)
        count = len([role for role in running if role.kind == "agent"])
        eventually(
            lambda: self.registered_agents() >= count, f"{count} agents are registered", READY_TIMEOUT_S
        )
        for agent in (role for role in running if role.kind == "agent"):
            # An agent that is killed before its id is on disk comes back as another one.
            eventually(agent.has_kept_its_id, f"{agent.name} has its id on disk", READY_TIMEOUT_S)

    def registered_agents(self) -> int:
        """How many agents the master has and offers."""
        return sum(agent["active"] for agent in self.master.get("/slaves")["slaves"])

    def tasks(self, **query: str) -> dict[str, dict[str, Any]]:
        """The master's `/tasks` by task id."""
        return {task["id"]: task for task in self.master.get("/tasks", limit=-1, **query)["tasks"]}

    # ── the command line ──────────────────────────────────────────────────────────────────────────
    @property
    def environment(self) -> dict[str, str]:
        """For commands that are to talk to this cluster."""
        return {**os.environ, "KOINON_MASTER": self.master_address}

    def command(self, *arguments: str) -> list[str]:
        """`koinon ARGUMENTS` as argv."""
        return [sys.executable, "-m", "koinon", *arguments]

    def koinon(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `koinon ARGUMENTS` to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """`koinon ARGUMENTS` in the background; killed at the end if it still runs."""
        with subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    # ── the end ───────────────────────────────────────────────────────────────────────────────────
    def stop(self) -> None:
        """End every process of the cluster."""
        for role in reversed(self.roles):
            role.kill()
        launchers = launchers_below(self.directory)
        for pid in launchers:
            _signal(pid, signal.SIGTERM)  # it ends its tasks first
        for pid in launchers:
            wait_ended(pid, f"launcher {pid}")

    def logs(self) -> str:
        """The end of every log."""
        return "\n".join(f"── {role.name} ──\n{role.last_words()}" for role in self.roles)


def launchers_below(directory: Path) -> list[int]:
    """Pids of the launchers that agents in `directory` left behind."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:  # gone since
                continue
            ours = any(argument.startswith(os.fsencode(f"{directory}/")) for argument in argv)
            if ours and any(argument.endswith(b"/launcher/__main__.py") for argument in argv):
                found.append(int(entry.name))
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


# ── fixtures ──────────────────────────────────────────────────────────────────────────────────────
NewCluster = Callable[..., Cluster]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember a failure, and add the logs of the clusters that the test used to its report."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        for used in getattr(item, "funcargs", {}).values():
            # Clusters, what makes them, and others that have roles with logs.
            for cluster in [used] if hasattr(used, "logs") else getattr(used, "made", []):
                report.sections.append((f"logs below {cluster.directory}", cluster.logs()))  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one agent, shared by the tests of a module."""
    one = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        one.start()
        yield one
    finally:
        one.stop()
    shutil.rmtree(one.directory, ignore_errors=True)


@pytest.fixture
def new_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewCluster]:
    """Makes and starts clusters for one test; takes what `Cluster` takes."""
    made: list[Cluster] = []

    def make(**options: Any) -> Cluster:
        one = Cluster(tmp_path_factory.mktemp("cluster"), **options)
        made.append(one)
        one.start()
        return one

    make.made = made  # type: ignore[attr-defined]
    yield make
    for one in made:
        one.stop()
        shutil.rmtree(one.directory, ignore_errors=True)
