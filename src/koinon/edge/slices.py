"""Long work in small pieces, so that the event loop does other things in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

T = TypeVar("T")


async def slices(pieces: Iterator[T]) -> AsyncIterator[T]:
    """The pieces of a generator that does a bounded amount of work for each."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)
