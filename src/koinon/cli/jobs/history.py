"""`koinon job history` and `logs`: what has been."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from koinon.cli.client import Client
from koinon.cli.errors import Failure
from koinon.cli.jobs.client import HISTORY, Chronos, chronos_option, seconds
from koinon.cli.options import json_option, master_option
from koinon.cli.output import Column, Cut, Record, short_duration, show, text

#: Runs that have, or had, a task.
_WITH_TASKS = "launching,running,succeeded,failed,killed"
_UNDER_WAY = ("launching", "running")
_PAGE = 1000


@click.command()
@click.argument("name", metavar="[JOB]", required=False)
@click.option(
    "--state", "states", multiple=True, metavar="STATE", help="Only those: succeeded, failed, skipped, …"
)
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option(
    "--since", default="", metavar="TIME", help="Due from then on: 2030-01-02T03:04:05Z, or seconds."
)
@click.option("--until", default="", metavar="TIME", help="Due before then.")
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="So many, the newest."
)
@chronos_option
@json_option
def history(
    chronos: Chronos,
    name: str | None,
    states: tuple[str, ...],
    failed: bool,
    since: str,
    until: str,
    limit: int,
    as_json: bool,
) -> None:
    """Runs of JOB, or of all jobs: when, where, and how they ended. The newest first."""
    wanted = {"state": ",".join((*states, *(("failed",) if failed else ()))), "since": since, "until": until}
    query = {key: value for key, value in wanted.items() if value}
    if name is not None:
        query["job"] = name
    found = _runs(chronos, query, limit)
    if not found and name is not None:
        chronos.job(name)  # perhaps there is no such job
    if as_json:
        show(found, [], as_json=True)
    else:
        show(found, _columns(name is None), as_json=False)


def _runs(chronos: Chronos, query: dict[str, Any], limit: int) -> list[Record]:
    found: list[Record] = []
    while len(found) < limit:
        page = chronos.get(f"{HISTORY}/runs", **query, limit=min(limit - len(found), _PAGE))
        found += page["runs"]
        if "before" not in page:
            break
        query = {**query, "before": page["before"]}
    return found


def _columns(with_jobs: bool) -> Sequence[Column]:
    columns = [
        Column("DUE", lambda run: local(run["due"])),
        text("STATE", "state"),
        Column("ATTEMPT", lambda run: str(run["attempt"] + 1), right=True),
        text("TRIGGER", "trigger"),
        Column("LATE", _late, right=True),
        Column("TOOK", _took, right=True),
        Column("ON", lambda run: run.get("hostname") or run.get("agentId") or "-"),
        Column("WHY", _why, cut=Cut.END),
    ]
    return [text("JOB", "job", cut=Cut.END), *columns] if with_jobs else columns


def local(timestamp: str) -> str:
    """A moment as clocks here show it."""
    return time.strftime("%F %H:%M:%S", time.localtime(seconds(timestamp)))


def _late(run: Record) -> str:
    began = run.get("started") or run.get("launched")
    return "-" if began is None else _span(seconds(began) - seconds(run["due"]))


def _took(run: Record) -> str:
    return _span(run["durationSeconds"]) if "durationSeconds" in run else "-"


def _span(duration_s: float) -> str:
    duration_s = max(duration_s, 0.0)
    return f"{duration_s:.1f}s" if duration_s < 10 else short_duration(duration_s)


def _why(run: Record) -> str:
    told = [] if run.get("exitStatus") in (None, 0) else [f"exit status {run['exitStatus']}"]
    if run["state"] not in ("succeeded", "running"):
        told += [run[key] for key in ("message", "reason") if key in run][:1]
    return "; ".join(told) or "-"


@click.command()
@click.argument("name", metavar="JOB|TASK")
@click.option("--failed", is_flag=True, help="Of the latest run that failed.")
@click.option("--follow", "-f", is_flag=True, help="Go on as the task writes, until it ends.")
@click.option("--tail", "-n", type=click.IntRange(min=0), metavar="LINES", help="The last LINES lines only.")
@chronos_option
@master_option
def logs(chronos: Chronos, master: Client, name: str, failed: bool, follow: bool, tail: int | None) -> None:
    """Print what the latest run of JOB wrote: its stdout to stdout, its stderr to stderr.

    The end of it is kept with the history, when the sandbox is long gone. Other runs are named by their task's id, which
    `koinon job history --json` tells.
    """
    run = _meant(chronos, name, failed=failed)
    if follow and run["state"] in _UNDER_WAY:
        from koinon.cli.sandboxes import print_logs

        print_logs(master, run["taskId"], None, files=(), tail=tail, follow=True)
        return
    for out, file in ((sys.stdout.buffer, "stdout"), (sys.stderr.buffer, "stderr")):
        _print(chronos, run, file, tail, out)


def _meant(chronos: Chronos, name: str, *, failed: bool) -> Record:
    if name.startswith("ct:"):
        if (run := chronos.find(f"{HISTORY}/runs/{name}")) is None:
            raise Failure(f"the history knows no task {name}")
        found: Record = run
        return found
    states = "failed" if failed else _WITH_TASKS
    runs = _runs(chronos, {"job": name, "state": states}, 1)
    if not runs:
        chronos.job(name)
        raise Failure(
            f"no run of '{name}' has {'failed' if failed else 'begun'} that the history remembers; `koinon why {name}`"
            " tells what it waits for"
        )
    return runs[0]


def _print(chronos: Chronos, run: Record, file: str, tail: int | None, out: Any) -> None:
    from koinon.cli.service import Refusal

    try:
        data = chronos.data(f"{HISTORY}/runs/{run['taskId']}/{file}")
    except Refusal as refusal:
        if refusal.status != 404:
            raise
        raise Failure(f"nothing is kept of what {run['taskId']} wrote; it {_ended(run)}") from None
    size = int(chronos.headers.get("X-Size", len(data)))
    if size > len(data):
        print(f"koinon: {file} had {size} bytes; this is the end of it", file=sys.stderr, flush=True)
    if tail is not None:
        data = b"".join(data.splitlines(keepends=True)[-tail:]) if tail else b""
    out.write(data)
    out.flush()


def _ended(run: Record) -> str:
    return f"is {run['state']}" if run["state"] in _UNDER_WAY else f"has {run['state']}"
