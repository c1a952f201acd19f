"""What is written to the history, many changes at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sql

from koinon.chronos.history.output import Output, pack
from koinon.chronos.history.tables import clean, outputs, row_of, runs
from koinon.chronos.model import Run

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


class Record(msgspec.Struct, frozen=True):
    """How some runs stand now."""

    runs: tuple[Run, ...]


class Keep(msgspec.Struct, frozen=True):
    """What a task has written."""

    task_id: str
    output: Output
    at: float


class Forget(msgspec.Struct, frozen=True):
    """Everything about one job."""

    job: str


Operation = Record | Keep | Forget


def said_of(operation: Operation) -> str:
    """For logs: what it is about, and nothing of what tasks have written."""
    match operation:
        case Record(runs=some):
            return f"{len(some)} runs, the first is {some[0].id}" if some else "no runs"
        case Keep(task_id=task_id):
            return f"the output of {task_id}"
        case Forget(job=job):
            return f"all of {job}"


def write(connection: sql.Connection, operations: Iterable[Operation]) -> None:
    """Carry them out in their order."""
    gathered: list[Run] = []
    kept: dict[str, Keep] = {}
    for operation in operations:
        match operation:
            case Record(runs=some):
                gathered += some
            case Keep(task_id=task_id):
                kept[task_id] = operation
            case Forget(job=job):
                _write(connection, gathered, kept.values())
                gathered, kept = [], {}
                _forget(connection, job)
    _write(connection, gathered, kept.values())


def newest(some: Iterable[Run]) -> Iterable[Run]:
    """One of each: the last one, but what has ended stays so."""
    found: dict[str, Run] = {}
    for run in some:
        before = found.get(run.id)
        if before is None or run.has_ended or not before.has_ended:
            found[run.id] = run
    return found.values()


def _write(connection: sql.Connection, some: Sequence[Run], kept: Iterable[Keep]) -> None:
    rows = [row_of(run) for run in newest(some)]
    if rows:
        connection.execute(_put_run(connection), rows)
    rows = [_output_row(one) for one in kept]
    if rows:
        connection.execute(_put_output(connection), rows)


def _put_run(connection: sql.Connection) -> sql.Executable:
    put = _insert(connection, runs)
    given = put.excluded
    return put.on_conflict_do_update(
        index_elements=[runs.c.task_id],
        set_={column.name: given[column.name] for column in runs.c if not column.primary_key},
        # Word of a run that is late, or comes again, does not take back its end.
        where=sql.or_(runs.c.ended.is_(None), given.ended.is_not(None)),
    )


def _put_output(connection: sql.Connection) -> sql.Executable:
    put = _insert(connection, outputs)
    return put.on_conflict_do_update(
        index_elements=[outputs.c.task_id],
        set_={column.name: put.excluded[column.name] for column in outputs.c if not column.primary_key},
    )


def _insert(connection: sql.Connection, table: sql.Table) -> sqlite.Insert | postgresql.Insert:
    # The same words in both, which SQLAlchemy spells twice. What is not used stays out of memory.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def _output_row(kept: Keep) -> dict[str, Any]:
    stdout, stderr = pack(kept.output.stdout), pack(kept.output.stderr)
    return {
        "task_id": clean(kept.task_id),
        "stored": kept.at,
        "stdout": stdout,
        "stderr": stderr,
        "stdout_size": kept.output.stdout_size,
        "stderr_size": kept.output.stderr_size,
        "bytes": len(stdout) + len(stderr),
    }


def _forget(connection: sql.Connection, job: str) -> None:
    of_job = sql.select(runs.c.task_id).where(runs.c.job == job)
    connection.execute(sql.delete(outputs).where(outputs.c.task_id.in_(of_job)))
    connection.execute(sql.delete(runs).where(runs.c.job == job))
