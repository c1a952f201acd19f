"""Versions are given to what has changed: pure.

new                    version, last scaling and last configuration change are the new version
only `instances`       version and last scaling
anything else          all three
restarted as it is     version and last configuration change
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from msgspec.structs import replace

from koinon.marathon.model import App, Pod, Root
from koinon.marathon.model.app import VersionInfo
from koinon.marathon.model.root import RunSpec

S = TypeVar("S", App, Pod)


def changed_specs(before: Root, after: Root) -> list[str]:
    """Ids of the apps and pods in which two roots differ; looks at objects only, then at what is in them."""
    found = []
    for old, new in ((before.apps, after.apps), (before.pods, after.pods)):
        if old is new:
            continue
        found += [
            path for path, spec in new.items() if (former := old.get(path)) is not spec and former != spec
        ]
        found += [path for path in old if path not in new]
    return sorted(set(found))


def stamp(
    before: Root, target: Root, version: str, restart: Collection[str], restored: Collection[str]
) -> Root:
    """`target` as `version`; what is `restored` has its versions already."""
    groups = target.groups
    touched = {path: group for path, group in groups.items() if before.groups.get(path) is not group}
    if touched:
        groups = {**groups, **{path: replace(group, version=version) for path, group in touched.items()}}
    return Root(
        apps=_stamped(before.apps, target.apps, version, restart, restored),
        pods=_stamped(before.pods, target.pods, version, restart, restored),
        groups=groups,
        version=version,
    )


def _stamped(
    olds: Mapping[str, S],
    specs: Mapping[str, S],
    version: str,
    restart: Collection[str],
    restored: Collection[str],
) -> Mapping[str, S]:
    made: dict[str, S] = {}
    if specs is not olds:
        for path, spec in specs.items():
            old = olds.get(path)
            if spec is not old and path not in restored:
                made[path] = old if old is not None and spec == old else _with_version(old, spec, version)
    for path in restart:
        if path in specs:
            made[path] = _restarted(made.get(path, specs[path]), version)
    return {**specs, **made} if made else specs


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
