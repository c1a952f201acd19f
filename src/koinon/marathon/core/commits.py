"""Changes that are too large for one commit, cut so that it does no harm if only the first parts are written.

1  new definitions, under their versions     nobody looks at them yet
2  the change, the deployment, all else      from here on it has happened
3  current definitions, instances            follow from 2: what is missing is made up when it is read
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from koinon.marathon.core.state import decode_spec
from koinon.marathon.model import App, Group, Pod, ids
from koinon.marathon.model.records import Change

Entry = tuple[str, bytes | None]

#: What an entry takes besides key and value.
_OVERHEAD_BYTES = 250


def parts(changes: Sequence[Entry], bytes_max: int) -> Iterator[Sequence[Entry]]:
    """The changes as commits, in their order: one, if it is small enough."""
    if sum(map(size, changes)) <= bytes_max:
        yield changes
        return
    ranked: tuple[list[Entry], list[Entry], list[Entry]] = ([], [], [])
    for entry in changes:
        ranked[_rank(entry)].append(entry)
    yield from _cut(ranked[0], bytes_max)
    if ranked[1]:
        yield ranked[1]
    yield from _cut(ranked[2], bytes_max)


def size(entry: Entry) -> int:
    """How many bytes it takes in a commit, at most."""
    key, value = entry
    return 3 * len(key) + len(value or b"") + _OVERHEAD_BYTES


def complete(
    newest: Change,
    history: Mapping[str, Mapping[str, bytes]],
    apps: dict[str, App],
    pods: dict[str, Pod],
    groups: dict[str, Group],
) -> dict[str, object]:
    """Makes up for the last part of the newest change, if it was not written. Those before are whole.

    Returns what is still to be stored for that.
    """
    missing: dict[str, object] = {}
    for path, (_, version) in newest.run_specs.items():
        current = apps.get(path) or pods.get(path)
        if (None if current is None else current.version) == version:
            continue
        key = ids.key(path)
        if apps.pop(path, None) is not None:
            missing[f"apps/{key}"] = None
        if pods.pop(path, None) is not None:
            missing[f"pods/{key}"] = None
        stored = history.get(path, {}).get(version or "")
        spec = None if stored is None else decode_spec(stored)
        if isinstance(spec, App):
            apps[path] = spec
            missing[f"apps/{key}"] = stored
        elif spec is not None:
            pods[path] = spec
            missing[f"pods/{key}"] = stored
    for path, (_, fields) in newest.groups.items():
        former = groups.pop(path, None)
        if fields is not None:
            groups[path] = msgspec.convert(fields, Group)
        if former != groups.get(path):
            missing[group_key(path)] = groups.get(path)
    return missing


def group_key(path: str) -> str:
    """Of a group in the store; the root has no name of its own."""
    return f"groups/{ids.key(path) or '_'}"


def _rank(entry: Entry) -> int:
    key, value = entry
    kind = key.split("/", 1)[0]
    if kind == "versions":
        return 0 if value is not None else 2
    return 2 if kind in ("apps", "pods", "groups", "instances") else 1


def _cut(entries: Sequence[Entry], bytes_max: int) -> Iterator[Sequence[Entry]]:
    part: list[Entry] = []
    total = 0
    for entry in entries:
        if part and total + size(entry) > bytes_max:
            yield part
            part, total = [], 0
        part.append(entry)
        total += size(entry)
    if part:
        yield part
