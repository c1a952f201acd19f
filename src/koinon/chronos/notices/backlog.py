"""What waits to be sent on one channel, and when it is tried. Pure: time comes in.

A message that is not taken is tried again later and later, the others meanwhile. When the channel itself does not work, all
of them wait, and one of them at a time finds out whether it does again.
"""

from __future__ import annotations

from heapq import heappop, heappush

from msgspec import Struct

from koinon.chronos.notices.delivery import Delivery

#: Seconds before the second try, and at most between two; each pause is twice the one before.
_MESSAGE_PAUSES = (15.0, 3600.0)
_CHANNEL_PAUSES = (2.0, 300.0)


class _Waiting(Struct):
    delivery: Delivery
    tries: int = 0


class Backlog:
    """Messages of one channel; the oldest first. None is tried any more `patience_s` after it happened."""

    def __init__(self, *, patience_s: float) -> None:
        self._patience_s = patience_s
        self._waiting: dict[str, _Waiting] = {}
        self._queue: list[tuple[float, int, str]] = []  #: when it is tried, in which order, which
        self._added = 0
        self._works_at = 0.0  #: nothing is tried before
        self._outages = 0  #: tries in a row that the channel was not there for

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, delivery_id: str) -> bool:
        return delivery_id in self._waiting

    def add(self, delivery: Delivery, now: float) -> None:
        """One more, unless it waits already."""
        if delivery.id not in self._waiting:
            self._waiting[delivery.id] = _Waiting(delivery)
            self._put(delivery.id, now)

    def next_try(self) -> float | None:
        """When there is something to try; None if nothing waits."""
        return max(self._queue[0][0], self._works_at) if self._queue else None

    def take(self, now: float) -> Delivery | None:
        """What is to be tried now; to be answered by `done`, `later` or `unreachable` before the next one is taken."""
        due = self.next_try()
        if due is None or due > now:
            return None
        return self._waiting[heappop(self._queue)[2]].delivery

    def done(self, delivery: Delivery) -> None:
        """It was taken, or never will be: the channel works."""
        self._outages = 0
        del self._waiting[delivery.id]

    def later(self, delivery: Delivery, now: float) -> bool:
        """The channel works, but this one is not taken now. False: it is too old to be tried again, and is dropped."""
        self._outages = 0
        waiting = self._waiting[delivery.id]
        waiting.tries += 1
        return self._again(delivery, now, now + _pause(_MESSAGE_PAUSES, waiting.tries))

    def unreachable(self, delivery: Delivery, now: float) -> bool:
        """The channel does not work. False: it did not for so long that this one is dropped."""
        self._outages += 1
        self._works_at = now + _pause(_CHANNEL_PAUSES, self._outages)
        return self._again(delivery, now, now)

    def _again(self, delivery: Delivery, now: float, at: float) -> bool:
        if max(at, self._works_at) > delivery.at + self._patience_s:
            del self._waiting[delivery.id]
            return False
        self._put(delivery.id, at)
        return True

    def _put(self, delivery_id: str, at: float) -> None:
        self._added += 1
        heappush(self._queue, (at, self._added, delivery_id))


def _pause(pauses: tuple[float, float], tries: int) -> float:
    first, most = pauses
    return min(first * 2.0 ** min(tries - 1, 32), most)
