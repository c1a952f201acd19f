"""The master's core: one public verb, `handle(event, now) -> effects`."""

from __future__ import annotations

from koinon.master.core.config import Config
from koinon.master.core.events import Effect, Event
from koinon.master.core.state import Decision, State
from koinon.mesos import v1


class Master:
    """The state machine of the leading master. Pure: time, seed and ids come from outside."""

    state: State

    def __init__(self, config: Config, *, master_info: v1.MasterInfo, seed: int, now: float) -> None:
        self.config = config
        self.master_info = master_info
        self.state = State()

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in what happened; returns what is to be done, in order. Raises Refused for bad calls."""
        raise NotImplementedError

    @property
    def allocation_wanted(self) -> bool:
        """Something changed that may lead to offers: hand in ClockTicked before this loop turn ends."""
        raise NotImplementedError

    def next_wakeup(self, now: float) -> float:
        """When the next ClockTicked is due, at the latest."""
        raise NotImplementedError

    def why(self, object_id: str) -> list[Decision]:
        """Why the framework or task with this id has what it has, or waits; oldest first."""
        raise NotImplementedError
