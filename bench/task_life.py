"""Task lives through one master, over real sockets: launched, running, finished, both updates acknowledged.

Three processes: the master with its registry on disk; emulated agents (`bench.emulated`), whose tasks finish at
once; and this one, with the frameworks, which are ordinary SDK schedulers. A framework launches as many tasks as an
offer has room for: with room for one per agent, the default, each life takes an offer, an ACCEPT, two updates and two
ACKNOWLEDGE; with room for more, lives share offers. Measured from the first offer to the last
acknowledgement. The rate per core of the master is what it would do if the machine had enough cores for everybody else.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench import figures
from bench.emulated import allow_many_files
from bench.figures import Figure
from bench.load import Load, subscribed
from bench.processes import Costs, Process, started_fleet, started_master


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Each number of agents."""
    allow_many_files()
    tasks = 500 if given.quick else given.tasks
    for agents in [20] if given.quick else given.agents:
        resources = f"cpus:{given.per_agent};mem:{32 * given.per_agent}"
        with (
            tempfile.TemporaryDirectory() as directory,
            started_master(Path(directory)) as (master, address),
            started_fleet(address, agents, resources) as fleet,
        ):
            lives = tasks // given.frameworks * given.frameworks
            wall_s, cpu_s, per_accept = uvloop.run(live(address, given.frameworks, lives, master, fleet))
            yield from _figures(f"{agents:,} agents", lives, wall_s, cpu_s, per_accept, master.memory_mb)


async def live(
    address: str, frameworks: int, lives: int, master: Process, fleet: Process
) -> tuple[float, dict[str, float], float]:
    """Runs all tasks to their ends: seconds on the wall, CPU seconds of each, tasks per accept."""
    loads = [Load(address, index, lives // frameworks) for index in range(frameworks)]
    costs = Costs({"master": master, "agents": fleet})
    async with subscribed(loads) as watch:
        costs.begin()
        await watch.run_out()
        wall_s, cpu_s = costs.end()
    return wall_s, cpu_s, lives / sum(load.accepts for load in loads)


def _figures(
    case: str, lives: int, wall_s: float, cpu_s: dict[str, float], per_accept: float, master_mb: float
) -> Iterator[Figure]:
    master_s = cpu_s["master"]
    yield Figure(
        f"{case}: lives per core of the master", lives / master_s, "1/s", at_least=5000, peer="600–1,000"
    )
    yield Figure(f"{case}: lives, all on this machine", lives / wall_s, "1/s")
    yield Figure(f"{case}: CPU of the master per life", master_s / lives * 1e6, "µs", at_most=200)
    yield Figure(f"{case}: CPU of the agents per life", cpu_s["agents"] / lives * 1e6, "µs")
    yield Figure(f"{case}: CPU of the frameworks per life", cpu_s["client"] / lives * 1e6, "µs")
    yield Figure(f"{case}: tasks per ACCEPT", per_accept, "")
    yield Figure(f"{case}: memory of the master", master_mb, "MB")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agents", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--frameworks", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=50_000, help="all frameworks together")
    parser.add_argument("--per-agent", type=int, default=1, help="tasks that an agent has room for at once")


if __name__ == "__main__":
    figures.run("task_life", __doc__, measure, _arguments)
