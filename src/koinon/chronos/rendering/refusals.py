"""Why a request was refused, as its answer says it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from koinon.chronos.model import Line
from koinon.chronos.model.problems import Refused


class Refusal(NamedTuple):
    """An HTTP answer."""

    status: int
    content_type: str
    body: bytes


def refusal(refused: Refused, line: Line) -> Refusal:
    """The answer under the prefix of a line: the older one has the bare sentence.

    Never is a body empty, even where it once was: clients take that for a failure to answer at all.
    """
    if line == "2.x":
        return Refusal(refused.status, "text/plain", refused.message.encode())
    body = {"status": refused.phrase, "message": refused.message}
    return Refusal(refused.status, "application/json", msgspec.json.encode(body))
