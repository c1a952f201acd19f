"""What a large master answers, how fast, and what it holds in memory.

Emulated agents and real frameworks bring a master to 10,000 agents with 100,000 running and 100,000 completed tasks.
Then the whole state is fetched in its three forms while frameworks go on launching tasks, and one client asks
`/health` every few milliseconds. How long it waits, without the time that the kernel let it or the master wait for a
CPU, is how long the master's loop stood still. A second master, with 10,000 + 10,000 tasks, is polled by five clients
at once; a third one has 1,000 frameworks.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench import figures
from bench.emulated import allow_many_files
from bench.figures import Figure
from bench.load import Load, Watch, subscribed
from bench.polling import Pollers, Question, asked
from bench.processes import Process, started_fleet, started_master
from koinon.mesos import v1
from koinon.sdk import TERMINAL_STATES

FRAMEWORKS = 10
PING_S = 0.002
HEALTH = Question("/health")
STATES = (
    ("/state", Question("/state"), 500.0, "1,130"),
    ("v1 GET_STATE, JSON", Question("/api/v1", call="GET_STATE"), None, "1,480"),
    (
        "v1 GET_STATE, protobuf",
        Question("/api/v1", call="GET_STATE", accept="application/x-protobuf"),
        None,
        "690",
    ),
)


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """The three masters, one after the other."""
    allow_many_files()
    large, small, crowd = (50, 20, 10) if given.quick else (given.agents, 1_000, 1_000)
    times, duration_s = (2, 0.2) if given.quick else (7, 5.0)
    yield from _with_master(large, partial(_large, times=times))
    yield from _with_master(small, partial(_polled, duration_s=duration_s))
    yield from _with_master(0, partial(_crowded, frameworks=crowd))


def _with_master(agents: int, work: Callable[[Process, str, int], Any]) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory() as directory,
        started_master(Path(directory), max_completed_tasks_per_framework="1000000") as (master, address),
    ):
        if not agents:
            return list(uvloop.run(work(master, address, agents)))
        with started_fleet(address, agents, "cpus:11;mem:352"):
            return list(uvloop.run(work(master, address, agents)))


# ── 10,000 agents, 100,000 + 100,000 tasks ────────────────────────────────────────────────────────────
async def _large(master: Process, address: str, agents: int, times: int) -> list[Figure]:
    tasks = 10 * agents
    loads = [Load(address, index, tasks // FRAMEWORKS) for index in range(FRAMEWORKS)]
    others = Steady(address, FRAMEWORKS)
    async with subscribed([*loads, others]) as watch:
        found = await _fill(master, watch, loads, tasks)
        idle = await asyncio.to_thread(_pings, master, address, 1.0)
        others.revive()  # it is offered the whole cluster, once; let that pass
        await asyncio.sleep(2)
        for name, question, at_most, peer in STATES:
            found += await asyncio.to_thread(_fetch, master, address, name, question, times, at_most, peer)
    found.append(Figure("/health with nobody fetching, worst", max(idle), "ms"))
    return found


async def _fill(master: Process, watch: Watch, loads: list[Load], tasks: int) -> list[Figure]:
    """Complete so many tasks, then let as many run."""
    empty_mb = master.memory_mb
    for load in loads:
        load.revive()
    await watch.all(load.done for load in loads)
    await asyncio.sleep(1)
    completed_mb = master.memory_mb
    for load in loads:
        load.want(tasks // FRAMEWORKS, "sleep inf")
        load.revive()
    await watch.all(load.started for load in loads)
    await asyncio.sleep(1)
    running_mb = master.memory_mb
    return [
        Figure("memory of the master per completed task", (completed_mb - empty_mb) / tasks * 1024, "kB"),
        Figure(
            "memory of the master per running task",
            (running_mb - completed_mb) / tasks * 1024,
            "kB",
            at_most=2,
        ),
        Figure("memory of the master", running_mb, "MB"),
    ]


class Steady(Load):
    """Always has some tasks of a second under way, each on an agent of its own: a steady flow of offers and updates."""

    def __init__(self, master: str, index: int) -> None:
        super().__init__(master, index, 100, command="sleep 1")

    def offers(self, offers: list[v1.Offer]) -> None:
        """What we do not want now is not offered again until a task of ours has ended there."""
        wanted, unused = offers[: self._waiting], offers[self._waiting :]
        for offer in wanted:
            self.launch(offer, [self._task(offer)], refuse_s=3600)
        if unused:
            self.decline(unused, refuse_s=3600)

    def update(self, status: v1.TaskStatus) -> None:
        """An end makes room for another one."""
        super().update(status)
        if status.state in TERMINAL_STATES:
            self.want(1)


def _pings(master: Process, address: str, duration_s: float) -> list[float]:
    with Pollers(1, address, HEALTH, pause_s=PING_S, pid=master.pid) as pings:
        time.sleep(duration_s)
    return pings.latencies_ms


def _fetch(
    master: Process, address: str, name: str, question: Question, times: int, at_most: float | None, peer: str
) -> list[Figure]:
    asked(address, question, 1)  # objects that nobody has looked at since they changed are rendered now
    with Pollers(1, address, HEALTH, pause_s=PING_S, pid=master.pid) as pings:
        begun_s = master.cpu_s
        answers = asked(address, question, times)
        cpu_ms = (master.cpu_s - begun_s) / times * 1000
    return [
        Figure(f"{name} (p50)", median(took_ms for took_ms, _ in answers), "ms", at_most, peer=peer),
        Figure(f"{name}, CPU of the master meanwhile", cpu_ms, "ms"),
        Figure(f"{name}, size", answers[-1][1] / 2**20, "MB"),
        Figure(f"{name}, /health meanwhile, p50", median(pings.latencies_ms), "ms"),
        Figure(f"{name}, /health meanwhile, worst", max(pings.latencies_ms), "ms"),
        Figure(f"{name}, longest stall of the master", max(pings.stalls_ms), "ms", at_most=50),
    ]


# ── five clients, many frameworks ─────────────────────────────────────────────────────────────────────
async def _polled(master: Process, address: str, agents: int, duration_s: float) -> list[Figure]:
    tasks = 10 * agents
    loads = [Load(address, index, tasks // FRAMEWORKS) for index in range(FRAMEWORKS)]
    async with subscribed(loads) as watch:
        await _fill(master, watch, loads, tasks)
        with Pollers(5, address, STATES[0][1]) as states:
            pings_ms = await asyncio.to_thread(_pings, master, address, duration_s)
    return [
        Figure(
            "/health while five clients poll /state (p50)", median(pings_ms), "ms", at_most=10, peer="120"
        ),
        Figure("/health while five clients poll /state, worst", max(pings_ms), "ms"),
        Figure("/state for five clients (p50)", median(states.latencies_ms), "ms"),
    ]


async def _crowded(master: Process, address: str, _: int, frameworks: int) -> list[Figure]:
    loads = [Load(address, index, 1) for index in range(frameworks)]
    async with subscribed(loads):
        begun_s = master.cpu_s
        answers = await asyncio.to_thread(asked, address, Question("/metrics/snapshot"), 50)
        cpu_ms = (master.cpu_s - begun_s) / len(answers) * 1000
    took_ms = median(took_ms for took_ms, _ in answers)
    return [
        Figure("/metrics/snapshot with 1,000 frameworks (p50)", took_ms, "ms", at_most=20, peer="219"),
        Figure("/metrics/snapshot, CPU of the master", cpu_ms, "ms"),
        Figure("/metrics/snapshot, size", answers[-1][1] / 2**20, "MB"),
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--agents", type=int, default=10_000, help="each with ten running and ten completed tasks"
    )


if __name__ == "__main__":
    figures.run("state", __doc__, measure, _arguments)
