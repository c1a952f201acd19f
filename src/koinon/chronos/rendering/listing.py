"""All jobs, or those that are looked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from koinon.chronos.model import Job, Line
from koinon.chronos.model.problems import Refused
from koinon.chronos.rendering.jobs import render_job
from koinon.chronos.rendering.kept import Kept, pieces

_LIMIT = 10
_INTEGER_MAX = 2**31 - 1


class Search(msgspec.Struct, frozen=True):
    """What is looked for, regardless of case: `name` and `command` both hold, or else `any` does in either of them."""

    name: str = ""
    command: str = ""
    any: str = ""
    limit: int = _LIMIT
    offset: int = 0

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> Search:
        """By the parameters of a request. Raises Refused."""
        return cls(
            query.get("name", "").lower(),
            query.get("command", "").lower(),
            query.get("any", "").lower(),
            _count(query, "limit", _LIMIT),
            _count(query, "offset", 0),
        )

    def found(self, jobs: Mapping[str, Job]) -> list[Job]:
        """Those that match, by name, from `offset` and at most `limit`."""
        names = sorted(name for name, job in jobs.items() if self._matches(job))
        return [jobs[name] for name in names[self.offset : self.offset + self.limit]]

    def _matches(self, job: Job) -> bool:
        if (self.name or self.command or not self.any) and (
            self.name in job.name.lower() and self.command in job.command.lower()
        ):
            return True
        return self.any != "" and (self.any in job.name.lower() or self.any in job.command.lower())


def _count(query: Mapping[str, str], parameter: str, default: int) -> int:
    text = query.get(parameter, "")
    if text == "":
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Refused(f"{parameter} must be a whole number from 0, not '{text[:60]}'")
    return min(int(text), _INTEGER_MAX)


class Listing:
    """Jobs under the prefix of one line. One for each line, as long as a process leads."""

    def __init__(self, line: Line) -> None:
        self._kept = Kept(lambda job: msgspec.json.encode(render_job(job, line)))

    def one(self, job: Job) -> bytes:
        """A job as JSON."""
        return self._kept.of(job)

    def array(self, jobs: Iterable[Job]) -> Iterator[bytes]:
        """Jobs as a JSON array, in pieces."""
        return pieces(b"[", map(self._kept.of, jobs), b"]")

    def forget(self, name: str) -> None:
        """There is no such job any more."""
        self._kept.forget(name)
