"""Command tasks `true` through one real agent: master, agent and launcher as in production, a framework of the SDK.

CPU times are per task, of each process; "tasks themselves" is what the forked processes take. Then the way of a single
task: from SUBSCRIBE to the update TASK_FINISHED as a client over HTTP sees it, and a whole `koinon run true`.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import uvloop

from bench import figures
from bench.figures import Figure
from bench.load import Load, subscribed
from bench.processes import Account, Costs, Process, started_agent, started_master

ROOM = "cpus:64;mem:16384;disk:10000"


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Rate first, then the single task."""
    tasks = 100 if given.quick else given.tasks
    rounds = 2 if given.quick else 15
    with (
        tempfile.TemporaryDirectory() as directory,
        started_master(Path(directory)) as (master, address),
        started_agent(Path(directory), address, ROOM) as (agent, launcher),
    ):
        yield from uvloop.run(_rate(address, tasks, master, agent, launcher))
        yield from uvloop.run(_single(address, rounds))
        yield from _command_line(address, rounds)


async def _rate(address: str, tasks: int, master: Process, agent: Process, launcher: Account) -> list[Figure]:
    costs = Costs({"master": master, "agent": agent, "launcher": launcher})
    load = Load(address, 0, tasks)
    async with subscribed([load]) as watch:
        costs.begin()
        forked_s = launcher.children_cpu_s
        await watch.run_out()
        wall_s, cpu_s = costs.end()
        forked_s = launcher.children_cpu_s - forked_s
    roles_s = sum(cpu_s.values())
    return [
        Figure("`true`, end to end", tasks / wall_s, "tasks/s", at_least=300, peer="12"),
        Figure("CPU of all per task", (roles_s + forked_s) / tasks * 1000, "ms", peer="150"),
        *(Figure(f"CPU of the {name} per task", value / tasks * 1000, "ms") for name, value in cpu_s.items()),
        Figure("CPU of the tasks themselves", forked_s / tasks * 1000, "ms"),
    ]


async def _single(address: str, rounds: int) -> list[Figure]:
    whole_ms, accepted_ms = [], []
    for index in range(rounds):
        load = Load(address, index, 1)
        begun_s = time.perf_counter()
        async with subscribed([load]) as watch:
            await watch.run_out()
            done_s = time.perf_counter()
            whole_ms.append((done_s - begun_s) * 1000)
            accepted_ms.append((done_s - load.first_offer_s) * 1000)
        await asyncio.sleep(0)
    return [
        Figure("one `true`, ACCEPT → finished, over HTTP (p50)", median(accepted_ms), "ms"),
        Figure(
            "one `true`, SUBSCRIBE → finished, over HTTP (p50)",
            median(whole_ms),
            "ms",
            at_most=50,
            peer="660",
        ),
    ]


def _command_line(address: str, rounds: int) -> Iterator[Figure]:
    argv = [sys.executable, "-m", "koinon", "run", "--master", address, "true"]
    took_ms = []
    for _ in range(rounds):
        begun_s = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took_ms.append((time.perf_counter() - begun_s) * 1000)
    yield Figure("whole process `koinon run true` (p50)", median(took_ms), "ms", at_most=300)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=3_000)


if __name__ == "__main__":
    figures.run("one_agent", __doc__, measure, _arguments)
