"""Changes of groups: structure, scaling, roles, and back to what was."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Any

import msgspec

from koinon.marathon import reading
from koinon.marathon.core.changes.edit import Edit, is_top_level, new_group
from koinon.marathon.model import Group, Root, ids
from koinon.marathon.model.problems import BadArgument, Conflict, Invalid, NotFound, Problem
from koinon.marathon.model.settings import Rules
from koinon.marathon.reading import Structure, group_patch, group_request

replace = msgspec.structs.replace


def group_id(base: str, body: Any) -> str:
    """The group that a request at `base` is about: the body may name one, relative to `base`."""
    found = body.get("id") if isinstance(body, dict) else None
    return ids.resolve(found, base) if isinstance(found, str) else base


def create_group(root: Root, base: str, body: Any, rules: Rules) -> Root:
    """With a new group of that structure."""
    request = group_request(body)
    path = group_id(base, body)
    if path in root.groups:
        raise Conflict(f"Group {path} already exists. Use PUT to change this group.")
    if (spec := root.run_spec(path)) is not None:
        kind = "An app" if spec.id in root.apps else "A pod"
        raise Conflict(f"{kind} with the path {path} already exists.")
    if not isinstance(request, Structure):
        raise NotFound(f"Group '{path}' does not exist")
    return _put(root, path, request.body, rules)


def put_group(root: Root, base: str, body: Any, rules: Rules) -> Root:
    """With a group of that structure: what `body` does not mention stays, of what it mentions nothing else does."""
    request = group_request(body)
    if not isinstance(request, Structure):
        raise TypeError("not a structure: see group_request")
    return _put(root, group_id(base, body), request.body, rules)


def scale_group(root: Root, path: str, factor: float, rules: Rules) -> Root:
    """With so many times the instances of each app below, rounded up."""
    if path not in root.groups:
        raise _no_group(path)
    edit = Edit(root, rules)
    for app in root.apps_within(path):
        # Rounded first, because 10 × 1.1 is a little more than 11.
        instances = ceil(round(app.instances * factor, 6))
        if instances > 1 and app.labels.get("MARATHON_SINGLE_INSTANCE_APP") == "true":
            edit.problems.append(Problem("/scaleBy", f"{app.id} may only have one instance"))
        edit.put(replace(app, instances=instances))
    return edit.done()


def patch_group(root: Root, path: str, body: Any, rules: Rules) -> Root:
    """With the role of a top-level group enforced or not, for what comes from now on."""
    enforced = group_patch(body)
    if not is_top_level(path):
        raise Invalid([Problem("/", f"only top-level groups can be changed like this, and {path} is none")])
    if (group := root.groups.get(path)) is None:
        raise _no_group(path)
    wanted = rules.new_group_enforce_role if enforced is None else enforced
    return replace(root, groups={**root.groups, path: replace(group, enforce_role=wanted)})


def delete_group(root: Root, path: str) -> Root:
    """Without the group and all in it; of the root everything in it."""
    if path not in root.groups:
        raise _no_group(path)
    edit = Edit(root, Rules())
    edit.remove_group(path)
    return edit.target()


def rollback_group(root: Root, path: str, past: Root, rules: Rules) -> Root:
    """With the group and all in it as in `past`."""
    if path not in past.groups:
        raise BadArgument(f"Group '{path}' is not available in version {past.version}")
    edit = Edit(root, rules)
    edit.remove_group(path)
    for group in past.groups.values():
        if ids.is_within(group.id, path):
            old = root.groups.get(group.id)
            edit.put_group(group if old is None else _same(old, replace(group, version=old.version)))
    for spec in past.run_specs():
        if ids.is_within(spec.id, path):
            edit.put(spec)
    return edit.done()


def _same(old: Group, new: Group) -> Group:
    return old if old == new else new


def _no_group(path: str) -> NotFound:
    return NotFound(f"Group '{path}' does not exist")


# ── structure ─────────────────────────────────────────────────────────────────────────────────────
def _put(root: Root, path: str, body: dict[str, Any], rules: Rules) -> Root:
    structure = _Structure(root, rules, body)
    structure.apply(path, body, "")
    if structure.forms:
        raise Invalid(structure.forms, schema=True)
    return structure.edit.done()


def _modifies_services(body: dict[str, Any]) -> bool:
    return "apps" in body or any(_modifies_services(one) for one in body.get("groups", ()))


def _by_parent(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        if path != ids.ROOT:
            found.setdefault(ids.parent(path), []).append(path)
    return found


class _Structure:
    """A tree of groups that becomes what a body says. Places are where in the request something stands."""

    def __init__(self, root: Root, rules: Rules, body: dict[str, Any]) -> None:
        self.edit = Edit(root, rules)
        self.forms: list[Problem] = []  #: of apps that cannot even be read
        self._modifies_services = _modifies_services(body)
        self._apps_in = _by_parent(root.apps)
        self._groups_in = _by_parent(root.groups)

    def apply(self, path: str, body: dict[str, Any], place: str) -> None:
        """The group `path` becomes what `body` says."""
        edit = self.edit
        edit.put_group(self._group(path, body, place), place)
        if "apps" in body:
            self._apply_apps(path, body["apps"], place)
        if "groups" not in body:
            return
        wanted = [ids.resolve(one["id"], path) for one in body["groups"]]
        for one in self._groups_in.get(path, ()):
            if one not in wanted:
                edit.remove_group(one)
        for at, (child, nested) in enumerate(zip(wanted, body["groups"], strict=True)):
            here = f"{place}/groups({at})"
            if child == path or ids.parent(child) != path:
                edit.problems.append(Problem(f"{here}/id", f"{child} does not lie directly in {path}"))
            elif child in wanted[:at]:
                edit.problems.append(Problem(f"{here}/id", f"{child} is there twice"))
            else:
                self.apply(child, nested, here)

    def _group(self, path: str, body: dict[str, Any], place: str) -> Group:
        """The group as such."""
        old = self.edit.groups.get(path)
        group = old if old is not None else new_group(path, self.edit.rules)
        if (enforced := body.get("enforceRole")) is not None and enforced != group.enforce_role:
            at = f"{place}/enforceRole"
            if not is_top_level(path):
                self.edit.problems.append(
                    Problem(at, f"can be set for top-level groups only, not for {path}")
                )
            elif old is not None and self._modifies_services:
                reason = "cannot change in a request that also changes services; do one after the other"
                self.edit.problems.append(Problem(at, reason))
            else:
                group = replace(group, enforce_role=enforced)
        if "dependencies" in body:
            group = replace(group, dependencies=tuple(ids.resolve(one, path) for one in body["dependencies"]))
        return group

    def _apply_apps(self, path: str, bodies: list[dict[str, Any]], place: str) -> None:
        """The apps of the group become exactly these."""
        edit = self.edit
        for one in self._apps_in.get(path, ()):
            edit.remove_app(one)
        for at, body in enumerate(bodies):
            here = f"{place}/apps({at})"
            name = body.get("id")
            app_id = ids.resolve(name, path) if isinstance(name, str) else path
            try:
                app = reading.app(
                    body,
                    base=path,
                    rules=edit.rules,
                    role=edit.role(app_id),
                    place=here,
                    problems=edit.problems,
                )
            except Invalid as invalid:
                self.forms.extend(invalid.problems)
                continue
            if app_id == ids.ROOT or ids.parent(app_id) != path:
                edit.problems.append(Problem(f"{here}/id", f"{app_id} does not lie directly in {path}"))
                continue
            if app_id in edit.apps:
                edit.problems.append(Problem(f"{here}/id", f"{app_id} is there twice"))
            edit.put(app, here)
