"""`koinon job …`: jobs listed, shown, added, run, killed, enabled, disabled, deleted."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from koinon.cli.errors import Failure
from koinon.cli.jobs.client import HISTORY, OWN, V1, Chronos, chronos_option, job_argument, seconds, unknown
from koinon.cli.jobs.history import history, local, logs
from koinon.cli.options import json_option
from koinon.cli.output import Column, Cut, Record, short_duration, show, show_json, text

_POLL_S = 0.4
#: What `show` leaves out unless it says something.
_USUAL: dict[str, Any] = {
    "shell": True,
    "retries": 2,
    "epsilon": "PT60S",
    "overlap": "skip",
    "missedRuns": "one",
    "retryBackoffFactor": 1.0,
    "maxRetryDelaySeconds": 3600.0,
}
#: Told in other words.
_TOLD_ELSEWHERE = {
    *("name", "uris", "disabled", "concurrent", "successCount", "errorCount", "errorsSinceLastSuccess"),
    *("lastSuccess", "lastError", "nextRun", "originalSchedule", "cron"),
}


@click.group()
def job() -> None:
    """What Chronos runs: jobs that start at their times, or after other jobs.

    `koinon why JOB` tells what one waits for.
    """


job.add_command(history)
job.add_command(logs)


# ── to look ───────────────────────────────────────────────────────────────────────────────────────
@job.command("list")
@click.argument("part", metavar="[PART]", default="")
@chronos_option
@json_option
def list_(chronos: Chronos, part: str, as_json: bool) -> None:
    """All jobs, or those with PART in their name: when they run, and how they went."""
    states = {one["name"]: one for one in chronos.get(f"{V1}/jobs/summary")["jobs"]}
    jobs = [one for one in chronos.get(f"{V1}/jobs") if part.lower() in one["name"].lower()]
    jobs.sort(key=lambda one: str(one["name"]))
    if as_json:
        show_json(jobs)
        return
    records = [{**one, **_standing(states.get(one["name"]))} for one in jobs]
    columns = [
        text("JOB", "name", cut=Cut.END),
        Column("STATUS", lambda one: str(one["status"]).upper()),
        text("STATE", "state"),
        Column("NEXT", _next, right=True),
        Column("WHEN", _when, cut=Cut.END),
        Column("SUCCEEDED", lambda one: _ago(one["lastSuccess"]), right=True),
        Column("FAILED", lambda one: _ago(one["lastError"]), right=True),
        text("COMMAND", "command", cut=Cut.END),
    ]
    show(records, columns, as_json=False)


def _standing(line: Record | None) -> Record:
    return (
        {"status": "-", "state": "-"} if line is None else {"status": line["status"], "state": line["state"]}
    )


def _next(one: Record) -> str:
    if one["disabled"]:
        return "disabled"
    if "parents" in one or not one["nextRun"]:
        return "-"
    left_s = seconds(one["nextRun"]) - time.time()
    return f"in {short_duration(left_s)}" if left_s > 0 else "overdue"


def _when(one: Record) -> str:
    if "parents" in one:
        return f"after {', '.join(one['parents'])}"
    zone = f" {one['scheduleTimeZone']}" if one["scheduleTimeZone"] else ""
    return f"{one['originalSchedule']}{zone}"


def _ago(timestamp: str) -> str:
    return f"{short_duration(max(0.0, time.time() - seconds(timestamp)))} ago" if timestamp else "-"


@job.command("show")
@job_argument
@chronos_option
@json_option
def show_(chronos: Chronos, name: str, as_json: bool) -> None:
    """One job: what it is at, how long it takes, its latest runs, and its definition."""
    found = chronos.job(name)
    if as_json:
        show_json(found)
        return
    why = chronos.find(f"{OWN}/why/{name}")
    past = chronos.find(f"{HISTORY}/jobs/{name}", limit=5)
    if why is None or past is None:
        raise unknown(name)
    print(f"{name} is {why['state']}{', and disabled' if found['disabled'] else ''}")
    for reason in why["reasons"]:
        print(f"  {reason['sentence']}")
    took = past["seconds"]
    print(
        f"  {_times(found['successCount'], 'success', 'successes')}, {_times(found['errorCount'], 'failure', 'failures')}"
    )
    if took["count"]:
        print(f"  from due to done: median {took['median']:.1f} s, 95 % within {took['p95']:.1f} s")
    if past["runs"]:
        print()
        for run in past["runs"]:
            where = f" on {run['hostname']}" if "hostname" in run else ""
            print(f"  {local(run['due'])}  {run['state']}{where}  {run['taskId']}")
    print()
    show_json({key: value for key, value in found.items() if _says_something(key, value)})


def _says_something(key: str, value: Any) -> bool:
    if key in _TOLD_ELSEWHERE:
        return False
    return bool(value != _USUAL[key]) if key in _USUAL else bool(value)


def _times(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


@job.command()
@click.option("--dot", is_flag=True, help="For Graphviz.")
@chronos_option
def graph(chronos: Chronos, dot: bool) -> None:
    """Who runs after whom."""
    from koinon.cli.jobs.graph import tree

    if dot:
        sys.stdout.write(chronos.data(f"{V1}/graph/dot").decode())
        return
    for line in tree(chronos.data(f"{V1}/graph/csv").decode().splitlines()):
        print(line)


# ── to change ─────────────────────────────────────────────────────────────────────────────────────
@job.command(context_settings={"ignore_unknown_options": False})
@click.argument("files", nargs=-1, metavar="FILE…")
@click.option("--name", metavar="JOB", help="Of a job that has no file: the arguments are its command then.")
@click.option("--schedule", metavar="R…/…/P…|CRON", help="When that one runs.")
@click.option("--zone", metavar="ZONE", default="", help="In which time zone: Europe/Paris.")
@click.option("--after", "parents", multiple=True, metavar="JOB", help="After which others it runs.")
@click.option("--cpus", type=click.FloatRange(min=0), metavar="N", help="What it needs.")
@click.option("--mem", type=click.FloatRange(min=0), metavar="MB", help="What it needs.")
@click.option("--owner", metavar="MAIL", help="Who is told when it fails.")
@chronos_option
def add(
    chronos: Chronos,
    files: tuple[str, ...],
    name: str | None,
    schedule: str | None,
    zone: str,
    parents: tuple[str, ...],
    **needs: Any,
) -> None:
    """Create jobs, or replace them: those in FILEs (JSON or YAML, `-` is standard input), parents first.

    Or one without a file: koinon job add --name hello --schedule R//PT1H echo hello
    """
    given = {key: value for key, value in needs.items() if value is not None}
    if name is None:
        if schedule or zone or parents or given:
            raise Failure("--name is missing: files say themselves when their jobs run and what they need")
        if not files:
            raise Failure("name a file with jobs, or a job with --name and its command")
        from koinon.cli.jobs.documents import read

        jobs = read(files)
    else:
        if not files:
            raise Failure(f"the command of job '{name}' is missing")
        jobs = [_job_of(name, " ".join(files), schedule, zone, parents) | given]
    known = {one["name"] for one in chronos.get(f"{V1}/jobs")}
    for one in jobs:
        _post(chronos, one)
        print(f"{one['name']} {'replaced' if one['name'] in known else 'created'}")


def _job_of(
    name: str, command: str, schedule: str | None, zone: str, parents: tuple[str, ...]
) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "command": command}
    if schedule:
        # Intervals begin with the letter of repetition, fields of cron never do.
        made["schedule" if schedule.startswith("R") else "cron"] = schedule
    if zone:
        made["scheduleTimeZone"] = zone
    if parents:
        made["parents"] = list(parents)
    return made


def _post(chronos: Chronos, one: dict[str, Any]) -> None:
    chronos.ask("POST", f"{V1}/{'dependency' if one.get('parents') else 'iso8601'}", body=one)


@job.command()
@job_argument
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT]…", type=click.UNPROCESSED)
@click.option("--wait", "-w", is_flag=True, help="Until it has ended; exit with 1 if it did not succeed.")
@chronos_option
def run(chronos: Chronos, name: str, arguments: tuple[str, ...], wait: bool) -> int:
    """Run JOB now, disabled or not; with ARGUMENTs instead of its own."""
    query = {"arguments": " ".join(arguments)} if arguments else {}
    chronos.change("PUT", f"{V1}/job", name, **query)
    task = chronos.headers.get("Chronos-Task-Id", "")
    if not wait or not task:
        print(f"{name} runs as soon as there is room: {task}")
        return 0
    return _watch(chronos, task)


def _watch(chronos: Chronos, task: str) -> int:
    """To the end of the run, whatever attempts it takes."""
    told = ""
    place = task
    while True:
        run = chronos.find(f"{HISTORY}/runs/{place}")
        if run is None:
            raise Failure(f"the history knows no task {place}")
        where = f" on {run['hostname']}" if "hostname" in run else ""
        line = f"{place} {run['state']}{where}"
        if line != told:
            print(line, flush=True)
            told = line
        if run["state"] == "succeeded":
            return 0
        if run["state"] in ("failed", "skipped"):
            following = _next_attempt(place)
            if chronos.find(f"{HISTORY}/runs/{following}") is None:
                return 1
            place = following
            continue
        if run["state"] == "killed":
            return 1
        time.sleep(_POLL_S)


def _next_attempt(task: str) -> str:
    kind, due, attempt, rest = task.split(":", 3)
    return f"{kind}:{due}:{int(attempt) + 1}:{rest}"


@job.command()
@job_argument
@chronos_option
def kill(chronos: Chronos, name: str) -> None:
    """Kill what runs of JOB; its schedule goes on."""
    chronos.change("DELETE", f"{V1}/task/kill", name)
    print(f"what runs of {name} is being killed")


@job.command()
@job_argument
@chronos_option
def enable(chronos: Chronos, name: str) -> None:
    """Let JOB start again at its times."""
    _turn(chronos, name, "enable")


@job.command()
@job_argument
@chronos_option
def disable(chronos: Chronos, name: str) -> None:
    """Let JOB not start by itself; what runs of it goes on."""
    _turn(chronos, name, "disable")


def _turn(chronos: Chronos, name: str, verb: str) -> None:
    chronos.change("POST", f"{OWN}/{verb}", name)
    print(f"{name} {verb}d")


@job.command()
@job_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@chronos_option
def delete(chronos: Chronos, name: str, yes: bool) -> None:
    """Delete JOB and kill what runs of it. Jobs after it get its parents, or its schedule; its history stays."""
    if not yes and not click.confirm(f"delete {name}?"):
        raise Failure("nothing was done")
    chronos.change("DELETE", f"{V1}/job", name)
    print(f"{name} deleted")
