"""What must hold for all definitions together: ids, roles, dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from koinon.marathon.model import App, Root, ids
from koinon.marathon.model.problems import Problem
from koinon.marathon.model.root import RunSpec
from koinon.marathon.model.settings import Rules
from koinon.marathon.reading.fields import PATH_ID

#: (kind, id): an app or pod; everything in a group; what a group and those above it need.
_Node = tuple[str, str]

#: Agents make directories that are called like the tasks.
_TASK_ID_MAX = 255
_A_UUID = "-" * 36
#: Of the number of a task of an instance: it takes more years than ours to need another one.
_DIGITS = 7


def tree_problems(before: Root, target: Root, rules: Rules, places: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with `target` that was not with `before`.

    `places` has the ids of all that may have changed or come, groups included, and where each stands in the request:
    `/groups(0)/apps(1)`, or nothing.
    """
    for path, at in places.items():
        spec = target.run_spec(path)
        if not _is_in(before, path):
            yield from _id_problems(target, path, at)
        if spec is not None and path in target.apps and path in target.pods:
            yield Problem(f"{at}/id", f"{path} cannot be both an app and a pod")
        if spec is not None and path in target.groups:
            kind = "an app" if path in target.apps else "a pod"
            yield Problem(f"{at}/id", f"{path} cannot be both {kind} and a group")
        if spec is not None and spec is not before.run_spec(path):
            yield from _role_problems(before, target, spec, rules, at)
    if (cycle := _cycle(before, target, places)) is not None:
        yield Problem("/", f"cyclic dependencies: {' → '.join(cycle)}")


def _is_in(root: Root, path: str) -> bool:
    return path in root.apps or path in root.pods or path in root.groups


def _id_problems(target: Root, path: str, at: str) -> Iterator[Problem]:
    """What is wrong with a new id, wherever in the request it came from."""
    form: list[Problem] = []
    if _is_in(target, path):
        PATH_ID.read(path, f"{at}/id", form)
        yield from form[-1:]  # the sentence, without the code
    if form:
        return
    containers = [one.name for one in target.pods[path].containers] if path in target.pods else ["_app"]
    task = ids.task_id(ids.instance_id(path, _A_UUID), 10**_DIGITS - 1, max(containers, key=len, default=""))
    if (longer := len(task) - _TASK_ID_MAX) > 0 and target.run_spec(path) is not None:
        reason = f"would make task ids of more than {_TASK_ID_MAX} characters: it must be {longer} shorter"
        yield Problem(f"{at}/id", reason)


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


def _cycle(before: Root, target: Root, changed: Iterable[str]) -> list[str] | None:
    """Ids along a cycle of dependencies, the first one again at the end; None if there is none.

    A cycle that was not there in `before` goes through something that has changed.
    """
    starts: list[_Node] = []
    for path in changed:
        old, spec = before.run_spec(path), target.run_spec(path)
        if spec is not None and (old is None or _dependencies(spec) != _dependencies(old)):
            starts.append(("spec", path))
        group, new_group = before.groups.get(path), target.groups.get(path)
        if new_group is not None and (group is None or new_group.dependencies != group.dependencies):
            starts.append(("group", path))
    members: dict[str, list[_Node]] = {}

    def needs(node: _Node) -> Iterator[_Node]:
        kind, path = node
        if kind == "all":
            if not members:
                members.update(_members(target))
            yield from members.get(path, ())
            return
        if kind == "spec":
            wanted = _dependencies(target.run_spec(path))
        else:
            wanted = target.groups[path].dependencies if path in target.groups else ()
        for one in wanted:
            yield ("all", one) if one in target.groups else ("spec", one)
        if path != ids.ROOT:
            yield ("group", ids.parent(path))

    return _find_cycle(starts, needs)


def _dependencies(spec: RunSpec | None) -> tuple[str, ...]:
    return spec.dependencies if isinstance(spec, App) else ()


def _members(root: Root) -> dict[str, list[_Node]]:
    """What lies directly in each group."""
    found: dict[str, list[_Node]] = {}
    for path in (*root.apps, *root.pods):
        found.setdefault(ids.parent(path), []).append(("spec", path))
    for path in root.groups:
        if path != ids.ROOT:
            found.setdefault(ids.parent(path), []).append(("all", path))
    return found


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
