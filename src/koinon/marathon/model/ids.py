"""Ids: paths of apps, pods and groups, and what is made of them.

/team/db                          an app, as everywhere in the model: absolute
team_db                           the same in keys, instance and task ids
team_db.instance-<uuid>           an instance
team_db.instance-<uuid>._app.3    its third task; of a pod, `.<container>.3`

Read, though not made any more: team_db.<uuid>, team_db.<uuid>.3, team_db.marathon-<uuid>._app.3
"""

from __future__ import annotations

import re
from typing import NamedTuple

ROOT = "/"

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_REST = r"(?:\.(?P<container>[^.]+?)(?:\.(?P<n>\d+))?)?"
#: What task ids look like, the strictest first: a path may have `.instance-` in it, too.
_TASKS = (
    re.compile(rf"(?P<instance>(?P<app>[^.].*)\.(?:instance|marathon)-{_UUID}){_REST}"),
    re.compile(rf"(?P<app>[^.].*)\.(?P<uuid>{_UUID})(?:\.(?P<n>\d+))?"),  # of long ago
    re.compile(rf"(?P<instance>(?P<app>[^.].*?)\.(?:instance|marathon)-[^.]+){_REST}"),
)


def segments(path: str) -> list[str]:
    """`/team/db` → `["team", "db"]`; of the root none."""
    return [one for one in path.split("/") if one]


def join(parts: list[str]) -> str:
    """The absolute path of segments."""
    return "/" + "/".join(parts)


def resolve(path: str, base: str = ROOT) -> str:
    """`path` made absolute, seen from the group `base`; `.` and `..` are followed."""
    found: list[str] = [] if path.startswith("/") else segments(base)
    for one in segments(path):
        if one == "..":
            del found[-1:]
        elif one != ".":
            found.append(one)
    return join(found)


def parent(path: str) -> str:
    """The group that holds it; of the root the root."""
    return join(segments(path)[:-1])


def is_within(path: str, group: str) -> bool:
    """Whether `path` is `group` or lies somewhere below."""
    return group == ROOT or path == group or path.startswith(group + "/")


def key(path: str) -> str:
    """As it stands in keys, instance and task ids: `team_db`."""
    return "_".join(segments(path))


def from_key(text: str) -> str:
    """The path again: ids hold no underscores."""
    return join(text.split("_"))


class TaskPlace(NamedTuple):
    """What a task id says."""

    instance: str
    run_spec: str  #: id of the app or pod
    container: str | None  #: of a pod; None for an app
    incarnation: int  #: 1 for the forms without one


def instance_id(run_spec: str, uuid: str) -> str:
    """Of a new instance of an app or pod."""
    return f"{key(run_spec)}.instance-{uuid}"


def task_id(instance: str, incarnation: int, container: str | None = None) -> str:
    """Of the `incarnation`th task of an instance (of a pod: in its container)."""
    return f"{instance}.{container or '_app'}.{incarnation}"


def parse_task(text: str) -> TaskPlace:
    """What a task id (or an instance id) of ours says. Raises ValueError."""
    found = next((match for form in _TASKS if (match := form.fullmatch(text)) is not None), None)
    if found is None:
        raise ValueError(f"'{text}' is no task id of Marathon's")
    parts = found.groupdict()
    container = parts.get("container")
    return TaskPlace(
        instance=parts.get("instance") or f"{parts['app']}.marathon-{parts['uuid']}",
        run_spec=from_key(parts["app"]),
        container=None if container in (None, "_app") else container,
        incarnation=int(parts["n"] or 1),
    )
