"""What people ask for, as changes of all definitions: pure functions `(root, …) -> Root`.

In the root that they answer, what has not changed is the same object as before; what has changed still carries its old
`version` and `version_info` (new things: none), because versions and service ports are given when it is deployed. Each
function checks the whole before it answers, and raises a `Refused` (404, 409, 422) with nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from koinon.marathon import reading
from koinon.marathon.model import App, Group, Root, ids
from koinon.marathon.model.problems import Conflict, NotFound
from koinon.marathon.model.settings import Rules

replace = msgspec.structs.replace


# ── apps ──────────────────────────────────────────────────────────────────────────────────────────
def create_app(root: Root, body: Any, rules: Rules) -> Root:
    """With a new app. Its id is `ids.resolve(body["id"])`."""
    app = _read(root, body, rules)
    if app.id in root.apps:
        raise Conflict(f"An app with id [{app.id}] already exists.")
    return _with_apps(root, [app], rules)


def put_app(root: Root, path: str, body: Any, rules: Rules, *, partial: bool = True) -> Root:
    """With the app `path` changed (`partial`: only in the fields that `body` has) or, if there is none, created."""
    return put_apps(root, [_with_id(body, path)], rules, partial=partial)


def patch_app(root: Root, path: str, body: Any, rules: Rules) -> Root:
    """With the app changed in the fields that `body` has."""
    return patch_apps(root, [_with_id(body, path)], rules)


def put_apps(root: Root, bodies: Sequence[Any], rules: Rules, *, partial: bool = True) -> Root:
    """As put_app, with several at once: all or none."""
    return _with_apps(root, [_put(root, body, rules, partial) for body in bodies], rules)


def patch_apps(root: Root, bodies: Sequence[Any], rules: Rules) -> Root:
    """As patch_app, with several at once: all or none."""
    made = []
    for body in bodies:
        if (path := _id_of(body)) not in root.apps:
            raise NotFound(f"App '{path}' does not exist")
        made.append(_put(root, body, rules, partial=True))
    return _with_apps(root, made, rules)


def delete_app(root: Root, path: str) -> Root:
    """Without the app. Groups stay."""
    if path not in root.apps:
        raise NotFound(f"App '{path}' does not exist")
    return replace(root, apps={one: app for one, app in root.apps.items() if one != path})


def scale_app(root: Root, path: str, instances: int, rules: Rules) -> Root:
    """With another number of instances of the app."""
    return patch_app(root, path, {"instances": instances}, rules)


def _put(root: Root, body: Any, rules: Rules, partial: bool) -> App:
    old = root.apps.get(_id_of(body))
    if old is None:
        return _read(root, body, rules)
    if partial:
        return reading.updated(old, body, rules=rules)
    made = _read(root, body, rules)
    return replace(made, version=old.version, version_info=old.version_info)


def _read(root: Root, body: Any, rules: Rules) -> App:
    return reading.app(body, rules=rules)


def _with_id(body: Any, path: str) -> Any:
    return {**body, "id": path} if isinstance(body, Mapping) else body


def _id_of(body: Any) -> str:
    found = body.get("id") if isinstance(body, Mapping) else None
    return ids.resolve(found) if isinstance(found, str) else ""


def _with_apps(root: Root, apps: Iterable[App], rules: Rules) -> Root:
    changed = {app.id: app for app in apps if root.apps.get(app.id) != app}
    if not changed:
        return root
    return replace(root, apps={**root.apps, **changed}, groups=with_parents(root, changed, rules))


# ── groups ────────────────────────────────────────────────────────────────────────────────────────
def with_parents(root: Root, paths: Iterable[str], rules: Rules) -> Mapping[str, Group]:
    """The groups of `root`, and those above `paths`."""
    missing: dict[str, Group] = {}
    for path in paths:
        above = ids.parent(path)
        while above not in root.groups and above not in missing:
            enforced = rules.new_group_enforce_role and ids.parent(above) == ids.ROOT
            missing[above] = Group(above, enforce_role=enforced)
            above = ids.parent(above)
    return {**root.groups, **missing} if missing else root.groups
