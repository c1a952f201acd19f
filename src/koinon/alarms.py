"""Alarms: what is to be done at which time, one per action and subject.

Setting an alarm again moves it. Moved and cancelled alarms leave a stale entry in the heap, which is swept
when there are too many; so an alarm that is moved all the time, as the pings of agents are, costs no memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Action: TypeAlias = Callable[..., None]


class Alarms:
    """A queue of (time, action, subject); equal times go off in the order in which they were set."""

    def __init__(self) -> None:
        self._due: dict[tuple[Action, str], tuple[float, int]] = {}
        self._heap: list[tuple[float, int, tuple[Action, str]]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._due)

    def set(self, at_s: float, action: Action, subject: str = "") -> None:
        """`action` for `subject` is due at `at_s`, and no longer at another time."""
        self._count += 1
        key = (action, subject)
        self._due[key] = (at_s, self._count)
        heapq.heappush(self._heap, (at_s, self._count, key))
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(due_s, count, key) for key, (due_s, count) in self._due.items()]
            heapq.heapify(self._heap)

    def cancel(self, action: Action, subject: str = "") -> None:
        """Not any more; does nothing if it was not set."""
        self._due.pop((action, subject), None)

    def is_set(self, action: Action, subject: str = "") -> bool:
        """Is it still to go off?"""
        return (action, subject) in self._due

    def next_s(self) -> float | None:
        """When the first is due; None if none is set."""
        self._sweep()
        return self._heap[0][0] if self._heap else None

    def go_off(self, now: float) -> Iterator[tuple[Action, Any]]:
        """Takes out (action, subject) of each that is due by `now`, earliest first."""
        while self._sweep() and self._heap[0][0] <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._due[key]
            yield key

    def _sweep(self) -> bool:
        """Drops stale entries from the front; is there anything left?"""
        while self._heap:
            due_s, count, key = self._heap[0]
            if self._due.get(key) == (due_s, count):
                return True
            heapq.heappop(self._heap)
        return False
