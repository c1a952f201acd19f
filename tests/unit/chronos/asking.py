"""Short ways to ask for jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from koinon.chronos import reading
from koinon.chronos.model import Defaults, Job, Line

#: 2030-01-02T00:00:30Z
NOW = 1_893_542_430.0
HOURLY = "R/2030-01-03T00:00:00Z/PT1H"


def ask(
    body: Any, jobs: Mapping[str, Job] | None = None, *, line: Line = "3.x", now: float = NOW, **defaults: Any
) -> Job:
    """The job that a body asks for, at the endpoint that fits."""
    is_dependent = isinstance(body, dict) and bool(body.get("parents"))
    return reading.job(
        body,
        asked="dependency" if is_dependent else "iso8601",
        line=line,
        jobs=jobs or {},
        defaults=Defaults(**defaults),
        now=now,
    )


def scheduled(name: str = "a", **fields: Any) -> Job:
    """A job that runs each hour."""
    return ask({"name": name, "command": "true", "schedule": HOURLY} | fields)


def dependent(name: str, *parents: str, **more: Any) -> Job:
    """A job as it is stored that runs after others."""
    return Job(name, command="true", parents=tuple(sorted(parents)), **more)


def named(*jobs: Job) -> dict[str, Job]:
    """A set of jobs."""
    return {job.name: job for job in jobs}
