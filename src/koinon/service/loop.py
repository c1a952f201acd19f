"""The loop around a service's core: events in, effects out.

Each event is handed to the core as it comes, and its effects are carried out at once, in their order. The lease is asked
before: a process that was frozen, and is woken when another one leads, does nothing. What is to be stored goes to the store
at once, too, and the core hears of it when it is durable.

A core that fails has lost its consistency: the process ends, and another one begins with what is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from koinon import logs
from koinon.clock import SteadyClock
from koinon.coordination import Change, Fenced, Store, StoreError
from koinon.service.exits import Exit, Fatal
from koinon.service.metrics import ServiceMetrics

#: The clock ticks at least so often, whatever the core says.
_IDLE_S = 60.0
#: Between two ticks of the clock there is at least so much.
_REST_S = 0.001

E = TypeVar("E", contravariant=True)


class Core(Protocol[E]):
    """What decides."""

    def handle(self, event: E, now: float) -> Sequence[Any]:
        """Take in what happened at `now`, in seconds since the epoch; returns effects."""
        ...

    def next_wakeup(self, now: float) -> float | None:
        """When the clock is to tick next, at the latest; None: not before something happens."""
        ...


class NotLeading(Exception):
    """This process may not act."""


class CoreLoop(Generic[E]):
    """Runs one core while `may_act` says so. `failed` is told when the process must end.

    `refusals` are exceptions of the core's by which it refuses an event; they are raised to who fed it. `perform` has a
    function for each type of effect. `tick` is the event for the passing of time.
    """

    def __init__(
        self,
        core: Core[E],
        *,
        tick: E,
        refusals: type[Exception],
        perform: dict[type, Callable[[Any], None]],
        may_act: Callable[[], bool],
        failed: Callable[[Fatal], None],
        metrics: ServiceMetrics,
    ) -> None:
        self.core = core
        self.may_act = may_act
        self._tick = tick
        self._refusals = refusals
        self._perform = perform
        self._tell_failed = failed
        self._loop = asyncio.get_running_loop()
        self._clock = SteadyClock()
        self._log = logs.get()
        self._timer: asyncio.TimerHandle | None = None
        self._ending_turn = False
        self._stopped = False
        self._latest: asyncio.Future[None] | None = None  #: the newest commit
        self._handling = metrics.timer("core.handling")
        self._storing = metrics.timer("store.commit")

    def now(self) -> float:
        """The time as the core is told it."""
        return self._clock.now()

    def stop(self) -> None:
        """Nothing reaches the core any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def feed(self, event: E) -> None:
        """Let the core take in `event`. Raises what the core refuses it with, and NotLeading."""
        if self._stopped or not self.may_act():
            raise NotLeading
        self._feed(event)

    async def feed_durably(self, event: E) -> None:
        """As `feed`, for who is promised something: returns when all that was to be stored is durable, and told."""
        self.feed(event)
        await self.settled()

    async def settled(self) -> None:
        """Returns when every write so far is durable, and the core knows it. Raises NotLeading if that failed."""
        if self._latest is not None:
            try:
                await asyncio.shield(self._latest)  # commits end in their order
            except StoreError as error:
                raise NotLeading from error

    def tell(self, event: E) -> None:
        """As `feed`, for a fact, which cannot be refused: to a process that may not act it does not matter."""
        if self._stopped or not self.may_act():
            return
        with contextlib.suppress(NotLeading):  # the core has failed, and the process ends
            self._feed(event)

    def store(self, store: Store, changes: Iterable[Change], then: E) -> None:
        """Write `changes`; feed `then` when they are durable."""
        begun_s = time.perf_counter()

        def stored(done: asyncio.Future[None]) -> None:
            if done.cancelled():  # the process is going down
                return
            if (error := done.exception()) is not None:
                self._fail(error)
                return
            self._storing.observe((time.perf_counter() - begun_s) * 1000)
            self.tell(then)

        try:
            self._latest = store.commit(changes)
            self._latest.add_done_callback(stored)
        except StoreError as error:  # closed
            self._fail(error)

    def _feed(self, event: E) -> None:
        begun_s = time.perf_counter()
        try:
            effects = self.core.handle(event, self._clock.now())
            perform = self._perform
            for effect in effects:
                perform[effect.__class__](effect)
        except self._refusals:
            raise
        except Exception as error:
            self._log.exception("the core failed", on=repr(event)[:4000])
            self._fail(error)
            raise NotLeading from error
        self._handling.observe((time.perf_counter() - begun_s) * 1000)
        if not self._ending_turn:
            self._ending_turn = True
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        """All that came in during this turn is handled: look when the core wants to be woken."""
        self._ending_turn = False
        if self._stopped:
            return
        now = self._clock.now()
        due_s = self.core.next_wakeup(now)
        wait_s = _IDLE_S if due_s is None else min(max(due_s - now, _REST_S), _IDLE_S)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(wait_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.tell(self._tick)

    def _fail(self, error: BaseException) -> None:
        if self._stopped:
            return
        self.stop()
        if isinstance(error, Fenced):
            self._tell_failed(Fatal(Exit.LEADERSHIP_LOST, f"deposed: {error}"))
        elif isinstance(error, StoreError):
            self._tell_failed(Fatal(Exit.UNCAUGHT, str(error)))
        else:
            self._tell_failed(Fatal(Exit.UNCAUGHT, f"the core failed: {error!r}"))
