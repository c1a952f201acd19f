"""HTTP to Chronos for commands."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import click

from koinon.cli.errors import Failure
from koinon.cli.service import Refusal, Service

#: The prefix of the newer line.
V1 = "/v1/scheduler"
HISTORY = "/v1/history"
OWN = "/v1/koinon"

#: The job's name, as argument of a command.
job_argument = click.argument("name", metavar="JOB")


class Chronos(Service):
    """A Chronos, at one of several places."""

    name: ClassVar[str] = "Chronos"
    default: ClassVar[str] = "127.0.0.1:4400"
    variable: ClassVar[str] = "KOINON_CHRONOS"

    def job(self, name: str) -> dict[str, Any]:
        """A job's definition. Raises Failure when there is none."""
        try:
            found: dict[str, Any] = self.get(f"{V1}/job/{name}")
        except Refusal as refusal:
            if refusal.status == 400:  # of old unknown jobs are bad requests
                raise unknown(name) from None
            raise
        return found

    def change(self, method: str, path: str, name: str, **query: Any) -> None:
        """Ask for something about a job. Raises Failure when there is none."""
        try:
            self.ask(method, f"{path}/{name}", query)
        except Refusal as refusal:
            if str(refusal) == f"job '{name}' not found":
                raise unknown(name) from None
            raise


#: `--chronos HOST:PORT,…`; the command gets a `Chronos` as `chronos`.
chronos_option = Chronos.option


def unknown(name: str) -> Failure:
    """There is no such job."""
    return Failure(f"Chronos knows no job '{name}'; `koinon job list` lists all")


def seconds(timestamp: str) -> float:
    """Since the epoch."""
    return datetime.fromisoformat(timestamp).timestamp()
