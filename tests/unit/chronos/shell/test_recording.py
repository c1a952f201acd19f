"""Runs that have ended, on their way into a history that is there, or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from koinon.chronos.history import HistoryError, Output
from koinon.chronos.model import Run
from koinon.chronos.recording import Recorder


class FakeHistory:
    """Takes all as soon as it is `there`."""

    def __init__(self) -> None:
        self.there = asyncio.Event()
        self.runs: list[str] = []
        self.outputs: list[str] = []

    def record(self, runs: Sequence[Run]) -> asyncio.Future[None]:
        async def taken() -> None:
            await self.there.wait()
            self.runs += [run.id for run in runs]

        return asyncio.ensure_future(taken())

    async def record_output(self, task_id: str, output: Output) -> None:
        if output.stdout == b"wrong":
            raise HistoryError("no")
        self.outputs.append(task_id)


RUNS = [Run("a", n, state="succeeded", ended=1.0) for n in range(5)]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_nothing_is_fetched_for_a_history_that_is_away() -> None:
    """Outputs would fill the memory; they come when it is back, and only then runs are forgotten."""
    history, fetched, told = FakeHistory(), list[str](), list[str]()

    async def output(run: Run) -> Output | None:
        fetched.append(run.id)
        return Output(b"wrong" if run.due_ms == 1 else b"x") if run.due_ms < 3 else None

    recorder = Recorder(history, output, told.extend)  # type: ignore[arg-type]
    recorder.record(RUNS)
    await asyncio.sleep(0.05)
    assert (fetched, told, len(recorder)) == ([], [], 5)
    history.there.set()
    await until(lambda: len(told) == 5)
    assert sorted(history.outputs) == [RUNS[0].id, RUNS[2].id]
    assert history.runs == sorted(told) == [run.id for run in RUNS]
    await recorder.close()


async def test_more_than_the_store_may_hold_is_not_remembered() -> None:
    """What came first is; the others are forgotten at once."""
    history, told = FakeHistory(), list[str]()

    async def output(run: Run) -> Output | None:
        return None

    recorder = Recorder(history, output, told.extend, waiting_max=3)  # type: ignore[arg-type]
    recorder.record(RUNS[:2])
    recorder.record(RUNS[2:])
    await until(lambda: len(told) == 2)
    assert told == [run.id for run in RUNS[3:]]
    history.there.set()
    await until(lambda: len(told) == 5)
    assert history.runs == [run.id for run in RUNS[:3]]
    recorder.record(RUNS[:1])
    await until(lambda: len(told) == 6)
    await recorder.close()
