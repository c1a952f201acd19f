"""What requests say: bodies, ids in paths, switches in queries."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from koinon.marathon.model import ids, versions
from koinon.marathon.model.problems import BadArgument, BadRequest, Invalid, Problem, Refused

_decode = msgspec.json.Decoder().decode
_SWITCHES = {"true": True, "": True, "false": False}


async def body_of(request: web.Request, *, any_type: bool = False) -> Any:
    """The JSON in the body. Raises Refused: 415 for another content type (but with `any_type`), 400 for what is none."""
    if not any_type and request.content_type != "application/json":
        raise Refused(415, "HTTP 415 Unsupported Media Type: the body must be application/json")
    try:
        return _decode(await request.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("Invalid JSON", details=str(error)) from None


async def object_of(request: web.Request, *, any_type: bool = False) -> dict[str, Any]:
    """The JSON object in the body. Raises Invalid for another kind of JSON."""
    if not isinstance(body := await body_of(request, any_type=any_type), dict):
        raise invalid_json("/", "error.expected.jsobject")
    return body


def invalid_json(path: str, error: str) -> Invalid:
    """A field of the wrong type, as the API tells it."""
    return Invalid([Problem(path, error)], schema=True)


def path_of(request: web.Request, name: str = "id") -> str:
    """The id in the request's path, absolute: `team/db` and `/team/db` mean the same."""
    return ids.resolve(request.match_info[name])


def version_of(text: object) -> str:
    """A version as we write it. Raises BadArgument for what is no timestamp."""
    try:
        return versions.stamp(versions.seconds(str(text)))
    except (ValueError, OverflowError):
        raise BadArgument(f"'{text}' is no version: one looks like 2024-05-01T10:20:30.456Z") from None


def switch(request: web.Request, name: str, default: bool = False) -> bool:
    """`?name=true`, in any spelling; `?name` alone means it, too. Raises BadArgument for what is neither true nor false:
    to take `scale=yes` as false would kill what was meant to go.
    """
    given = request.query.getall(name, [])
    meant = {_SWITCHES.get(one.lower()) for one in given}
    if None in meant or len(meant) > 1:
        said = " and ".join(f"'{one}'" for one in given)
        raise BadArgument(f"?{name} must be true or false, not {said}")
    return meant.pop() is True if meant else default


def origin_of(request: web.Request) -> tuple[str, str]:
    """Who asked for what, as events tell it."""
    return client_of(request), request.path


def client_of(request: web.Request) -> str:
    """The client's address; behind a proxy of ours the one that it tells."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return forwarded.partition(",")[0].strip() or request.remote or ""
