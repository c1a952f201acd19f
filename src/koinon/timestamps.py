"""Timestamps as the APIs of services have them: ISO 8601 in UTC with milliseconds, `2024-05-01T10:20:30.456Z`.

They sort as text.
"""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(now: float) -> str:
    """The timestamp of `now`, seconds since the epoch."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text: str) -> float:
    """Seconds since the epoch of a timestamp in ISO 8601. Raises ValueError; without an offset it is UTC."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
