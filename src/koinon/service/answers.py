"""Answers that every service gives in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

JSON = "application/json"

_encode = msgspec.json.Encoder().encode


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`value` as JSON."""
    return web.Response(body=_encode(value), status=status, content_type=JSON, headers=headers)


def error_answer(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """`{"message": …}`, which says what is wrong, and what to do if that helps."""
    return json_answer({"message": message}, status, headers)
