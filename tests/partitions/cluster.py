"""The production layout on a network of namespaces: three ZooKeepers, three masters, five agents, two frameworks.

Every part is a process on a machine of its own. Masters that end are started again, as a supervisor does it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

from koinon.cli.client import Client
from koinon.cli.errors import Failure
from tests import zookeeper
from tests.cluster.harness import has_ended, launchers_below
from tests.partitions import journal
from tests.partitions.network import Machine, Network

ROOT = Path(__file__).parents[2]
#: Short, so that a test can wait for them; what a production cluster has is five to forty times as long.
SESSION_S = 2.0
PING_S, PINGS = 1, 5  # an agent that is restarted on a busy machine must be back before
MASTER_FLAGS = {
    "zk_session_timeout": f"{SESSION_S:g}secs",
    "agent_ping_timeout": f"{PING_S}secs",
    "max_agent_ping_timeouts": str(PINGS),
    "agent_reregister_timeout": "20secs",
    "allocation_interval": "200ms",
}
AGENT_FLAGS = {
    "resources": "cpus:4;mem:2048;disk:2048;ports:[31000-31019]",
    "registration_backoff_factor": "200ms",
}
MASTERS = [f"master-{n}" for n in (1, 2, 3)]
AGENTS = [f"agent-{n}" for n in (1, 2, 3, 4, 5)]
SERVERS = [f"zk-{n}" for n in (1, 2, 3)]
FRAMEWORKS = {"sdk": "tests.partitions.sdk_framework", "pymesos": "tests.partitions.pymesos_framework"}
#: Where the test itself is: it reaches all machines, and nothing is cut there.
DESK = "desk"
MASTER_PORT, AGENT_PORT = 5050, 5051
_RESTART_S = 0.5
T = TypeVar("T")


class TimeOut(AssertionError):
    """Something did not come to be."""


def eventually(ask: Callable[[], T], what: str, timeout_s: float = 30.0) -> T:
    """The first true answer of `ask`. Raises TimeOut."""
    deadline_s = time.monotonic() + timeout_s
    while not (answer := ask()):
        if time.monotonic() > deadline_s:
            raise TimeOut(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.05)
    return answer


class Part:
    """One process on one machine."""

    def __init__(
        self,
        machine: Machine,
        directory: Path,
        argv: Sequence[str],
        *,
        supervised: bool = False,
        takes_orders: bool = False,
    ) -> None:
        self.name = machine.name
        self.machine = machine
        self.log = directory / f"{machine.name}.log"
        self._argv = [*machine.prefix, *argv]
        self._supervised = supervised
        self._takes_orders = takes_orders
        self._watcher: threading.Thread | None = None
        self._wanted = False
        self.process: subprocess.Popen[bytes] | None = None
        self.statuses: list[int] = []  #: with which it ended, one by one
        self.ends: list[float] = []  #: and when
        self.depositions = 0  #: of a master, as far as faults have seen to them

    def start(self) -> None:
        """Start it; if it is supervised, again whenever it ends."""
        self._wanted = True
        self._spawn()
        if self._supervised:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it for good."""
        self._wanted = False
        self.signal(number)
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        if self.process is not None:
            try:
                self.process.wait(20)
            finally:
                if self.process.poll() is None:
                    self.process.kill()
                    self.process.wait()
                if self.process.stdin is not None:
                    self.process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; whoever supervises it is not told."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def order(self, word: str) -> None:
        """A line for its standard input."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE if self._takes_orders else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )

    def _watch(self) -> None:
        while self._wanted:
            assert self.process is not None
            status = self.process.wait()
            self.ends.append(journal.now_s())
            self.statuses.append(status)
            if self._wanted:
                time.sleep(_RESTART_S)
            if self._wanted:
                self._spawn()


class Cluster:
    """All of it. `running`, everything works.

    If it is `hurried`, some faults take less time than those that are measured.
    """

    def __init__(
        self, directory: Path, *, master_flags: Mapping[str, str] | None = None, hurried: bool = False
    ) -> None:
        self.directory = directory
        #: How long a fault leaves it without any master.
        self.without_masters_s = 8.0 if hurried else 60.0
        #: How long pymesos waits for an answer, and how long it is left without a master.
        self._patience_s = (4.0, 6.0) if hurried else (10.0, 15.0)
        for name in ("footprints", "locks"):
            (directory / name).mkdir()
        names = (DESK, *SERVERS, *MASTERS, *AGENTS, *FRAMEWORKS)
        self.network = Network({name: f"192.0.2.{number}" for number, name in enumerate(names, 1)})
        servers = [
            zookeeper.Server(
                directory / name, number=number, ip=self.network[name].ip, prefix=self.network[name].prefix
            )
            for number, name in enumerate(SERVERS, 1)
        ]
        self.zookeeper = zookeeper.ZooKeeper(servers)
        self.url = f"zk://koinon:secret@{self.zookeeper.hosts}/koinon"
        self.public_url = self.url.replace("koinon:secret@", "")
        self.masters = [self._master(name, {**MASTER_FLAGS, **(master_flags or {})}) for name in MASTERS]
        self.agents = [self._agent(name) for name in AGENTS]
        self.frameworks = [self._framework(name, program) for name, program in FRAMEWORKS.items()]
        self._readers = {
            name: journal.Reader(directory / f"{name}.journal") for name in (*MASTERS, *AGENTS, *FRAMEWORKS)
        }

    # ── parts ─────────────────────────────────────────────────────────────────────────────────────
    def _master(self, name: str, flags: Mapping[str, str]) -> Part:
        machine = self.network[name]
        (secret := self.directory / "zk").write_text(self.url)
        own = {"zk": f"file://{secret}", "ip": machine.ip, "hostname": machine.ip, "port": str(MASTER_PORT)}
        argv = [*self._watched("master", name), *_flags({**own, **flags})]
        return Part(machine, self.directory, argv, supervised=True)

    def _agent(self, name: str) -> Part:
        machine = self.network[name]
        own = {
            "master": self.public_url,
            "ip": machine.ip,
            "hostname": name,
            "port": str(AGENT_PORT),
            "work_dir": str(self.directory / name),
        }
        argv = [*self._watched("agent", name), *_flags({**own, **AGENT_FLAGS})]
        return Part(machine, self.directory, argv)

    def _watched(self, kind: str, name: str) -> list[str]:
        journal_of_it = str(self.directory / f"{name}.journal")
        return [sys.executable, "-m", f"tests.partitions.watched_{kind}", journal_of_it, name]

    def _framework(self, name: str, program: str) -> Part:
        argv = [sys.executable, "-m", program, self.public_url, str(self.directory)]
        if name == "pymesos":
            argv += map(str, self._patience_s)
        return Part(self.network[name], self.directory, argv, takes_orders=True)

    @property
    def server_machines(self) -> list[Machine]:
        """Those of ZooKeeper."""
        return [self.network[name] for name in SERVERS]

    @property
    def machines(self) -> dict[str, Machine]:
        """All, by name."""
        return self.network.machines

    # ── its life ──────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def running(self) -> Iterator[Cluster]:
        """From the start of all to the end of all; meanwhile this thread is at the desk."""
        with self.network, self.machines[DESK].entered():
            try:
                self.zookeeper.start()
                for part in (*self.masters, *self.agents):
                    part.start()
                self.wait_agents()
                for part in self.frameworks:
                    part.start()
                yield self
            finally:
                self._end()

    def _end(self) -> None:
        self.network.heal()
        for part in (*self.frameworks, *self.agents, *self.masters):
            part.signal(signal.SIGCONT)
            with suppress(subprocess.TimeoutExpired):
                part.stop(signal.SIGKILL)
        for pid in launchers_below(self.directory):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # it ends its tasks first
            eventually(lambda pid=pid: has_ended(pid), f"launcher {pid} ends")
        self.zookeeper.stop()

    # ── what it says of itself ────────────────────────────────────────────────────────────────────
    def leader(self) -> Part | None:
        """The master that leads now, as the masters that answer see it."""
        for part in self.masters:
            try:
                with Client(f"{part.machine.ip}:{MASTER_PORT}", timeout_s=0.5) as client:
                    leads = client.get("/metrics/snapshot").get("master/elected")
            except Failure:
                continue
            if leads:
                return part
        return None

    def answers(self, master: Part) -> bool:
        """Whether a master, leading or not, is there."""
        try:
            with Client(f"{master.machine.ip}:{MASTER_PORT}", timeout_s=2) as client:
                client.ping()
        except Failure:
            return False
        return True

    def wait_leader(self, other_than: Part | None = None, timeout_s: float = 30.0) -> Part:
        """The master that leads, once there is one."""

        def found() -> Part | None:
            leader = self.leader()
            return None if leader is other_than else leader

        return eventually(found, "a master leads", timeout_s)

    def candidates(self) -> int:
        """How many masters stand for election, the leader among them."""
        client = KazooClient(self.zookeeper.hosts)
        try:
            client.start()
            return sum(name.startswith("json.info_") for name in client.get_children("/koinon"))
        except (KazooException, client.handler.timeout_exception):
            return 0
        finally:
            client.stop()
            client.close()

    def get(self, path: str) -> Any:
        """What the leading master answers."""
        leader = self.wait_leader()
        with Client(f"{leader.machine.ip}:{MASTER_PORT}") as client:
            return client.get(path)

    def active_agents(self) -> set[str]:
        """The host names of agents that the leading master has, and offers."""
        try:
            return {agent["hostname"] for agent in self.get("/slaves")["slaves"] if agent["active"]}
        except Failure:
            return set()

    def wait_agents(self, names: Sequence[str] = AGENTS, timeout_s: float = 30.0) -> None:
        """Returns when all these agents are with the leader."""
        eventually(lambda: self.active_agents() >= set(names), f"the master has {names}", timeout_s)

    # ── journals ──────────────────────────────────────────────────────────────────────────────────
    def new_round(self) -> None:
        """Forget what was heard and done so far, but who is with whom."""
        for reader in self._readers.values():
            reader.new_round("Registered", "subscribed")
        for path in (*self.directory.glob("footprints/*"), *self.directory.glob("locks/*")):
            path.unlink()

    def heard(self) -> list[journal.Entry]:
        """What all heard and did in this round."""
        return journal.sort(entry for reader in self._readers.values() for entry in reader.read())

    def ended(self) -> dict[str, float]:
        """When masters ended, by their ids."""
        found = {}
        for part in self.masters:
            if part.log.exists():
                ids = re.findall(r'event="master stands by" .*\bid=(\S+)', part.log.read_text())
                found.update(zip(ids, part.ends, strict=False))
        return found

    def wait_entry(self, who: str, what: str, after_s: float, timeout_s: float = 30.0) -> journal.Entry:
        """The first such line after that moment, once it is there."""

        def found() -> journal.Entry | None:
            entries = self._readers[who].read()
            return next((one for one in entries if one["at"] > after_s and one["what"] == what), None)

        return eventually(found, f"{who}: {what}", timeout_s)

    def tracebacks(self) -> Counter[str]:
        """How many each of our own programs has logged. (pymesos logs one for each call that fails.)"""
        ours = (*self.masters, *self.agents, self.frameworks[0])
        return Counter({part.name: part.log.read_text(errors="replace").count("Traceback") for part in ours})

    def logs(self) -> str:
        """The ends of all logs."""
        parts = (*self.masters, *self.agents, *self.frameworks)
        return "\n".join(
            f"── {part.name} ──\n" + "\n".join(part.log.read_text(errors="replace").splitlines()[-40:])
            for part in parts
            if part.log.exists()
        )


def _flags(flags: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
