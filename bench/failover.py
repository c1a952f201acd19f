"""A new leader: the leading master of a large cluster is killed, and a second one takes over.

Two masters with a real ZooKeeper, emulated agents with ten running tasks each, the frameworks of these tasks, and one more
that wants offers. The leader is killed with -9. From the election of the second one on it is measured when offers flow
again, when all frameworks, agents and tasks are back, what that costs, and how long `/health` takes meanwhile. All tasks
must live on, and none be told to have ended.

The agents are one process, with one session in ZooKeeper; each comes after a random pause of up to a second, as real ones
do by default.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import uvloop

from bench import figures
from bench.emulated import allow_many_files
from bench.figures import Figure
from bench.load import EACH, Load, subscribed
from bench.polling import Pollers, Question
from bench.processes import Process, get, started_fleet, started_master, started_zookeeper, until
from koinon.mesos import v1
from koinon.sdk import TERMINAL_STATES, Resources, Scheduler, framework_info, task_info

FRAMEWORKS = 10
PING_S = 0.005
HEALTH = Question("/health")
_TEN = Resources.parse("cpus:10;mem:320")


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """One failover."""
    allow_many_files()
    logging.getLogger("koinon").setLevel(logging.ERROR)  # frameworks warn of what is done to them
    agents, session_s = (50, 2) if given.quick else (given.agents, 10)
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        yield from _measure(Path(directory), agents, session_s, given.profile)


def _measure(directory: Path, agents: int, session_s: int, profile: Path | None) -> list[Figure]:
    flags = {"zk_session_timeout": f"{session_s}secs"}
    with (
        started_zookeeper(directory) as (flags["zk"], zk),
        started_master(directory, "first", **flags) as (first, _),
        started_master(directory, "second", profile=profile, **flags) as (second, second_address),
        started_fleet(zk, agents, "cpus:12;mem:384"),
    ):
        cluster = _Cluster(directory, zk, agents, first, second, second_address)
        return uvloop.run(cluster.fail_over())


class _Cluster:
    def __init__(
        self, directory: Path, zk: str, agents: int, first: Process, second: Process, address: str
    ) -> None:
        self._log = directory / "second.log"
        self._zk = zk
        self._agents = agents
        self._first = first
        self._second = second
        self._address = address

    async def fail_over(self) -> list[Figure]:
        tasks = 10 * self._agents
        loads = [Lasting(self._zk, index, tasks // FRAMEWORKS) for index in range(FRAMEWORKS)]
        curious = Curious(self._zk, self._agents)
        async with subscribed([*loads, curious]) as watch:
            for load in loads:
                load.revive()
            await watch.all(load.started for load in loads)
            led_mb = self._first.memory_mb
            for one in (*loads, curious):
                one.begin()
            begun_cpu_s, standby_mb = self._second.cpu_s, self._second.memory_mb
            with (
                Pollers(1, self._address, HEALTH, pause_s=PING_S, pid=self._second.pid) as pings,
                Pollers(1, self._address, HEALTH, pause_s=PING_S, fresh=True) as knocks,
            ):
                killed_s = time.time()
                self._first.popen.send_signal(signal.SIGKILL)
                back = await asyncio.to_thread(self._wait_back, tasks)
                cpu_s = self._second.cpu_s - begun_cpu_s
                await watch.all([curious.launched, curious.everywhere, *(one.again for one in loads)])
                await asyncio.sleep(1)
            peak_mb = self._second.memory_mb
            elected_s, leads_s = self._said("elected: reading the registry"), self._said("master leads")
            assert not any(load.ended for load in loads), "tasks have ended"
            health_ms, stalls_ms = pings.between(elected_s, back["tasks"])
            knocks_ms, _ = knocks.between(elected_s, back["tasks"])
        return [
            Figure("killed → elected (the session of 10 s has to end first)", elected_s - killed_s, "s"),
            Figure("elected → registry read", leads_s - elected_s, "s"),
            Figure("elected → first offer", curious.offered_s - elected_s, "s", at_most=15),
            Figure("elected → a task launched on it runs", curious.ran_s - elected_s, "s", at_most=15),
            Figure(
                "elected → offers of 99 % of the agents", curious.everywhere_s - elected_s, "s", at_most=15
            ),
            Figure("elected → all frameworks are back", max(one.again_s for one in loads) - elected_s, "s"),
            Figure("elected → all agents are back", back["agents"] - elected_s, "s"),
            Figure("elected → all tasks are known", back["tasks"] - elected_s, "s"),
            Figure("CPU of the new leader until then", cpu_s, "s"),
            Figure("CPU per agent", cpu_s / self._agents * 1e6, "µs"),
            Figure("/health meanwhile, p50", median(health_ms), "ms"),
            Figure("/health meanwhile, worst", max(health_ms), "ms"),
            Figure("/health over a new connection each time, p50", median(knocks_ms), "ms"),
            Figure("/health over a new connection each time, worst", max(knocks_ms), "ms"),
            Figure("longest stall of the new leader", max(stalls_ms), "ms", at_most=50),
            Figure("memory of the new leader as a standby", standby_mb, "MB"),
            Figure("memory of the new leader afterwards", peak_mb, "MB"),
            Figure("memory of the old leader", led_mb, "MB"),
        ]

    def _wait_back(self, tasks: int) -> dict[str, float]:
        """When all are back."""
        back: dict[str, float] = {}

        def all_back() -> bool:
            time.sleep(0.1)
            numbers = json.loads(get(self._address, "/metrics/snapshot"))
            if numbers.get("master/slaves_active", 0) >= self._agents:
                back.setdefault("agents", time.time())
            if numbers.get("master/tasks_running", 0) >= tasks:
                back.setdefault("tasks", time.time())
            return len(back) == 2

        until(all_back, "all agents and tasks are back", 300)
        return back

    def _said(self, what: str) -> float:
        """When the second master logged that."""
        for line in self._log.read_text().splitlines():
            if f'"{what}"' in line:
                found = re.search(r"timestamp=(\S+)", line)
                assert found is not None
                return datetime.fromisoformat(found[1]).timestamp()
        raise SystemExit(f"the new leader does not say: {what}")


class Lasting(Load):
    """Tasks that run for ever, and the time when the framework is at the new leader."""

    def __init__(self, master: str, index: int, count: int) -> None:
        super().__init__(master, index, count, command="sleep inf", checkpoint=True)
        self.framework.failover_timeout = 3600.0
        self.again = asyncio.Event()
        self.again_s = 0.0
        self.ended = 0

    def begin(self) -> None:
        """The failover is next."""
        self.again.clear()

    def subscribed(self, framework_id: str) -> None:
        super().subscribed(framework_id)
        self.again_s = time.time()
        self.again.set()

    def offers(self, offers: list[v1.Offer]) -> None:
        """Ten tasks for each agent, and some room left on each."""
        unused = []
        for offer in offers:
            if self._waiting and Resources.from_v1(offer.resources).unallocated().contains(_TEN):
                self.launch(offer, [self._task(offer) for _ in range(min(10, self._waiting))])
            else:
                unused.append(offer)
        if unused:
            self.decline(unused)
        if not self._waiting:
            self.suppress()

    def update(self, status: v1.TaskStatus) -> None:
        self.ended += status.state in TERMINAL_STATES
        super().update(status)


class Curious(Scheduler):
    """Wants offers after the failover, launches one task on the first, and notes which agents were offered."""

    def __init__(self, master: str, agents: int) -> None:
        super().__init__(master, framework_info("curious", failover_timeout_s=3600), suppressed_roles=["*"])
        self.ready = asyncio.Event()
        self.launched = asyncio.Event()
        self.everywhere = asyncio.Event()  #: 99 % of the agents were offered
        self.offered_s = self.ran_s = self.everywhere_s = 0.0
        self._agents = agents
        self._seen: set[str] = set()

    def begin(self) -> None:
        """The failover is next."""
        self._suppressed_roles.clear()

    def subscribed(self, framework_id: str) -> None:
        self.ready.set()

    def offers(self, offers: list[v1.Offer]) -> None:
        now_s = time.time()
        self.offered_s = self.offered_s or now_s
        if not self._seen:
            first, *offers = offers
            self.launch(first, [task_info("first", first, EACH, command="sleep inf")], refuse_s=3600)
            self._seen.add(first.agent_id.value)
        if offers:
            self.decline(offers, refuse_s=3600)
        self._seen.update(offer.agent_id.value for offer in offers)
        if len(self._seen) >= 0.99 * self._agents - 1 and not self.everywhere.is_set():
            self.everywhere_s = now_s
            self.everywhere.set()

    def update(self, status: v1.TaskStatus) -> None:
        if status.state is v1.TaskState.TASK_RUNNING and not self.ran_s:
            self.ran_s = time.time()
            self.launched.set()


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agents", type=int, default=10_000, help="each with ten running tasks")
    parser.add_argument("--directory", type=Path, help="where registries and logs are kept meanwhile")
    parser.add_argument("--profile", type=Path, help="write the new leader's profile (cProfile) there")


if __name__ == "__main__":
    figures.run("failover", __doc__, measure, _arguments)
