"""What requests say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from koinon import timestamps
from koinon.chronos import reading
from koinon.chronos.model import Line
from koinon.chronos.model.problems import Refused

#: The prefixes of the API, and the line of Chronos that each belongs to.
LINES: Mapping[str, Line] = {"/scheduler": "2.x", "/v1/scheduler": "3.x"}
_LATEST = datetime.max.replace(tzinfo=UTC).timestamp()


def line_of(request: web.Request) -> Line:
    """The line whose prefix was asked; what is ours speaks as the newer one."""
    return "2.x" if request.path.startswith("/scheduler/") else "3.x"


async def json_of(request: web.Request) -> Any:
    """The JSON in the body. Raises Refused: 415 for another content type, 400 for what is none."""
    if request.content_type != "application/json":
        raise Refused("the body must be JSON, and the request's Content-Type application/json", 415)
    return reading.body(await request.read())


def count(request: web.Request, name: str, default: int, most: int) -> int:
    """A whole number from 1 in the query, at most `most`. Raises Refused."""
    text = request.query.get(name, "")
    if text == "":
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) < 1:
        raise Refused(f"{name} must be a whole number from 1, not '{text[:60]}'")
    return min(int(text), most)


def moment(request: web.Request, name: str) -> float | None:
    """A time in the query, ISO 8601 or seconds since the epoch. Raises Refused."""
    text = request.query.get(name, "").strip()
    if text == "":
        return None
    try:
        found = float(text) if text.replace(".", "", 1).isdigit() else timestamps.seconds(text)
    except (ValueError, OverflowError):
        found = -1.0
    if not 0 <= found <= _LATEST:
        raise Refused(
            f"{name} must be a time, as 2030-01-02T03:04:05Z or in seconds since 1970, not '{text[:60]}'"
        )
    return found
