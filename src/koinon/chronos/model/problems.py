"""Why a request is refused."""

from __future__ import annotations

from collections.abc import Sequence

#: The reason phrases that the API's error bodies have.
_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Refused(Exception):
    """The request is answered with an HTTP status and a sentence; nothing has changed."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def phrase(self) -> str:
        """The status in words."""
        return _PHRASES.get(self.status, "Error")


class Wrong(Refused):
    """A definition has problems; all are told."""

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        of = f"job '{name}': " if name else ""
        super().__init__(of + "; ".join(problems))
        self.problems = tuple(problems)


class Unknown(Refused):
    """There is no such job. Clients test for 400 here, not for 404."""

    def __init__(self, name: str) -> None:
        super().__init__(f"job '{name}' not found")
