"""What a study found, as plain values: what `--json` prints and `report.json` holds.

*Waiting*: from a task's arrival to its first start. A task that was never started waited longer than until the end, so
a quantile that such tasks might raise is known from below only; `at_least` names these. Shares and use are parts of all
that the described agents have, whether they are up or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, inf
from typing import TypeAlias

import msgspec
from msgspec import Struct

from koinon.simulator.study.cluster import Cluster
from koinon.simulator.study.description import NAMES
from koinon.simulator.study.measures import Tasks, is_in, roles_of

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
_DIGITS = 6


class Waiting(Struct, kw_only=True):
    """How long tasks that came after the warm-up waited; None when there were none."""

    tasks: int
    started: int
    mean_s: float | None = None
    p50_s: float | None = None
    p90_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None
    at_least: list[str] = []  #: of these only a lower bound is known


class Progress(Struct, kw_only=True):
    """What became of tasks: arrived = waiting + launched + running + finished."""

    arrived: int
    finished: int
    running: int
    launched: int  #: under way to an agent, or on one that is lost
    waiting: int
    lost: int  #: launches that had to be repeated


class Resource(Struct, kw_only=True):
    """How much there is, and what part of it was in use."""

    has: float
    mean: float
    max: float  #: of the points of the series


class Role(Struct, kw_only=True):
    """A role's dominant share, and how long its tasks waited, those of roles below included."""

    weight: float
    share_mean: float
    share_max: float
    waiting: Waiting


class Framework(Struct, kw_only=True):
    """A framework's tasks."""

    role: str
    tasks: Progress
    waiting: Waiting
    workloads: dict[str, Waiting]


class Report(Struct, kw_only=True):
    """All of it."""

    seed: int
    length_s: float
    warm_up_s: float
    agents: int
    agent_failures: int
    tasks: Progress
    resources: dict[str, Resource]  #: those that there are
    roles: dict[str, Role]
    frameworks: dict[str, Framework]


def make_report(cluster: Cluster, waits: WaitsBy) -> Report:
    """What was found until now; `waits` are those of `waits_by`."""
    study, measures = cluster.study, cluster.measures
    series = measures.series
    warm = next((at for at, time_s in enumerate(series.time_s) if time_s >= study.warm_up_s), 0)
    return Report(
        seed=study.seed,
        length_s=study.length_s,
        warm_up_s=study.warm_up_s,
        agents=study.agents,
        agent_failures=measures.failures,
        tasks=_progress(cluster, list(measures.use)),
        resources={
            name: Resource(
                has=have / 1000,
                mean=round(mean, _DIGITS),
                max=round(max(points[warm:], default=0.0), _DIGITS),
            )
            for name, have, mean, points in zip(
                NAMES, study.capacity(), measures.mean_used(), series.used, strict=True
            )
            if have
        },
        roles={
            role: Role(
                weight=study.weights.get(role, 1.0),
                share_mean=round(_mean(points[warm:]), _DIGITS),
                share_max=round(max(points[warm:], default=0.0), _DIGITS),
                waiting=waits["role"][role].summary(),
            )
            for role, points in series.shares.items()
        },
        frameworks={
            framework.name: Framework(
                role=framework.role,
                tasks=_progress(cluster, [framework.name]),
                waiting=waits["framework"][framework.name].summary(),
                workloads={
                    workload.name: waits["workload"][f"{framework.name}/{workload.name}"].summary()
                    for workload in framework.workloads
                },
            )
            for framework in study.frameworks
        },
    )


def to_json(report: object) -> bytes:
    """As text; the same report is the same text."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────
_Key: TypeAlias = tuple[str, str]  #: framework and workload
OpenWaits: TypeAlias = dict[_Key, list[float]]


def _progress(cluster: Cluster, names: list[str]) -> Progress:
    measures = cluster.measures
    tasks = [one for key, one in measures.tasks.items() if key[0] in names]
    frameworks = [framework for framework in cluster.frameworks if framework.name in names]
    arrived, finished = sum(one.arrived for one in tasks), sum(one.finished for one in tasks)
    waiting, running = (
        sum(len(one.waiting) for one in frameworks),
        sum(measures.use[name].running for name in names),
    )
    return Progress(
        arrived=arrived,
        finished=finished,
        running=running,
        launched=sum(len(one.launched) for one in frameworks) - running,
        waiting=waiting,
        lost=sum(one.lost for one in tasks),
    )


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────
class Waits(Struct):
    """How long some tasks waited; those that still wait when all is over will have waited longer."""

    all_s: list[float]  #: sorted; of those that still wait, until now
    started: int
    shortest_open_s: float  #: of those that still wait; infinite if none does

    def quantile_s(self, part: float) -> float | None:
        """What so large a part of the tasks does not exceed; None if that is not known, or there are none."""
        if not self.all_s or (value_s := quantile(self.all_s, part)) >= self.shortest_open_s:
            return None
        return value_s

    def summary(self) -> Waiting:
        """In a few numbers."""
        found = Waiting(tasks=len(self.all_s), started=self.started)
        if self.all_s:
            found.mean_s = round(_mean(self.all_s), _DIGITS)
            if self.started < len(self.all_s):
                found.at_least.append("mean")
            for name, part in QUANTILES.items():
                setattr(found, f"{name}_s", round(quantile(self.all_s, part), _DIGITS))
                if self.quantile_s(part) is None:
                    found.at_least.append(name)
        return found


WaitsBy: TypeAlias = dict[str, dict[str, Waits]]


def waits_by(cluster: Cluster) -> WaitsBy:
    """Of the tasks that came after the warm-up: by "framework", "workload" and "role", and there by name."""
    measures, study, open_s = cluster.measures, cluster.study, _open_waits_s(cluster)
    roles = {framework.name: framework.role for framework in study.frameworks}
    return {
        "framework": {
            name: _waits([one for key, one in measures.tasks.items() if key[0] == name], open_s)
            for name in roles
        },
        "workload": {"/".join(key): _waits([one], open_s) for key, one in measures.tasks.items()},
        "role": {
            role: _waits([one for key, one in measures.tasks.items() if is_in(roles[key[0]], role)], open_s)
            for role in roles_of(study)
        },
    }


def _open_waits_s(cluster: Cluster) -> OpenWaits:
    """Waits, so far, of tasks that were not started yet."""
    now, found = cluster.clock.now, OpenWaits()
    for framework in cluster.frameworks:
        for work in (*framework.waiting, *framework.launched.values()):
            if not work.started and cluster.measures.counts_wait(work.arrived_s):
                key = work.tasks.framework, work.tasks.workload
                found.setdefault(key, []).append(now - work.arrived_s)
    return found


def _waits(tasks: Iterable[Tasks], open_s: OpenWaits) -> Waits:
    over: list[float] = []
    still: list[float] = []
    for one in tasks:
        over += one.waits_s
        still += open_s.get((one.framework, one.workload), ())
    return Waits(sorted(over + still), len(over), min(still, default=inf))


def quantile(ordered: list[float], part: float) -> float:
    """The smallest value that so large a part of all does not exceed."""
    return ordered[max(0, ceil(part * len(ordered)) - 1)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
