"""Options that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from koinon.cli.leader import Master, masters

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def master_option(command: CommandT) -> CommandT:
    """`--master HOST:PORT` and so on; the command gets a `Master` as `master`."""
    return click.option(
        "--master",
        metavar="HOST:PORT,…|zk://…",
        callback=_client,
        help="Where the leading master is found [default: KOINON_MASTER, MESOS_MASTER or 127.0.0.1:5050].",
    )(command)


def _client(context: click.Context, _parameter: click.Parameter, given: str | None) -> Master:
    master = Master(masters(given))
    context.call_on_close(master.close)
    return master


def json_option(command: CommandT) -> CommandT:
    """`--json`; the command gets `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def framework_option(command: CommandT) -> CommandT:
    """`--framework ID`, to tell apart tasks of the same id."""
    return click.option("--framework", metavar="ID", help="Id of the task's framework, or its begin or end.")(
        command
    )
