"""What is going on, a line for each job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from koinon.chronos.model import Job
from koinon.chronos.rendering.kept import Kept, pieces


class Activity(NamedTuple):
    """What a job is at."""

    running: int = 0  #: tasks
    queued: bool = False  #: a run is due and waits

    @property
    def state(self) -> str:
        """As the API says it."""
        if self.running:
            return f"{self.running} running"
        return "queued" if self.queued else "idle"


#: Of a job that is not among those that are at something.
IDLE = Activity()


def status(job: Job) -> Literal["fresh", "success", "failure"]:
    """How its last run ended."""
    if job.last_error is None:
        return "fresh" if job.last_success is None else "success"
    return "success" if job.last_success is not None and job.last_success > job.last_error else "failure"


class Summary:
    """The lines. One of these, as long as a process leads."""

    def __init__(self) -> None:
        self._kept = Kept(_all_but_state)

    def page(self, jobs: Iterable[Job], activity: Mapping[str, Activity]) -> Iterator[bytes]:
        """The answer as JSON, in pieces; whoever is not in `activity` is idle."""
        lines = (
            b'%s,"state":"%s"}' % (self._kept.of(job), activity.get(job.name, IDLE).state.encode())
            for job in jobs
        )
        return pieces(b'{"jobs":[', lines, b"]}")

    def forget(self, name: str) -> None:
        """There is no such job any more."""
        self._kept.forget(name)


def _all_but_state(job: Job) -> bytes:
    """A line as far as the job alone tells it: an object that is not closed yet."""
    made = {
        "name": job.name,
        "status": status(job),
        "schedule": "" if job.schedule is None else job.schedule.shown,
        "parents": job.parents,
        "disabled": job.disabled,
    }
    return msgspec.json.encode(made)[:-1]
