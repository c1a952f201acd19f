"""When tasks come, what they ask for, and how long they will run.

Each workload draws from streams of its own, made of the seed and its name: other workloads, or another cluster, do not
change its tasks. So two studies that differ in one thing are asked the same of.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log
from random import Random
from typing import NamedTuple

from koinon.simulator.study.description import (
    Amounts,
    Arrivals,
    AtOnce,
    Constant,
    Duration,
    Exponential,
    Lognormal,
    Periodic,
    Poisson,
    Recorded,
    Trace,
    Workload,
)

#: 99 % of a standard normal distribution lie below.
_NORMAL_P99 = 2.3263478740408408


class Arrival(NamedTuple):
    """Tasks that come at the same time: what each asks for, and how many seconds it will run."""

    at_s: float  #: since the begin
    tasks: list[tuple[Amounts, float]]


def arrivals(workload: Workload, seed: int, name: str, length_s: float) -> Iterator[Arrival]:
    """Yield all that come before the end, in order of time. `name` tells workloads apart."""
    when, how_long = Random(f"{seed}/arrivals/{name}"), Random(f"{seed}/durations/{name}")
    if isinstance(workload.arrivals, Trace):
        yield from _traced(workload, workload.arrivals, how_long, length_s)
        return
    for at_s, tasks in _moments(workload.arrivals, when):
        if at_s >= length_s:
            return
        yield Arrival(at_s, [(workload.task, draw_s(workload.duration, how_long)) for _ in range(tasks)])


def _moments(law: Arrivals, random: Random) -> Iterator[tuple[float, int]]:
    match law:
        case AtOnce(tasks, at_s):
            yield at_s, tasks
        case Periodic(every_s, first_s, tasks):
            number = 0
            while True:
                yield first_s + number * every_s, tasks
                number += 1
        case Poisson(rate_per_s, tasks):
            at_s = 0.0
            while True:
                at_s += random.expovariate(rate_per_s)
                yield at_s, tasks


def _traced(workload: Workload, trace: Trace, random: Random, length_s: float) -> Iterator[Arrival]:
    recorded = isinstance(workload.duration, Recorded)
    row = 0
    while row < len(trace) and (at_s := trace.arrival_s[row]) < length_s:
        tasks = []
        while row < len(trace) and trace.arrival_s[row] == at_s:
            duration_s = trace.duration_s[row] if recorded else draw_s(workload.duration, random)
            tasks.append((trace.kinds[trace.kind[row]], duration_s))
            row += 1
        yield Arrival(at_s, tasks)


def draw_s(law: Duration, random: Random) -> float:
    """Draw how long a task runs. What is recorded is not drawn."""
    match law:
        case Constant(value_s):
            return value_s
        case Exponential(mean_s):
            return random.expovariate(1 / mean_s)
        case Lognormal(median_s, p99_s):
            return exp(random.gauss(log(median_s), log(p99_s / median_s) / _NORMAL_P99))
    raise TypeError(f"{law} is not drawn")
