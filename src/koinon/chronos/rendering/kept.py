"""Bytes that are made once for each job and change of it, and long answers made of them.

A page or a script asks for everything every few seconds, and of tens of thousands of jobs few have changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from koinon.chronos.model import Job

#: Elements of one piece: so few that whoever makes an answer can do other things in between.
_PIECE = 20


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


def pieces(begin: bytes, elements: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    """An answer with an array, piece by piece: each is a bounded amount of work."""
    rest = iter(elements)
    before = begin
    while some := list(islice(rest, _PIECE)):
        yield before + b",".join(some)
        before = b","
    yield end if before == b"," else begin + end
