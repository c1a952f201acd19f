"""`koinon why TASK|FRAMEWORK`: the master's reasons, as it noted them when it decided."""

from __future__ import annotations

import time
from typing import Any

import click

from koinon.cli.client import Client
from koinon.cli.errors import Failure
from koinon.cli.options import framework_option, json_option, master_option
from koinon.cli.output import Record, short_duration, show_json
from koinon.cli.tasks import choose, find_task, is_meant


@click.command()
@click.argument("task_or_framework")
@framework_option
@master_option
@json_option
def why(master: Client, task_or_framework: str, framework: str | None, as_json: bool) -> None:
    """Why a task or a framework has what it has, or waits.

    Its id, the begin or end of one, or its name will do.
    """
    found = _find_framework(master, task_or_framework)
    if found is not None:
        state = f"framework {found['id']} ({found['name']}) is {found['state'].lower()}"
        query = {"framework_id": found["id"]}
    else:
        found = find_task(master, task_or_framework, framework)
        state = f"task {found['id']} ({found['name']}) is {found['state'].lower()}"
        if found["changed"]:
            state += f" since {short_duration(time.time() - found['changed'])}"
        if found["hostname"]:
            state += f" on {found['hostname']}"
        query = {"framework_id": found["framework_id"], "task_id": found["id"]}
    decisions = decisions_about(master, **query)
    if as_json:
        show_json({**found, "decisions": decisions})
        return
    print(state)
    for decision in decisions:
        print(f"  {_clock(decision['time'])}  {decision['sentence']}")
    if not decisions:
        print("  nothing was decided about it that the master remembers")


def decisions_about(master: Client, **query: str) -> list[dict[str, Any]]:
    """The decisions the master keeps, `{time, code, sentence}`, oldest first."""
    decisions: list[dict[str, Any]] = master.get("/why", **query)["decisions"]
    return decisions


def waiting_reason(master: Client, framework_id: str) -> str:
    """Why the framework waits, in a sentence."""
    try:
        decisions = decisions_about(master, framework_id=framework_id)
    except Failure as failure:
        return str(failure)
    return decisions[-1]["sentence"] if decisions else "the master has made no offer yet"


def _find_framework(master: Client, given: str) -> Record | None:
    from koinon.cli.listings import frameworks_of

    frameworks = frameworks_of(master, all_=True)
    if not any(given in (one["id"], one["name"]) or is_meant(one["id"], given) for one in frameworks):
        return None
    return choose(frameworks, given)


def _clock(time_s: float) -> str:
    today = time.strftime("%F") == time.strftime("%F", time.localtime(time_s))
    return time.strftime("%H:%M:%S" if today else "%F %H:%M:%S", time.localtime(time_s))
