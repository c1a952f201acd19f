"""Which database, and whether it is one of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError, SQLAlchemyError

from koinon.chronos.history import tables

#: The drivers that are tested; what people write after `--history` need not name one.
_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}

#: Of SQLite: another process that reads the file may hold a lock for so long.
_LOCK_TIMEOUT_S = 30
_CONNECT_TIMEOUT_S = 10


class HistoryError(Exception):
    """The history cannot be written or read; the text says why, and what to do."""


class Away(HistoryError):
    """The database cannot be reached now; it may be, later."""


def engine_of(url: str) -> sql.Engine:
    """An engine for `url`, without connecting. Raises HistoryError if that is no database that we know."""
    where = _read(url)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if where.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": _LOCK_TIMEOUT_S}
        options["pool_pre_ping"] = False
    else:
        options["connect_args"] = {"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "chronos"}
    try:
        engine = sql.create_engine(where, **options)
    except ModuleNotFoundError as error:
        raise HistoryError(
            f"the history in {shown(where)} needs the Python package '{error.name}'"
            " (pip install 'koinon[postgresql]')"
        ) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise HistoryError(f"'{shown(where)}' is no URL of a database: {error}") from error
    if engine.dialect.name == "sqlite":
        sql.event.listen(engine, "connect", _set_up_sqlite)
    return engine


def prepare(engine: sql.Engine) -> None:
    """Make the tables if they are missing. Raises Away, or HistoryError for a database that is not ours to use."""
    where = shown(engine.url)
    try:
        if engine.dialect.name == "sqlite":
            _claim_file(engine.url)
        with engine.begin() as connection:
            names = sql.inspect(connection).get_table_names()
            if tables.about.name in names:
                known = connection.execute(
                    sql.select(tables.about.c.value).where(tables.about.c.name == "schema")
                ).scalar()
            elif names and engine.dialect.name == "sqlite":
                raise HistoryError(f"{where} is a database of another program; name another file")
            else:
                tables.create(connection)
                known = str(tables.SCHEMA)
    except OperationalError as error:
        raise Away(f"{where} cannot be reached: {said(error)}") from error
    except DatabaseError as error:
        raise HistoryError(f"{where} cannot hold the history: {said(error)}; name another one") from error
    except OSError as error:
        raise HistoryError(f"{where} cannot be opened: {error.strerror}") from error
    if known != str(tables.SCHEMA):
        raise HistoryError(
            f"the history in {where} was written by another version (its schema is {known}, this one's is"
            f" {tables.SCHEMA}); use that version or name another database"
        )


@contextmanager
def told() -> Iterator[None]:
    """What a database says against us, as our error."""
    try:
        yield
    except OperationalError as error:
        raise Away(said(error)) from error
    except SQLAlchemyError as error:
        raise HistoryError(said(error)) from error


def said(error: SQLAlchemyError) -> str:
    """The driver's own words, on one line: SQLAlchemy adds the statement and all its values."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def shown(url: URL) -> str:
    """Without its password, wherever that stands."""
    if url.get_backend_name() == "sqlite":
        return url.database or "memory"
    return url.set(query={}).render_as_string()


def _read(text: str) -> URL:
    # A path is what most people mean.
    try:
        url = make_url(text) if "://" in text else URL.create("sqlite", database=text)
    except (ArgumentError, ValueError) as error:
        raise HistoryError(f"'{text.rpartition('@')[2]}' is no URL of a database") from error
    if url.drivername not in (*_DRIVERS, *_DRIVERS.values()):
        raise HistoryError(
            f"the history is kept in SQLite (a path, or sqlite:///path) or PostgreSQL (postgresql://…),"
            f" not in '{url.drivername}'"
        )
    if url.get_backend_name() == "sqlite" and (url.database or ":memory:") == ":memory:":
        raise HistoryError("the history needs a file: sqlite:///path")
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _claim_file(url: URL) -> None:
    assert url.database is not None
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Outputs may hold secrets. SQLite gives its side files the mode of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # What is confirmed is forgotten elsewhere: it must survive a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()
