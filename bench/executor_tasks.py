"""Tasks of one custom executor on one real agent: no process per task, only messages.

The executor is this file, run by the agent: an ordinary executor of the SDK that says RUNNING and FINISHED at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench import figures
from bench.figures import Figure
from bench.load import Load, subscribed
from bench.processes import ROOT, Account, Costs, Process, started_agent, started_master
from koinon.mesos import v1
from koinon.sdk import Executor

ROOM = "cpus:100;mem:16384;disk:10000"
#: -P keeps this directory, whose modules have common names, out of the executor's search path.
COMMAND = shlex.join(["env", f"PYTHONPATH={ROOT}", sys.executable, "-P", os.path.abspath(__file__)])


class AtOnce(Executor):
    """Its tasks are over when they begin."""

    def launch(self, task: v1.TaskInfo) -> None:
        """Both states."""
        self.update(task, v1.TaskState.TASK_RUNNING)
        self.update(task, v1.TaskState.TASK_FINISHED)


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """After a first task, which starts the executor."""
    tasks = 200 if given.quick else given.tasks
    with (
        tempfile.TemporaryDirectory() as directory,
        started_master(Path(directory)) as (master, address),
        started_agent(Path(directory), address, ROOM) as (agent, launcher),
    ):
        yield from uvloop.run(_rate(address, tasks, master, agent, launcher))


async def _rate(address: str, tasks: int, master: Process, agent: Process, launcher: Account) -> list[Figure]:
    load = Load(address, 0, 1, executor_command=COMMAND)
    async with subscribed([load]) as watch:
        await watch.run_out()
        (shell,) = launcher.children
        executor = Account(next(iter(Account(shell).children), shell))
        load.want(tasks)
        costs = Costs({"master": master, "agent": agent, "executor": executor})
        costs.begin()
        await watch.run_out()
        wall_s, cpu_s = costs.end()
    per_task_ms = {name: value / tasks * 1000 for name, value in cpu_s.items()}
    busiest_ms = max(per_task_ms.values())
    return [
        Figure("tasks, all on this machine", tasks / wall_s, "tasks/s", at_least=1500, peer="480–520"),
        Figure("tasks, if each process had a core", 1000 / busiest_ms, "tasks/s"),
        Figure("CPU of the master per task", per_task_ms["master"], "ms", at_most=0.2, peer="1.0–1.6"),
        Figure("CPU of the agent per task", per_task_ms["agent"], "ms", at_most=0.4, peer="1.8"),
        Figure("CPU of the executor per task", per_task_ms["executor"], "ms"),
        Figure("CPU of the client per task", per_task_ms["client"], "ms"),
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", type=int, default=10_000)


if __name__ == "__main__":
    if "MESOS_EXECUTOR_ID" in os.environ:
        asyncio.run(AtOnce().run())
    else:
        figures.run("executor_tasks", __doc__, measure, _arguments)
