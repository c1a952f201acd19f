"""The shell of Chronos's core: what happens becomes an event, what the core decides is done.

API ─feed─▶            ┌─▶ Store: the leader's memory ─▶ Stored
SDK ─tell─▶ core ─▶ effects ─▶ calls to the master (scheduler)
clock ─────▶           ├─▶ Record: history, outputs ─▶ Recorded
                       └─▶ Notify: outbox
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import asdict

from koinon.chronos.core import Chronos, events
from koinon.chronos.flags import ChronosFlags
from koinon.chronos.history import Away, History, Output
from koinon.chronos.metrics import Counts
from koinon.chronos.model import Run
from koinon.chronos.model.problems import Refused
from koinon.chronos.notices import Notice, Outbox
from koinon.chronos.recording import Recorder
from koinon.chronos.sandboxes import Sandboxes
from koinon.chronos.scheduler import ChronosScheduler
from koinon.coordination import Store
from koinon.service.exits import Fatal
from koinon.service.loop import CoreLoop
from koinon.service.metrics import ServiceMetrics

#: Where the outbox keeps what it has still to send.
_NOTICES = "notices/"
#: So long we wait to hear that the history's database is none of ours.
_OPEN_S = 2.0


class Runtime:
    """Runs one core, from `begin` to `end`; before and after it everything is refused with NotLeading."""

    history: History  #: only of a process that leads

    def __init__(
        self,
        core: Chronos,
        flags: ChronosFlags,
        *,
        leader: Callable[[], str | None],
        may_act: Callable[[], bool],
        failed: Callable[[Fatal], None],
        metrics: ServiceMetrics,
    ) -> None:
        self.core = core
        self.flags = flags
        self.leader = leader
        self.defaults = flags.defaults()
        self.job_history_limit = flags.job_history_limit
        self._counts = Counts(metrics, core.state)
        self._memory: Store
        self._begun = False
        self._write_timeout_s = flags.zk_timeout
        self._scheduler: ChronosScheduler | None = None
        self._recorder: Recorder | None = None
        self._outbox: Outbox | None = None
        self._history: History | None = None
        self._sandboxes = Sandboxes(lambda: core.state, tail_bytes=flags.bounds().tail_bytes)
        self._perform: dict[type, Callable[[Any], None]] = {
            events.Store: self._store,
            events.Resign: lambda effect: failed(Fatal(effect.status, effect.reason)),
        }
        self._loop: CoreLoop[events.Event] = CoreLoop(
            _OnTheWall(core),
            tick=events.ClockTicked(),
            refusals=Refused,
            perform=self._perform,
            may_act=lambda: self._begun and may_act(),
            failed=failed,
            metrics=metrics,
        )

    async def begin(self, memory: Store, entries: Mapping[str, bytes], scheduler: ChronosScheduler) -> None:
        """Let the core go on from `entries`, and subscribe; returns when it has written what it began with.

        Raises HistoryError if there can be no history, OSError if files that flags name cannot be read.
        """
        self._memory = memory
        self._scheduler = scheduler
        self.history = self._history = History(self.flags.history_url, self.flags.bounds())
        with suppress(Away, TimeoutError):  # what may mend by itself keeps nobody from leading
            async with asyncio.timeout(_OPEN_S):
                await self.history.opened()
        recorder = self._recorder = Recorder(
            self.history, self._sandboxes.output, lambda ids: self.tell(events.Recorded(ids))
        )
        outbox = self._outbox = Outbox(memory, self.flags.notices(), clock=self.now)
        performers: dict[type, Callable[[Any], None]] = {
            **scheduler.performers(),
            events.Record: lambda effect: recorder.record(effect.runs),
            events.Notify: lambda effect: outbox.post(Notice(**asdict(effect))),
        }
        for kind, perform in performers.items():
            self._perform[kind] = self._counting(perform)
        outbox.start({key: value for key, value in entries.items() if key.startswith(_NOTICES)})
        self._begun = True
        self._loop.feed(events.Loaded(entries))
        await self._loop.settled()
        scheduler.begin()

    async def end(self) -> None:
        """Nothing reaches the core any more; tasks run on."""
        self._loop.stop()
        if self._scheduler is not None:
            await self._scheduler.end()
        if self._recorder is not None:
            await self._recorder.close()
        if self._outbox is not None:
            await self._outbox.close()
        await self._sandboxes.close()
        if self._history is not None:
            await self._history.close()

    @property
    def unrecorded(self) -> int:
        """How many runs wait for the history."""
        return 0 if self._recorder is None else len(self._recorder)

    @property
    def unsent(self) -> int:
        """How many notices wait."""
        return 0 if self._outbox is None else len(self._outbox)

    # ── for the API ───────────────────────────────────────────────────────────────────────────────
    def now(self) -> float:
        """The time that people go by, in seconds since the epoch."""
        return time.time()

    def feed(self, event: events.Event) -> None:
        """Let the core take in `event`. Raises Refused, NotLeading."""
        self._loop.feed(event)

    async def settled(self) -> None:
        """Returns when all that was fed so far is durable. Raises NotLeading, and TimeoutError after `--zk_timeout`."""
        async with asyncio.timeout(self._write_timeout_s):
            await self._loop.settled()

    async def output(self, run: Run) -> Output | None:
        """The ends of what the run has written so far; None if nothing is to be had. Raises HistoryError."""
        if run.has_ended and (kept := await self.history.output(run.id)) is not None:
            return kept
        return await self._sandboxes.output(run, patient=False)

    def tell(self, event: events.Event) -> None:
        """Let the core take in a fact; without effect when we may not act."""
        self._counts.count(event)
        if isinstance(event, events.Offered):
            self._sandboxes.note(event.offers)
        self._loop.tell(event)

    # ── effects ───────────────────────────────────────────────────────────────────────────────────
    def _store(self, effect: events.Store) -> None:
        self._loop.store(self._memory, effect.changes, events.Stored(effect.ticket))

    def _counting(self, perform: Callable[[Any], None]) -> Callable[[Any], None]:
        def counted(effect: events.Effect) -> None:
            self._counts.count(effect)
            perform(effect)

        return counted


class _OnTheWall:
    """The core, told what the clock on the wall shows: a loop's time does not jump, and schedules are to."""

    def __init__(self, core: Chronos) -> None:
        self._core = core

    def handle(self, event: events.Event, now: float) -> Sequence[events.Effect]:
        return self._core.handle(event, now, time.time())

    def next_wakeup(self, now: float) -> float:
        return self._core.next_wakeup(now, time.time())
