"""What must hold for all definitions together: ids, roles, dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from koinon.marathon.model import Root, ids
from koinon.marathon.model.problems import Problem
from koinon.marathon.model.root import RunSpec
from koinon.marathon.model.settings import Rules

#: (kind, id): an app or pod; everything in a group; what a group and those above it need.
_Node = tuple[str, str]


def tree_problems(before: Root, target: Root, rules: Rules, places: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with `target` that was not with `before`.

    `places`: where in the request a definition stands, by id: `/groups(0)/apps(1)`.
    """
    changed = [one for one in target.run_specs() if before.run_spec(one.id) is not one]
    for spec in changed:
        at = places.get(spec.id, "")
        if spec.id in target.apps and spec.id in target.pods:
            yield Problem(f"{at}/id", f"{spec.id} cannot be both an app and a pod")
        yield from _role_problems(before, target, spec, rules, at)
    for path in target.groups.keys() - before.groups.keys() | {one.id for one in changed}:
        if path in target.groups and target.run_spec(path) is not None:
            kind = "an app" if path in target.apps else "a pod"
            within = (place for one, place in places.items() if ids.is_within(one, path))
            yield Problem(
                f"{places.get(path) or next(within, '')}/id", f"{path} cannot be both {kind} and a group"
            )
    if (cycle := _cycle(target)) is not None:
        yield Problem("/", f"cyclic dependencies: {' → '.join(cycle)}")


def default_role(target: Root, path: str, rules: Rules) -> str:
    """The role of an app or pod that names none: of its top-level group if that one enforces it."""
    above = ids.segments(path)[:-1]
    if not above:
        return rules.role
    group = target.groups.get(ids.join(above[:1]))
    return (
        above[0]
        if (group.enforce_role if group is not None else rules.new_group_enforce_role)
        else rules.role
    )


def _role_problems(before: Root, target: Root, spec: RunSpec, rules: Rules, at: str) -> Iterator[Problem]:
    above = ids.segments(spec.id)[:-1]
    default = default_role(target, spec.id, rules)
    allowed = {default} if above and default == above[0] else {default, *above[:1]}
    old = before.run_spec(spec.id)
    if spec.role not in allowed and (old is None or spec.role != old.role):
        names = " or ".join(f"'{one}'" for one in sorted(allowed))
        yield Problem(f"{at}/role", f"must be {names}, not '{spec.role}'")


def _cycle(root: Root) -> list[str] | None:
    """Ids along a cycle of dependencies, the first one again at the end; None if there is none."""
    if not any(app.dependencies for app in root.apps.values()) and not any(
        group.dependencies for group in root.groups.values()
    ):
        return None
    members: dict[str, list[_Node]] = {}
    for path in (*root.apps, *root.pods):
        members.setdefault(ids.parent(path), []).append(("spec", path))
    for path in root.groups:
        if path != ids.ROOT:
            members.setdefault(ids.parent(path), []).append(("all", path))

    def needs(node: _Node) -> Iterator[_Node]:
        kind, path = node
        if kind == "all":
            yield from members.get(path, ())
            return
        if kind == "spec":
            wanted = app.dependencies if (app := root.apps.get(path)) is not None else ()
        else:
            wanted = group.dependencies if (group := root.groups.get(path)) is not None else ()
        for one in wanted:
            yield ("all", one) if one in root.groups else ("spec", one)
        if path != ids.ROOT:
            yield ("group", ids.parent(path))

    return _find_cycle(
        [("spec", path) for path in root.apps] + [("group", path) for path in root.groups], needs
    )


def _find_cycle(starts: Iterable[_Node], needs: Callable[[_Node], Iterator[_Node]]) -> list[str] | None:
    """Depth first, without recursion: chains may be long."""
    done: set[_Node] = set()
    for start in starts:
        if start in done:
            continue
        way: dict[_Node, Iterator[_Node]] = {start: needs(start)}
        while way:
            node, rest = next(reversed(way.items()))
            following = next(rest, None)
            if following is None:
                done.add(node)
                del way[node]
            elif following in way:
                nodes = list(way)
                names = [path for _, path in (*nodes[nodes.index(following) :], following)]
                apart = [name for at, name in enumerate(names) if at == 0 or name != names[at - 1]]
                return apart if len(apart) > 1 else apart * 2
            elif following not in done:
                way[following] = needs(following)
    return None
