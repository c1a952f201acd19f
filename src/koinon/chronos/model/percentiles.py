"""How long the runs of a job take."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum

import msgspec


class Percentiles(msgspec.Struct, frozen=True, gc=False):
    """Seconds from due to end of the runs that succeeded, so waiting counts. All 0 before the first.

    A run that makes up for several times counts from the last of them.
    """

    count: int = 0
    mean: float = 0.0
    median: float = 0.0
    p75: float = 0.0
    p95: float = 0.0
    p98: float = 0.0
    p99: float = 0.0

    @classmethod
    def of(cls, samples: Iterable[float]) -> Percentiles:
        """Of these seconds, in any order."""
        ordered = sorted(samples)
        if not ordered:
            return cls()
        at = [_quantile(ordered, part) for part in (0.5, 0.75, 0.95, 0.98, 0.99)]
        return cls(len(ordered), fsum(ordered) / len(ordered), *at)


def _quantile(ordered: list[float], part: float) -> float:
    """Between the two neighbours, in proportion."""
    place = part * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
