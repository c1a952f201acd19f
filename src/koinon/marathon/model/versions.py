"""Versions: timestamps that no two changes share."""

from __future__ import annotations

from koinon.timestamps import seconds, stamp

__all__ = ["after", "seconds", "stamp"]


def after(last: str, now: float) -> str:
    """A version of `now`, or the next possible one if there is one as late already; `last` may be empty."""
    wanted = stamp(now)
    return wanted if wanted > last else stamp(seconds(last) + 0.001)
