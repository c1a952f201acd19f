"""What is defined: replaced as a whole, stored app by app, and remembered as far as somebody may want to go back.

apps/<id>, pods/<id>, groups/<id>    as it is now
versions/<id>/<version>              each app and pod as it was
changes/<version>                    what a version of the root changed, with the versions before and after
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import json

from koinon.marathon.core.context import Core
from koinon.marathon.model import App, Group, Pod, Root, ids
from koinon.marathon.model.records import Change
from koinon.marathon.model.root import RunSpec


def version_of(root: Root, path: str) -> str | None:
    """Of an app or pod; None if there is none."""
    spec = root.run_spec(path)
    return None if spec is None else spec.version


def change(before: Root, target: Root, changed: Collection[str]) -> Change:
    """What leads from one root to the other, which differ in the apps and pods `changed`."""
    groups: dict[str, tuple[dict[str, object] | None, dict[str, object] | None]] = {}
    if target.groups is not before.groups:
        former = before.groups.get
        differing = [path for path, group in target.groups.items() if former(path) is not group]
        differing += [path for path in before.groups if path not in target.groups]
        for path in sorted(differing):
            old, new = before.groups.get(path), target.groups.get(path)
            if old != new:
                groups[path] = (_builtins(old), _builtins(new))
    return Change(
        version=target.version,
        run_specs={path: (version_of(before, path), version_of(target, path)) for path in changed},
        groups=groups,
    )


def replace_root(core: Core, target: Root, change: Change) -> None:
    """`target` is what is defined from now on."""
    state, before = core.state, core.state.root
    for path in change.run_specs:
        _store_spec(core, before.run_spec(path), target.run_spec(path))
    for path in change.groups:
        core.store(group_key(path), target.groups.get(path))
    state.changes[change.version] = change
    core.store(f"changes/{change.version}", change)
    state.root = target
    for path in change.run_specs:
        core.touched[path] = None
        core.queued[path] = None  # what waits may be launched as something else now
    while len(state.changes) > core.config.max_versions:
        _forget_change(core, next(iter(state.changes)))
    for path in change.run_specs:
        forget_versions(core, path)


def _store_spec(core: Core, old: RunSpec | None, new: RunSpec | None) -> None:
    state = core.state
    if isinstance(old, App):
        state.service_ports.subtract(old.service_ports)
        if not isinstance(new, App):
            core.store(f"apps/{ids.key(old.id)}", None)
            if state.failures.pop(old.id, None) is not None:
                core.store(f"failures/{ids.key(old.id)}", None)
    elif old is not None and not isinstance(new, Pod):
        core.store(f"pods/{ids.key(old.id)}", None)
    if new is None:
        return
    if isinstance(new, App):
        state.service_ports.update(new.service_ports)
    stored = json.encode(new)
    key = ids.key(new.id)
    core.store(f"{'apps' if isinstance(new, App) else 'pods'}/{key}", stored)
    of_spec = state.history.setdefault(new.id, {})
    if new.version not in of_spec:
        of_spec[new.version] = stored
        core.store(f"versions/{key}/{new.version}", stored)


def _builtins(group: Group | None) -> dict[str, object] | None:
    return None if group is None else json.decode(json.encode(group))


def group_key(path: str) -> str:
    """Of a group in the store; the root has no name of its own."""
    return f"groups/{ids.key(path) or '_'}"


def _forget_change(core: Core, version: str) -> None:
    change = core.state.changes.pop(version)
    core.store(f"changes/{version}", None)
    for path in change.run_specs:
        forget_versions(core, path)


def forget_versions(core: Core, path: str) -> None:
    """Only so many versions are kept, and those that something points to; none of a former life, else."""
    state = core.state
    of_spec = state.history.get(path)
    if of_spec is None:
        return
    current = state.root.run_spec(path)
    born = state.born(path)
    ordered = sorted(of_spec)
    former = ordered if current is None else [one for one in ordered if one < born]
    too_many = max(len(former), len(ordered) - core.config.max_versions)
    if too_many <= 0:
        return
    needed = {instance.version for instance in state.instances_of(path)}
    needed.update(one.before.get(path) or "" for one in state.deployments.values())
    if current is not None:
        needed.add(current.version)
    for change in state.changes.values():
        needed.update(one for one in change.run_specs.get(path, ()) if one is not None)
    for version in ordered[:too_many]:
        if version not in needed:
            del of_spec[version]
            core.store(f"versions/{ids.key(path)}/{version}", None)
    if not of_spec:
        del state.history[path]
