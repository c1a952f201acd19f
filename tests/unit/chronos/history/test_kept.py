"""What the history has confirmed is there, whatever happened; and it agrees with a dictionary."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.chronos.history import History, Query
from koinon.chronos.model import Run

WRITER = """
import asyncio, sys
from koinon.chronos.history import History
from koinon.chronos.model import Run

async def write():
    history = History(sys.argv[1])
    for number in range(1_000_000):
        run = Run("bills", number, state="succeeded", ended=2e9)
        # Several are under way when we are killed.
        history.record([run]).add_done_callback(lambda done, run=run: print(run.id, flush=True))
        if number % 7 == 0:
            await asyncio.sleep(0.001)

asyncio.run(write())
"""


def test_a_writer_that_is_killed_has_lost_nothing_it_confirmed(tmp_path: Path) -> None:
    path = str(tmp_path / "history.sqlite")
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        confirmed = [writer.stdout.readline().strip() for _ in range(300)]
        writer.kill()
        confirmed += [
            line.strip() for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")
        ]
    assert set(confirmed) <= asyncio.run(_ids(path))


async def _ids(path: str) -> set[str]:
    history = History(path)
    found = {run.id for run in await history.runs(Query(limit=1_000_000))}
    await history.close()
    return found


RUNS = st.builds(
    Run,
    job=st.sampled_from(["a", "b"]),
    due_ms=st.integers(0, 3),
    attempt=st.integers(0, 1),
    state=st.sampled_from(["launching", "running", "succeeded", "failed"]),
    message=st.text(max_size=5).filter(lambda text: "\0" not in text),
).map(lambda run: _ended(run) if run.has_ended else run)
STEPS = st.lists(
    st.one_of(st.lists(RUNS, max_size=4), st.sampled_from(["forget a", "forget b", "wait"])), max_size=12
)


def _ended(run: Run) -> Run:
    return Run(run.job, run.due_ms, run.attempt, run.state, message=run.message, ended=run.due_ms / 1000 + 1)


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_it_agrees_with_a_dictionary(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_agree(steps, f"{directory}/history.sqlite"))


async def _agree(steps: list[Any], path: str) -> None:
    history = History(path, clock=lambda: 0.0)  # nothing is too old
    known: dict[str, Run] = {}
    written: list[asyncio.Future[None]] = []
    for step in steps:
        if step == "wait":
            await asyncio.gather(*written)
        elif isinstance(step, str):
            job = step.removeprefix("forget ")
            written.append(history.forget(job))
            known = {key: run for key, run in known.items() if run.job != job}
        else:
            written.append(history.record(step))
            for run in step:
                if run.has_ended or run.id not in known or not known[run.id].has_ended:
                    known[run.id] = run
    await asyncio.gather(*written)
    newest_first = sorted(known.values(), key=lambda run: (run.due_ms, run.attempt, run.job), reverse=True)
    assert await history.runs(Query()) == newest_first
    for job in "ab":
        assert await history.runs(Query(job)) == [run for run in newest_first if run.job == job]
    await history.close()
