"""What is seen while a study runs: counts, waiting times, and what is in use, over time."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from msgspec import Struct, field

from koinon.mesos.names import is_ancestor
from koinon.simulator.study.description import NAMES, Amounts, Study

_RESOURCES = range(len(NAMES))


class Tasks(Struct):
    """The tasks of one workload. All that arrived wait, were launched, run or are finished."""

    framework: str
    workload: str
    arrived: int = 0
    started: int = 0  #: at least once
    finished: int = 0
    lost: int = 0  #: launches that came to nothing, with an agent or its offer; their tasks wait again
    #: How long each waited for its first start, of those that came after the warm-up.
    waits_s: array[float] = field(default_factory=lambda: array("d"))


class Use(Struct):
    """What a framework, or all of them, have running."""

    running: int = 0  #: tasks
    amounts: list[int] = field(default_factory=lambda: [0] * len(NAMES))


class Series(Struct):
    """Points in time, and what was seen at each: columns of equal length."""

    time_s: list[float] = []  #: since the begin
    used: list[list[float]] = field(default_factory=lambda: [[] for _ in NAMES])  #: parts of all there is
    agents_up: list[int] = []
    shares: dict[str, list[float]] = {}  #: dominant ones, by role
    waiting: dict[str, list[int]] = {}  #: tasks, by framework
    running: dict[str, list[int]] = {}


class Measures:
    """All of it. Agents tell what runs, frameworks how their tasks fare."""

    def __init__(self, study: Study, begin_s: float, now: Callable[[], float]) -> None:
        self.tasks = {
            (framework.name, workload.name): Tasks(framework.name, workload.name)
            for framework in study.frameworks
            for workload in framework.workloads
        }
        self.use = {framework.name: Use() for framework in study.frameworks}
        self.used = Use()  #: by all
        self.series = Series()
        self.agents_up = 0
        self.failures = 0  #: of agents
        self._capacity = study.capacity()
        self._roles = {
            role: [one.name for one in study.frameworks if is_in(one.role, role)] for role in roles_of(study)
        }
        self._begin_s = begin_s
        self._now = now
        self._warm_s = begin_s + study.warm_up_s
        self._by_id: dict[str, Use] = {}
        self._areas = [0.0] * len(NAMES)  #: use × time, since the warm-up
        self._since_s = self._warm_s

    def subscribed(self, framework: str, framework_id: str) -> None:
        """The master has given the framework an id."""
        self._by_id[framework_id] = self.use[framework]

    # ── resources ─────────────────────────────────────────────────────────────────────────────────
    def take(self, framework_id: str, amounts: Amounts) -> None:
        """A task runs."""
        self._pass()
        one, all_ = self._by_id[framework_id], self.used
        one.running += 1
        all_.running += 1
        for at in _RESOURCES:
            one.amounts[at] += amounts[at]
            all_.amounts[at] += amounts[at]

    def free(self, framework_id: str, amounts: Amounts) -> None:
        """It does not run any more."""
        self._pass()
        one, all_ = self._by_id[framework_id], self.used
        one.running -= 1
        all_.running -= 1
        for at in _RESOURCES:
            one.amounts[at] -= amounts[at]
            all_.amounts[at] -= amounts[at]

    def _pass(self) -> None:
        now = self._now()
        passed_s = now - self._since_s
        if passed_s > 0:
            areas, amounts = self._areas, self.used.amounts
            for at in _RESOURCES:
                areas[at] += amounts[at] * passed_s
            self._since_s = now

    def mean_used(self) -> list[float]:
        """What part of each resource was in use, over the time since the warm-up; 0 of what there is not."""
        self._pass()
        passed_s = self._now() - self._warm_s
        return [
            area / passed_s / have if have and passed_s > 0 else 0.0
            for area, have in zip(self._areas, self._capacity, strict=True)
        ]

    # ── tasks ─────────────────────────────────────────────────────────────────────────────────────
    def started(self, tasks: Tasks, arrived_s: float, at_s: float) -> None:
        """A task runs for the first time."""
        tasks.started += 1
        if self.counts_wait(arrived_s):
            tasks.waits_s.append(at_s - arrived_s)

    def counts_wait(self, arrived_s: float) -> bool:
        """Does the wait of a task that came then count?"""
        return arrived_s >= self._warm_s

    # ── over time ─────────────────────────────────────────────────────────────────────────────────
    def sample(self, waiting: dict[str, int]) -> None:
        """A point of all series. `waiting` tasks, by framework."""
        series, capacity = self.series, self._capacity
        series.time_s.append(round(self._now() - self._begin_s, 6))
        for at in _RESOURCES:
            have = capacity[at]
            series.used[at].append(self.used.amounts[at] / have if have else 0.0)
        series.agents_up.append(self.agents_up)
        for role, members in self._roles.items():
            held = [sum(self.use[name].amounts[at] for name in members) for at in _RESOURCES]
            share = max(held[at] / capacity[at] if capacity[at] else 0.0 for at in _RESOURCES)
            series.shares.setdefault(role, []).append(share)
        for name, count in waiting.items():
            series.waiting.setdefault(name, []).append(count)
            series.running.setdefault(name, []).append(self.use[name].running)


def is_in(role: str, other: str) -> bool:
    """Is the role the other one, or below it?"""
    return role == other or is_ancestor(other, role)


def roles_of(study: Study) -> list[str]:
    """All roles, those above others too, sorted."""
    roles = set(study.weights)
    for framework in study.frameworks:
        parts = framework.role.split("/")
        roles.update("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return sorted(roles)
