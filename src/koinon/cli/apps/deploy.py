"""`koinon deploy FILE…`: apps, pods and groups made what the files say, in one deployment."""

from __future__ import annotations

import sys
from typing import Any

import click

from koinon.cli.apps.client import Marathon, marathon_option
from koinon.cli.apps.documents import read
from koinon.cli.apps.plan import show_plan
from koinon.cli.apps.progress import GivenUp, Watch, follow, roll_back
from koinon.cli.errors import Failure
from koinon.flags import Duration, FlagError

_FAILURES_MAX = 5


class _Span(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            return float(text) if text.replace(".", "", 1).isdigit() else float(Duration.parse(text))
        except FlagError as error:
            self.fail(str(error), param, ctx)


def watch_options(command: Any) -> Any:
    """`--wait`, `--timeout`, `--rollback`, `--max-failures`."""
    for option in reversed(
        [
            click.option("--wait", is_flag=True, help="Watch the deployment, and return when it is over."),
            click.option(
                "--timeout",
                type=_Span(),
                metavar="DURATION",
                help="Give up waiting after so long, such as 10mins [never]. Implies --wait.",
            ),
            click.option(
                "--max-failures",
                type=click.IntRange(min=0),
                metavar="N",
                help=f"Give up when more than N tasks have failed [with --rollback: {_FAILURES_MAX}]. Implies --wait.",
            ),
            click.option(
                "--rollback",
                is_flag=True,
                help="When it is given up, go back to what was before. Implies --wait.",
            ),
        ]
    ):
        command = option(command)
    return command


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@watch_options
@click.option("--force", is_flag=True, help="Cancel deployments that are in the way.")
@marathon_option
def deploy(
    marathon: Marathon,
    files: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    max_failures: int | None,
    rollback: bool,
    force: bool,
) -> int:
    """Make apps, pods and groups what the FILEs say, all in one deployment.

    A FILE (- is standard input) holds, in JSON or YAML, an app, a pod or a group, or a list of them: whole definitions;
    what they leave out becomes what it is by default. `koinon plan` tells before what will change.
    """
    documents = read(files)
    told = marathon.ask("POST", "/v2/koinon/deploy", {"force": str(force).lower()}, documents.body)
    show_plan(told)
    return watch_to_end(
        marathon, told, wait=wait, timeout_s=timeout, failures_max=max_failures, rollback=rollback
    )


def watch_to_end(
    marathon: Marathon,
    told: dict[str, Any],
    *,
    wait: bool,
    timeout_s: float | None,
    failures_max: int | None,
    rollback: bool,
) -> int:
    """After a deployment has been accepted: wait for its end if that is wanted. The exit status."""
    deployment_id = told["deploymentId"]
    if not (wait or rollback or timeout_s is not None or failures_max is not None):
        print(f"deployment {deployment_id}")
        return 0
    if rollback and failures_max is None:
        failures_max = _FAILURES_MAX
    wanted = {
        one["id"]: None if one["after"] is None else one["after"]["version"]
        for one in told.get("changes", [])
    }
    try:
        outcome = follow(marathon, deployment_id, wanted, Watch(timeout_s, failures_max), _say)
    except GivenUp as given_up:
        print(f"koinon: deployment {deployment_id} is given up: {given_up}", file=sys.stderr)
        if rollback:
            roll_back(marathon, deployment_id, _say)
        else:
            _say(f"it goes on; `koinon app cancel {deployment_id}` undoes it")
        return 1
    if not outcome.succeeded:
        raise Failure(f"deployment {deployment_id} did not succeed: {outcome.reason or 'no reason is known'}")
    _say(f"done: {outcome.reason}" if outcome.reason else "done")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
