"""The history as the scheduler and the API use it.

One thread writes. It takes all that has gathered while it wrote the last group, and writes it in one transaction. Between
groups it looks after the bounds. A few other threads read. All methods are called from one event loop, which never waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sql

from koinon import logs
from koinon.chronos.history import queries
from koinon.chronos.history.database import Away, HistoryError, engine_of, prepare, shown, told
from koinon.chronos.history.output import Output
from koinon.chronos.history.queries import Query
from koinon.chronos.history.trimming import Bounds, trim
from koinon.chronos.history.writing import Forget, Keep, Operation, Record, said_of, write
from koinon.chronos.model import Percentiles, Run

__all__ = ["Bounds", "History"]

#: What waits for a database that is away. Beyond that it is refused, and whoever has it keeps it.
_WAITING_MAX = 100_000
#: The most that goes in one transaction.
_GROUP_MAX = 5000
#: How long to wait before a database that is away is tried again, at first and at most.
_RETRY_FIRST_S, _RETRY_MAX_S = 0.5, 30.0
_BOUNDS = Bounds()
#: How often the bounds are looked after.
_TRIM_EVERY_S = 60.0
#: More jobs than so many are looked up all at once.
_STALE_MAX = 200

_Waiting = tuple[Operation, "asyncio.Future[None]"]
T = TypeVar("T")


class History:
    """Runs and outputs, in the database `url` (a path of SQLite's, or `postgresql://…`).

    Raises HistoryError if `url` is wrong; whether the database can be used is found out in the background (`opened`).
    """

    def __init__(self, url: str, bounds: Bounds = _BOUNDS, *, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine_of(url)
        self._bounds = bounds
        self._clock = clock  #: for the loop's thread alone
        self._begun_at = clock() - time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._log = logs.get()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._waiting: deque[_Waiting] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._took: dict[str, Percentiles] = {}
        self._created: dict[str, float] = {}  #: since when there are the jobs of which that tells
        self._stale: set[str] | None = None  #: whose percentiles have changed; None = all of them
        self._summing = asyncio.Lock()
        self._trimming: Iterator[int] | None = None
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="history reader")
        self._thread = threading.Thread(target=self._write_groups, name="history writer", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How much waits to be written."""
        return len(self._waiting)

    async def opened(self) -> None:
        """Returns once the database can be used. Raises HistoryError if it never can, and Away while it is tried again."""
        await asyncio.shield(self._opened)

    def record(self, runs: Iterable[Run]) -> asyncio.Future[None]:
        """How these runs stand now. Done when it is durable; then it may be forgotten elsewhere.

        It may be told again, and late: a run that has ended stays so. Fails with HistoryError when too much waits.
        """
        return self._put(Record(tuple(runs)))

    def record_output(self, task_id: str, output: Output) -> asyncio.Future[None]:
        """What a task has written; its end is kept. Done when it is durable."""
        return self._put(Keep(task_id, output.tail(self._bounds.tail_bytes), self._clock()))

    def forget(self, job: str) -> asyncio.Future[None]:
        """Nothing is kept of that job."""
        return self._put(Forget(job))

    async def runs(self, query: Query) -> list[Run]:
        """The newest runs of those asked for, newest first. Raises HistoryError, and ValueError for a wrong `before`."""
        return await self._read(lambda connection: queries.find_runs(connection, query))

    async def run(self, task_id: str) -> Run | None:
        """The run of that task. Raises HistoryError."""
        return await self._read(lambda connection: queries.find_run(connection, task_id))

    async def output(self, task_id: str) -> Output | None:
        """What is kept of what that task wrote. Raises HistoryError."""
        return await self._read(lambda connection: queries.find_output(connection, task_id))

    async def percentiles(self, job: str, created: float = 0.0) -> Percentiles:
        """How long the runs of a job have taken, which there is since `created`. Raises HistoryError."""
        return await self._read(lambda connection: queries.percentiles_of(connection, job, created))

    async def all_percentiles(self, created: Mapping[str, float]) -> dict[str, Percentiles]:
        """As `percentiles`, of each of these jobs that has ever succeeded. Raises HistoryError."""
        async with self._summing:  # who comes meanwhile has what is found
            stale, self._stale = self._stale, set()
            try:
                if stale is not None:
                    stale.update(name for name, at in created.items() if self._created.get(name) != at)
                if stale is None or len(stale) > _STALE_MAX:
                    self._took = await self._read(
                        lambda connection: queries.percentiles_of_all(connection, created)
                    )
                else:
                    for job in sorted(stale & created.keys()):
                        self._took[job] = await self.percentiles(job, created[job])
                self._created = dict(created)
            except BaseException:
                self._stale = None
                raise
        return {job: found for job, found in self._took.items() if found.count and job in created}

    async def close(self) -> None:
        """Write what waits, if the database takes it now, and let go of it. What it does not take fails."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._readers.shutdown)
        self._engine.dispose()
        if not self._opened.done():
            self._opened.cancel()

    def _put(self, operation: Operation) -> asyncio.Future[None]:
        done: asyncio.Future[None] = self._loop.create_future()
        # Not everybody waits for it.
        done.add_done_callback(lambda done: done.cancelled() or done.exception())
        with self._wake:
            if self._closing:
                done.set_exception(HistoryError("the history is closed"))
            elif len(self._waiting) >= _WAITING_MAX:
                done.set_exception(HistoryError(f"{_WAITING_MAX} changes wait for the history already"))
            else:
                self._waiting.append((operation, done))
                self._wake.notify()
        return done

    async def _read(self, ask: Callable[[sql.Connection], T]) -> T:
        def read() -> T:
            with told(), self._engine.connect() as connection:
                return ask(connection)

        if self._closing:
            raise HistoryError("the history is closed")
        # Whoever asks early is answered as soon as there is something to ask.
        if not self._opened.done() or self._opened.exception() is not None:
            await self.opened()
        return await self._loop.run_in_executor(self._readers, read)

    # ── the writing thread ──────────────────────────────────────────────────────────────────────────

    def _write_groups(self) -> None:
        if self._open():
            trim_at = begun = time.monotonic()
            while (group := self._next_group(trim_at)) is not None:
                if group:
                    self._write(group)
                # As much time as for what is new, so that neither can be in the way of the other for ever.
                now = time.monotonic()
                if now >= trim_at and not self._closing and self._trim(until=2 * now - begun):
                    trim_at = now + _TRIM_EVERY_S
                begun = time.monotonic()
        with self._wake:
            left, self._waiting = list(self._waiting), deque()
        self._settle(left, HistoryError("the history was closed before it could be written"))

    def _open(self) -> bool:
        """Whether the database can be used. Waits for one that is away, unless we are closing."""
        is_away = False
        for pause_s in self._pauses():
            try:
                prepare(self._engine)
            except Away as error:
                if not is_away:
                    self._log.warning(f"the history waits: {error}")
                is_away = True
                self._tell(self._refuse, error)
            except HistoryError as error:
                self._log.error(f"there is no history: {error}")
                self._tell(self._refuse, error)
                self._fail_until_closed(error)
                return False
            else:
                if is_away:
                    self._log.info("the history can be written")
                self._tell(self._accept)
                return True
            self._sleep(pause_s)
        return False

    def _fail_until_closed(self, error: HistoryError) -> None:
        """Nothing will mend it: whoever has something to write is told."""
        while (group := self._next_group(None)) is not None:
            self._settle(group, error)

    def _next_group(self, until: float | None) -> list[_Waiting] | None:
        """What waits; nothing if nothing does at `until`; None when it is over."""
        with self._wake:
            while not self._waiting:
                if self._closing:
                    return None
                rest_s = None if until is None else until - time.monotonic()
                if rest_s is not None and rest_s <= 0:
                    return []
                self._wake.wait(rest_s)
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), _GROUP_MAX))]

    def _write(self, group: list[_Waiting]) -> None:
        is_away = False
        for pause_s in self._pauses():
            try:
                self._write_once(group)
            except Away as error:
                if not is_away:
                    self._log.warning(f"the history waits: {shown(self._engine.url)}: {error}")
                is_away = True
            except HistoryError as error:
                self._part(group, error)
                return
            else:
                if is_away:
                    self._log.info("the history is written again")
                self._settle(group, None)
                return
            self._sleep(pause_s)
        self._settle(group, HistoryError("the history was closed before it could be written"))

    def _part(self, group: list[_Waiting], error: HistoryError) -> None:
        """One of them cannot be written: that one alone is refused."""
        if len(group) == 1:
            self._log.error(f"the history refuses a change: {error}", change=said_of(group[0][0]))
            self._settle(group, error)
            return
        for one in group:
            self._write([one])

    def _write_once(self, group: list[_Waiting]) -> None:
        try:
            with told(), self._engine.begin() as connection:
                write(connection, [operation for operation, _ in group])
        except (OverflowError, TypeError, ValueError) as error:  # of drivers, for values that have no place
            raise HistoryError(str(error)) from error

    def _trim(self, until: float) -> bool:
        """Delete what is too much, a slice at least. Whether that is all for now."""
        if self._trimming is None:
            self._trimming = trim(self._engine, self._bounds, self._begun_at + time.monotonic())
        try:
            with told():
                for _ in self._trimming:
                    if self._closing or (self._waiting and time.monotonic() >= until):
                        return False
        except HistoryError as error:
            self._log.warning(f"the history cannot be trimmed: {error}")
        self._trimming = None
        return True

    def _pauses(self) -> Iterator[float]:
        """How long to wait after each try; at least one try, and none after we are closed."""
        pause_s = _RETRY_FIRST_S
        while True:
            yield pause_s
            if self._closing:
                return
            pause_s = min(pause_s * 2, _RETRY_MAX_S)

    def _sleep(self, pause_s: float) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._closing, pause_s)

    def _settle(self, group: Sequence[_Waiting], error: HistoryError | None) -> None:
        if group:
            self._tell(self._settled, group, error)

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        # The loop is closed only when its process ends: nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *arguments)

    # ── back in the loop ────────────────────────────────────────────────────────────────────────────

    def _accept(self) -> None:
        if self._opened.done() and self._opened.exception() is not None:
            self._opened = self._loop.create_future()
        self._opened.set_result(None)

    def _refuse(self, error: HistoryError) -> None:
        if self._opened.done():
            self._opened = self._loop.create_future()
        self._opened.set_exception(error)
        self._opened.exception()  # not everybody asks

    def _settled(self, group: Sequence[_Waiting], error: HistoryError | None) -> None:
        for operation, done in group:
            if error is None:
                self._note(operation)
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    def _note(self, operation: Operation) -> None:
        """Percentiles that have changed."""
        if self._stale is None:
            return
        match operation:
            case Record(runs=some):
                self._stale.update(run.job for run in some if run.state == "succeeded")
            case Forget(job=job):
                self._stale.add(job)
