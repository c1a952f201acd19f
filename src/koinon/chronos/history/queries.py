"""What is asked of the history."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sql

from koinon.chronos.history.output import Output, unpack
from koinon.chronos.history.tables import outputs, run_of, runs
from koinon.chronos.model import Percentiles, Run, RunState, ids

#: How many of the newest runs of a job tell how long it takes.
_SAMPLES_MAX = 1000
_PIECE = 1000
_TIMES = (runs.c.ended, runs.c.due_ms, runs.c.through_ms)
_SAMPLED = (runs.c.state == "succeeded", runs.c.ended.is_not(None))


class Query(msgspec.Struct, frozen=True):
    """Which runs; what is left out does not matter. Times are those at which runs were due, in seconds."""

    job: str | None = None
    states: tuple[RunState, ...] = ()
    since: float | None = None
    until: float | None = None  #: without that moment itself
    before: str = ""  #: a task id, the last one of the page before
    limit: int = 100


def find_runs(connection: sql.Connection, query: Query) -> list[Run]:
    """The newest of those asked for, newest first. Raises ValueError if `query.before` is no task id."""
    wanted = sql.select(runs)
    if query.job is not None:
        wanted = wanted.where(runs.c.job == query.job)
    if query.states:
        wanted = wanted.where(runs.c.state.in_(query.states))
    if query.since is not None:
        wanted = wanted.where(runs.c.due_ms >= ids.milliseconds(query.since))
    if query.until is not None:
        wanted = wanted.where(runs.c.due_ms < ids.milliseconds(query.until))
    if query.before:
        place = ids.parse_task(query.before)
        wanted = wanted.where(
            sql.tuple_(runs.c.due_ms, runs.c.attempt, runs.c.job) < (place.due_ms, place.attempt, place.job)
        )
    wanted = wanted.order_by(runs.c.due_ms.desc(), runs.c.attempt.desc(), runs.c.job.desc())
    return [run_of(row) for row in connection.execute(wanted.limit(query.limit)).mappings()]


def find_run(connection: sql.Connection, task_id: str) -> Run | None:
    """The run of that task."""
    row = connection.execute(sql.select(runs).where(runs.c.task_id == task_id)).mappings().first()
    return None if row is None else run_of(row)


def find_output(connection: sql.Connection, task_id: str) -> Output | None:
    """What is left of what that task wrote."""
    row = connection.execute(sql.select(outputs).where(outputs.c.task_id == task_id)).first()
    if row is None:
        return None
    return Output(unpack(row.stdout), unpack(row.stderr), row.stdout_size, row.stderr_size)


def percentiles_of(connection: sql.Connection, job: str, created: float) -> Percentiles:
    """Of the newest runs of one job, which there is since then."""
    rows = connection.execute(
        sql.select(*_TIMES)
        .where(runs.c.job == job, runs.c.ended >= created, *_SAMPLED)
        .order_by(runs.c.due_ms.desc())
        .limit(_SAMPLES_MAX)
    )
    return Percentiles.of(_took(row, created) for row in rows)


def percentiles_of_all(connection: sql.Connection, created: Mapping[str, float]) -> dict[str, Percentiles]:
    """By job, of those that there are, and since when; jobs that never succeeded are left out."""
    rank = sql.func.row_number().over(partition_by=runs.c.job, order_by=runs.c.due_ms.desc())
    ranked = sql.select(runs.c.job, *_TIMES, rank.label("rank")).where(*_SAMPLED).subquery()
    samples: dict[str, list[float]] = defaultdict(list)
    # In pieces: a driver that takes all rows at once lets no other thread run meanwhile.
    found = connection.execution_options(yield_per=_PIECE).execute(
        sql.select(ranked).where(ranked.c.rank <= _SAMPLES_MAX)
    )
    for row in found:
        since = created.get(row.job, math.inf)
        if row.ended >= since:
            samples[row.job].append(_took(row, since))
    return {job: Percentiles.of(took) for job, took in samples.items()}


def _took(row: Any, created: float) -> float:
    # Nobody waited for a job that there was not yet.
    due = max(int(row.due_ms) / 1000, int(row.through_ms) / 1000, created)
    # A clock that was set back does not make runs end before they were due.
    return max(float(row.ended) - due, 0.0)
