"""Marathon: many apps, one large app, a new leader.

A master with emulated agents, two Marathons with a real ZooKeeper.

many     2,000 apps of five instances each are created by POST, as clients do it: a few at a time, again when too many
         deployments are running. Meanwhile somebody fetches the page of all apps again and again.
large    one app is scaled from one instance to a thousand.
leader   the leading Marathon is killed with -9; the other one leads and serves the same apps.
waiting  in this process, without sockets: 5,000 offers that are of no use to 200 apps that wait.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from typing import Any

from msgspec.structs import replace

from bench import figures
from bench.emulated import allow_many_files
from bench.figures import Figure
from bench.polling import Pollers, Question
from bench.processes import Account, Costs, started_fleet, started_marathon, started_master, started_zookeeper
from koinon.edge.collector import Collector
from koinon.marathon.core import Config, Marathon
from koinon.marathon.core.events import ClockTicked, Deploy, Event, Loaded, Offered, Store, Stored, Subscribed
from koinon.marathon.model import App
from koinon.mesos import v1
from koinon.mesos.resources import parse_resources

CLIENTS = 4
INSTANCES = 5
#: Cheap enough that all fit.
APP = {"cmd": "sleep inf", "cpus": 0.1, "mem": 16, "instances": INSTANCES}
AGENT = "cpus:8;mem:2048;disk:10000;ports:[31000-32000]"
TIMEOUT_S = 600.0


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """All of it."""
    logging.getLogger("koinon").setLevel(logging.ERROR)
    allow_many_files()
    apps, agents, large = (20, 10, 50) if given.quick else (given.apps, given.agents, given.large)
    session_s = 2 if given.quick else 10
    yield from _waiting(*((200, 20) if given.quick else (5000, 200)))
    with tempfile.TemporaryDirectory(dir=given.directory) as name:
        yield from _cluster(Path(name), apps, agents, large, session_s, given.profile)


def _cluster(
    directory: Path, apps: int, agents: int, large: int, session_s: int, profile: Path | None
) -> Iterator[Figure]:
    with (
        started_zookeeper(directory) as (secret_url, _),
        started_master(directory) as (master, master_address),
        started_fleet(master_address, agents, AGENT) as fleet,
    ):
        flags = {
            "master": master_address,
            "zk": secret_url.replace("/mesos", "/marathon"),
            "zk_session_timeout": str(session_s * 1000),
        }
        with (
            started_marathon(directory, "first", profile=profile, **flags) as (first, address),
            started_marathon(directory, "second", **flags) as (second, second_address),
        ):
            costs = Costs({"master": master, "marathon": first, "agents": fleet})
            yield from _many(address, first, apps, costs)
            yield from _large(address, first, large, costs)
            yield from _leader(first, second, second_address, session_s, apps + 1, apps * INSTANCES + large)


# ── many apps ─────────────────────────────────────────────────────────────────────────────────────
def _many(address: str, marathon: Account, apps: int, costs: Costs) -> list[Figure]:
    costs.begin()
    begun_s = time.time()
    with Pollers(1, address, Question("/v2/apps"), pause_s=0.2, pid=marathon.pid) as pages:
        names = iter([f"/team-{number % 20}/app-{number}" for number in range(apps)])
        lock = threading.Lock()
        clients = [threading.Thread(target=_create, args=(address, names, lock)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        created_s = time.time()
        _until_idle(address)
        running_s = time.time()
    _, spent = costs.end()
    tasks = apps * INSTANCES
    latencies_ms, stalls_ms = pages.between(begun_s, running_s)
    after_ms = _page_ms(address)
    return [
        Figure(f"{apps:,} apps created by POST", created_s - begun_s, "s", at_most=180),
        Figure(f"their {tasks:,} instances run", running_s - begun_s, "s"),
        Figure("CPU of Marathon, per instance", spent["marathon"] / tasks * 1e3, "ms"),
        Figure("CPU of the master, per instance", spent["master"] / tasks * 1e3, "ms"),
        Figure("/v2/apps meanwhile, p50", median(latencies_ms), "ms", at_most=200),
        Figure("/v2/apps meanwhile, worst", max(latencies_ms), "ms"),
        Figure("/v2/apps meanwhile, worst, without the waits for a CPU", max(stalls_ms), "ms"),
        Figure(f"/v2/apps of {apps:,} apps afterwards", after_ms, "ms", at_most=200),
        Figure("memory of Marathon", marathon.memory_mb, "MB"),
    ]


def _create(address: str, names: Iterator[str], lock: threading.Lock) -> None:
    connection = HTTPConnection(address, timeout=60)
    while True:
        with lock:
            name = next(names, None)
        if name is None:
            break
        while (status := _ask(connection, "POST", "/v2/apps", {"id": name, **APP})[0]) == 403:
            time.sleep(0.1)
        assert status == 201, status
    connection.close()


# ── a large app ───────────────────────────────────────────────────────────────────────────────────
def _large(address: str, marathon: Account, instances: int, costs: Costs) -> list[Figure]:
    connection = HTTPConnection(address, timeout=60)
    status, _ = _ask(
        connection, "POST", "/v2/apps", {"id": "/large", **APP, "instances": 1, "portDefinitions": []}
    )
    assert status == 201, status
    _until_idle(address)
    costs.begin()
    with Pollers(1, address, Question("/ping"), pause_s=0.005, pid=marathon.pid) as pings:
        begun_s = time.time()
        status, _ = _ask(connection, "PUT", "/v2/apps//large", {"instances": instances})
        assert status == 200, status
        _until_idle(address)
        took_s = time.time() - begun_s
    _, spent = costs.end()
    _, app = _ask(connection, "GET", "/v2/apps//large")
    assert app["app"]["tasksRunning"] == instances, app["app"]["tasksRunning"]
    return [
        Figure(f"one app from 1 to {instances:,} instances", took_s, "s", at_most=30),
        Figure("CPU of Marathon in it", spent["marathon"], "s"),
        Figure("CPU of the master in it", spent["master"], "s"),
        Figure("longest stall of Marathon in it", max(pings.stalls_ms), "ms", at_most=50),
    ]


# ── a new leader ──────────────────────────────────────────────────────────────────────────────────
def _leader(first: Any, second: Account, address: str, session_s: int, apps: int, tasks: int) -> list[Figure]:
    begun_cpu_s = second.cpu_s
    killed_s = time.time()
    first.popen.send_signal(signal.SIGKILL)
    deadline_s = killed_s + TIMEOUT_S
    found: list[Any] = []
    while len(found) < apps:
        assert time.time() < deadline_s, "no new leader"
        time.sleep(0.05)
        try:
            connection = HTTPConnection(address, timeout=60)
            status, answer = _ask(connection, "GET", "/v2/apps")
        except (OSError, HTTPException, ValueError):
            continue
        if status == 200:
            found = answer["apps"]
    serves_s = time.time() - killed_s
    running = sum(app["tasksRunning"] for app in found)
    assert running == tasks, (running, tasks)
    return [
        Figure(
            f"killed → the new leader serves all apps (a session of {session_s} s has to end first)",
            serves_s,
            "s",
        ),
        Figure("the same without the session", max(0.0, serves_s - session_s), "s", at_most=10),
        Figure("CPU of the new leader until then", second.cpu_s - begun_cpu_s, "s"),
    ]


# ── asking ────────────────────────────────────────────────────────────────────────────────────────
def _ask(
    connection: HTTPConnection, method: str, path: str, body: Mapping[str, Any] | None = None
) -> tuple[int, Any]:
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else None


def _until_idle(address: str) -> None:
    """No deployment is running any more."""
    connection = HTTPConnection(address, timeout=60)
    deadline_s = time.monotonic() + TIMEOUT_S
    while _ask(connection, "GET", "/v2/deployments")[1]:
        assert time.monotonic() < deadline_s, "deployments do not end"
        time.sleep(0.05)
    connection.close()


def _page_ms(address: str) -> float:
    connection = HTTPConnection(address, timeout=60)
    return median(Question("/v2/apps").ask(connection)[0] for _ in range(5))


# ── offers that are of no use ─────────────────────────────────────────────────────────────────────
class _Core:
    """The core alone, its writes done at once."""

    def __init__(self) -> None:
        self.core = Marathon(Config(), seed=1)
        self.now = 1.8e9
        self.turns_ms: list[float] = []

    def feed(self, event: Event) -> None:
        begun_s = time.process_time()
        effects = self.core.handle(event, self.now)
        self.turns_ms.append((time.process_time() - begun_s) * 1e3)
        for effect in effects:
            if isinstance(effect, Store):
                self.feed(Stored(effect.ticket))


def _waiting(offers: int, apps: int) -> list[Figure]:
    collector = Collector()  # as in a real Marathon
    bench = _Core()
    bench.feed(Loaded({}))
    bench.feed(Subscribed("F", "master:5050"))
    constraints = ((("hostname", "UNIQUE"),), (("rack", "IS", "none"),), (), (("rack", "GROUP_BY"),))
    specs = [
        App(
            id=f"/app-{number}", cmd="true", cpus=64, mem=16, instances=5, constraints=constraints[number % 4]
        )
        for number in range(apps)
    ]
    target = replace(bench.core.root, apps={app.id: app for app in specs})
    bench.feed(Deploy(target, "deployment"))
    bench.turns_ms.clear()
    offered = Offered([_offer(number) for number in range(offers)])
    collector.install()
    bench.feed(offered)
    launches = bench.core.state.launches
    while launches.held or launches.incoming:
        bench.now = max(bench.now, bench.core.next_wakeup(bench.now) or bench.now)
        bench.feed(ClockTicked())
    collector.remove()
    assert all(one.processed == offers for one in launches.waiting())
    return [
        Figure(f"{offers:,} offers × {apps} waiting apps: CPU", sum(bench.turns_ms) / 1e3, "s"),
        Figure("the longest turn in it", max(bench.turns_ms), "ms", at_most=50),
    ]


def _offer(number: int) -> v1.Offer:
    return v1.Offer(
        id=v1.OfferID(f"O{number}"),
        framework_id=v1.FrameworkID("F"),
        agent_id=v1.AgentID(f"S{number}"),
        hostname=f"agent-{number}",
        resources=parse_resources(AGENT),
        attributes=[
            v1.Attribute(name="rack", type=v1.Value.Type.TEXT, text=v1.Value.Text(f"rack-{number % 20}"))
        ],
        allocation_info=v1.Resource.AllocationInfo(role="*"),
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--apps", type=int, default=2000)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--large", type=int, default=1000, help="instances of the large app")
    parser.add_argument("--directory", type=Path, help="where stores and logs are kept meanwhile")
    parser.add_argument("--profile", type=Path, help="write the first Marathon's profile (cProfile) there")


if __name__ == "__main__":
    figures.run("marathon", __doc__, measure, _arguments)
