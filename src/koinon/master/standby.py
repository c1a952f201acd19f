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
        if request.path.rstrip("/").rpartition("/")[2] != "redirect":  # which asks for the place alone
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
