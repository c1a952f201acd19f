"""The shell of Marathon's core: what happens becomes an event, what the core decides is done.

API ─feed─▶            ┌─▶ Store: the leader's memory ─▶ Stored
SDK ─tell─▶ core ─▶ effects ─▶ calls to the master (scheduler)
checkers ─▶            ├─▶ Probe: checkers
clock ─────▶           └─▶ Publish: event stream
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from koinon.coordination import Store
from koinon.marathon.bus import EventBus
from koinon.marathon.checkers import Checkers
from koinon.marathon.core import Marathon, events
from koinon.marathon.flags import MarathonFlags
from koinon.marathon.metrics import Counts
from koinon.marathon.model.problems import Refused
from koinon.marathon.model.settings import Rules
from koinon.marathon.scheduler import MarathonScheduler
from koinon.service.exits import Fatal
from koinon.service.loop import CoreLoop
from koinon.service.metrics import ServiceMetrics


class Place(Protocol):
    """What the API shows of the process around the core."""

    def info(self) -> dict[str, Any]:
        """What `/v2/info` answers."""
        ...

    def leader(self) -> str | None:
        """Who leads, `host:port`."""
        ...

    def abdicate(self) -> None:
        """Give up the leadership, soon."""
        ...


class Runtime:
    """Runs one core, from `begin` to `end`; before and after it everything is refused with NotLeading."""

    def __init__(
        self,
        core: Marathon,
        flags: MarathonFlags,
        place: Place,
        *,
        rules: Rules,
        may_act: Callable[[], bool],
        failed: Callable[[Fatal], None],
        metrics: ServiceMetrics,
    ) -> None:
        self.core = core
        self.flags = flags
        self.rules = rules
        self.bus = EventBus(outstanding_max=flags.event_stream_max_outstanding_messages)
        self.checkers = Checkers(self.tell, concurrent_max=flags.max_concurrent_marathon_health_checks)
        self.info = place.info
        self.leader = place.leader
        self.abdicate = place.abdicate
        self._counts = Counts(metrics)
        self._memory: Store
        self._begun = False
        self._write_timeout_s = flags.zk_timeout
        self._scheduler: MarathonScheduler | None = None
        self._perform: dict[type, Callable[[Any], None]] = {
            events.Store: self._store,
            events.Publish: self._publish,
            events.Probe: self.checkers.start,
            events.StopProbe: lambda effect: self.checkers.stop(effect.key),
            events.Resign: lambda effect: failed(Fatal(effect.status, effect.reason)),
        }
        self._loop: CoreLoop[events.Event] = CoreLoop(
            core,
            tick=events.ClockTicked(),
            refusals=Refused,
            perform=self._perform,
            may_act=lambda: self._begun and may_act(),
            failed=failed,
            metrics=metrics,
        )

    async def begin(self, memory: Store, entries: Mapping[str, bytes], scheduler: MarathonScheduler) -> None:
        """Let the core go on from `entries`, and subscribe; returns when it has written what it began with."""
        self._memory = memory
        self._scheduler = scheduler
        for kind, perform in scheduler.performers().items():
            self._perform[kind] = self._counting(perform)
        self._begun = True
        self._loop.feed(events.Loaded(entries))
        await self._loop.settled()
        scheduler.begin()

    async def end(self) -> None:
        """Nothing reaches the core any more; tasks run on."""
        self._loop.stop()
        self.bus.close()
        await self.checkers.close()
        if self._scheduler is not None:
            await self._scheduler.end()

    # ── for the API ───────────────────────────────────────────────────────────────────────────────
    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return self._loop.now()

    @staticmethod
    def new_id() -> str:
        """An id that nothing else has."""
        return str(uuid.uuid4())

    def feed(self, event: events.Event) -> None:
        """Let the core take in `event`. Raises Refused, NotLeading."""
        self._loop.feed(event)
        self._counts.count(event)

    async def settled(self) -> None:
        """Returns when all that was fed so far is durable. Raises NotLeading, and TimeoutError after `--zk_timeout`."""
        async with asyncio.timeout(self._write_timeout_s):
            await self._loop.settled()

    def heard(self, executor_id: str, agent_id: str, data: bytes) -> None:
        """An executor sent a message: listeners may know what it means."""
        fields = {"executorId": executor_id, "slaveId": agent_id, "message": list(data)}
        self.bus.publish("framework_message_event", fields, self.now())

    def tell(self, event: events.Event) -> None:
        """Let the core take in a fact; without effect when we may not act."""
        self._counts.count(event)
        self._loop.tell(event)

    # ── effects ───────────────────────────────────────────────────────────────────────────────────
    def _store(self, effect: events.Store) -> None:
        self._loop.store(self._memory, effect.changes, events.Stored(effect.ticket))

    def _publish(self, effect: events.Publish) -> None:
        self.bus.publish(effect.event_type, effect.fields, self.now())

    def _counting(self, perform: Callable[[Any], None]) -> Callable[[Any], None]:
        def counted(effect: events.Effect) -> None:
            self._counts.count(effect)
            perform(effect)

        return counted
