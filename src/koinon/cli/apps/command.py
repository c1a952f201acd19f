"""`koinon app …`: services listed, shown, scaled, restarted, rolled back, destroyed."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from koinon.cli.apps.client import Marathon, absolute, marathon_option
from koinon.cli.apps.deploy import watch_options, watch_to_end
from koinon.cli.errors import Failure
from koinon.cli.options import json_option, master_option
from koinon.cli.output import (
    Column,
    Cut,
    Record,
    aligned,
    number,
    share,
    short_duration,
    show,
    show_json,
    text,
)

_force_option = click.option("--force", is_flag=True, help="Cancel deployments that are in the way.")


@click.group()
def app() -> None:
    """Services that Marathon runs: apps and pods.

    `koinon deploy` makes them from files, `koinon why /APP` tells what one waits for.
    """


# ── to look ───────────────────────────────────────────────────────────────────────────────────────
@app.command("list")
@marathon_option
@json_option
def list_(marathon: Marathon, as_json: bool) -> None:
    """All apps and pods, and what runs of them."""
    queue = {(one.get("app") or one["pod"])["id"]: one["delay"] for one in marathon.get("/v2/queue")["queue"]}
    found = [_app_record(one, queue) for one in marathon.get("/v2/apps")["apps"]]
    deploying = {pod for one in marathon.get("/v2/deployments") for pod in one["affectedPods"]}
    found += [_pod_record(one, queue, deploying) for one in marathon.get("/v2/pods/::status")]
    columns = [
        text("APP", "id", cut=Cut.BEGIN),
        text("STATUS", "status"),
        share("RUNNING", "running", "instances"),
        number("HEALTHY", "healthy"),
        number("CPUS", "cpus"),
        number("MEM", "mem"),
        Column("CHANGED", _since, right=True),
        text("COMMAND", "command", cut=Cut.END),
    ]
    show(sorted(found, key=lambda one: str(one["id"])), columns, as_json=as_json)


def _app_record(one: dict[str, Any], queue: dict[str, Any]) -> Record:
    checked = bool(one.get("healthChecks"))
    return {
        "id": one["id"],
        "status": _status(
            one["instances"], one["tasksRunning"], bool(one["deployments"]), queue.get(one["id"])
        ),
        "instances": one["instances"],
        "running": one["tasksRunning"],
        "staged": one["tasksStaged"],
        "healthy": one["tasksHealthy"] if checked else None,
        "unhealthy": one["tasksUnhealthy"] if checked else None,
        "cpus": one["cpus"],
        "mem": one["mem"],
        "version": one["version"],
        "command": one.get("cmd") or " ".join(one.get("args", [])),
    }


def _pod_record(one: dict[str, Any], queue: dict[str, Any], deploying: set[str]) -> Record:
    spec = one["spec"]
    running = sum(instance["status"] in ("STABLE", "DEGRADED") for instance in one["instances"])
    wanted = spec["scaling"]["instances"]
    return {
        "id": one["id"],
        "status": _status(wanted, running, one["id"] in deploying, queue.get(one["id"])),
        "instances": wanted,
        "running": running,
        "staged": sum(instance["status"] == "STAGING" for instance in one["instances"]),
        "healthy": None,
        "unhealthy": None,
        "cpus": round(sum(each["resources"]["cpus"] for each in spec["containers"]), 3),
        "mem": sum(each["resources"]["mem"] for each in spec["containers"]),
        "version": spec["version"],
        "command": f"pod of {', '.join(each['name'] for each in spec['containers'])}",
    }


def _status(instances: int, running: int, is_deploying: bool, delay: dict[str, Any] | None) -> str:
    if is_deploying:
        return "DEPLOYING"
    if not instances and not running:
        return "SUSPENDED"
    if delay is not None:
        return "WAITING" if delay["overdue"] else "DELAYED"
    return "RUNNING"


def _since(record: Record) -> str:
    return short_duration(max(0.0, time.time() - _seconds(record["version"])))


def _seconds(timestamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(timestamp).timestamp()


@app.command("show")
@click.argument("name", metavar="APP")
@marathon_option
@json_option
def show_(marathon: Marathon, name: str, as_json: bool) -> None:
    """One app: what runs of it, where, and its definition."""
    path = absolute(name)
    answer = marathon.find(f"/v2/apps{path}", embed=["app.taskStats", "app.readiness"])
    if answer is None:
        if (pod := marathon.find(f"/v2/pods{path}::status")) is None:
            raise _unknown(path)
        show_json(pod)
        return
    found = answer["app"]
    if as_json:
        show_json(found)
        return
    tasks = found["tasks"]
    why = marathon.get(f"/v2/koinon/why{path}")
    health = ""
    if found.get("healthChecks"):
        health = f", {found['tasksHealthy']} healthy, {found['tasksUnhealthy']} unhealthy"
    print(
        f"{path} is {why['status'].lower()}: {found['tasksRunning']} of {found['instances']} instances run{health}"
    )
    for reason in why["reasons"]:
        print(f"  {reason['sentence']}")
    if tasks:
        columns = [
            text("TASK", "id", cut=Cut.BEGIN),
            text("STATE", "state"),
            text("HOST", "host"),
            text("PORTS", "ports"),
            text("HEALTH", "health"),
            text("VERSION", "version"),
        ]
        sys.stdout.write("\n" + aligned([_task_record(task) for task in tasks], columns))
    told = ("tasks", "deployments", "lastTaskFailure", "taskStats", "readinessCheckResults")
    definition = {
        key: value
        for key, value in found.items()
        if key not in told and not (key.startswith("tasks") and key != "tasks")
    }
    print("\n" + json.dumps(definition, indent=2))


def _task_record(task: dict[str, Any]) -> Record:
    results = task.get("healthCheckResults", [])
    return {
        "id": task["id"],
        "state": task["state"].removeprefix("TASK_"),
        "host": task["host"],
        "ports": ",".join(map(str, task["ports"])),
        "health": "" if not results else "good" if all(one["alive"] for one in results) else "bad",
        "version": task.get("version", ""),
    }


@app.command()
@click.argument("name", metavar="APP")
@click.option("--follow", "-f", is_flag=True, help="Go on as the task writes, until it ends.")
@click.option(
    "--tail", "-n", type=click.IntRange(min=0), metavar="LINES", help="Begin with the last LINES lines."
)
@click.option("--file", "files", multiple=True, metavar="PATH", help="Another file than stdout and stderr.")
@click.option("--task", metavar="ID", help="This task of the app's [the newest one that runs].")
@click.option("--failed", is_flag=True, help="The task that failed last.")
@marathon_option
@master_option
def logs(
    master: Any,
    marathon: Marathon,
    name: str,
    follow: bool,
    tail: int | None,
    files: tuple[str, ...],
    task: str | None,
    failed: bool,
) -> None:
    """Print what a task of APP wrote.

    Its stdout goes to stdout, its stderr to stderr.
    """
    from koinon.cli.sandboxes import print_logs

    path = absolute(name)
    if (answer := marathon.find(f"/v2/apps{path}")) is None:
        raise _unknown(path)
    found = answer["app"]
    if task is None and failed:
        if "lastTaskFailure" not in found:
            raise Failure(f"no task of {path} has failed")
        task = found["lastTaskFailure"]["taskId"]
    elif task is None:
        running = [one for one in found["tasks"] if one["state"] == "TASK_RUNNING"]
        if not running:
            raise Failure(
                f"no task of {path} runs; `koinon why {path}` tells why, `--failed` shows the last failure"
            )
        newest = max(running, key=lambda one: str(one.get("startedAt", "")))
        task = newest["id"]
        if len(running) > 1:
            print(f"koinon: {len(running)} tasks of {path} run; this is {task}", file=sys.stderr)
    print_logs(master, str(task), None, files=files, tail=tail, follow=follow)


# ── to change ─────────────────────────────────────────────────────────────────────────────────────
@app.command()
@click.argument("name", metavar="APP")
@click.argument("instances", type=click.IntRange(min=0))
@watch_options
@_force_option
@marathon_option
def scale(marathon: Marathon, name: str, instances: int, force: bool, **watch: Any) -> int:
    """Let APP have so many INSTANCES; 0 suspends it."""
    return _change(marathon, "PATCH", f"/v2/apps{absolute(name)}", force, {"instances": instances}, watch)


@app.command()
@click.argument("name", metavar="APP")
@watch_options
@_force_option
@marathon_option
def restart(marathon: Marathon, name: str, force: bool, **watch: Any) -> int:
    """Replace all instances of APP, as in an upgrade."""
    return _change(marathon, "POST", f"/v2/apps{absolute(name)}/restart", force, None, watch)


@app.command()
@click.argument("name", metavar="APP")
@click.argument("version", required=False)
@watch_options
@_force_option
@marathon_option
def rollback(marathon: Marathon, name: str, version: str | None, force: bool, **watch: Any) -> int:
    """Make APP what it was in an earlier VERSION.

    By default that before the last change of more than its number of instances; `koinon app versions APP` lists all.
    """
    path = absolute(name)
    if version is None:
        version = _version_before(marathon, path)
    return _change(marathon, "PUT", f"/v2/apps{path}", force, {"version": version}, watch)


def _version_before(marathon: Marathon, path: str) -> str:
    if (answer := marathon.find(f"/v2/apps{path}")) is None:
        raise _unknown(path)
    changed = str(answer["app"]["versionInfo"]["lastConfigChangeAt"])
    versions = marathon.get(f"/v2/apps{path}/versions")["versions"]
    before = [str(one) for one in versions if one < changed]
    if not before:
        raise Failure(f"{path} has no earlier version")
    return max(before)


@app.command()
@click.argument("name", metavar="APP")
@marathon_option
@json_option
def versions(marathon: Marathon, name: str, as_json: bool) -> None:
    """Versions of APP that are kept, newest first."""
    found = marathon.find(f"/v2/apps{absolute(name)}/versions")
    if found is None:
        raise _unknown(absolute(name))
    if as_json:
        show_json(found["versions"])
    else:
        print("\n".join(found["versions"]))


@app.command()
@click.argument("name", metavar="APP")
@watch_options
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@marathon_option
def destroy(marathon: Marathon, name: str, yes: bool, **watch: Any) -> int:
    """Stop APP and forget it, with all its versions."""
    path = absolute(name)
    if not yes and not click.confirm(f"destroy {path}?"):
        raise Failure("nothing was done")
    if marathon.find(f"/v2/apps{path}") is None and marathon.find(f"/v2/pods{path}") is not None:
        marathon.ask("DELETE", f"/v2/pods{path}", {"force": "true"})
        told = {"deploymentId": marathon.deployment_id}
    else:
        told = marathon.ask("DELETE", f"/v2/apps{path}")
    return watch_to_end(marathon, told, **_watch(watch))


@app.command()
@click.argument("name", metavar="APP")
@marathon_option
def go(marathon: Marathon, name: str) -> None:
    """Let an upgrade of APP go on after its canary.

    It waits with its first new instances, as the label koinon.canary says.
    """
    path = absolute(name)
    for one in marathon.get("/v2/deployments"):
        if path in (*one["affectedApps"], *one["affectedPods"]):
            marathon.ask("POST", f"/v2/koinon/deployments/{one['id']}/continue")
            print(f"deployment {one['id']} goes on")
            return
    raise Failure(f"{path} is not being deployed")


@app.command()
@click.argument("deployment")
@watch_options
@marathon_option
def cancel(marathon: Marathon, deployment: str, **watch: Any) -> int:
    """Undo a DEPLOYMENT that is under way."""
    told = marathon.ask("DELETE", f"/v2/deployments/{deployment}")
    return watch_to_end(marathon, told, **_watch(watch))


def _change(marathon: Marathon, method: str, path: str, force: bool, body: Any, watch: dict[str, Any]) -> int:
    told = marathon.ask(method, path, {"force": str(force).lower()}, body)
    return watch_to_end(marathon, told, **_watch(watch))


def _watch(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "wait": options["wait"],
        "timeout_s": options["timeout"],
        "failures_max": options["max_failures"],
        "rollback": options["rollback"],
    }


def _unknown(path: str) -> Failure:
    return Failure(f"Marathon knows no app {path}; `koinon app list` lists all")
