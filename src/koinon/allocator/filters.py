"""Refusals: what frameworks declined on an agent, and for how long they do not want to see it again.

A refusal belongs to one client (framework × role) and covers every offer that is contained in what was
refused; so as soon as more is free on the agent, it no longer holds back anything.

Time is cut into *ticks*, a tenth of the allocation interval each, and a refusal ends with a tick. Refusals of
equal resources that end together are then one mask of clients: to ask who refused something, or to end what is
over, costs the same for a thousand frameworks as for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from math import ceil

from koinon.mesos.resources import Resources

REFUSE_S_MAX = 365 * 24 * 3600.0
_TICKS_PER_INTERVAL = 10


class Refusals:
    """The refusals standing on one agent. Clients are given as masks."""

    __slots__ = ("_asked", "_asked_mask", "_refused", "clients")

    def __init__(self) -> None:
        self._refused: dict[Resources, dict[int, int]] = {}  #: masks, by what was refused and when that ends
        self._asked: Resources | None = None  #: the last question to `covering`; its answer below
        self._asked_mask = 0
        self.clients = 0  #: nobody else refuses anything; of some all refusals may have ended

    def add(self, mask: int, resources: Resources, tick: int) -> int:
        """Note that these clients refuse the resources until `tick`, or longer if they already do.

        Returns the mask of those who had not refused them yet.
        """
        self._asked = None
        self.clients |= mask
        ends = self._refused.setdefault(resources, {})
        known = 0
        for end, those in list(ends.items()):
            known |= those
            if end >= tick:
                mask &= ~those
            elif those & mask:
                _put(ends, end, those & ~mask)
        if mask:
            ends[tick] = ends.get(tick, 0) | mask
        return mask & ~known

    def end(self, tick: int) -> Iterator[int]:
        """Drop what ends with this tick; yield the mask of clients that each was of."""
        self._asked = None
        for resources, ends in list(self._refused.items()):
            if (those := ends.pop(tick, 0)) != 0:
                yield those
                if not ends:
                    del self._refused[resources]

    def clear(self, mask: int) -> Iterator[int]:
        """Drop the refusals of these clients; yield the mask of clients that each was of."""
        self.clients &= ~mask
        for resources, ends in list(self._refused.items()):
            for end, those in list(ends.items()):
                if those & mask:
                    self._asked = None
                    yield those & mask
                    _put(ends, end, those & ~mask)
            if not ends:
                del self._refused[resources]

    def covering(self, offered: Resources) -> int:
        """Return the mask of clients who refused these resources or more."""
        if offered is not self._asked:
            mask = 0
            for resources, ends in self._refused.items():
                if resources.contains(offered):
                    for those in ends.values():
                        mask |= those
            self._asked, self._asked_mask = offered, mask
        return self._asked_mask

    def last_tick(self, mask: int, offered: Resources) -> int:
        """Return when the last refusal of these resources by these clients ends; 0 if there is none."""
        return max(
            (
                end
                for resources, ends in self._refused.items()
                if resources.contains(offered)
                for end, those in ends.items()
                if those & mask
            ),
            default=0,
        )


class Ends:
    """When refusals end, and on which agents."""

    def __init__(self, allocation_interval_s: float) -> None:
        self._interval_s = allocation_interval_s
        self._ticks: list[int] = []  #: heap
        self._agents: dict[int, dict[str, None]] = {}  #: by tick

    def tick_at(self, time_s: float) -> int:
        """Return the first tick that is not before this time."""
        return ceil(time_s / self._interval_s * _TICKS_PER_INTERVAL - 1e-6)  # what is on a tick stays on it

    def time_of(self, tick: int) -> float:
        """Return when the tick is."""
        return tick * self._interval_s / _TICKS_PER_INTERVAL

    def add(self, tick: int, agent_id: str) -> None:
        """Note that a refusal on this agent ends with this tick."""
        agents = self._agents.get(tick)
        if agents is None:
            agents = self._agents[tick] = {}
            heappush(self._ticks, tick)
        agents[agent_id] = None

    def next_s(self) -> float:
        """Return when the next tick is due with which something ends."""
        return self.time_of(self._ticks[0]) if self._ticks else float("inf")

    def due(self, now: float) -> Iterator[tuple[int, str]]:
        """Yield, and forget, tick and agent of what has ended by now."""
        while self._ticks and self.time_of(self._ticks[0]) <= now:
            tick = heappop(self._ticks)
            for agent_id in self._agents.pop(tick):
                yield tick, agent_id


def _put(ends: dict[int, int], end: int, mask: int) -> None:
    if mask:
        ends[end] = mask
    else:
        del ends[end]
