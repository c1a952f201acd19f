"""How the history stays within its bounds: the oldest go first, some at a time.

Runs that have not ended stay, however old they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import sqlalchemy as sql

from koinon.chronos.history.tables import outputs, runs

#: So many go in one transaction, as others wait for it.
_SLICE = 1000


class Bounds(msgspec.Struct, frozen=True):
    """What is kept, at most."""

    age_s: float = 90 * 86400.0  #: since a run ended
    runs_per_job: int = 1000
    runs: int = 2_000_000
    tail_bytes: int = 64 * 1024  #: of each of a task's files
    output_bytes: int = 1024 * 1024 * 1024  #: of all outputs together, as they are stored


def trim(engine: sql.Engine, bounds: Bounds, now: float) -> Iterator[int]:
    """Delete what is too much, slice by slice; says how many rows each one had."""
    aged = sql.select(runs.c.task_id).where(runs.c.ended < now - bounds.age_s)
    yield from _in_slices(engine, aged)
    for job in _crowded(engine, bounds.runs_per_job):
        yield from _in_slices(engine, _beyond(bounds.runs_per_job, job))
    with engine.connect() as connection:
        surplus = _count(connection) - bounds.runs
    while surplus > 0:
        oldest = sql.select(runs.c.task_id).where(runs.c.ended.is_not(None))
        deleted = _delete(engine, oldest.order_by(runs.c.due_ms, runs.c.attempt).limit(min(surplus, _SLICE)))
        if not deleted:  # the rest has not ended
            break
        surplus -= deleted
        yield deleted
    yield from _trim_outputs(engine, bounds, now)


def _crowded(engine: sql.Engine, runs_max: int) -> Sequence[str]:
    """The jobs that have too many."""
    with engine.connect() as connection:
        return (
            connection.execute(
                sql.select(runs.c.job).group_by(runs.c.job).having(sql.func.count() > runs_max)
            )
            .scalars()
            .all()
        )


def _beyond(runs_max: int, job: str) -> sql.Select[tuple[str]]:
    """Those of `job` that come after its newest `runs_max`, not counting those that have not ended."""
    return (
        sql.select(runs.c.task_id)
        .where(runs.c.job == job, runs.c.ended.is_not(None))
        .order_by(runs.c.due_ms.desc(), runs.c.attempt.desc())
        .offset(runs_max)
    )


def _in_slices(engine: sql.Engine, doomed: sql.Select[tuple[str]]) -> Iterator[int]:
    while deleted := _delete(engine, doomed.limit(_SLICE)):
        yield deleted


def _delete(engine: sql.Engine, doomed: sql.Select[tuple[str]]) -> int:
    with engine.begin() as connection:
        ids = connection.execute(doomed).scalars().all()
        if ids:
            connection.execute(sql.delete(outputs).where(outputs.c.task_id.in_(ids)))
            connection.execute(sql.delete(runs).where(runs.c.task_id.in_(ids)))
    return len(ids)


def _trim_outputs(engine: sql.Engine, bounds: Bounds, now: float) -> Iterator[int]:
    with engine.connect() as connection:
        surplus = (
            connection.execute(sql.select(sql.func.sum(outputs.c.bytes))).scalar() or 0
        ) - bounds.output_bytes
    while True:
        with engine.begin() as connection:
            doomed = []
            oldest = sql.select(outputs.c.task_id, outputs.c.stored, outputs.c.bytes).order_by(
                outputs.c.stored
            )
            for task_id, stored, size in connection.execute(oldest.limit(_SLICE)):
                # By age, too: its run may have gone before the output came.
                if surplus <= 0 and stored >= now - bounds.age_s:
                    break
                doomed.append(task_id)
                surplus -= size
            if not doomed:
                return
            connection.execute(sql.delete(outputs).where(outputs.c.task_id.in_(doomed)))
        yield len(doomed)


def _count(connection: sql.Connection) -> int:
    return connection.execute(sql.select(sql.func.count()).select_from(runs)).scalar_one()
