"""Chronos: many jobs in the store, some of them due at once.

A master with emulated agents, a Chronos with a real ZooKeeper.

created  50,000 jobs are created by POST, a few at a time: intervals, crons, both with time zones, and dependents.
due      500 of them are due in one and the same second, several times; the agents say when each task has started.
pages    what clients fetch of 50,000 jobs, the first time and again, while another one asks for /ping all the time.
rest     nothing is due: what that costs.
start    a new process finds the jobs in ZooKeeper.
crons    in this process, without sockets: 50,000 crons that are all due each minute, through their lives.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from bench import figures
from bench.emulated import allow_many_files
from bench.figures import Figure
from bench.polling import Pollers, Question, asked
from bench.processes import (
    Account,
    Costs,
    get,
    started_chronos,
    started_fleet,
    started_master,
    started_zookeeper,
    until,
)
from koinon.chronos import schedules
from koinon.chronos.core import Chronos, Config, events
from koinon.chronos.model import Job, ids
from koinon.chronos.placing import AgentRoom
from koinon.edge.collector import Collector
from koinon.mesos import v1
from koinon.mesos.resources import parse_resources
from koinon.timestamps import seconds

CLIENTS = 8
ROUNDS = 3
PERIOD_S = 15
#: A page is fetched so often.
TIMES = 5
AGENT = "cpus:8;mem:4096;disk:10000"
AGENTS = 200
#: Cheap enough that all fit.
COSTS = {"cpus": 0.1, "mem": 16, "disk": 1}
V1 = "/v1/scheduler"
PAGES = {
    "all jobs": f"{V1}/jobs",
    "summary": f"{V1}/jobs/summary",
    "search, a page of ten": f"{V1}/jobs/search?any=job-4999",
    "search, a page of 1,000": f"{V1}/jobs/search?command=run&limit=1000&offset=2000",
    "graph as csv": f"{V1}/graph/csv",
    "graph as dot": f"{V1}/graph/dot",
    "how long all jobs take": f"{V1}/stats/median",
}
#: Nothing that is not meant to is due before so many hours are over.
LATER_H = 3


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """All of it."""
    logging.getLogger("koinon").setLevel(logging.ERROR)
    allow_many_files()
    jobs, due, rounds, agents = (200, 20, 1, 10) if given.quick else (given.jobs, given.due, ROUNDS, AGENTS)
    yield from _crons(1000 if given.quick else given.jobs)
    with tempfile.TemporaryDirectory(dir=given.directory) as name:
        yield from _cluster(Path(name), jobs, due, rounds, agents, given.profile)


def _cluster(
    directory: Path, jobs: int, due: int, rounds: int, agents: int, profile: Path | None
) -> Iterator[Figure]:
    starts = directory / "starts"
    with (
        started_zookeeper(directory) as (secret_url, _),
        started_master(directory) as (master, master_address),
        started_fleet(master_address, agents, AGENT, starts=starts) as fleet,
    ):
        flags = {"master": master_address, "zk_hosts": secret_url, "zk_path": "/chronos"}
        with started_chronos(directory, profile=profile, **flags) as (chronos, address):
            costs = Costs({"chronos": chronos, "master": master, "agents": fleet})
            empty_mb = chronos.memory_mb
            yield from _created(address, chronos, jobs - due, costs)
            yield from _due(address, chronos, due, rounds, starts, costs)
            yield from _pages(address, chronos, jobs)
            yield from _rest(chronos, jobs, empty_mb)
        yield from _started(directory, jobs, flags)


# ── created ───────────────────────────────────────────────────────────────────────────────────────
def _created(address: str, chronos: Account, count: int, costs: Costs) -> list[Figure]:
    costs.begin()
    _post(address, [definition(number) for number in range(count)])
    wall_s, spent = costs.end()
    return [
        Figure(f"{count:,} jobs created by POST", wall_s, "s"),
        Figure("CPU of Chronos, per job", spent["chronos"] / count * 1e3, "ms"),
    ]


def definition(number: int) -> dict[str, Any]:
    """One of many jobs, of all kinds, none of which is due soon."""
    job: dict[str, Any] = {
        "name": f"team-{number % 40}.job-{number}",
        "command": f"/opt/jobs/run --team {number % 40} --table t{number} --day $(date +%F)",
        "owner": f"team-{number % 40}@example.com",
        "description": "One of many",
        **COSTS,
    }
    kind = number % 20
    first = datetime.now(UTC) + timedelta(hours=LATER_H, minutes=number % 1200)
    if kind < 5 <= number:
        parent = number - kind - 1
        return job | {"parents": [f"team-{parent % 40}.job-{parent}"]}
    if kind < 10:
        return job | {"schedule": f"R/{first:%FT%TZ}/PT{1 + number % 24}H"}
    if kind < 15:
        return job | {"schedule": f"R/{first:%FT%TZ}/P1D", "scheduleTimeZone": "UTC"}
    days = ("* * *", "* * 1-5", "* * 0", "1,15 * *")[number % 4]
    return job | {"schedule": f"{first.minute} {first.hour} {days}"}


def _post(address: str, jobs: list[dict[str, Any]]) -> None:
    """Those that have parents last, as these must be there."""
    connections = threading.local()

    def post(job: dict[str, Any]) -> None:
        if not hasattr(connections, "own"):
            connections.own = HTTPConnection(address, timeout=60)
        path = f"{V1}/{'dependency' if 'parents' in job else 'iso8601'}"
        connections.own.request("POST", path, json.dumps(job), {"Content-Type": "application/json"})
        answer = connections.own.getresponse()
        text = answer.read()
        assert answer.status == 204, (answer.status, text)

    with ThreadPoolExecutor(CLIENTS) as clients:
        for some in (
            [job for job in jobs if "parents" not in job],
            [job for job in jobs if "parents" in job],
        ):
            list(clients.map(post, some))  # raises what they raised


# ── due ───────────────────────────────────────────────────────────────────────────────────────────
class _Lateness(NamedTuple):
    launched_ms: list[float]
    started_ms: list[float]


def _due(address: str, chronos: Account, count: int, rounds: int, starts: Path, costs: Costs) -> list[Figure]:
    begun_s = time.time()
    first = datetime.fromtimestamp(int(begun_s) + 8 + count // 50, UTC)
    jobs = [
        {"name": f"due-{number}", "command": "true", "schedule": f"R{rounds}/{first:%FT%TZ}/PT{PERIOD_S}S"}
        for number in range(count)
    ]
    _post(address, [job | COSTS for job in jobs])
    with Pollers(1, address, Question("/ping"), pause_s=0.025, pid=chronos.pid) as pings:
        early_s = first.timestamp() - 0.5 - time.time()
        assert early_s > 0, "these jobs were posted too slowly"
        time.sleep(early_s)
        costs.begin()
        time.sleep(PERIOD_S * (rounds - 1) + 1)
        until(lambda: _has_run(address, count * rounds), "all have run", 120)
    _, spent = costs.end()
    late = _lateness(_succeeded(address), starts)
    runs = count * rounds
    assert len(late.launched_ms) == len(late.started_ms) == runs, "each has started once"
    return [
        Figure(f"{count:,} due in one second: late at their launch, p50", median(late.launched_ms), "ms"),
        Figure("late at their start on the agents, p50", median(late.started_ms), "ms", at_most=100),
        Figure("late at their start on the agents, p99", quantiles(late.started_ms, n=100)[-1], "ms"),
        Figure("late at their start on the agents, worst", max(late.started_ms), "ms"),
        Figure("CPU of Chronos, per run", spent["chronos"] / runs * 1e3, "ms"),
        Figure("CPU of the master, per run", spent["master"] / runs * 1e3, "ms"),
        Figure("longest stall of Chronos meanwhile", max(pings.stalls_ms), "ms", at_most=50),
    ]


def _has_run(address: str, count: int) -> bool:
    """Whether so many runs have succeeded, and the history has them."""
    numbers = json.loads(get(address, "/metrics"))
    ran = numbers["counters"]["chronos.runs.succeeded.counter"]["count"]
    return bool(ran == count and numbers["gauges"]["chronos.history.waiting.gauge"]["value"] == 0)


def _succeeded(address: str) -> dict[str, dict[str, Any]]:
    """By task, as the history has them."""
    found: dict[str, dict[str, Any]] = {}
    last = ""
    while True:
        path = f"/v1/history/runs?state=succeeded&limit=1000&before={quote(last)}"
        runs = json.loads(get(address, path))["runs"]
        if not runs:
            return found
        found |= {run["taskId"]: run for run in runs}
        last = runs[-1]["taskId"]


def _lateness(runs: dict[str, dict[str, Any]], starts: Path) -> _Lateness:
    started_ms = []
    for line in starts.read_text().splitlines():
        at, task = line.split(" ", 1)
        started_ms.append(float(at) * 1e3 - ids.parse_task(task).due_ms)
    return _Lateness(
        [1e3 * (seconds(run["launched"]) - seconds(run["due"])) for run in runs.values()], started_ms
    )


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────
def _pages(address: str, chronos: Account, jobs: int) -> Iterator[Figure]:
    alone = {}
    for what, path in PAGES.items():
        ((first_ms, size),) = asked(address, Question(path), 1)
        before_s = chronos.cpu_s
        asked(address, Question(path), TIMES)
        alone[what] = (first_ms, size, (chronos.cpu_s - before_s) / TIMES * 1e3)
    with Pollers(1, address, Question("/ping"), pause_s=0.002, pid=chronos.pid) as pings:
        watched = {what: _watched(address, path) for what, path in PAGES.items()}
    for what, (first_ms, size, cpu_ms) in alone.items():
        begun_s, ended_s, again_ms = watched[what]
        stall_ms = max(pings.between(begun_s, ended_s)[1], default=0.0)
        yield Figure(f"{what} ({jobs:,} jobs, {size / 1e6:.1f} MB), first time", first_ms, "ms")
        yield Figure(f"{what}, again", again_ms, "ms", at_most=200)
        yield Figure(f"{what}: CPU of Chronos", cpu_ms, "ms")
        yield Figure(f"{what}: longest stall of /ping", stall_ms, "ms", at_most=50)


def _watched(address: str, path: str) -> tuple[float, float, float]:
    """Fetched again: from when until when, and how long it took once."""
    begun_s = time.time()
    took_ms = median(took_ms for took_ms, _ in asked(address, Question(path), TIMES))
    return begun_s, time.time(), took_ms


# ── rest, start ───────────────────────────────────────────────────────────────────────────────────
def _rest(chronos: Account, jobs: int, empty_mb: float) -> list[Figure]:
    before_s, pause_s = chronos.cpu_s, 10.0 if jobs > 1000 else 0.5
    time.sleep(pause_s)
    return [
        Figure("CPU at rest, of one core", (chronos.cpu_s - before_s) / pause_s * 100, "%", at_most=1),
        Figure("memory without jobs", empty_mb, "MB"),
        Figure(f"memory with {jobs:,} jobs, all of them listed", chronos.memory_mb, "MB"),
    ]


def _started(directory: Path, jobs: int, flags: dict[str, str]) -> Iterator[Figure]:
    begun_s = time.perf_counter()
    with started_chronos(directory, **flags) as (chronos, address):
        leads_s = time.perf_counter() - begun_s
        cpu_s = chronos.cpu_s
        ((first_ms, _),) = asked(address, Question(f"{V1}/jobs"), 1)
        memory_mb = chronos.memory_mb
        assert len(json.loads(get(address, f"{V1}/jobs"))) == jobs
    yield Figure(f"start with {jobs:,} jobs → leads and answers", leads_s, "s", at_most=10)
    yield Figure("CPU of that", cpu_s, "s")
    yield Figure("all jobs of a new process, first time", first_ms, "ms")
    yield Figure("memory then", memory_mb, "MB")


# ── crons ─────────────────────────────────────────────────────────────────────────────────────────
class _Core:
    """The core alone; what it has to do with others is done at once."""

    def __init__(self, jobs: int, now: float) -> None:
        self.core = Chronos(Config(), room=AgentRoom)
        self.now = now
        self.turns_ms: list[float] = []
        self.tasks: list[v1.TaskInfo] = []
        self.ended: list[str] = []
        entries = {f"jobs/cron-{number}": _cron(number, now) for number in range(jobs)}
        self.feed(events.Loaded(entries))
        self.feed(events.Subscribed("F", "master:5050"))

    def feed(self, event: events.Event) -> None:
        """Time passes as it takes, so that the core can see it."""
        begun_s = time.process_time()
        effects = self.core.handle(event, self.now, wall=self.now)
        took_s = time.process_time() - begun_s
        self.now += took_s
        self.turns_ms.append(took_s * 1e3)
        for effect in effects:
            match effect:
                case events.Store(ticket):
                    self.feed(events.Stored(ticket))
                case events.Accept():
                    self.tasks += [
                        task
                        for one in effect.operations
                        if one.launch is not None
                        for task in one.launch.task_infos
                    ]
                case events.Record():
                    self.ended += [run.id for run in effect.runs]

    def tick(self) -> None:
        """To what is due next."""
        self.now = max(self.now, self.core.next_wakeup(self.now, wall=self.now))
        self.feed(events.ClockTicked())


def _cron(number: int, now: float) -> bytes:
    """All of them at every minute, said in several ways."""
    text = ("* * * * *", "*/1 * * * *", "0-59 * * * *", "* * * * 0-6", "* 0-23 * * *")[number % 5]
    zone = ("", "Europe/Paris", "America/New_York", "Asia/Kolkata")[number % 4]
    schedule = schedules.read(text, zone, now=now)
    return msgspec.json.encode(Job(f"cron-{number}", command="true", schedule=schedule, mem=16, disk=1))


def _crons(jobs: int) -> list[Figure]:
    collector = Collector()  # as in a real Chronos
    collector.install()
    bench = _Core(jobs, 1.8e9 + 30)
    loading_ms = sum(bench.turns_ms)
    bench.turns_ms.clear()
    bench.now = 1.8e9 + 60
    bench.feed(events.ClockTicked())
    bench.feed(events.Offered([_offer(number) for number in range(jobs // 40 + 20)]))
    while len(bench.tasks) < jobs:
        assert bench.now < 1.8e9 + 100, "they are not launched"
        bench.tick()
    launched_ms, worst_ms = sum(bench.turns_ms), max(bench.turns_ms)
    bench.turns_ms.clear()
    _live_through(bench, jobs)
    collector.remove()
    due = {job.schedule.due for job in bench.core.state.jobs.values() if job.schedule is not None}
    assert len(due) == 1, "all are due at the next minute"
    return [
        Figure(
            f"{jobs:,} crons of the same minute: CPU of the core to take them over", loading_ms / 1e3, "s"
        ),
        Figure("… to launch them all", launched_ms / 1e3, "s"),
        Figure("… to see them run and end", sum(bench.turns_ms) / 1e3, "s"),
        Figure("the longest turn in it", max(worst_ms, *bench.turns_ms), "ms", at_most=50),
    ]


def _live_through(bench: _Core, jobs: int) -> None:
    for state in (v1.TaskState.TASK_RUNNING, v1.TaskState.TASK_FINISHED):
        for task in bench.tasks:
            status = v1.TaskStatus(task_id=task.task_id, agent_id=task.agent_id, state=state, uuid=b"u")
            bench.feed(events.Updated(status))
    for begin in range(0, jobs, 100):
        bench.feed(events.Recorded(bench.ended[begin : begin + 100]))
    assert len(bench.ended) == jobs, "each has run once"


def _offer(number: int) -> v1.Offer:
    return v1.Offer(
        id=v1.OfferID(f"O{number}"),
        framework_id=v1.FrameworkID("F"),
        agent_id=v1.AgentID(f"S{number}"),
        hostname=f"agent-{number}",
        resources=parse_resources(AGENT),
        allocation_info=v1.Resource.AllocationInfo(role="*"),
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--due", type=int, default=500, help="how many of them are due in one second")
    parser.add_argument("--directory", type=Path, help="where stores and logs are kept meanwhile")
    parser.add_argument("--profile", type=Path, help="write the first Chronos's profile (cProfile) there")


if __name__ == "__main__":
    figures.run("chronos", __doc__, measure, _arguments)
