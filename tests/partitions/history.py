"""What happened, put together from journals and footprints; what the laws and the measures look at."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.partitions import workload
from tests.partitions.journal import Entry

#: A leadership: the number of the cluster, which is another one when ZooKeeper's data was lost, and the epoch. It only grows.
Reign = tuple[int, int]
#: What frameworks hear; all else in their journals is what they do.
_HEARD_BY_FRAMEWORKS = frozenset({"subscribed", "offer", "rescinded", "update", "failure"})


@dataclass(frozen=True)
class Act:
    """A master acted; or it was heard, by an agent or a framework."""

    at: float
    reign: Reign
    who: str
    what: str


@dataclass
class Offer:
    """Resources of one agent, from when a framework heard of them until it knew that they are not its own any more."""

    offer_id: str
    who: str
    agent: str
    reign: Reign
    ports: Sequence[tuple[int, int]]
    since: float
    until: float = math.inf
    given_up: bool = False  #: by the framework itself, which writes it down before it says so
    rescinded: bool = False


@dataclass
class Task:
    """One task: what its framework did and heard, and what it did itself."""

    task_id: str
    who: str
    kind: str
    agent: str
    accepted: float
    asked_to_end: bool = False
    updates: list[Entry] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)  #: words of its footprints
    started: float | None = None
    ended: float | None = None

    @property
    def states(self) -> list[str]:
        """As its framework heard them, without `TASK_`."""
        return [str(entry["state"]).removeprefix("TASK_") for entry in self.updates]

    @property
    def end(self) -> str | None:
        """How it ended for its framework; LOST only if nothing else came after."""
        for entry in self.updates:
            if entry["state"] in workload.ENDS:
                return str(entry["state"]).removeprefix("TASK_")
        return "LOST" if self.states[-1:] == ["LOST"] else None

    def __str__(self) -> str:
        heard = [
            f"{entry['at']:.2f} {entry['state']}" + (f" ({entry['reason']})" if "reason" in entry else "")
            for entry in self.updates
        ]
        return (
            f"{self.task_id} on {self.agent}, accepted {self.accepted:.2f}, steps {self.steps}, heard {heard}"
        )


class History:
    """All that was written down, sorted out.

    `ended` tells when the processes of masters ended. `agents_cut` are those that the test itself has cut off.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        footprints: Path,
        *,
        ended: Mapping[str, float] | None = None,
        agents_cut: frozenset[str] = frozenset(),
    ) -> None:
        self.ended = ended or {}
        self.agents_cut = agents_cut
        self.reigns: dict[str, set[Reign]] = defaultdict(set)  #: of each master
        self.hostnames: dict[str, str] = {}  #: of agents, by their ids
        self.acts: list[Act] = []
        self.offers: dict[str, Offer] = {}
        self.tasks: dict[str, Task] = {}
        self.failures: list[Entry] = []
        self.strays: list[Entry] = []  #: updates of tasks that were launched before
        self._clusters: dict[str, int] = {}
        for entry in entries:
            if entry["what"] == "Registered":
                self.reigns[entry["master"]].add(self._reign(entry))
                self.hostnames[entry["agent"]] = entry["who"]
        self._masters: dict[str, str] = {}  #: of each framework, now
        self._agents: dict[str, Reign] = {}  #: of each agent, now
        self._held: dict[str, dict[str, Offer]] = defaultdict(dict)
        for entry in entries:
            self._take(entry)
        for task in self.tasks.values():
            self._read(task, footprints / task.task_id)

    def reign_of(self, master_id: str) -> Reign:
        """(0, 0) for a master that no agent has heard of."""
        return max(self.reigns.get(master_id, {(0, 0)}))

    def starts(self, who: str, after: float = 0.0) -> list[Task]:
        """Tasks of a framework that were accepted after that moment, and started; in the order of their starts."""
        found = [
            task
            for task in self.tasks.values()
            if task.who == who and task.accepted > after and task.started is not None
        ]
        return sorted(found, key=_started)

    def pause_s(self, who: str, since: float, until: float) -> float:
        """The longest time in between in which no new task of that framework was started."""
        times = [_started(task) for task in self.starts(who)]
        first, last = bisect.bisect_left(times, since), bisect.bisect_right(times, until)
        inside = times[max(first - 1, 0) : last + 1]
        return max((after - before for before, after in itertools.pairwise(inside)), default=0.0)

    # ── sorting out ───────────────────────────────────────────────────────────────────────────────
    def _take(self, entry: Entry) -> None:
        who, what, at = entry["who"], entry["what"], entry["at"]
        if who.startswith("master"):
            self.acts.append(Act(at, self._reign(entry), who, what))
            return
        if who.startswith("agent"):
            if what == "Registered":
                self._agents[who] = self._reign(entry)
            if who in self._agents:
                self.acts.append(Act(at, self._agents[who], who, what))
            return
        if what in ("subscribed", "disconnected"):
            for offer in self._held.pop(who, {}).values():
                offer.until = at
        if what == "subscribed":
            self._masters[who] = entry["master"]
        reign = self.reign_of(self._masters.get(who, ""))
        if what in _HEARD_BY_FRAMEWORKS:
            self.acts.append(Act(at, reign, who, what))
        match what:
            case "offer":
                ports = [(begin, end) for begin, end in entry["ports"]]
                offer = Offer(entry["offer"], who, entry["agent"], reign, ports, at)
                self._held[who][offer.offer_id] = offer
                self.offers[offer.offer_id] = offer
            case "rescinded" | "declined" | "accepted":
                if (over := self._held[who].pop(entry["offer"], None)) is not None:
                    over.until, over.given_up = at, what != "rescinded"
                if what == "rescinded" and entry["offer"] in self.offers:
                    self.offers[entry["offer"]].rescinded = True  # perhaps while it was given up
                if what == "accepted":
                    self.tasks[entry["task"]] = Task(entry["task"], who, entry["kind"], entry["agent"], at)
            case "killed":
                self.tasks[entry["task"]].asked_to_end = True
            case "update":
                task = self.tasks.get(entry["task"])
                (self.strays if task is None else task.updates).append(entry)
            case "failure":
                self.failures.append(entry)

    def _reign(self, entry: Entry) -> Reign:
        return self._clusters.setdefault(entry["cluster"], len(self._clusters)), entry["epoch"]

    def _read(self, task: Task, footprint: Path) -> None:
        if footprint.exists():
            for line in footprint.read_text().splitlines():
                step, _, at = line.partition(" ")
                task.steps.append(step)
                if step == "start":
                    task.started = float(at)
                elif step == "end":
                    task.ended = float(at)


def _started(task: Task) -> float:
    assert task.started is not None
    return task.started
