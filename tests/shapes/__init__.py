"""Compare answers with the shapes of what Apache Mesos answers: the files in this folder.

    problems("master-state", answer) == []

A file says which keys were seen where, and of which type:

    {"keys": {PATH: TYPE}, "operations": {…}, "seldom": {…}}

In a PATH `.` goes into an object, `[]` to each element of an array, `{}` to each value of an object whose keys
are data. In TYPE `number` allows an int, `a|b` is either, and a leading `?` says that the key may be missing. Keys of
`operations` and `seldom` came in particular situations only: they are demanded where the object that holds them is
itself of that situation. Keys that no file knows are our own business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_GROUPS = ("keys", "operations", "seldom")
_PART = re.compile(r"[^.\[\]{}]+|\[\]|\{\}")


class _Node:
    """A place in the answer."""

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.type: str | None = None
        self.required = False
        self.group: str | None = None


def problems(shape: str, answer: Any) -> list[str]:
    """What in `answer` (decoded JSON) is not as in the file `shape`.json; one sentence each."""
    return list(_walk(answer, _tree(shape), "answer"))


def event_problems(shape: str, events: list[Any]) -> list[str]:
    """The same for events of a stream, in any order. A whole state in one has the shapes of GET_STATE."""
    by_type: dict[str, list[Any]] = {kind: [] for kind in _tree(shape).children}
    found = []
    for event in events:
        state = event.get("subscribed", {}).get("get_state")
        if state is not None:
            found += state_problems({"type": "GET_STATE", "get_state": state})
            empty = {part: {name: [] for name in lists} for part, lists in state.items()}
            event = event | {"subscribed": event["subscribed"] | {"get_state": empty}}
        by_type[event["type"]].append(event)
    return found + problems(shape, by_type)


def state_problems(answer: Any) -> list[str]:
    """The same for GET_STATE, whose parts have the shapes of the calls that give them alone."""
    found = problems("master-v1-GET_STATE", answer)
    for part, content in answer["get_state"].items():
        call = part.upper()
        found += problems(f"master-v1-{call}", {"type": call, part: content})
    return found


def metric_problems(shape: str, snapshot: dict[str, Any], *, with_frameworks: bool) -> list[str]:
    """The same for a snapshot of metrics, whose names are whole and hold data as `<id>`."""
    found = [
        f"{name} is not a number but {value!r}"
        for name, value in snapshot.items()
        if isinstance(value, bool) or not isinstance(value, int | float)
    ]
    for name, kind in _load(shape)["keys"].items():
        if kind.startswith("?") or ("<" in name and not with_frameworks):
            continue
        pattern = re.compile(
            "".join("[^/]+" if part[:1] == "<" else re.escape(part) for part in _split(name))
        )
        if not any(pattern.fullmatch(given) for given in snapshot):
            found.append(f"{name} is missing")
    return found


def names(shape: str) -> list[str]:
    """The names (of flags) that were seen."""
    listed: list[str] = _load(shape)["names"]
    return listed


def _split(name: str) -> list[str]:
    return re.split(r"(<[^>]+>)", name)


@cache
def _load(shape: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((_FOLDER / f"{shape}.json").read_text())
    return loaded


@cache
def _tree(shape: str) -> _Node:
    root = _Node()
    for group in _GROUPS:
        for path, kind in _load(shape).get(group, {}).items():
            node = parent = root
            for part in _PART.findall(path):
                parent, node = node, node.children.setdefault(part, _Node())
            node.type = kind.removeprefix("?")
            node.group = group
            own_place = group == "keys" or parent.group == group
            node.required = own_place and not kind.startswith("?")
    return root


def _walk(value: Any, node: _Node, place: str) -> Iterator[str]:
    if node.type is not None and not _is_of(value, node.type):
        yield f"{place} is not {node.type} but {type(value).__name__}: {value!r:.80}"
        return
    for part, child in node.children.items():
        if part == "[]":
            for index, element in enumerate(value if isinstance(value, list) else []):
                yield from _walk(element, child, f"{place}[{index}]")
        elif part == "{}":
            for key, element in (value if isinstance(value, dict) else {}).items():
                yield from _walk(element, child, f"{place}{{{key}}}")
        elif isinstance(value, dict):
            if part in value:
                yield from _walk(value[part], child, f"{place}.{part}")
            elif child.required:
                yield f"{place}.{part} is missing"


def _is_of(value: Any, kind: str) -> bool:
    if "|" in kind:
        return any(_is_of(value, one) for one in kind.split("|"))
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    if kind == "number":
        return isinstance(value, int | float)
    return isinstance(
        value,
        {"string": str, "int": int, "object": dict, "array": list, "null": type(None)}[kind],
    )
