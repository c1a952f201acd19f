"""What all changes of definitions share: an edit begins with a root, collects, and ends in the next root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from koinon.marathon import reading
from koinon.marathon.model import App, Group, Pod, Root, ids
from koinon.marathon.model.problems import Invalid, Problem
from koinon.marathon.model.root import RunSpec
from koinon.marathon.model.settings import Rules

replace = msgspec.structs.replace

Spec = TypeVar("Spec", App, Pod)


class Edit:
    """The definitions of `before`, to be changed."""

    def __init__(self, before: Root, rules: Rules) -> None:
        self.before = before
        self.rules = rules
        self.apps = dict(before.apps)
        self.pods = dict(before.pods)
        self.groups = dict(before.groups)
        self.problems: list[Problem] = []
        #: What may have changed, by id, and where in the request it stands.
        self._places: dict[str, str] = {}

    def target(self) -> Root:
        """All definitions as they are by now; not checked."""
        return replace(self.before, apps=self.apps, pods=self.pods, groups=self.groups)

    def role(self, path: str) -> str:
        """That of an app or pod which names none."""
        return reading.default_role(self.target(), path, self.rules)

    def put(self, spec: RunSpec, place: str = "") -> None:
        """With this app or pod, and the groups above it. One that is what it was remains the same object."""
        if spec.id == ids.ROOT:
            return  # that is a problem which has been told already
        self._places[spec.id] = place
        if isinstance(spec, App):
            self.apps[spec.id] = carry_over(self.before.apps.get(spec.id), spec)
        else:
            self.pods[spec.id] = carry_over(self.before.pods.get(spec.id), spec)
        self._put_parents(spec.id, place)

    def put_group(self, group: Group, place: str = "") -> None:
        """With this group, and those above it."""
        self._places[group.id] = place
        self.groups[group.id] = group
        self._put_parents(group.id, place)

    def _put_parents(self, path: str, place: str) -> None:
        while (path := ids.parent(path)) not in self.groups:
            self._places.setdefault(path, place)
            self.groups[path] = new_group(path, self.rules)

    def remove_app(self, path: str) -> None:
        """Without the app."""
        self._places.setdefault(path, "")
        del self.apps[path]

    def remove_group(self, path: str) -> None:
        """Without the group and all in it. Of the root only what is in it goes."""
        for table in (self.apps, self.pods, self.groups):
            for one in [one for one in table if ids.is_within(one, path)]:
                self._places.setdefault(one, "")
                del table[one]
        if path == ids.ROOT:
            self.groups[ids.ROOT] = Group(ids.ROOT, version=self.before.groups[ids.ROOT].version)

    def done(self) -> Root:
        """The next root, or the same one if nothing has changed. Raises Invalid with all problems."""
        target = self.target()
        if (
            problems := [
                *self.problems,
                *reading.tree_problems(self.before, target, self.rules, self._places),
            ]
        ) != []:
            raise Invalid(problems)
        same = {
            name: table
            for name in ("apps", "pods", "groups")
            if self._is_same(table := getattr(self.before, name), getattr(target, name))
        }
        return self.before if len(same) == 3 else replace(target, **same)

    def _is_same(self, old: Mapping[str, object], new: Mapping[str, object]) -> bool:
        return all(old.get(path) is new.get(path) for path in self._places)


def new_group(path: str, rules: Rules) -> Group:
    """A group of which nothing has been said."""
    return Group(path, enforce_role=rules.new_group_enforce_role and is_top_level(path))


def is_top_level(path: str) -> bool:
    """Whether it lies directly in the root."""
    return path != ids.ROOT and ids.parent(path) == ids.ROOT


def carry_over(old: Spec | None, new: Spec) -> Spec:
    """`new` with what a request does not say: the versions so far, and which ports were assigned.

    It is `old` itself if there is no difference.
    """
    if old is None:
        return replace(new, version="", version_info=None)
    made = replace(new, version=old.version, version_info=old.version_info)
    if isinstance(old, App) and isinstance(made, App) and old.port_definitions and made.port_definitions:
        were = {one.port for one in old.port_definitions if one.assigned}
        definitions = tuple(
            one if one.assigned == (one.port in were) else replace(one, assigned=one.port in were)
            for one in made.port_definitions
        )
        made = replace(made, port_definitions=definitions)
    return old if made == old else made
