"""Long work in small pieces, so that the event loop does other things in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

T = TypeVar("T")

#: After so long others get their turn.
_TURN_S = 0.0005


async def slices(pieces: Iterator[T]) -> AsyncIterator[T]:
    """The pieces of a generator that does a bounded amount of work for each."""
    begun_s = time.monotonic()
    for piece in pieces:
        yield piece
        if time.monotonic() - begun_s > _TURN_S:
            await asyncio.sleep(0)
            begun_s = time.monotonic()
