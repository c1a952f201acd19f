"""Bytes that are made once for each job and change of it.

A page or a script asks for everything every few seconds, and of tens of thousands of jobs few have changed since.
"""

from __future__ import annotations

from collections.abc import Callable

from koinon.chronos.model import Job


class Kept:
    """What `make` makes of jobs."""

    def __init__(self, make: Callable[[Job], bytes]) -> None:
        self._make = make
        #: By name: the job as it was when its bytes were made. Jobs are frozen, so a changed one is another object.
        self._made: dict[str, tuple[Job, bytes]] = {}

    def of(self, job: Job) -> bytes:
        """The bytes of a job."""
        known = self._made.get(job.name)
        if known is not None and known[0] is job:
            return known[1]
        made = self._make(job)
        self._made[job.name] = (job, made)
        return made

    def forget(self, name: str) -> None:
        """There is no such job any more."""
        self._made.pop(name, None)
