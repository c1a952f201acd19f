"""Runs that have ended, on their way into the history.

ended ─▶ history ─▶ what its task wrote ─▶ history ─▶ recorded: the store may forget it

Nothing is fetched for a history that does not answer: outputs stay on their agents meanwhile, runs in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from koinon import logs
from koinon.chronos.history import History, HistoryError, Output
from koinon.chronos.model import Run

#: When what the history would not have is tried again.
_AGAIN_S = 30.0
#: The most that wait in the store. It holds the jobs, and a database that stays away must not fill it.
_WAITING_MAX = 50_000
#: So many outputs are at hand at a time.
_OUTPUTS_MAX = 100


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
        waiting_max: int = _WAITING_MAX,
    ) -> None:
        self._history = history
        self._output = output
        self._recorded = recorded
        self._again_s = again_s
        self._waiting_max = waiting_max
        self._places = asyncio.Semaphore(_OUTPUTS_MAX)
        self._is_full = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: list[str] = []
        self._log = logs.get()

    def __len__(self) -> int:
        """How many runs are on their way."""
        return len(self._tasks)

    def record(self, runs: Sequence[Run]) -> None:
        """These have ended."""
        place = max(self._waiting_max - len(self), 0)
        if len(runs) > place:
            self._give_up(runs[place:])
            runs = runs[:place]
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
        while True:
            try:
                await asyncio.shield(written)
                break
            except HistoryError:  # which it has logged
                await asyncio.sleep(self._again_s)
                written = self._history.record([run])
        self._is_full = False
        try:
            async with self._places:
                if (output := await self._output(run)) is not None:
                    await self._history.record_output(run.id, output)
        except HistoryError as error:
            self._log.warning("the output of a run is lost", run=run.id, error=str(error))
        self._let_go(run)

    def _give_up(self, runs: Sequence[Run]) -> None:
        """There is no place for these."""
        if not self._is_full:  # once: there may be many
            self._is_full = True
            self._log.error(
                f"{self._waiting_max} runs wait for the history: those that end now are not remembered",
                run=runs[0].id,
            )
        for run in runs:
            self._let_go(run)

    def _let_go(self, run: Run) -> None:
        if not self._done:
            asyncio.get_running_loop().call_soon(self._tell)
        self._done.append(run.id)

    def _tell(self) -> None:
        done, self._done = self._done, []
        self._recorded(done)
