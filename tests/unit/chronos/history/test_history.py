"""Runs in SQLite and PostgreSQL: written, found, and bounded."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from koinon.chronos.history import Away, Bounds, History, HistoryError, Output, Query
from koinon.chronos.history import history as module
from koinon.chronos.model import Percentiles, Run
from tests.unit.chronos.history.conftest import Server

DAY = 86400.0
NOON = 1_800_000_000.0
#: Jobs, and since when there are such.
ALWAYS = {"a": 0.0, "b": 0.0}


def run(job: str = "report", at: float = NOON, **fields: Any) -> Run:
    return Run(job, round(at * 1000), **fields)


def done(job: str = "report", at: float = NOON, took: float = 10.0, **fields: Any) -> Run:
    return run(job, at, **{"state": "succeeded", "ended": at + took, **fields})


FULL = Run(
    job="naïve job",
    due_ms=1_800_000_000_123,
    attempt=2,
    state="failed",
    trigger="manual",
    arguments="--day 'Ω'",
    not_before=NOON + 60.5,
    launched=NOON + 1.25,
    started=NOON + 2.125,
    ended=NOON + 3.000001,
    agent_id="a-S1",
    hostname="n1",
    mesos_state="TASK_FAILED",
    reason="REASON_COMMAND_EXECUTOR_FAILED",
    message="Command exited with status 3",
    exit_status=3,
    container_id="c",
    elements_processed=2**40,
    failures=1,
    window_ms=1_800_000_000_000,
    through_ms=1_800_000_060_123,
)
#: It says what no column does.
ASKED = msgspec.structs.replace(FULL, job="asked", kill_asked=NOON + 2.5, orphaned=True)


async def test_a_run_comes_back_as_it_was(history: History) -> None:
    await history.record([FULL, ASKED])
    assert await history.run(FULL.id) == FULL
    assert await history.run(ASKED.id) == ASKED
    assert await history.runs(Query()) == [FULL, ASKED]
    assert await history.run("ct:0:0:other:") is None


async def test_a_run_is_one_record_that_follows_it_until_it_has_ended(history: History) -> None:
    await history.record([run()])
    running = run(state="running", started=NOON + 1)
    await history.record([running])
    assert await history.runs(Query()) == [running]
    await history.record([done(started=NOON + 1)])
    await history.record([running])  # late, or told again after a failover
    assert await history.runs(Query()) == [done(started=NOON + 1)]


async def test_what_has_ended_stays_so_within_one_group(history: History) -> None:
    await asyncio.gather(history.record([done(), run(state="running")]), history.record([run()]))
    assert await history.runs(Query()) == [done()]


async def test_what_comes_once_done_is_in_the_file_when_it_is_opened_again(url: str) -> None:
    first = History(url)
    await first.record([done()])
    await first.close()
    second = History(url)
    assert await second.runs(Query()) == [done()]
    await second.close()
    with pytest.raises(HistoryError, match="closed"):
        await second.record([done()])
    with pytest.raises(HistoryError, match="closed"):
        await second.runs(Query())


async def test_what_waits_is_written_before_it_closes(url: str) -> None:
    first = History(url)
    left = [first.record([done(at=NOON + n)]) for n in range(10)]
    await first.close()
    await asyncio.gather(*left)
    second = History(url)
    assert len(await second.runs(Query())) == 10
    await second.close()


ALL = [
    done("a", NOON, attempt=0),
    done("a", NOON, attempt=1, state="failed"),
    done("b", NOON + 60, state="failed"),
    done("a", NOON + 120),
    run("b", NOON + 180, state="running"),
    run("c", NOON + 240, state="skipped", ended=NOON + 240),
]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), [5, 4, 3, 2, 1, 0]),
        (Query(limit=2), [5, 4]),
        (Query(job="a"), [3, 1, 0]),
        (Query(job="nobody"), []),
        (Query(states=("failed",)), [2, 1]),
        (Query(states=("failed", "running")), [4, 2, 1]),
        (Query(job="b", states=("failed",)), [2]),
        (Query(since=NOON + 120), [5, 4, 3]),
        (Query(until=NOON + 120), [2, 1, 0]),
        (Query(since=NOON + 60, until=NOON + 240), [4, 3, 2]),
        (Query(before=ALL[3].id), [2, 1, 0]),
        (Query(before=ALL[1].id), [0]),
        (Query(job="a", before=ALL[3].id, limit=1), [1]),
    ],
)
async def test_queries(history: History, query: Query, found: list[int]) -> None:
    await history.record(ALL)
    assert await history.runs(query) == [ALL[n] for n in found]


async def test_pages_hold_each_run_once(history: History) -> None:
    ids = random.Random(1)
    many = {
        one.id: one
        for one in (
            done(ids.choice("abc"), NOON + ids.randrange(20), attempt=ids.randrange(12)) for _ in range(400)
        )
    }
    await history.record(many.values())
    seen: list[Run] = []
    while page := await history.runs(Query(limit=7, before=seen[-1].id if seen else "")):
        seen += page
    assert len(seen) == len(many)
    assert {one.id: one for one in seen} == many


async def test_a_wrong_cursor_is_an_error_of_who_asks(history: History) -> None:
    with pytest.raises(ValueError, match="'x' is no task id"):
        await history.runs(Query(before="x"))


async def test_a_forgotten_job_is_gone_with_its_output_and_may_come_again(history: History) -> None:
    history.record([done("a"), done("b")])
    history.record_output(done("a").id, Output(b"x", b"", 1, 0))
    history.forget("a")
    await history.record([done("a", NOON + 60)])
    assert await history.runs(Query()) == [done("a", NOON + 60), done("b")]
    assert await history.output(done("a").id) is None


async def test_outputs_keep_their_end(url: str) -> None:
    history = History(url, Bounds(tail_bytes=4))
    await history.record_output("ct:1:0:a:", Output(b"0123456789", b"\0\xff", 10, 2))
    assert await history.output("ct:1:0:a:") == Output(b"6789", b"\0\xff", 10, 2)
    await history.record_output("ct:1:0:a:", Output(b"new", b"", 3, 0))
    assert await history.output("ct:1:0:a:") == Output(b"new", b"", 3, 0)
    assert await history.output("ct:2:0:a:") is None
    await history.close()


async def test_texts_that_no_database_takes_are_mended(history: History) -> None:
    await history.record([done(message="a\0b\udcff", reason="x" * 10_000)])
    (found,) = await history.runs(Query())
    assert found.message == "ab?"
    assert len(found.reason) == 4096


async def test_one_change_that_cannot_be_written_does_not_hold_up_the_others(
    history: History, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = history.record([done("wrong", message="a secret", elements_processed=2**70)])
    right = history.record([done("right")])
    await right
    with pytest.raises(HistoryError):
        await wrong
    assert [one.job for one in await history.runs(Query())] == ["right"]
    assert done("wrong").id in caplog.text
    assert "a secret" not in caplog.text


# ── percentiles ──────────────────────────────────────────────────────────────────────────────────────


async def test_percentiles_are_of_successes_since_they_were_due(history: History) -> None:
    await history.record([done("a", NOON + n, took=n) for n in range(1, 102)])
    await history.record([done("a", NOON + 500, took=1e6, state="failed"), run("b")])
    found = Percentiles(count=101, mean=51.0, median=51.0, p75=76.0, p95=96.0, p98=99.0, p99=100.0)
    assert await history.percentiles("a") == found
    assert await history.all_percentiles(ALWAYS) == {"a": found}
    assert await history.percentiles("b") == Percentiles()


async def test_percentiles_leave_out_what_nobody_waited_for(history: History) -> None:
    """The times that are made up for together, those before there was the job, and the job of that name before."""
    late = done("a", NOON, took=86_400.0, through_ms=round((NOON + 86_390.0) * 1000))
    await history.record([late])
    assert (await history.percentiles("a")).median == 10.0
    again = NOON + 100_000.0
    await history.record([done("a", NOON + 1, took=again + 4.0 - NOON - 1)])
    for found in (await history.percentiles("a", again), (await history.all_percentiles({"a": again}))["a"]):
        assert (found.count, round(found.median, 3)) == (1, 4.0)
    assert (await history.all_percentiles({"a": NOON}))["a"].count == 2
    assert await history.all_percentiles({"b": NOON}) == {}


async def test_percentiles_of_all_follow_what_happens(history: History) -> None:
    assert await history.all_percentiles(ALWAYS) == {}
    await history.record([done("a", took=1.0), done("b", took=2.0)])
    assert {job: found.median for job, found in (await history.all_percentiles(ALWAYS)).items()} == {
        "a": 1.0,
        "b": 2.0,
    }
    await history.record([done("a", NOON + 60, took=3.0)])
    await history.forget("b")
    assert {job: found.median for job, found in (await history.all_percentiles(ALWAYS)).items()} == {"a": 2.0}


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────────


async def trimmed(
    url: str, bounds: Bounds, runs: list[Run], outputs: dict[str, bytes] | None = None, *, left: int
) -> History:
    """A history that has been filled, and was then trimmed to so many runs, as it is whenever it is opened."""
    before = History(url, Bounds(age_s=1e12), clock=lambda: NOON)
    await before.record(runs)
    for task_id, data in (outputs or {}).items():
        await before.record_output(task_id, Output(data, b"", len(data), 0))
    await before.close()
    history = History(url, bounds, clock=lambda: NOON)
    await history.opened()
    async with asyncio.timeout(30):
        while len(await history.runs(Query(limit=10_000))) != left:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return history


async def test_old_runs_go_but_none_that_goes_on(url: str) -> None:
    runs = [done(at=NOON - days * DAY) for days in range(1, 9)] + [run(at=NOON - 100 * DAY, state="running")]
    history = await trimmed(url, Bounds(age_s=3.5 * DAY), runs, left=4)
    assert await history.runs(Query()) == [*runs[:3], runs[-1]]
    await history.close()


async def test_each_job_has_its_newest_runs(url: str) -> None:
    runs = [done(job, NOON + n) for n in range(1500) for job in ("a", "b")] + [done("c")]
    runs.append(run("a", NOON - 1, state="running"))
    history = await trimmed(url, Bounds(runs_per_job=5), runs, left=12)
    assert [one.due - NOON for one in await history.runs(Query("a"))] == [1499, 1498, 1497, 1496, 1495, -1]
    assert [one.due - NOON for one in await history.runs(Query("b"))] == [1499, 1498, 1497, 1496, 1495]
    assert len(await history.runs(Query("c"))) == 1
    await history.close()


async def test_there_are_at_most_so_many_runs(url: str) -> None:
    runs = [done(f"job{n}", NOON + n) for n in range(2500)]
    history = await trimmed(url, Bounds(runs=10), runs, left=10)
    assert await history.runs(Query(limit=10_000)) == runs[:-11:-1]
    await history.close()


async def test_outputs_go_with_their_run_and_when_there_is_no_room(url: str) -> None:
    runs = [done(at=NOON - days * DAY) for days in range(6)]
    noise = random.Random(1)
    outputs = {one.id: noise.randbytes(1000) for one in reversed(runs)}
    history = await trimmed(url, Bounds(age_s=4.5 * DAY, output_bytes=2100), runs, outputs, left=5)
    async with asyncio.timeout(30):
        while [await history.output(one.id) is not None for one in runs].count(True) != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert len(await history.runs(Query())) == 5
    await history.close()


async def test_bounds_hold_while_there_is_always_more_to_write(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TRIM_EVERY_S", 0.02)
    history = History(url, Bounds(runs_per_job=10), clock=lambda: NOON)
    left: set[asyncio.Future[None]] = set()
    for batch in range(100):
        left.add(history.record([done(at=NOON + batch * 100 + n) for n in range(100)]))
        if len(left) > 3:  # there is always something that waits
            _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
    found = await history.runs(Query(limit=100_000))
    assert len(found) < 5000
    await history.close()


# ── databases that are wrong, or away ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://h/d", "not in 'mysql'"),
        ("postgresql+psycopg2://h/d", "not in 'postgresql\\+psycopg2'"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("://", "no URL"),
        ("postgresql://user:secret@host:port/d", "^'host:port/d' is no URL"),
    ],
)
async def test_a_wrong_url_is_refused_at_once(url: str, said: str) -> None:
    with pytest.raises(HistoryError, match=said):
        History(url)


async def test_the_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "history.sqlite"
    history = History(f"sqlite:///{path}")
    await history.record([done()])
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    await history.close()


async def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    history = History(str(path))
    with pytest.raises(HistoryError, match="another program"):
        await history.opened()
    with pytest.raises(HistoryError, match="another program"):
        await history.record([done()])
    with pytest.raises(HistoryError, match="another program"):
        await history.runs(Query())
    await history.close()


async def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("dear diary, " * 1000)
    history = History(str(path))
    with pytest.raises(HistoryError, match="cannot hold the history"):
        await history.opened()
    await history.close()
    assert path.read_text().startswith("dear diary")


async def test_the_tables_of_another_version_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    history = History(str(path))
    await history.opened()
    await history.close()
    with sqlite3.connect(path) as file:
        file.execute("UPDATE chronos_history SET value = '99'")
    file.close()
    history = History(str(path))
    with pytest.raises(HistoryError, match="another version \\(its schema is 99"):
        await history.opened()
    await history.close()


async def test_a_server_that_is_away_is_waited_for(postgresql: Server) -> None:
    url = postgresql.new_database()
    postgresql.stop()
    history = History(url)
    with pytest.raises(Away, match="cannot be reached"):
        await history.opened()
    early = history.record([done()])
    with pytest.raises(HistoryError, match="cannot be reached"):
        await history.runs(Query())
    postgresql.start()
    await early
    assert await history.runs(Query()) == [done()]
    postgresql.stop()
    late = history.record([done(at=NOON + 60)])
    await asyncio.sleep(0.2)
    assert not late.done()
    with pytest.raises(HistoryError):
        await history.runs(Query())
    postgresql.start()
    await late
    assert len(await history.runs(Query())) == 2
    await history.close()


async def test_closing_does_not_wait_for_a_server_that_is_away(postgresql: Server) -> None:
    url = postgresql.new_database()
    postgresql.stop()
    try:
        history = History(url)
        left = history.record([done()])
        await history.close()
        with pytest.raises(HistoryError, match="closed before"):
            await left
    finally:
        postgresql.start()
