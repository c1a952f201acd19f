"""The story: what happened, kept for the moment when a law is broken.

Messages are kept as the bytes that went over the wire, and read only when somebody wants to know.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from koinon.simulator.world import World

_LINES_MAX = 200_000
_SHOWN_BYTES = 600


class Story:
    """Lines of (time, who, what)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.closed = False  #: nothing is told any more
        self._lines: deque[tuple[float, str, str | bytes]] = deque(maxlen=_LINES_MAX)

    def tell(self, who: str, what: str | bytes) -> None:
        """Something happened to `who`."""
        if not self.closed:
            self._lines.append((self._world.now, who, what))

    def __len__(self) -> int:
        return len(self._lines)

    def digest(self) -> str:
        """The same for the same story."""
        digest = hashlib.sha256()
        for when_s, who, what in self._lines:
            digest.update(f"{when_s!r} {who} ".encode())
            digest.update(what if isinstance(what, bytes) else what.encode())
            digest.update(b"\n")
        return digest.hexdigest()

    def lines(self, subjects: Iterable[str] = ()) -> Iterator[str]:
        """What was told, or what was told of `subjects` and of everybody (lines of `-`)."""
        wanted = [subject for subject in subjects if subject]
        as_bytes = [subject.encode() for subject in wanted]
        for when_s, who, what in self._lines:
            if wanted and who != "-" and who not in wanted:
                if isinstance(what, bytes):
                    if not any(subject in what for subject in as_bytes):
                        continue
                elif not any(subject in what for subject in wanted):
                    continue
            text = what if isinstance(what, str) else what[:_SHOWN_BYTES].decode(errors="replace")
            yield f"{when_s:10.4f}  {who:<28} {text}"
