"""Runs that have ended, on their way into the history.

ended ─┬─▶ history ────────────────────┬─▶ recorded: the store may forget it
       └─▶ what its task wrote ─▶ history ─┘
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from koinon import logs
from koinon.chronos.history import History, HistoryError, Output
from koinon.chronos.model import Run

#: When what the history would not have is tried again.
_AGAIN_S = 30.0


class Recorder:
    """Sees runs off: `record` them, and `recorded` is told their ids when nothing of them is to be forgotten any more.

    A run whose history waits stays in the store; so does one whose output is being fetched, and a new leader begins anew.
    """

    def __init__(
        self,
        history: History,
        output: Callable[[Run], Awaitable[Output | None]],
        recorded: Callable[[Sequence[str]], None],
        *,
        again_s: float = _AGAIN_S,
    ) -> None:
        self._history = history
        self._output = output
        self._recorded = recorded
        self._again_s = again_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: list[str] = []
        self._log = logs.get()

    def __len__(self) -> int:
        """How many runs are on their way."""
        return len(self._tasks)

    def record(self, runs: Sequence[Run]) -> None:
        """These have ended."""
        written = self._history.record(runs)
        loop = asyncio.get_running_loop()
        for run in runs:
            task = loop.create_task(self._see_off(run, written))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """See nobody off any more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _see_off(self, run: Run, written: asyncio.Future[None]) -> None:
        try:
            if (output := await self._output(run)) is not None:
                await self._history.record_output(run.id, output)
        except HistoryError as error:
            self._log.warning("the output of a run is lost", run=run.id, error=str(error))
        while True:
            try:
                await asyncio.shield(written)
                break
            except HistoryError:  # which it has logged
                await asyncio.sleep(self._again_s)
                written = self._history.record([run])
        if not self._done:
            asyncio.get_running_loop().call_soon(self._tell)
        self._done.append(run.id)

    def _tell(self) -> None:
        done, self._done = self._done, []
        self._recorded(done)
