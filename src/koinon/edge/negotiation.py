"""Content types: what a request carries and what its answer shall carry.

`Content-Type` is compared as an exact string, as clients of the API expect: a charset behind it is refused.
Of the types an `Accept` allows JSON goes first.
"""

from __future__ import annotations

from typing import TypeVar

from aiohttp import hdrs
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict, CIMultiDictProxy

from koinon.edge.answers import HttpError
from koinon.mesos import codec
from koinon.mesos.v1.base import V1Message

M = TypeVar("M", bound=V1Message)
Headers = CIMultiDict[str] | CIMultiDictProxy[str]

#: The types of a message, in the order of our preference.
MESSAGE_TYPES = (codec.JSON, codec.PROTOBUF)


def content_type_of(headers: Headers, allowed: tuple[str, ...] = MESSAGE_TYPES) -> str:
    """The type of the request's body; 400 when it does not say, 415 when it is none of `allowed`."""
    content_type = headers.get(hdrs.CONTENT_TYPE)
    if content_type is None:
        raise HttpError(400, "The request must say its Content-Type.")
    if content_type not in allowed:
        raise HttpError(415, f"Content-Type must be {_either(allowed)}, not '{content_type}'.")
    return content_type


def preferred_type(headers: Headers, allowed: tuple[str, ...] = MESSAGE_TYPES) -> str:
    """The first of `allowed` that the client accepts; 406 when it accepts none."""
    accept = ",".join(headers.getall(hdrs.ACCEPT, ()))
    if not accept.strip():
        return allowed[0]
    ranges = _parse_accept(accept)
    for content_type in allowed:
        family = content_type.partition("/")[0] + "/*"
        for candidate in (content_type, family, "*/*"):
            if candidate in ranges:
                if ranges[candidate] > 0:
                    return content_type
                break  # refused by name: a wider range does not bring it back
    raise HttpError(406, f"Accept must allow {_either(allowed)}.")


def accepts_gzip(headers: Headers) -> bool:
    """Whether the answer may be compressed."""
    accept = headers.get(hdrs.ACCEPT_ENCODING)
    if not accept:
        return False
    codings = _parse_accept(accept)
    return codings.get("gzip", codings.get("*", 0.0)) > 0


async def read_call(request: BaseRequest, kind: type[M]) -> M:
    """The v1 message in the request's body. Raises HttpError 400, 413 or 415."""
    content_type = content_type_of(request.headers)
    return decode_call(kind, await request.read(), content_type)


def decode_call(kind: type[M], body: bytes, content_type: str) -> M:
    """The v1 message in `body`. Raises HttpError 400."""
    try:
        return codec.decode(kind, body, content_type)
    except codec.DecodeError as error:
        raise HttpError(400, one_line(str(error))) from error


def one_line(text: str) -> str:
    """`text` fit for an error's single line."""
    return " ".join(text.split())


def _parse_accept(value: str) -> dict[str, float]:
    """Media ranges or codings with their quality; one without a readable quality counts as 1."""
    ranges = {}
    for part in value.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, text = parameter.partition("=")
            if key.strip().lower() == "q":
                try:
                    quality = float(text)
                except ValueError:
                    quality = 1.0
        if name:
            ranges[name.lower()] = quality
    return ranges


def _either(types: tuple[str, ...]) -> str:
    return " or ".join(types)
