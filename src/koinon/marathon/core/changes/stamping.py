"""Versions are given to what has changed: pure.

new                    version, last scaling and last configuration change are the new version
only `instances`       version and last scaling
anything else          all three
restarted as it is     version and last configuration change
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from koinon.marathon.model import App, Group, Pod, Root, ids
from koinon.marathon.model.app import VersionInfo
from koinon.marathon.model.root import RunSpec

S = TypeVar("S", App, Pod)


def stamp(
    before: Root, target: Root, version: str, restart: Collection[str], restored: Collection[str]
) -> tuple[Root, list[str]]:
    """`target` as `version`, and the ids of the apps and pods in which it differs from `before`.

    What is `restored` has its versions already; what is in `restart` is changed though it stays as it is.
    """
    apps, changed_apps = _stamped(before.apps, target.apps, version, restart, restored)
    pods, changed_pods = _stamped(before.pods, target.pods, version, restart, restored)
    changed = changed_apps | changed_pods
    root = Root(apps=apps, pods=pods, groups=_with_groups(before, target, changed, version), version=version)
    return root, sorted(changed)


def _with_groups(before: Root, target: Root, changed: Iterable[str], version: str) -> Mapping[str, Group]:
    """All groups on the way from the root to what has changed get the version."""
    groups = target.groups
    differing = set(changed)
    if groups is not before.groups:
        differing |= {path for path, group in groups.items() if before.groups.get(path) != group}
        differing |= {path for path in before.groups if path not in groups}
    touched: dict[str, Group] = {}
    for path in differing:
        above = path if path in groups else ids.parent(path)
        while above not in touched:
            if above in groups:
                touched[above] = replace(groups[above], version=version)
            above = ids.parent(above)
    return {**groups, **touched} if touched else groups


def _stamped(
    olds: Mapping[str, S],
    news: Mapping[str, S],
    version: str,
    restart: Collection[str],
    restored: Collection[str],
) -> tuple[Mapping[str, S], set[str]]:
    former = olds.get
    differing: list[str] = (
        [] if news is olds else [path for path, spec in news.items() if spec is not former(path)]
    )
    made: dict[str, S] = {}
    for path in differing:
        old, new = olds.get(path), news[path]
        if old is not None and new == old:
            made[path] = old
        elif path not in restored:
            made[path] = _with_version(old, new, version)
    for path in restart:
        if path in news:
            made[path] = _restarted(made.get(path, news[path]), version)
    specs = {**news, **made} if made else news
    changed = {path for path in (*differing, *restart) if path in specs and specs[path] is not olds.get(path)}
    if len(specs) < len(olds) + sum(path not in olds for path in changed):
        changed |= olds.keys() - specs.keys()
    return specs, changed


def _with_version(old: S | None, new: S, version: str) -> S:
    config = version
    if old is not None and old.version_info is not None and _scaled_to(old, new) == new:
        config = old.version_info.last_config_change_at
    return replace(new, version=version, version_info=VersionInfo(version, config))


def _restarted(spec: S, version: str) -> S:
    scaled_at = version if spec.version_info is None else spec.version_info.last_scaling_at
    return replace(spec, version=version, version_info=VersionInfo(scaled_at, version))


def _scaled_to(old: RunSpec, new: RunSpec) -> RunSpec:
    """`old` with the number of instances of `new`, and its versions."""
    if isinstance(old, App) and isinstance(new, App):
        return replace(old, instances=new.instances, version=new.version, version_info=new.version_info)
    if isinstance(old, Pod) and isinstance(new, Pod):
        return replace(old, scaling=new.scaling, version=new.version, version_info=new.version_info)
    return old
