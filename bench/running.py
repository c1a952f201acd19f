"""What an agent holds in memory for each command task that runs, and for each that has ended.

Many `sleep` tasks run at once on one real agent. The processes of the tasks themselves are not counted: they cost
what the work costs. Then `true` tasks run one batch after the other, with the histories at their default length.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench import figures
from bench.figures import Figure
from bench.load import Load, subscribed
from bench.processes import Account, Process, started_agent, started_master


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Ended tasks first, so that what runs finds an agent that has warmed up."""
    running, ended = (20, 20) if given.quick else (given.running, 2_000)
    room = f"cpus:{running};mem:{32 * running};disk:10000"
    with (
        tempfile.TemporaryDirectory() as directory,
        started_master(Path(directory)) as (master, address),
        started_agent(Path(directory), address, room) as (agent, launcher),
    ):
        yield from uvloop.run(_grow(address, running, ended, master, agent, launcher))


async def _grow(
    address: str, running: int, ended: int, master: Process, agent: Process, launcher: Account
) -> list[Figure]:
    load = Load(address, 0, 10)
    async with subscribed([load]) as watch:
        await watch.run_out()
        empty_mb = agent.memory_mb
        load.want(ended)
        await watch.run_out()
        await asyncio.sleep(1)
        ended_mb, launcher_mb = agent.memory_mb, launcher.memory_mb
        load.want(running, "sleep 10000")
        await watch.start_all()
        await asyncio.sleep(1)
        running_mb, launcher_running_mb = agent.memory_mb, launcher.memory_mb
    return [
        Figure(
            "memory of the agent per running command task", (running_mb - ended_mb) / running * 1024, "kB", 60
        ),
        Figure(
            "memory of the launcher per running task",
            (launcher_running_mb - launcher_mb) / running * 1024,
            "kB",
        ),
        Figure(
            "memory of the agent per finished task", (ended_mb - empty_mb) / ended * 1024, "kB", peer="52"
        ),
        Figure(f"growth of the agent by {ended:,} finished tasks", ended_mb - empty_mb, "MB", peer="45"),
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--running", type=int, default=500)


if __name__ == "__main__":
    figures.run("running", __doc__, measure, _arguments)
