"""The loop around the core: events in, effects out.

Each event is handed to the core as it comes, and its effects are carried out at once; a call that the core
refuses is refused to its caller. At the end of the turn of the event loop the clock ticks, once for all that
came in, if that may lead to offers. What the effects send is joined per connection by streams and channels.

A master that stands for election acts only while its lease is held: that is asked before an event is handed in,
and again before anything leaves on a stream or channel. So one that was frozen, and is woken when another one
leads, does nothing.

A core that fails has lost its consistency: the master stops, loudly. Started again it rebuilds its state from
registry and agents.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from koinon import logs
from koinon.clock import SteadyClock
from koinon.coordination import Store
from koinon.edge import EventStream, Metrics
from koinon.master.channel import Channel
from koinon.master.core import Master, Refused, events
from koinon.master.core.events import Event
from koinon.master.registry import Registry

#: The clock ticks at least so often, whatever the core says.
_IDLE_S = 60.0
#: Between two ticks of the clock there is at least so much.
_REST_S = 0.001
#: A stream with less than this unread has room. While it has none we look again after so long.
_ROOM_BYTES = 1024 * 1024
_ROOM_S = 0.05


class Runtime:
    """Runs one core. `failed` is done, with the error, when the master must stop.

    `lease` says whether we may act; once it says no, after `start`, nothing more is done.
    """

    def __init__(self, core: Master, metrics: Metrics, *, lease: Callable[[], bool] = lambda: True) -> None:
        self.core = core
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.streams: dict[str, EventStream] = {}
        self.channels: dict[str, Channel] = {}
        self.watch: Callable[[events.Fact], None] | None = None  #: told of facts, when somebody listens
        self._loop = asyncio.get_running_loop()
        self._clock = SteadyClock()
        self._log = logs.get(role="master")
        self._lease = lease
        self._leads = False
        self._registry = Registry(metrics, on_stored=self._stored, on_failed=self.fail)
        self._stopped = False
        self._ending_turn = False
        self._turn_begun_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._runs = metrics.counter("allocator/mesos/allocation_runs")
        self._run_ms = metrics.timer("allocator/mesos/allocation_run_ms")
        self._latency_ms = metrics.timer("allocator/mesos/allocation_run_latency_ms")
        self._perform: dict[type, Callable[[Any], None]] = {
            events.SendEvent: self._send_event,
            events.AwaitRoom: self._await_room,
            events.CloseStream: self._close_stream,
            events.SendToAgent: self._send_to_agent,
            events.CloseChannel: self._close_channel,
            events.Store: self._store,
            events.Resign: self._resign,
            events.Announce: self._announce,
        }

    def start(self, store: Store, epoch: int = 0, *, opened_in_s: float = 0.0) -> None:
        """Read the registry and begin to lead, in `epoch`. Raises StoreError, Refused when the lease is over already."""
        self._leads = True
        self.feed(events.RegistryLoaded(self._registry.load(store, opened_in_s), epoch))

    def may_act(self) -> bool:
        """Whether this master leads at this moment."""
        return self._leads and not self._stopped and self._lease()

    def stop(self) -> None:
        """End all connections; nothing reaches the core any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for stream in list(self.streams.values()):
            stream.close()
        for channel in list(self.channels.values()):
            channel.close()

    def feed(self, event: Event) -> None:
        """Let the core take in `event`. Raises Refused; a master that may not act refuses all (503)."""
        if not self.may_act():
            raise Refused(503, "This master does not lead.")
        self._feed(event)

    def _feed(self, event: Event) -> None:
        try:
            effects = self.core.handle(event, self._clock.now())
        except Refused:
            raise
        except Exception as error:
            self._log.exception("the core failed", on=repr(event)[:4000])
            self.fail(error)
            raise Refused(500, "The master failed and stops; its log has the details.") from error
        perform = self._perform
        for effect in effects:
            perform[effect.__class__](effect)
        if not self._ending_turn:
            self._ending_turn = True
            self._turn_begun_s = time.perf_counter()
            self._loop.call_soon(self._end_turn)

    async def feed_durably(self, event: Event) -> None:
        """As `feed`, for an operator: returns when what it changes is durable, so that it shows from then on."""
        self.feed(event)
        await self._registry.settled()

    def tell(self, event: Event) -> None:
        """As `feed`, for a fact that cannot be refused: to a master that may not act it does not matter."""
        if self.may_act():
            self._feed(event)

    # ── time ──────────────────────────────────────────────────────────────────────────────────────
    def _end_turn(self) -> None:
        self._ending_turn = False
        if not self.may_act():
            return
        if self.core.allocation_wanted:
            self._latency_ms.observe((time.perf_counter() - self._turn_begun_s) * 1000)
            self._tick()
        now = self._clock.now()
        wait_s = min(max(self.core.next_wakeup(now) - now, _REST_S), _IDLE_S)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(wait_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        if self.may_act():
            self._tick()

    def _tick(self) -> None:
        wanted = self.core.allocation_wanted
        begun_s = time.perf_counter()
        try:
            self._feed(events.ClockTicked())
        except Refused:  # it has failed, and said so
            return
        if wanted:
            self._runs.value += 1
            self._run_ms.observe((time.perf_counter() - begun_s) * 1000)

    # ── effects ───────────────────────────────────────────────────────────────────────────────────
    def _send_event(self, effect: events.SendEvent) -> None:
        if (stream := self.streams.get(effect.stream_id)) is not None:
            stream.send(effect.event)

    def _await_room(self, effect: events.AwaitRoom) -> None:
        if (stream := self.streams.get(effect.stream_id)) is None:
            return
        if stream.unread_bytes < _ROOM_BYTES:
            self._loop.call_soon(self.tell, events.SchedulerHasRoom(effect.stream_id))
        else:
            self._loop.call_later(_ROOM_S, self._await_room, effect)

    def _close_stream(self, effect: events.CloseStream) -> None:
        if (stream := self.streams.pop(effect.stream_id, None)) is not None:
            stream.close()

    def _send_to_agent(self, effect: events.SendToAgent) -> None:
        if (channel := self.channels.get(effect.channel_id)) is not None:
            channel.send(effect.message)

    def _close_channel(self, effect: events.CloseChannel) -> None:
        if (channel := self.channels.pop(effect.channel_id, None)) is not None:
            channel.close()

    def _store(self, effect: events.Store) -> None:
        self._registry.write(effect.ticket, effect.changes)

    def _resign(self, effect: events.Resign) -> None:
        self.fail(RuntimeError(effect.reason))

    def _announce(self, effect: events.Announce) -> None:
        if self.watch is not None:
            self.watch(effect.fact)

    def _stored(self, ticket: int) -> None:
        self.tell(events.RegistryStored(ticket))

    def fail(self, error: BaseException) -> None:
        """Do nothing more: `failed` says why."""
        self._stopped = True
        if not self.failed.done():
            self.failed.set_exception(error)
