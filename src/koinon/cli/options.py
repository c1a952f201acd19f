"""Options that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from koinon.cli.client import Client, master_address

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def master_option(command: CommandT) -> CommandT:
    """`--master HOST:PORT`; the command gets a `Client` as `master`."""
    return click.option(
        "--master",
        metavar="HOST:PORT",
        callback=_client,
        help="Address of the master [default: KOINON_MASTER, MESOS_MASTER or 127.0.0.1:5050].",
    )(command)


def _client(context: click.Context, _parameter: click.Parameter, given: str | None) -> Client:
    client = Client(master_address(given))
    context.call_on_close(client.close)
    return client


def json_option(command: CommandT) -> CommandT:
    """`--json`; the command gets `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def framework_option(command: CommandT) -> CommandT:
    """`--framework ID`, to tell apart tasks of the same id."""
    return click.option("--framework", metavar="ID", help="Id of the task's framework, or its begin or end.")(
        command
    )
