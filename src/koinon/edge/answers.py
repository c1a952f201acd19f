"""What a handler gives back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from koinon.mesos import codec
from koinon.mesos.v1.base import V1Message

TEXT = "text/plain; charset=utf-8"

_encode = msgspec.json.Encoder().encode


class HttpError(Exception):
    """The request is refused; `text` is the one line the client reads."""

    def __init__(self, status: int, text: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text or f"{status} {HTTPStatus(status).phrase}."
        self.headers = dict(headers or {})


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. A body that is made slice by slice is sent so, with other work in between."""

    body: bytes | AsyncIterator[bytes] = b""
    status: int = 200
    content_type: str = codec.JSON
    headers: Mapping[str, str] = {}


#: An answer of status 200 with nothing in it.
EMPTY = Answer()
#: What v1 calls with nothing to return answer.
ACCEPTED = Answer(status=202)


def answer_json(value: Any) -> Answer:
    """`value` as JSON."""
    return Answer(_encode(value))


def answer_message(message: V1Message, content_type: str = codec.JSON) -> Answer:
    """A v1 message in the type that was negotiated."""
    return Answer(codec.encode(message, content_type), content_type=content_type)


def answer_error(error: HttpError) -> Answer:
    """One line of text that says why."""
    # The line may cite a header, which may hold bytes that are no text.
    line = f"{error.text}\n".encode(errors="replace")
    return Answer(line, status=error.status, content_type=TEXT, headers=error.headers)
