"""What the parts of the core share: the state, the time of this turn, and the ways out.

The parts are modules of functions that take a `Core` first. They write the state through the verbs here, which also
note what is to be stored. At the end of a turn all that was noted goes out as one `Store`, and every other effect of
the turn is held until that is durable. So no task is launched that a new leader would not know of, and no end of one
acknowledged that it would not have counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from koinon.alarms import Alarms
from koinon.chronos.core.config import Config
from koinon.chronos.core.events import Effect, Notify, Record, Store
from koinon.chronos.core.state import Room, State
from koinon.chronos.model import Job, Run
from koinon.chronos.model.run import MOVES
from koinon.chronos.schedules import zones
from koinon.mesos import v1

#: By less the wall is not set: clocks are put right bit by bit, too.
_JUMP_S = 1.0
_encode = msgspec.json.encode


class Core:
    """State, clock, alarms and effects of one Chronos."""

    def __init__(self, config: Config, room: Callable[[v1.Offer], Room]) -> None:
        self.config = config
        self.room = room
        self.state = State()
        self.now = 0.0  #: for waits; it does not jump
        self.wall = 0.0  #: for what is due, and all that is stored or shown
        self.alarms = Alarms()
        self.jump_s = 0.0  #: by how much it has been set, and nobody has dealt with that
        self.wall_alarms = Alarms()  #: times of these are the wall's
        self.sent: dict[str, float] = {}  #: when launches left, by run
        self.effects: list[Effect] = []
        #: Jobs of which something has changed that may make them due, or let them start.
        self.touched: dict[str, None] = {}
        self.unseen: Iterator[str] = iter(())  #: jobs that have still to be looked at since we took over
        self.unsettled = False  #: there is more room, or more that waits for it
        self._notices: list[Effect] = []
        self._ended: list[Run] = []
        self._changes: dict[str, Any] = {}
        self._tickets = 0
        self._held: dict[int, list[Effect]] = {}

    # ── a turn ────────────────────────────────────────────────────────────────────────────────────
    def begin(self, now: float, wall: float) -> None:
        """A turn at `now`."""
        jump_s = (wall - self.wall) - (now - self.now)
        if abs(jump_s) > _JUMP_S and self.wall:
            self.jump_s += jump_s
        self.now, self.wall = now, wall
        self.effects = []

    def end(self) -> list[Effect]:
        """What is to be done now. The rest comes out when what it rests on has been stored."""
        effects, self.effects = self.effects, []
        if self._ended:
            effects.append(Record(self._ended))
            self._ended = []
        notices, self._notices = self._notices, []
        if self._changes:
            changes = [(key, None if new is None else _encode(new)) for key, new in self._changes.items()]
            self._changes = {}
            self._tickets += 1
            self._held[self._tickets] = effects
            return [*notices, Store(self._tickets, changes)]
        if self._held and effects:
            self._held[next(reversed(self._held))].extend(effects)
            return notices
        return [*notices, *effects]

    def give_up(self) -> None:
        """The turn was a request that is refused: nothing has changed."""
        assert not self._changes, f"refused, and yet changed: {list(self._changes)}"
        assert not self.effects, f"refused, and yet done: {self.effects}"

    def release(self, ticket: int) -> list[Effect]:
        """What waited for this ticket, or for an earlier one."""
        released: list[Effect] = []
        while self._held and (first := next(iter(self._held))) <= ticket:
            released += self._held.pop(first)
        return released

    @property
    def wall_ms(self) -> int:
        """The time of this turn, as due times are counted: what is due later has not come yet."""
        return zones.whole(self.wall)

    # ── what is stored ────────────────────────────────────────────────────────────────────────────
    def store(self, key: str, value: object) -> None:
        """`value`, as JSON, is to be durable under `key`; None: nothing is."""
        self._changes[key] = value

    def put_job(self, job: Job) -> None:
        """The job is so from now on."""
        self.state.put_job(job)
        self.store(f"jobs/{job.name}", job)
        self.touched[job.name] = None

    def remove_job(self, name: str) -> None:
        """It is no more."""
        self.state.remove_job(name)
        self.store(f"jobs/{name}", None)
        self.touched[name] = None

    def put_run(self, run: Run) -> None:
        """The run is so from now on; one that has ended goes to the history."""
        before = self.state.runs.get(run.id) or self.state.ended.get(run.id)
        start = None if before is None else before.state
        assert run.state in MOVES[start], f"{run.id} cannot go from {start} to {run.state}"
        self.state.dequeue(run)
        self.state.put_run(run)
        self.store(f"runs/{run.id}", run)
        self.touched[run.job] = None
        if run.has_ended:
            self._ended.append(run)
            self.sent.pop(run.id, None)

    def forget_run(self, run: Run) -> None:
        """The history has it."""
        self.state.forget_run(run)
        self.store(f"runs/{run.id}", None)

    def record_again(self, runs: list[Run]) -> None:
        """A leader before us may not have got them into the history."""
        self._ended += runs

    def notify(self, notice: Notify) -> None:
        """Tell who wants to know."""
        self._notices.append(notice)
