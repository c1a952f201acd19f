"""What the agent says about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct


class About(Struct, frozen=True, kw_only=True):
    """Identity and settings of this agent, fixed once it listens."""

    pid: str  #: slave(1)@ip:port, the form in which tools name an agent
    flags: Mapping[str, str]
    started_s: float
    #: host:port of the master that we are connected to.
    master: Callable[[], str | None]
