"""What a master answers that does not lead: where the leader is, and little else."""

from __future__ import annotations

import msgspec
from aiohttp import hdrs
from aiohttp.web_request import BaseRequest

from koinon.coordination import Leader
from koinon.edge import HttpError

#: What every master answers itself.
OPEN_PATHS = frozenset(
    {
        "/health",
        "/version",
        "/flags",
        "/system/stats.json",
        "/logging/toggle",
        "/metrics",
        "/metrics/snapshot",
        "/files/browse",
        "/files/read",
        "/files/download",
        "/files/debug",
    }
)


#: Paths that ask who leads; nothing is below them, where clients could be sent on for ever.
_REDIRECT_PATHS = ("/redirect", "/master/redirect")


def asks_for_the_place(request: BaseRequest) -> bool:
    """Whether it asks for the address of the leader alone. Raises HttpError for what is below the path for that."""
    path = request.path.rstrip("/")
    if path.startswith(tuple(f"{one}/" for one in _REDIRECT_PATHS)):
        raise HttpError(404, "404 Not Found.")
    return path in _REDIRECT_PATHS


class Standby:
    """Answers for a master that stands by."""

    def __init__(self) -> None:
        self.leader: Leader | None = None
        self.elected = False  #: we are; what is missing is the registry

    def guard(self, request: BaseRequest) -> None:
        """Always raises HttpError."""
        if self.elected:
            raise HttpError(503, "This master has been elected, and reads the registry: try again.")
        if self.leader is None:
            raise HttpError(503, "No master leads at the moment: try again.")
        place = f"//{_authority(self.leader)}"
        if not asks_for_the_place(request):
            place += request.path_qs
        raise HttpError(307, f"The leading master is at {place}", {hdrs.LOCATION: place})


class _Named(msgspec.Struct):
    """What counts here of a MasterInfo."""

    hostname: str | None = None


def _authority(leader: Leader) -> str:
    """Host and port of the leader, by the name that it gives itself."""
    try:
        hostname = msgspec.json.decode(leader.info, type=_Named).hostname
    except msgspec.DecodeError:
        hostname = None
    return f"{hostname}:{leader.port}" if hostname else leader.address
