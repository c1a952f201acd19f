"""The tables, and how a run stands in them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sql

from koinon.chronos.model import Run

#: Raised when the tables change.
SCHEMA: Final = 2

#: Mesos's messages may hold whole logs.
_TEXT_MAX = 4096

_metadata = sql.MetaData()

about = sql.Table(
    "chronos_history",
    _metadata,
    sql.Column("name", sql.Text, primary_key=True),
    sql.Column("value", sql.Text, nullable=False),
)

runs = sql.Table(
    "chronos_runs",
    _metadata,
    sql.Column("task_id", sql.Text, primary_key=True),
    sql.Column("job", sql.Text, nullable=False),
    sql.Column("due_ms", sql.BigInteger, nullable=False),
    sql.Column("attempt", sql.Integer, nullable=False),
    sql.Column("state", sql.Text, nullable=False),
    sql.Column("trigger", sql.Text, nullable=False),
    sql.Column("arguments", sql.Text, nullable=False),
    # Seconds since the epoch.
    sql.Column("not_before", sql.Double, nullable=False),
    sql.Column("launched", sql.Double),
    sql.Column("started", sql.Double),
    sql.Column("ended", sql.Double),
    sql.Column("agent_id", sql.Text, nullable=False),
    sql.Column("hostname", sql.Text, nullable=False),
    sql.Column("mesos_state", sql.Text, nullable=False),
    sql.Column("reason", sql.Text, nullable=False),
    sql.Column("message", sql.Text, nullable=False),
    sql.Column("exit_status", sql.Integer),
    sql.Column("container_id", sql.Text, nullable=False),
    sql.Column("elements_processed", sql.BigInteger, nullable=False),
    sql.Column("failures", sql.Integer, nullable=False),
    sql.Column("window_ms", sql.BigInteger, nullable=False),
    sql.Column("through_ms", sql.BigInteger, nullable=False),
    # The run as JSON, if there is more to it than the columns say; else empty.
    sql.Column("more", sql.Text, nullable=False),
    # Each order in which runs are asked for, and that in which they grow old.
    sql.Index("chronos_runs_by_time", "due_ms", "attempt", "job"),
    sql.Index("chronos_runs_by_job", "job", "due_ms", "attempt"),
    sql.Index("chronos_runs_by_state", "state", "due_ms", "attempt", "job"),
    sql.Index("chronos_runs_by_end", "ended"),
)

outputs = sql.Table(
    "chronos_outputs",
    _metadata,
    sql.Column("task_id", sql.Text, primary_key=True),
    sql.Column("stored", sql.Double, nullable=False),
    sql.Column("stdout", sql.LargeBinary, nullable=False),
    sql.Column("stderr", sql.LargeBinary, nullable=False),
    sql.Column("stdout_size", sql.BigInteger, nullable=False),
    sql.Column("stderr_size", sql.BigInteger, nullable=False),
    sql.Column("bytes", sql.BigInteger, nullable=False),  #: of both, as stored
    sql.Index("chronos_outputs_by_time", "stored", "bytes"),
)

_FIELDS = [field for field in msgspec.structs.fields(Run) if field.name in runs.c]
_OTHERS = [field for field in msgspec.structs.fields(Run) if field.name not in runs.c]
_TEXTS = [field.name for field in msgspec.structs.fields(Run) if field.type is str]


def create(connection: sql.Connection) -> None:
    """Make the tables, and mark them with their version."""
    _metadata.create_all(connection)
    connection.execute(sql.insert(about).values(name="schema", value=str(SCHEMA)))


def row_of(run: Run) -> dict[str, Any]:
    """The run as it is stored."""
    run = msgspec.structs.replace(run, **{name: clean(getattr(run, name)) for name in _TEXTS})
    row = {field.name: getattr(run, field.name) for field in _FIELDS}
    is_told = all(getattr(run, field.name) == field.default for field in _OTHERS)
    return {**row, "task_id": run.id, "more": "" if is_told else msgspec.json.encode(run).decode()}


def run_of(row: sql.RowMapping) -> Run:
    """The run that is stored so."""
    if row["more"]:
        return msgspec.json.decode(row["more"], type=Run)
    return Run(**{field.name: row[field.name] for field in _FIELDS})


def clean(text: str) -> str:
    """What any database takes as text."""
    if len(text) > _TEXT_MAX:
        text = text[: _TEXT_MAX - 1] + "…"
    if text.isascii():
        return text.replace("\0", "")
    return text.replace("\0", "").encode(errors="replace").decode()
