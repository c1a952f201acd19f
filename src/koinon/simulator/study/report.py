"""What a study found, as plain values: what `--json` prints and `report.json` holds.

*Waiting*: from a task's arrival to its first start. Tasks that were not started yet when all is over count for as long as
they have waited (the estimate of Kaplan and Meier). What they leave unknown is told as a lower bound; `at_least` names it.
Shares and use are parts of all that the described agents have, whether they are up or not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from math import ceil
from typing import TypeAlias

import msgspec
from msgspec import Struct

from koinon.simulator.study.cluster import Cluster
from koinon.simulator.study.description import NAMES
from koinon.simulator.study.measures import Tasks, is_in, roles_of
from koinon.simulator.study.units import time_text

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

    def texts(self) -> dict[str, str]:
        """The quantiles for people; `≥` stands before what is known from below only."""
        found = {}
        for name in QUANTILES:
            value_s: float | None = getattr(self, f"{name}_s")
            bound = "≥" if name in self.at_least else ""
            found[name] = "-" if value_s is None else f"{bound}{time_text(value_s)}"
        return found


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
class Waits:
    """How long some tasks waited, and those that still wait have waited until now."""

    def __init__(self, over_s: Iterable[float], open_s: Iterable[float]) -> None:
        self.over_s = sorted(over_s)
        self.open_s = sorted(open_s)
        #: Which part of all tasks waits no longer than each of `over_s`.
        self.parts = list(_parts(self.over_s, self.open_s))

    def quantile_s(self, part: float) -> tuple[float, bool]:
        """What so large a part of all tasks does not exceed; or what it exceeds at least, and False."""
        at = bisect_left(self.parts, part - 1e-9)
        if at < len(self.parts) and (part < 1 or not self.open_s):
            return self.over_s[at], True
        all_s = sorted(self.over_s + self.open_s)
        pooled_s = all_s[max(0, ceil(part * len(all_s)) - 1)] if all_s else 0.0
        return max(pooled_s, self.over_s[-1] if self.over_s else 0.0), False

    def summary(self) -> Waiting:
        """In a few numbers."""
        all_s = self.over_s + self.open_s
        found = Waiting(tasks=len(all_s), started=len(self.over_s))
        if all_s:
            found.mean_s = round(_mean(all_s), _DIGITS)
            if self.open_s:
                found.at_least.append("mean")
            for name, part in QUANTILES.items():
                value_s, known = self.quantile_s(part)
                setattr(found, f"{name}_s", round(value_s, _DIGITS))
                if not known:
                    found.at_least.append(name)
        return found


def _parts(over_s: list[float], open_s: list[float]) -> Iterator[float]:
    """Kaplan and Meier: a task that still waits counts among the others for as long as it has waited, and no longer."""
    longer, open_longer, stay = len(over_s), len(open_s), 1.0
    if not open_s:
        yield from ((at + 1) / longer for at in range(longer))
        return
    for wait_s in over_s:
        while open_longer and open_s[-open_longer] < wait_s:
            open_longer -= 1
        stay *= 1 - 1 / (longer + open_longer)
        longer -= 1
        yield 1 - stay


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
    return Waits(over, still)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
