"""What a request wants besides the definitions: `?embed=apps.tasks&embed=apps.counts`."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

_PREFIXES = ("group.apps.", "apps.", "app.")


class AppEmbeds(Struct, frozen=True):
    """Parts of an app's answer. Counts and deployments are always there where the API says so."""

    tasks: bool = False
    counts: bool = False
    deployments: bool = False
    readiness: bool = False
    last_task_failure: bool = False
    task_stats: bool = False


class GroupEmbeds(Struct, frozen=True):
    """Parts of a group's answer."""

    groups: bool = True
    apps: bool = True
    pods: bool = True


#: On every list of apps, and on one app by itself.
LIST = AppEmbeds(counts=True, deployments=True)
SINGLE = AppEmbeds(tasks=True, counts=True, deployments=True, last_task_failure=True)

_NAMED: dict[str, AppEmbeds] = {
    "tasks": AppEmbeds(tasks=True, deployments=True),  # deployments came with the tasks once
    "counts": AppEmbeds(counts=True),
    "deployments": AppEmbeds(deployments=True),
    "readiness": AppEmbeds(readiness=True),
    "lastTaskFailure": AppEmbeds(last_task_failure=True),
    "failures": AppEmbeds(tasks=True, deployments=True, last_task_failure=True),
    "taskStats": AppEmbeds(task_stats=True),
}


def of_apps(given: Iterable[str], always: AppEmbeds) -> AppEmbeds:
    """What is `given` and what is there `always`; unknown names say nothing."""
    wanted = [always]
    for name in given:
        prefix = next((one for one in _PREFIXES if name.startswith(one)), None)
        if prefix is not None and (named := _NAMED.get(name.removeprefix(prefix))) is not None:
            wanted.append(named)
    return AppEmbeds(
        **{field: any(getattr(one, field) for one in wanted) for field in AppEmbeds.__struct_fields__}
    )


def of_groups(given: Iterable[str]) -> GroupEmbeds:
    """All parts if nothing is given, else only what is."""
    names = set(given)
    if not names:
        return GroupEmbeds()
    return GroupEmbeds(
        groups="group.groups" in names,
        apps=any(name == "group.apps" or name.startswith("group.apps.") for name in names),
        pods="group.pods" in names,
    )
