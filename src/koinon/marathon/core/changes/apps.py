"""Changes of apps and pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from koinon.marathon import reading
from koinon.marathon.core.changes.edit import Edit
from koinon.marathon.model import App, Root, ids
from koinon.marathon.model.problems import BadRequest, Conflict, Invalid, NotFound, Problem
from koinon.marathon.model.settings import Rules

replace = msgspec.structs.replace


# ── apps ──────────────────────────────────────────────────────────────────────────────────────────
def create_app(root: Root, body: Any, rules: Rules) -> Root:
    """With a new app. Its id is `ids.resolve(body["id"])`."""
    edit = Edit(root, rules)
    app = reading.app(body, rules=rules, role=edit.role(_id_of(body)), problems=edit.problems)
    if app.id in root.apps:
        raise Conflict(f"An app with id [{app.id}] already exists.")
    edit.put(app)
    return edit.done()


def put_app(root: Root, path: str, body: Any, rules: Rules, *, partial: bool = True) -> Root:
    """With the app `path` changed (`partial`: only in the fields that `body` has) or, if there is none, created."""
    edit = Edit(root, rules)
    edit.put(_put(edit, _with_id(body, path), partial))
    return edit.done()


def patch_app(root: Root, path: str, body: Any, rules: Rules) -> Root:
    """With the app changed in the fields that `body` has."""
    edit = Edit(root, rules)
    edit.put(_patch(edit, _with_id(body, path)))
    return edit.done()


def put_apps(root: Root, bodies: Any, rules: Rules, *, partial: bool = True) -> Root:
    """As put_app, with several at once, each with its id: all or none."""
    return _all(root, bodies, rules, partial=partial, must_exist=False)


def patch_apps(root: Root, bodies: Any, rules: Rules) -> Root:
    """As patch_app, with several at once, each with its id: all or none."""
    return _all(root, bodies, rules, partial=True, must_exist=True)


def delete_app(root: Root, path: str) -> Root:
    """Without the app. The groups above stay."""
    if path not in root.apps:
        raise _no_app(path)
    return replace(root, apps={one: app for one, app in root.apps.items() if one != path})


def scale_app(root: Root, path: str, instances: int, rules: Rules) -> Root:
    """With another number of instances of the app."""
    return patch_app(root, path, {"instances": instances}, rules)


def scale_down(root: Root, by: Mapping[str, int]) -> Root:
    """With so many instances less of each app or pod, though not less than none."""
    apps, pods = dict(root.apps), dict(root.pods)
    for path, number in by.items():
        if number <= 0:
            continue
        if (app := apps.get(path)) is not None:
            apps[path] = replace(app, instances=max(0, app.instances - number))
        elif (pod := pods.get(path)) is not None:
            scaling = replace(pod.scaling, instances=max(0, pod.instances - number))
            pods[path] = replace(pod, scaling=scaling)
        else:
            raise _no_app(path)
    return replace(root, apps=apps, pods=pods)


def rollback_app(root: Root, path: str, past: App, rules: Rules) -> Root:
    """With the app as it was in `past`, the number of its instances included."""
    if path not in root.apps:
        raise _no_app(path)
    edit = Edit(root, rules)
    edit.put(past)
    return edit.done()


def _put(edit: Edit, body: Any, partial: bool, place: str = "") -> App:
    path = _id_of(body)
    old = edit.before.apps.get(path)
    if old is not None and partial:
        return reading.updated(old, body, rules=edit.rules, place=place, problems=edit.problems)
    return reading.app(body, rules=edit.rules, role=edit.role(path), place=place, problems=edit.problems)


def _patch(edit: Edit, body: Any, place: str = "") -> App:
    if (path := _id_of(body)) not in edit.before.apps:
        raise _no_app(path)
    return _put(edit, body, partial=True, place=place)


def _all(root: Root, bodies: Any, rules: Rules, *, partial: bool, must_exist: bool) -> Root:
    if not isinstance(bodies, list):
        raise Invalid([Problem("/", "error.expected.jsarray")], schema=True)
    edit = Edit(root, rules)
    forms: list[Problem] = []
    seen: set[str] = set()
    for at, body in enumerate(bodies):
        place = f"({at})"
        try:
            app = _patch(edit, body, place) if must_exist else _put(edit, body, partial, place)
        except Invalid as invalid:
            forms.extend(invalid.problems)
            continue
        if app.id in seen:
            edit.problems.append(Problem(f"{place}/id", f"{app.id} is there twice"))
        seen.add(app.id)
        edit.put(app, place)
    if forms:
        raise Invalid(forms, schema=True)
    return edit.done()


def _with_id(body: Any, path: str) -> Any:
    return {**body, "id": path} if isinstance(body, dict) else body


def _id_of(body: Any) -> str:
    """The id that a body names, as far as it can be read before the rest is."""
    found = body.get("id") if isinstance(body, dict) else None
    return ids.resolve(found) if isinstance(found, str) else ids.ROOT


def _no_app(path: str) -> NotFound:
    return NotFound(f"App '{path}' does not exist")


# ── pods ──────────────────────────────────────────────────────────────────────────────────────────
def create_pod(root: Root, body: Any, rules: Rules) -> Root:
    """With a new pod. Its id is `ids.resolve(body["id"])`."""
    edit = Edit(root, rules)
    pod = reading.pod(body, rules=rules, role=edit.role(_id_of(body)), problems=edit.problems)
    if pod.id in root.pods:
        raise Conflict(f"A pod with id [{pod.id}] already exists.")
    edit.put(pod)
    return edit.done()


def put_pod(root: Root, path: str, body: Any, rules: Rules) -> Root:
    """With the pod `path` as `body` says in full, created if there is none. 400 if the body names another one."""
    edit = Edit(root, rules)
    old = root.pods.get(path)
    role = old.role if old is not None else edit.role(path)
    pod = reading.pod(body, rules=rules, role=role, problems=edit.problems)
    if pod.id != path:
        raise BadRequest(f"The body is of the pod '{pod.id}', the request is for '{path}'")
    edit.put(pod)
    return edit.done()


def delete_pod(root: Root, path: str) -> Root:
    """Without the pod. The groups above stay."""
    if path not in root.pods:
        raise NotFound(f"Pod '{path}' does not exist")
    return replace(root, pods={one: pod for one, pod in root.pods.items() if one != path})
