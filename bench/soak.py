"""Nothing grows: a day of a cluster in virtual time, then minutes of a real one, with memory and files looked at.

The day (`bench.virtual`): the master's core, 60 agents, 20 frameworks, 8 tasks per second, and everything that breaks.
Its memory is sampled every hour; the histories are full after some. In the end all heals and the laws of the state
must hold.

The minutes: master, agent and launcher run batch after batch of short tasks of frameworks that come and go. After the
last one each has as many file descriptors, threads and children as after the first, none is a zombie, and memory
has stayed flat. Ends with status 1 when something has grown.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench import figures
from bench.figures import Figure
from bench.load import Load, subscribed
from bench.processes import Account, started_agent, started_master, until
from bench.virtual import Load as Virtual
from bench.virtual import World
from koinon.master.core import Config

HOUR_S = 3600.0
#: What memory may grow by from the first half to the second, in percent, and the noise that is allowed besides.
GROWTH_PERCENT = 5.0
NOISE_MB = 4.0

#: Everything happens faster, and little is remembered: then minutes are a day.
BRISK = Virtual(
    agents=8,
    frameworks=4,
    arrivals_per_s=10.0,
    batch=10,
    task_s=5.0,
    channel_s=60.0,
    away_s=20.0,
    agent_life_s=300.0,
    stream_s=60.0,
    framework_life_s=60.0,
    config=Config(
        max_completed_frameworks=20,
        max_completed_tasks_per_framework=20,
        max_unreachable_tasks_per_framework=20,
    ),
)


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Both; fails with AssertionError when something has grown."""
    yield from virtual_day(BRISK, 10, 300.0) if given.quick else virtual_day(Virtual(), given.hours, HOUR_S)
    if given.quick:
        yield from real_minutes(3.0, batch=25, warm_up=4)
    else:
        yield from real_minutes(given.minutes * 60, batch=500, warm_up=60)


# ── virtual time ──────────────────────────────────────────────────────────────────────────────────────
def virtual_day(load: Virtual, periods: int, period_s: float) -> Iterator[Figure]:
    """Run, sampling memory after each period."""
    world, own = World(load, seed=1), Account(os.getpid())
    begun_s = time.monotonic()
    samples_mb = []
    for _ in range(periods):
        world.run(period_s)
        gc.collect()
        samples_mb.append(own.memory_mb)
    warm_mb = samples_mb[periods // 3 :]
    assert_flat("the process of the virtual cluster", warm_mb)
    world.heal()
    yield Figure("virtual time", periods * period_s / HOUR_S, "h")
    yield Figure("took", time.monotonic() - begun_s, "s")
    yield Figure("memory after the warm-up", warm_mb[0], "MB")
    yield Figure("memory at the end", warm_mb[-1], "MB")
    for what, count in sorted(world.counts.items()):
        yield Figure(what, count, "")


def assert_flat(what: str, samples_mb: list[float]) -> None:
    """The second half of the samples is no higher than the first. Raises AssertionError."""
    half = len(samples_mb) // 2
    before_mb, after_mb = max(samples_mb[:half]), max(samples_mb[half:])
    grown_mb = after_mb - before_mb
    allowed_mb = before_mb * GROWTH_PERCENT / 100 + NOISE_MB
    assert grown_mb <= allowed_mb, f"{what} grows: {', '.join(f'{one:.1f}' for one in samples_mb)} MB"


# ── real time ─────────────────────────────────────────────────────────────────────────────────────────
def real_minutes(duration_s: float, batch: int, warm_up: int) -> Iterator[Figure]:
    """Batches of `true` on a real agent, each a framework of its own."""
    with (
        tempfile.TemporaryDirectory() as directory,
        started_master(
            Path(directory), max_completed_frameworks="2", max_completed_tasks_per_framework="50"
        ) as (master, address),
        started_agent(
            Path(directory),
            address,
            "cpus:32;mem:8192;disk:10000",
            max_completed_executors_per_framework="5",
        ) as (agent, launcher),
    ):
        accounts: dict[str, Account] = {"master": master, "agent": agent, "launcher": launcher}
        for _ in range(warm_up):  # until the histories are full
            uvloop.run(_batch(address, 10))
        base = _settled(accounts, None)
        samples_mb: dict[str, list[float]] = {name: [] for name in accounts}
        tasks, end_s = 0, time.monotonic() + duration_s
        while time.monotonic() < end_s or tasks < 4 * batch:
            uvloop.run(_batch(address, batch))
            tasks += batch
            for name, account in accounts.items():
                samples_mb[name].append(account.memory_mb)
        left = _settled(accounts, base)
        assert left == base, f"files, threads and children were {base}, now {left}"
        for name, samples in samples_mb.items():
            assert_flat(f"the {name}", samples)
    yield Figure("real tasks", tasks, "")
    for name, (files, threads, children) in left.items():
        yield Figure(f"{name}: open files", files, "")
        yield Figure(f"{name}: threads", threads, "")
        yield Figure(f"{name}: children, zombies included", children, "")
        yield Figure(f"{name}: memory, early", samples_mb[name][0], "MB")
        yield Figure(f"{name}: memory, late", samples_mb[name][-1], "MB")


async def _batch(address: str, count: int) -> None:
    """A framework comes, runs its tasks, and leaves."""
    load = Load(address, 0, count, checkpoint=True)
    async with subscribed([load]) as watch:
        await watch.run_out()


_Counts = dict[str, tuple[int, int, int]]


def _settled(accounts: dict[str, Account], base: _Counts | None) -> _Counts:
    """Files, threads and children of each, when connections that are being closed are gone."""

    def now() -> _Counts:
        return {name: (one.files, one.threads, len(one.children)) for name, one in accounts.items()}

    if base is None:
        seen = [now()]

        def steady() -> bool:
            time.sleep(0.2)
            seen.append(now())
            return seen[-1] == seen[-2]

        until(steady, "files and threads are steady")
        return seen[-1]
    try:
        until(lambda: now() == base, "files, threads and children are those of the beginning", 10)
    except SystemExit as late:
        print(late, file=sys.stderr)
    return now()


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hours", type=int, default=24, help="of virtual time")
    parser.add_argument("--minutes", type=float, default=1.5, help="of real time")


if __name__ == "__main__":
    figures.run("soak", __doc__, measure, _arguments)
