"""The tasks of a framework that wait for room, and who goes where.

*First fit*: of an offer the task that has waited longest takes its part, if it fits, then the next one, until none fits
any more. Tasks that ask for the same are of one *kind* and wait in one line, so that only the first of each is looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heapreplace

from koinon.mesos.resources import Resources
from koinon.simulator.study.description import Amounts, Attributes, Constraints, may_run_on
from koinon.simulator.study.measures import Tasks


class Kind:
    """What tasks ask for."""

    __slots__ = ("amounts", "constraints", "resources")

    def __init__(self, amounts: Amounts, constraints: Constraints) -> None:
        self.amounts = amounts
        self.constraints = constraints
        self.resources = Resources.parse(amounts.text()).to_v1()


class Work:
    """A task as the framework sees it: something that has to be run once, however many launches that takes."""

    __slots__ = ("arrived_s", "duration_s", "kind", "launches", "name", "number", "started", "tasks")

    def __init__(
        self, number: int, name: str, tasks: Tasks, kind: Kind, arrived_s: float, duration_s: float
    ) -> None:
        self.number = number  #: in the order of arrival
        self.name = name
        self.tasks = tasks  #: those of its workload
        self.kind = kind
        self.arrived_s = arrived_s
        self.duration_s = duration_s
        self.launches = 0
        self.started = False  #: at least once


class Waiting:
    """All lines."""

    def __init__(self) -> None:
        self._lines: dict[Kind, deque[Work]] = {}
        self._count = 0
        self._least: Amounts | None = None  #: no waiting task asks for less of anything; None: to be found

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Work]:
        for line in self._lines.values():
            yield from line

    def put(self, work: Work) -> bool:
        """The task waits, behind all others of its kind; is it the first of them?"""
        self._count += 1
        if (line := self._lines.get(work.kind)) is not None:
            line.append(work)
            return False
        self._lines[work.kind] = deque((work,))
        self._least = None
        return True

    def put_back(self, work: Work) -> bool:
        """The task waits again, before all others of its kind; is it the only one?"""
        if (line := self._lines.get(work.kind)) is not None:
            self._count += 1
            line.appendleft(work)
            return False
        return self.put(work)

    def take(self, room: Amounts, attributes: Callable[[], Attributes]) -> list[Work]:
        """Take out what is to run in this room, on an agent with these attributes."""
        if self._least is None and self._lines:
            self._least = Amounts(*map(min, zip(*(kind.amounts for kind in self._lines), strict=True)))
        if self._least is None or not self._least.fits(room):
            return []
        firsts = [
            (line[0].number, kind)
            for kind, line in self._lines.items()
            if kind.amounts.fits(room)
            and (not kind.constraints or may_run_on(kind.constraints, attributes()))
        ]
        heapify(firsts)
        taken = []
        cpus, mem, disk, gpus = room
        while firsts:
            kind = firsts[0][1]
            needs = kind.amounts
            if needs[0] > cpus or needs[1] > mem or needs[2] > disk or needs[3] > gpus:
                heappop(firsts)
                continue
            cpus, mem, disk, gpus = cpus - needs[0], mem - needs[1], disk - needs[2], gpus - needs[3]
            line = self._lines[kind]
            taken.append(line.popleft())
            if line:
                heapreplace(firsts, (line[0].number, kind))
            else:
                heappop(firsts)
                del self._lines[kind]
                self._least = None
        self._count -= len(taken)
        return taken
