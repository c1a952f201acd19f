"""`koinon plan FILE…`: what deploying the files would change, and in which steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from koinon.cli.apps.client import Marathon, marathon_option
from koinon.cli.apps.documents import read
from koinon.cli.options import json_option
from koinon.cli.output import show_json

_SIGNS = {"create": "+", "delete": "-", "update": "~", "scale": "~"}
_STYLES = {"+": "green", "-": "red", "~": "yellow"}
#: What Marathon itself adds to definitions.
_GIVEN = frozenset({"version", "versionInfo"})
_NONE = object()


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@marathon_option
@json_option
def plan(marathon: Marathon, files: tuple[str, ...], as_json: bool) -> None:
    """Tell what `koinon deploy FILE…` would change, and in which steps; nothing is done.

    A FILE (- is standard input) holds, in JSON or YAML, an app, a pod or a group, or a list of them.
    """
    told = marathon.ask("POST", "/v2/koinon/deploy", {"dryRun": "true"}, read(files).body)
    if as_json:
        show_json(told)
    else:
        show_plan(told)


def show_plan(told: dict[str, Any]) -> None:
    """Print changes and steps."""
    if not told["changes"]:
        print("nothing changes")
        return
    for change in told["changes"]:
        sign = _SIGNS[change["change"]]
        click.secho(
            f"{sign} {change['kind']} {change['id']}: {change['change']}", fg=_STYLES[sign], bold=True
        )
        if change["change"] in ("update", "scale"):
            for line in differences(change["before"], change["after"]):
                click.secho(f"    {line}", fg=_STYLES[line[0]])
    print("steps:")
    for number, step in enumerate(told["steps"], 1):
        actions = ", ".join(f"{one['action']} {one.get('app') or one.get('pod')}" for one in step["actions"])
        print(f"  {number}. {actions}")
    if told["lockedBy"]:
        print(f"locked by deployment {', '.join(told['lockedBy'])}: wait for its end, or deploy with --force")


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Lines that say what is different: `~ cpus: 1 → 2`, `+ env.KEY: "x"`, `- labels.old: "y"`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after} - (_GIVEN if not path else frozenset())):
            here = f"{path}.{name}" if path else name
            yield from differences(before.get(name, _NONE), after.get(name, _NONE), here)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}[{at}]")
    elif before is _NONE:
        yield f"+ {path}: {json.dumps(after)}"
    elif after is _NONE:
        yield f"- {path}: {json.dumps(before)}"
    elif before != after:
        yield f"~ {path}: {json.dumps(before)} → {json.dumps(after)}"
