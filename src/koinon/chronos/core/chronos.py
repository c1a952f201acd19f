"""Chronos's core: one public verb, `handle(event, now, wall) -> effects`.

event ──▶ the part whose subject it is ──▶ state ──▶ effects
              jobs it touched ──▶ due: what of them may start ──▶ launching ──▶ more effects

jobs         what people want              updates         status updates, acknowledgements
due          slots, overlap, what is late  outcomes        success, retries, children, notices
launching    offers, queue, intents        reconciliation  with the master
kills        again and again               setbacks       of the clock
losses       out of reach                  windows        down the chain

Two clocks: `now` counts what passes, for waits; `wall` is what people go by, for what is due. Only the wall jumps.

A run starts once: its intent is stored in the commit that also takes away what made it due, and only then its launch leaves.
Who takes over finds the one or the other. From an intent nothing leads back but the master's word that there is no such task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, islice

from koinon.chronos.core import checks, due, jobs, launching, reconciliation, records, updates
from koinon.chronos.core.config import Config
from koinon.chronos.core.context import Core
from koinon.chronos.core.events import (
    ChangeJobs,
    ClockTicked,
    Complete,
    Disconnected,
    DropWaiting,
    Effect,
    Event,
    KillRuns,
    Loaded,
    MarkSucceeded,
    Offered,
    Processed,
    Recorded,
    Refused,
    Rescinded,
    RunNow,
    Stored,
    Subscribed,
    Updated,
)
from koinon.chronos.core.state import Room, State
from koinon.mesos import v1

#: So many alarms go off in one tick, the others in the next.
_ALARMS_AT_ONCE = 200
#: The wall may be set while nothing happens: it is looked at so often.
_LOOK_S = 2.0


class Chronos:
    """The state machine of the leading Chronos. Pure: time comes from outside, and so does what an offer has room for."""

    def __init__(self, config: Config, *, room: Callable[[v1.Offer], Room]) -> None:
        self.config = config
        self._core = Core(config, room)

    @property
    def state(self) -> State:
        """All there is; to be read."""
        return self._core.state

    def handle(self, event: Event, now: float, wall: float) -> list[Effect]:
        """Take in what happened; returns what is to be done, in order. Raises Refused for requests."""
        core = self._core
        core.begin(now, wall)
        if isinstance(event, Stored):
            return [*core.release(event.ticket), *core.end()]
        jumped = core.jump_s != 0.0
        if jumped:  # first: what the event sets goes by the new time already
            due.clock_jumped(core)
        try:
            _handle(core, event)
        except Refused:
            if not jumped:  # what that has changed goes out in the next turn
                core.give_up()
            raise
        _settle(core)
        return core.end()

    def next_wakeup(self, now: float, wall: float) -> float:
        """When, by the clock of `now`, ClockTicked is due, at the latest; not after `now` if it is overdue."""
        waits, due_s = self._core.alarms.next_s(), self._core.wall_alarms.next_s()
        times = [now + _LOOK_S] if waits is None else [now + _LOOK_S, waits]
        return min(times if due_s is None else [*times, due_s - wall + now])

    def check(self) -> None:
        """Raises AssertionError if a law of the state does not hold. Slow."""
        checks.check(self._core)


def _handle(core: Core, event: Event) -> None:
    if not core.state.loaded and not isinstance(event, Loaded):
        raise Refused("This Chronos has not read its store yet.", 503)
    match event:
        case Updated(status):
            updates.hear(core, status)
        case Offered(offers):
            launching.offered(core, offers)
        case Rescinded(offer_id):
            launching.rescinded(core, offer_id)
        case ClockTicked():
            gone_off = chain(core.alarms.go_off(core.now), core.wall_alarms.go_off(core.wall))
            for action, subject in islice(gone_off, _ALARMS_AT_ONCE):
                action(core, subject)
        case Recorded(ids):
            _forget(core, ids)
        case Subscribed():
            reconciliation.subscribed(core, event)
        case Disconnected():
            reconciliation.disconnected(core)
        case Loaded(entries):
            records.load(core.state, entries)
            reconciliation.took_over(core)
        case _:
            _handle_request(core, event)


def _handle_request(core: Core, event: Event) -> None:
    match event:
        case ChangeJobs():
            jobs.change(core, event)
        case RunNow():
            jobs.run_now(core, event)
        case KillRuns(name):
            jobs.kill_runs(core, name)
        case DropWaiting():
            jobs.drop_waiting(core)
        case MarkSucceeded():
            jobs.mark_succeeded(core, event)
        case Complete():
            jobs.complete(core, event)
        case Processed():
            jobs.processed(core, event)


def _forget(core: Core, ids: Iterable[str]) -> None:
    for run_id in ids:
        if (run := core.state.ended.get(run_id)) is not None:
            core.forget_run(run)


def _settle(core: Core) -> None:
    """Whatever has been touched is looked at: it may be due, or start now."""
    while core.touched or core.unsettled:
        while core.touched:
            name = next(iter(core.touched))
            del core.touched[name]
            due.look(core, name)
        if core.unsettled:
            launching.settle(core)
