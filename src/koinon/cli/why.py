"""`koinon why TASK|FRAMEWORK|APP|JOB`: the master's reasons, as it noted them when it decided; of apps Marathon's, of jobs
Chronos's.

What begins with a slash is an app. A name may stand for a framework and for its tasks, as `koinon run` gives both the same. Who still waits or runs is
asked about first: a framework that lives, then tasks; of what is over, the tasks know more than their framework.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import click

from koinon.cli.apps.client import Marathon, absolute, marathon_option
from koinon.cli.batch import exit_status_in
from koinon.cli.client import Client
from koinon.cli.errors import Failure
from koinon.cli.jobs.client import OWN, Chronos, chronos_option
from koinon.cli.options import framework_option, json_option, master_option
from koinon.cli.output import Record, short_duration, show_json
from koinon.cli.tasks import TERMINAL, all_tasks, choose, is_meant

#: How many of several tasks are told.
_TOLD_MAX = 10
#: What a task has done, or been through, that long ago; for the other states it has been so that long.
_ENDS = {
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "was killed",
    "ERROR": "was refused",
    "LOST": "was lost",
    "DROPPED": "was dropped",
    "GONE": "went with its agent",
    "GONE_BY_OPERATOR": "was declared gone with its agent",
}


@click.command()
@click.argument("task_or_framework", metavar="TASK|FRAMEWORK|/APP|JOB")
@framework_option
@marathon_option
@chronos_option
@master_option
@json_option
def why(
    master: Client,
    marathon: Marathon,
    chronos: Chronos,
    task_or_framework: str,
    framework: str | None,
    as_json: bool,
) -> None:
    """Why a task, a framework, a service or a job has what it has, or waits; and how a task ended.

    Its id, the begin or end of one, or its name will do. Of tasks that have the same name each is told in a line. An app or
    pod of Marathon's is named by its id, which begins with a slash; a job of Chronos's by its name.
    """
    if task_or_framework.startswith("/"):
        if not _tell_app(marathon, task_or_framework, as_json=as_json):
            raise Failure(f"Marathon knows no app or pod {task_or_framework}; `koinon app list` lists all")
        return
    frameworks, tasks = _meant(master, task_or_framework, framework)
    if frameworks:
        _tell_framework(master, choose(frameworks, task_or_framework, "framework"), as_json=as_json)
    elif len(tasks) == 1:
        _tell_task(master, tasks[0], as_json=as_json)
    elif tasks:
        _tell_tasks(master, tasks, as_json=as_json)
    elif not (
        _is_told_by_chronos(chronos, task_or_framework, as_json=as_json)
        or _is_told_by_marathon(marathon, task_or_framework, as_json=as_json)
    ):
        raise Failure(
            f"the master knows no task and no framework '{task_or_framework}';"
            " `koinon tasks --all` and `koinon frameworks --all` list those it remembers"
        )


def decisions_about(master: Client, **query: str) -> list[dict[str, Any]]:
    """The decisions the master keeps, `{time, code, sentence}`, oldest first."""
    decisions: list[dict[str, Any]] = master.get("/why", **query)["decisions"]
    return decisions


def waiting_reason(master: Client, framework_id: str) -> str:
    """Why the framework waits, in a sentence."""
    decisions = decisions_about(master, framework_id=framework_id)
    # What the framework declined itself is no news to who asks for it, unless there is nothing else.
    others = [one for one in decisions if one["code"] not in ("declined", "refused")]
    return (others or decisions)[-1]["sentence"] if decisions else "the master has made no offer yet"


# ── which one is meant ────────────────────────────────────────────────────────────────────────────
def _meant(master: Client, given: str, framework: str | None) -> tuple[Sequence[Record], Sequence[Record]]:
    """Frameworks, or else tasks, that `given` means; of tasks those that still run, if any does."""
    from koinon.cli.listings import frameworks_of

    frameworks = [] if framework is not None else frameworks_of(master, all_=True)
    tasks = [
        task for task in all_tasks(master) if framework is None or is_meant(task["framework_id"], framework)
    ]
    alive = [one for one in frameworks if one["state"] not in TERMINAL]
    ways: list[Callable[[Record], bool]] = [
        lambda record: record["id"] == given,
        lambda record: record["name"] == given,
        lambda record: is_meant(record["id"], given),
    ]
    for way in ways:
        for those in (alive, tasks, frameworks):
            if found := [record for record in those if way(record)]:
                if those is not tasks:
                    return found, []
                return [], [task for task in found if task["state"] not in TERMINAL] or found
    return [], []


def _is_told_by_marathon(marathon: Marathon, given: str, *, as_json: bool) -> bool:
    """Whether it is an app, without its slash; where no Marathon is, it is none."""
    try:
        return _tell_app(marathon, given, as_json=as_json)
    except Failure:
        return False


def _is_told_by_chronos(chronos: Chronos, given: str, *, as_json: bool) -> bool:
    """Whether it is a job; where no Chronos is, it is none."""
    try:
        found = chronos.find(f"{OWN}/why/{given}")
    except Failure:
        return False
    if found is None:
        return False
    if as_json:
        show_json(found)
        return True
    print(f"job {given} is {found['state']}{', and disabled' if found['disabled'] else ''}")
    for reason in found["reasons"]:
        print(f"  {reason['sentence']}")
    return True


def _tell_app(marathon: Marathon, given: str, *, as_json: bool) -> bool:
    """Whether there is such an app or pod; then it is told why it is as it is."""
    path = absolute(given)
    if (found := marathon.find(f"/v2/koinon/why{path}")) is None:
        return False
    if as_json:
        show_json(found)
        return True
    print(
        f"{found['kind']} {path} is {found['status'].lower()}: {found['running']} of {found['instances']} instances run"
    )
    for reason in found["reasons"]:
        print(f"  {reason['sentence']}")
    return True


# ── what is told ──────────────────────────────────────────────────────────────────────────────────
def _tell_framework(master: Client, framework: Record, *, as_json: bool) -> None:
    decisions = decisions_about(master, framework_id=framework["id"])
    if as_json:
        show_json({**framework, "decisions": decisions})
        return
    print(f"framework {framework['id']} ({framework['name']}) is {framework['state'].lower()}")
    _print_decisions(decisions)
    if framework["tasks"] or framework["completed_tasks"]:
        states = Counter(task["state"] for task in all_tasks(master, framework_id=framework["id"]))
        told = ", ".join(f"{count} {state.lower()}" for state, count in states.items())
        print(f"  its tasks: {told}; `koinon why TASK` tells of one")


def _tell_task(master: Client, task: Record, *, as_json: bool) -> None:
    decisions = _decisions_of(master, task)
    if as_json:
        show_json({**task, "decisions": decisions})
        return
    print(f"task {task['id']} ({task['name']}) {_standing(task, decisions)}")
    _print_decisions(decisions)


def _tell_tasks(master: Client, tasks: Sequence[Record], *, as_json: bool) -> None:
    told = tasks if as_json else tasks[-_TOLD_MAX:]
    found = [(task, _decisions_of(master, task)) for task in told]
    if as_json:
        show_json([{**task, "decisions": decisions} for task, decisions in found])
        return
    if len(tasks) > len(told):
        print(f"{len(tasks)} tasks; the latest {len(told)}:")
    for task, decisions in found:
        last = f"\n  {decisions[-1]['sentence']}" if decisions else ""
        print(f"task {task['id']} {_standing(task, decisions)}{last}")


def _decisions_of(master: Client, task: Record) -> list[dict[str, Any]]:
    return decisions_about(master, framework_id=task["framework_id"], task_id=task["id"])


def _standing(task: Record, decisions: Sequence[dict[str, Any]]) -> str:
    """`failed 3s ago on box (agent …-S0), exit status 3`."""
    state, ago = task["state"], ""
    if task["changed"]:
        ago = short_duration(max(0.0, time.time() - task["changed"]))
    if state in _ENDS:
        told = f"{_ENDS[state]} {ago} ago" if ago else _ENDS[state]
    elif state == "KILLING":
        told = f"is being killed, for {ago}" if ago else "is being killed"
    else:
        told = f"has been {state.lower()} for {ago}" if ago else f"is {state.lower()}"
    if task["hostname"]:
        told += f" on {task['hostname']}"
    if task["agent_id"]:
        told += f" (agent {task['agent_id']})"
    ends = [exit_status_in(one["sentence"]) for one in decisions if one["code"] == f"task_{state.lower()}"]
    if state in _ENDS and ends and ends[-1] is not None:
        told += f", exit status {ends[-1]}"
    return told


def _print_decisions(decisions: Sequence[dict[str, Any]]) -> None:
    for sentence, repeated in groupby(decisions, key=lambda decision: str(decision["sentence"])):
        times = [_clock(one["time"]) for one in repeated]
        often = f" ({len(times)} times since {times[0]})" if len(times) > 1 else ""
        print(f"  {times[-1]}  {sentence}{often}")
    if not decisions:
        print("  nothing was decided about it that the master remembers")


def _clock(time_s: float) -> str:
    today = time.strftime("%F") == time.strftime("%F", time.localtime(time_s))
    return time.strftime("%H:%M:%S" if today else "%F %H:%M:%S", time.localtime(time_s))
