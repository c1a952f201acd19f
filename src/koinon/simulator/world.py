"""The world: one clock, one heap of what happens next, one seed.

    world = World(seed=1)
    world.after(2.0, bell.ring)
    world.run(until_s=10.0)

Nothing waits: `run` takes whatever happens next and lets its time be now. Whoever draws something has a stream of
random numbers of his own (`world.random("network")`), so that leaving out one fault does not change everything else.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

from koinon.simulator.story import Story

if TYPE_CHECKING:
    from koinon.simulator.machines import Process

#: What the clock on the wall shows when the world begins.
EPOCH_S = 1_700_000_000.0


class Handle:
    """A call that is to be made; it can be cancelled."""

    __slots__ = ("arguments", "call", "when_s")

    def __init__(self, when_s: float, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.when_s = when_s
        self.call: Callable[..., object] | None = call
        self.arguments = arguments

    def cancel(self) -> None:
        """Make it no more."""
        self.call, self.arguments = None, ()

    def cancelled(self) -> bool:
        """Will it not be made?"""
        return self.call is None

    def when(self) -> float:
        """When it is to be made, on the clock of whom it was asked."""
        return self.when_s


class Violation(BaseException):
    """A law was broken. `subjects` are the ids of the objects concerned; the story tells of them.

    No program is to catch it, so it is no Exception.
    """

    def __init__(self, law: str, text: str, *subjects: str) -> None:
        super().__init__(f"{law}: {text}")
        self.law = law
        self.subjects = subjects


class World:
    """Time passes only in `run`. `now` is in seconds since the beginning."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.story = Story(self)
        self.events = 0  #: how many have happened
        self.violation: Violation | None = None  #: the first
        self.processes: list[Process] = []  #: all that ever were
        self._due: list[tuple[float, int, Handle]] = []
        self._order = 0

    def random(self, name: str) -> Random:
        """A stream of random numbers for one purpose."""
        return Random(f"{self.seed}/{name}")

    def at(self, when_s: float, call: Callable[..., object], *arguments: Any) -> Handle:
        """Make the call then; calls of one time are made in the order in which they were asked for."""
        handle = Handle(when_s, call, arguments)
        self._order += 1
        heapq.heappush(self._due, (when_s, self._order, handle))
        return handle

    def after(self, delay_s: float, call: Callable[..., object], *arguments: Any) -> Handle:
        """Make the call after so long."""
        return self.at(self.now + delay_s, call, *arguments)

    def run(self, until_s: float, enough: Callable[[], bool] | None = None) -> bool:
        """Let time pass until then, or until `enough()`, which is asked after each event; returns whether it was."""
        due = self._due
        while due and due[0][0] <= until_s:
            when_s, _, handle = heapq.heappop(due)
            call = handle.call
            if call is None:
                continue
            self.now = when_s
            self.events += 1
            call(*handle.arguments)
            if self.violation is not None:
                raise self.violation
            if enough is not None and enough():
                return True
        self.now = max(self.now, until_s)
        return False

    def accuse(self, law: str, text: str, *subjects: str) -> NoReturn:
        """A law was broken. Raises Violation, here and, should that get lost, in `run`."""
        self.violation = self.violation or Violation(law, text, *subjects)
        raise self.violation

    def tell(self, who: str, what: str) -> None:
        """A line of the story."""
        self.story.tell(who, what)
