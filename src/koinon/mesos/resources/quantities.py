"""Quantities: how much there is of a kind.

    scalar   int, in thousandths: 0.1 + 0.2 is 0.3
    ranges   tuple of (begin, end), both inclusive, sorted, neither overlapping nor adjacent
    set      frozenset of strings
    pieces   int, the number of whole pieces of a kind that cannot be divided

Only what is more than nothing is a quantity: 0 and empty ranges and sets stand for absence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
Items: TypeAlias = frozenset[str]
Quantity: TypeAlias = int | Ranges | Items


class ResourceError(ValueError):
    """Resources that break a rule; the text is a sentence for whoever wrote them."""


def thousandths(value: float) -> int:
    """A scalar as we count it: rounded to three decimals, halves up. Raises ResourceError."""
    scaled = value * 1000
    if not math.isfinite(scaled):
        raise ResourceError(f"a scalar must be finite, not {value}")
    return math.floor(scaled + 0.5)


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges in any order, overlapping or not, in their one sorted form."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if merged and begin <= merged[-1][1] + 1:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return tuple(merged)


def subtract_ranges(have: Ranges, less: Ranges) -> Ranges | None:
    """What is left of `have`; None if it does not hold all of `less`."""
    rest: list[tuple[int, int]] = []
    pieces = iter(have)
    begin, end = next(pieces, (0, -1))
    for low, high in less:
        while end < low:
            if begin <= end:
                rest.append((begin, end))
            if (piece := next(pieces, None)) is None:
                return None
            begin, end = piece
        if low < begin or high > end:
            return None
        if begin < low:
            rest.append((begin, low - 1))
        begin = high + 1
    if begin <= end:
        rest.append((begin, end))
    rest.extend(pieces)
    return tuple(rest)


def unite(have: Any, more: Any) -> Any:
    """The union of two ranges or of two sets."""
    return merge_ranges(have + more) if isinstance(have, tuple) else have | more
