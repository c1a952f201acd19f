"""What programs of the test heard and did, as lines of JSON: each with the moment, on a clock that all share.

{"at": 5012.25, "who": "agent-2", "what": "Registered", "epoch": 3, …}
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: A line of a journal. `at` is in seconds of CLOCK_BOOTTIME, which tasks read in /proc/uptime, too.
Entry = dict[str, Any]


def now_s() -> float:
    """The clock of journals."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Journal:
    """Writes one program's journal; lines are whole whenever it is killed."""

    def __init__(self, path: Path, who: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._who = who
        self._about: float | None = None

    def write(self, what: str, **fields: object) -> None:
        """Add a line. It is about now unless `at` is given."""
        at = now_s() if self._about is None else self._about
        line = json.dumps({"at": at, "who": self._who, "what": what, **fields})
        os.write(self._file, f"{line}\n".encode())

    @contextmanager
    def about(self, at: float) -> Iterator[None]:
        """What is written meanwhile is about that moment."""
        self._about = at
        try:
            yield
        finally:
            self._about = None


class Reader:
    """Reads a journal that grows. `entries` are the lines of this round, `before` those of earlier ones that still count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.before: list[Entry] = []
        self.entries: list[Entry] = []

    def read(self) -> list[Entry]:
        """`before` and `entries`, with what has come."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole = file.read().rpartition(b"\n")[0]
            if whole:
                self._offset += len(whole) + 1
                self.entries += map(json.loads, whole.splitlines())
        return self.before + self.entries

    def new_round(self, *lasting: str) -> None:
        """Forget all but the last of each of these kinds."""
        last = {entry["what"]: entry for entry in self.read() if entry["what"] in lasting}
        self.before, self.entries = list(last.values()), []


def sort(entries: Iterable[Entry]) -> list[Entry]:
    """In the order of time."""
    return sorted(entries, key=lambda entry: float(entry["at"]))
