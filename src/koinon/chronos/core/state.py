"""What Chronos knows. Only the core writes it; the API, rendering and metrics read it.

What is stored is in `jobs`, `runs` and `ended`; all else is an index of these, or made of them again. A run that a
schedule or parents make due exists only in `queue` until it is launched: what makes it due is in the job's record, and
its launch changes both at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Protocol

from msgspec import Struct, field

from koinon.chronos.model import Job, Run
from koinon.mesos import v1


class Room(Protocol):
    """What is left of the offers of one agent while runs are placed on it."""

    agent_id: str
    hostname: str

    def add(self, offer: v1.Offer) -> None:
        """One more offer, of the same agent."""
        ...

    def place(self, job: Job, run: Run) -> v1.TaskInfo | str:
        """The run's task, for which there is so much less room now; or the reason why there is none."""
        ...


class Waiting(Struct, eq=False):
    """A run that may start as soon as there is room for it."""

    run: Run
    since: float
    stored: bool  #: it is in `runs` already
    #: Why agents were of no use, by host name; the newest of a few. Runs that want the same share them.
    reasons: dict[str, str] = {}


class Held(Struct, eq=False):
    """Offers of one agent."""

    room: Room
    since: float
    offer_ids: list[v1.OfferID] = []
    tasks: list[v1.TaskInfo] = []  #: placed in this round
    refused: set[Hashable] = set()  #: what found no room here, and will find none until more is offered


class Offers(Struct):
    """The offers at hand, and what the master was told about them."""

    held: dict[str, Held] = {}  #: by agent
    agents: dict[str, str] = {}  #: by offer
    reasons: dict[Hashable, dict[str, str]] = {}  #: why there is no room, by what is wanted
    wanted_at: float = 0.0  #: when something waited, or was placed, last
    suppressed: bool = False
    credit: float = 0.0  #: revivals that may go out at once
    credited_at: float | None = None


class State(Struct, kw_only=True):
    """All of it."""

    loaded: bool = False  #: the store has been read; before that every request is refused
    framework_id: str | None = None
    master: str | None = None  #: `host:port`; None while no master hears us
    jobs: dict[str, Job] = {}
    children: dict[str, set[str]] = {}  #: by parent
    runs: dict[str, Run] = {}  #: by id: those that are stored and have not ended
    by_job: dict[str, dict[str, Run]] = {}  #: the same by job, without those of deleted jobs
    ended: dict[str, Run] = {}  #: by id: those that the history does not have yet
    queue: dict[str, Waiting] = {}  #: by id: those that may start
    urgent: dict[str, Waiting] = {}  #: those of high priority
    queued: dict[str, dict[str, None]] = {}  #: ids of these by job
    offers: Offers = field(default_factory=Offers)
    _roots: dict[str, str | None] = {}  #: as `root_of` found them; void when parents change

    def root_of(self, name: str) -> str | None:
        """The scheduled job from which the job descends (itself, if it is one); None if there are several."""
        found, open_ends = self._roots, [name]
        while open_ends:
            at = open_ends[-1]
            parents = self.jobs[at].parents if at in self.jobs else ()
            if above := [parent for parent in parents if parent not in found]:
                open_ends += above
                continue
            roots = {found[parent] for parent in parents} or {at}
            found[at] = roots.pop() if len(roots) == 1 else None
            open_ends.pop()
        return found[name]

    def runs_of(self, name: str) -> list[Run]:
        """Those of a job that are stored and have not ended."""
        return list(self.by_job.get(name, {}).values())

    def active_of(self, name: str) -> Iterator[Run]:
        """Those of a job whose task exists, or may."""
        return (run for run in self.by_job.get(name, {}).values() if run.is_active)

    def waiting_of(self, name: str) -> list[Waiting]:
        """Those of a job that wait for room."""
        return [self.queue[run_id] for run_id in self.queued.get(name, ())]

    # ── indexes ───────────────────────────────────────────────────────────────────────────────────
    def put_job(self, job: Job) -> None:
        """The job is so from now on."""
        before = self.jobs.get(job.name)
        if before is None or before.parents != job.parents:
            self._roots.clear()
            if before is not None:
                self._unlink(before)
            for parent in job.parents:
                self.children.setdefault(parent, set()).add(job.name)
        self.jobs[job.name] = job
        if before is not None and before.high_priority is not job.high_priority:
            for waiting in self.waiting_of(job.name):
                self._sort_in(waiting)

    def remove_job(self, name: str) -> None:
        """It is no more."""
        self._roots.clear()
        self._unlink(self.jobs.pop(name))

    def put_run(self, run: Run) -> None:
        """The run is so from now on."""
        self.forget_run(run)
        if run.has_ended:
            self.ended[run.id] = run
            return
        self.runs[run.id] = run
        if not run.orphaned:
            self.by_job.setdefault(run.job, {})[run.id] = run

    def forget_run(self, run: Run) -> None:
        """It is in no index any more."""
        self.ended.pop(run.id, None)
        self.runs.pop(run.id, None)
        of_job = self.by_job.get(run.job)
        if of_job is not None and of_job.pop(run.id, None) is not None and not of_job:
            del self.by_job[run.job]

    def enqueue(self, waiting: Waiting) -> None:
        """It may start."""
        self.queue[waiting.run.id] = waiting
        self._sort_in(waiting)
        self.queued.setdefault(waiting.run.job, {})[waiting.run.id] = None

    def dequeue(self, run: Run) -> None:
        """It may not, or does already."""
        if self.queue.pop(run.id, None) is not None:
            self.urgent.pop(run.id, None)
            of_job = self.queued[run.job]
            del of_job[run.id]
            if not of_job:
                del self.queued[run.job]

    def _sort_in(self, waiting: Waiting) -> None:
        if self.jobs[waiting.run.job].high_priority:
            self.urgent[waiting.run.id] = waiting
        else:
            self.urgent.pop(waiting.run.id, None)

    def _unlink(self, job: Job) -> None:
        for parent in job.parents:
            of_parent = self.children[parent]
            of_parent.discard(job.name)
            if not of_parent:
                del self.children[parent]
