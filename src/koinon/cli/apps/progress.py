"""A deployment watched to its end: a line whenever something of it changes.

It is asked for again and again, so the watch goes on when another Marathon leads. How it ended Marathon remembers while
it leads; from a new leader nothing is known but what is defined and what runs, so that is compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from koinon.cli.apps.client import Marathon
from koinon.cli.errors import Failure

_POLL_S = 0.3


class Watch(NamedTuple):
    """How long a deployment is waited for, and when it is given up."""

    timeout_s: float | None = None
    failures_max: int | None = None  #: so many tasks of the new definitions may fail


class GivenUp(Exception):
    """It has not ended, but is waited for no longer; the text says why."""


class Outcome(NamedTuple):
    """How a deployment ended."""

    succeeded: bool
    reason: str


Say = Callable[[str], None]


def follow(
    marathon: Marathon,
    deployment_id: str,
    wanted: Mapping[str, str | None],
    watch: Watch,
    say: Say,
) -> Outcome:
    """Returns when the deployment is over. Raises GivenUp, Failure.

    `wanted` has the versions of the apps and pods that it makes, by id; None: removed.
    """
    begun_s = time.monotonic()
    last, failed = "", dict[str, str]()
    while True:
        told = marathon.find(f"/v2/koinon/deployments/{deployment_id}")
        if told is None:
            return _compared(marathon, wanted)
        if told["state"] != "running":
            return Outcome(told["state"] == "succeeded", told.get("reason", ""))
        if (line := _line(told)) != last:
            say(last := line)
        _note_failures(marathon, told, failed, say)
        if watch.failures_max is not None and len(failed) > watch.failures_max:
            raise GivenUp(f"{len(failed)} tasks failed")
        if told["canaries"]:
            names = ", ".join(told["canaries"])
            return Outcome(True, f"its canaries run; `koinon app go {names}` lets it go on")
        if watch.timeout_s is not None and time.monotonic() - begun_s > watch.timeout_s:
            raise GivenUp(f"it has not ended within {watch.timeout_s:g} s{_why(told)}")
        time.sleep(_POLL_S)


def _line(told: Mapping[str, Any]) -> str:
    """`step 2/2  /web: 3 of 4 ready, 4 launched, 1 old`."""
    parts = []
    for one in told["actions"]:
        old = f", {one['old']} old" if one["old"] else ""
        if one["action"].startswith("Stop"):
            parts.append(f"{one['id']}: {one['old']} left to stop")
        else:
            parts.append(
                f"{one['id']}: {one['ready']} of {one['instances']} ready, {one['launched']} launched{old}"
            )
    return f"step {told['step']}/{told['steps']}  {'; '.join(parts)}"


def _note_failures(marathon: Marathon, told: Mapping[str, Any], failed: dict[str, str], say: Say) -> None:
    """Tell of tasks that have failed since the deployment began."""
    for one in told["actions"]:
        if one["action"].endswith("Pod") or one["action"].startswith("Stop"):
            continue
        answer = marathon.find(f"/v2/apps{one['id']}")
        failure = None if answer is None else answer["app"].get("lastTaskFailure")
        if failure is None or failure["timestamp"] < told["startedAt"] or failure["taskId"] in failed:
            continue
        failed[failure["taskId"]] = failure["message"]
        said = f": {failure['message']}" if failure["message"] else ""
        say(f"{one['id']}: task {failure['taskId']} on {failure['host']} {_ended(failure['state'])}{said}")


def _ended(state: str) -> str:
    return {"TASK_KILLED": "was killed", "TASK_FAILED": "failed"}.get(state, f"ended as {state}")


def _why(told: Mapping[str, Any]) -> str:
    """The reasons that are known, for who gives up."""
    found = [
        f"{one['id']}: {reason['sentence']}"
        for one in told["actions"]
        for reason in one["reasons"]
        if reason["code"] != "LastTaskFailure"
    ]
    return "".join(f"\n  {one}" for one in found)


def _compared(marathon: Marathon, wanted: Mapping[str, str | None]) -> Outcome:
    """It is over, and nobody remembers how: see whether things are as it was to make them."""
    for path, version in wanted.items():
        answer = marathon.find(f"/v2/apps{path}")
        app = None if answer is None else answer["app"]
        if app is None:
            pod = marathon.find(f"/v2/pods{path}")
            if version is None and pod is None:
                continue
            if pod is not None and pod["version"] == version:
                continue
            return Outcome(False, f"{path} is not there, or is defined otherwise by now")
        if app["version"] != version:
            return Outcome(False, f"{path} is defined otherwise by now")
        if app["tasksRunning"] < app["instances"]:
            return Outcome(False, f"of {path} only {app['tasksRunning']} of {app['instances']} instances run")
    return Outcome(True, "")


def roll_back(marathon: Marathon, deployment_id: str, say: Say) -> None:
    """Undo the deployment; returns when that is done. Raises Failure."""
    answer = marathon.ask("DELETE", f"/v2/deployments/{deployment_id}")
    undoing = answer["deploymentId"]
    say(f"rolling back: deployment {undoing}")
    outcome = follow(marathon, undoing, {}, Watch(), say)
    if not outcome.succeeded:
        raise Failure(f"the rollback did not succeed: {outcome.reason}")
    say("rolled back")
