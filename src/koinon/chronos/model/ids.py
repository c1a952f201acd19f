"""Ids of tasks, made of what a run is: `ct:<due, ms since the epoch>:<attempt>:<job>:`.

The last part was the task's arguments once. It stays empty in ours, since ids name directories and those have limits,
and it is read for the sake of ids that others have made.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TASK = re.compile(
    r"ct:(?P<due>[0-9]{1,15}):(?P<attempt>[0-9]{1,9}):(?P<job>[^:]*):?(?P<arguments>.*)", re.DOTALL
)

#: Ids name directories, which have 255 bytes; the rest is for `ct:`, the time and the attempt.
NAME_LENGTH_MAX = 200


class TaskPlace(NamedTuple):
    """What a task id says."""

    job: str
    due_ms: int
    attempt: int
    arguments: str = ""


def task_id(job: str, due_ms: int, attempt: int = 0) -> str:
    """Of the task of one run."""
    return f"ct:{due_ms}:{attempt}:{job}:"


def parse_task(text: str) -> TaskPlace:
    """What a task id says. Raises ValueError."""
    if (found := _TASK.fullmatch(text)) is None:
        raise ValueError(f"'{text}' is no task id of Chronos's")
    return TaskPlace(found["job"], int(found["due"]), int(found["attempt"]), found["arguments"])


def milliseconds(seconds: float) -> int:
    """A due time as ids have it."""
    return round(seconds * 1000)
