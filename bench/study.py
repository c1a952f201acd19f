"""`koinon simulate` on large clusters: an hour of cluster time, with the master's real core, on one CPU.

Agents of 16 CPUs in one group; frameworks in three roles, whose tasks come at random, take one CPU each and run for ten
minutes in the mean, so that four fifths of all CPUs are in use. Each case once without failures and once with: then all
agents are pinged, as in life.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from bench import figures
from bench.figures import Figure
from bench.processes import ROOT, Account
from koinon.simulator.study.cluster import Cluster
from koinon.simulator.study.description import (
    Amounts,
    Exponential,
    Failures,
    Framework,
    Group,
    Poisson,
    Study,
    Workload,
)

HOUR_S = 3600.0
LOAD = 0.8
TASK_S = 600.0
CPUS = 16
FRAMEWORKS = 10
FAILURES = Failures(every_s=30 * 86400.0, repair_s=HOUR_S)


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Each number of agents, in a process of its own: what was freed is not always given back."""
    length_s = 60.0 if given.quick else HOUR_S
    for agents in [100] if given.quick else given.agents:
        for fails in (False, True):
            argv = [sys.executable, "-m", "bench.study", "--one", str(agents), str(length_s), str(int(fails))]
            ended = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
            cpu_s, tasks, memory_mb = map(float, ended.stdout.split())
            what = f"{agents:,} agents{', machines fail' if fails else ''}"
            target_s = 600.0 if agents == 50_000 and not given.quick else None
            yield Figure(f"{what}: CPU for an hour", cpu_s, "s", at_most=target_s)
            yield Figure(f"{what}: tasks that came", tasks, "")
            yield Figure(f"{what}: CPU per task", cpu_s / tasks * 1e6, "µs")
            yield Figure(f"{what}: memory", memory_mb, "MB")


def one(agents: int, length_s: float, fails: bool) -> None:
    """Simulate; print CPU seconds, tasks that came, and memory in MB."""
    gc.disable()  # as the command does
    begun_s = time.process_time()
    cluster = Cluster(study(agents, length_s, FAILURES if fails else None))
    cluster.run(length_s)
    tasks = sum(tasks.arrived for tasks in cluster.measures.tasks.values())
    print(time.process_time() - begun_s, tasks, Account(os.getpid()).memory_mb)


def study(agents: int, length_s: float, failures: Failures | None) -> Study:
    """The cluster and its work."""
    rate_per_s = agents * CPUS * LOAD / TASK_S / FRAMEWORKS
    task, room = Amounts(1000, 2_000_000), Amounts(1000 * CPUS, 64_000_000)
    return Study(
        length_s=length_s,
        sample_s=length_s / 360,
        groups=(Group("all", agents, room, {}, failures),),
        frameworks=tuple(
            Framework(
                f"framework-{number}",
                f"role-{number % 3}",
                (Workload("tasks", Poisson(rate_per_s), Exponential(TASK_S), task),),
            )
            for number in range(FRAMEWORKS)
        ),
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agents", type=int, nargs="+", default=[1_000, 10_000, 50_000])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "1")
    else:
        figures.run("study", __doc__, measure, _arguments)
