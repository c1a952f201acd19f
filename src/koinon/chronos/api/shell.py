"""What the API needs of the process around it."""

from __future__ import annotations

from typing import Protocol

from koinon.chronos.core import Chronos
from koinon.chronos.core.events import Event
from koinon.chronos.history import History, Output
from koinon.chronos.model import Defaults, Run


class Limits(Protocol):
    """The flags, as far as the API reads them."""

    @property
    def job_history_limit(self) -> int:
        """Of the runs that `job/stat` shows."""
        ...


class Shell(Protocol):
    """The runtime, as far as the API uses it."""

    @property
    def flags(self) -> Limits:
        """What the operator has set."""
        ...

    @property
    def core(self) -> Chronos:
        """Its state is read, and written only by `feed`."""
        ...

    @property
    def history(self) -> History:
        """What has been."""
        ...

    @property
    def defaults(self) -> Defaults:
        """What completes definitions."""
        ...

    async def output(self, run: Run) -> Output | None:
        """The end of what the run's task has written, so far if it goes on. Raises HistoryError."""
        ...

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        ...

    def feed(self, event: Event) -> None:
        """Let the core take in `event`. Raises Refused, NotLeading."""
        ...

    async def settled(self) -> None:
        """Returns when all that was fed so far is durable. Raises NotLeading, TimeoutError."""
        ...

    def leader(self) -> str | None:
        """Who leads, `host:port`."""
        ...
