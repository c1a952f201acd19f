"""Why a request is refused: an HTTP status and the body of the answer (reference: Marathon's REST API, error bodies)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with a definition. `path` is like `/container/portMappings(1)/name`; of the whole it is `/`."""

    path: str
    message: str


def within(place: str, problem: Problem) -> Problem:
    """The problem of something that stands at `place` in the request."""
    if not place:
        return problem
    return Problem(place + (problem.path if problem.path != "/" else ""), problem.message)


class Refused(Exception):
    """The request is answered with an HTTP status and a JSON body with `message`; nothing has changed."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message, **more}


class BadRequest(Refused):
    """It contradicts itself, or it cannot be read at all."""

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(400, message, **more)


class NotFound(Refused):
    """There is no such app, pod, group or version."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


class Conflict(Refused):
    """It is there already."""

    def __init__(self, message: str) -> None:
        super().__init__(409, message)


class BadArgument(Refused):
    """A parameter says nothing that can be followed."""

    def __init__(self, message: str) -> None:
        super().__init__(422, message)


class Invalid(Refused):
    """A definition has problems. `schema`: of its form (types, ranges, patterns), not of its meaning."""

    def __init__(self, problems: Sequence[Problem], *, schema: bool = False) -> None:
        message = "Invalid JSON" if schema else "Object is not valid"
        super().__init__(422, message, details=_by_path(problems))
        self.problems = tuple(problems)
        self.schema = schema

    def __str__(self) -> str:
        return f"{self.body['message']}: " + "; ".join(f"{one.path} {one.message}" for one in self.problems)


def _by_path(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    found: dict[str, list[str]] = {}
    for problem in problems:
        messages = found.setdefault(problem.path or "/", [])
        if problem.message not in messages:
            messages.append(problem.message)
    return [{"path": path, "errors": messages} for path, messages in found.items()]
