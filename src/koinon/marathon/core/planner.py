"""From what is defined to what is to be: the steps, as a pure function.

Steps come one after the other, the actions of one side by side:

1. Stop what is removed: dependents before what they depend on.
2. Start what is new. Nothing happens in it; clients know it.
3. Scale or replace, one step per layer of dependencies: a layer is done when all in it is well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from koinon.marathon.model import App, Instance, Root, ids
from koinon.marathon.model.records import Action, Step
from koinon.marathon.model.root import RunSpec


def plan(
    before: Root, target: Root, changed: Iterable[str], unfinished: Collection[str] = ()
) -> tuple[Step, ...]:
    """Steps from `before` to `target`, which differ in the apps and pods `changed`; versions have been given.

    `unfinished`: a replacement of these has begun, and the deployment that did it is about to end.
    """
    removed, added, kept = [], [], []
    for path in sorted({*changed, *unfinished}):
        if target.run_spec(path) is None:
            removed.append(path)
        elif before.run_spec(path) is None:
            added.append(path)
        else:
            kept.append(path)
    steps = [[_action("Stop", before, path) for path in layer] for layer in reversed(layers(before, removed))]
    steps.append([_action("Start", target, path) for path in added])
    for layer in layers(target, sorted([*added, *kept])):
        steps.append(
            [
                _action(kind, target, path)
                for path in layer
                if (kind := _kind(before, target, path, unfinished)) is not None
            ]
        )
    return tuple(Step(tuple(actions)) for actions in steps if actions)


def _kind(before: Root, target: Root, path: str, unfinished: Collection[str]) -> str | None:
    old, new = before.run_spec(path), target.run_spec(path)
    assert new is not None
    if old is None or not new.instances:
        return "Scale"
    if config_of(old) != config_of(new) or path in unfinished:
        return "Restart"
    return "Scale" if old.instances != new.instances else None


def config_of(spec: RunSpec) -> str:
    """The version in which something has changed that makes new instances necessary."""
    return spec.version if spec.version_info is None else spec.version_info.last_config_change_at


def is_up_to_date(instance: Instance, spec: RunSpec) -> bool:
    """Whether it was made from the configuration that its spec has now."""
    return instance.config == config_of(spec)


def _action(kind: str, root: Root, path: str) -> Action:
    made: Any = kind + ("Pod" if path in root.pods else "Application")
    return Action(made, path)


# ── dependencies ──────────────────────────────────────────────────────────────────────────────────
def layers(root: Root, paths: Iterable[str]) -> list[list[str]]:
    """The apps and pods `paths` by the length of the longest chain of dependencies below each."""
    heights = _heights(_dependencies(root), paths := list(paths))
    found: dict[int, list[str]] = {}
    for path in paths:
        found.setdefault(heights[path], []).append(path)
    return [found[height] for height in sorted(found)]


def _dependencies(root: Root) -> Callable[[str], frozenset[str]]:
    """What an app or pod depends on: apps and pods. Those of the groups that hold it are its own."""
    group_wide = {path: group.dependencies for path, group in root.groups.items() if group.dependencies}
    members: dict[str, frozenset[str]] = {}

    def expand(path: str) -> frozenset[str]:
        if path in root.groups and path not in root.apps and path not in root.pods:
            if path not in members:
                members[path] = frozenset(one.id for one in root.run_specs() if ids.is_within(one.id, path))
            return members[path]
        return frozenset((path,)) if root.run_spec(path) is not None else frozenset()

    def direct(path: str) -> frozenset[str]:
        spec = root.run_spec(path)
        named = list(spec.dependencies) if isinstance(spec, App) else []
        above = path
        while group_wide and above != ids.ROOT:
            above = ids.parent(above)
            # What lies in the group itself is not what its members wait for.
            named.extend(one for one in group_wide.get(above, ()) if not ids.is_within(path, one))
        return frozenset(found for one in named for found in expand(one)) - {path}

    return direct


def _heights(direct: Callable[[str], frozenset[str]], paths: Iterable[str]) -> Mapping[str, int]:
    """Lengths of the longest chains, without recursion: chains may be long. Cycles have been refused before."""
    heights: dict[str, int] = {}
    below: dict[str, frozenset[str]] = {}
    for start in paths:
        stack = [start]
        while stack:
            path = stack[-1]
            if path in heights:
                stack.pop()
                continue
            if path not in below:
                below[path] = direct(path)
                # In a cycle, which should not be, one of those that wait for each other begins.
                stack.extend(one for one in below[path] if one not in heights and one not in below)
            else:
                heights[path] = max((heights.get(one, -1) for one in below[path]), default=-1) + 1
                stack.pop()
    return heights
