"""The file as plain values: YAML, or JSON; and what is changed in it for a what-if.

*Problem*: one thing that is wrong, with the path to it, as in `agents.small.count`. All problems are found before any is
told. A *change* is `agents.small.count=60`, or several with commas between; the value is YAML, null takes a key out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from copy import deepcopy
from difflib import get_close_matches
from typing import Any, NamedTuple

import yaml


class Problem(NamedTuple):
    """Something that is wrong, and where."""

    path: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence}" if self.path else self.sentence


class Invalid(Exception):
    """The file, or a change of it, cannot be used."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


# ── text to values ────────────────────────────────────────────────────────────────────────────────
def parse(text: str, *, as_json: bool = False) -> Any:
    """The values of a file. Raises Invalid."""
    return _parse_json(text) if as_json else _parse_yaml(text)


def _parse_json(text: str) -> Any:
    twice: list[Problem] = []

    def gather(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice.extend(
            Problem(key, "stands here twice") for key in {key for key in keys if keys.count(key) > 1}
        )
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=gather)
    except ValueError as error:
        raise Invalid([Problem("", f"this is not JSON: {error}")]) from None
    if twice:
        raise Invalid(sorted(twice))
    return found


class _Loader(yaml.SafeLoader):
    """Remembers keys that stand twice in one mapping, which YAML forbids and PyYAML lets pass."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[Problem] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    line = key_node.start_mark.line + 1
                    self.twice.append(Problem(f"line {line}", f"'{key}' stands in this mapping twice"))
                seen.add(key)
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str) -> Any:
    try:
        loader = _Loader(text)
        found = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise Invalid([Problem(where, f"this is not YAML: {error.problem or error.context}")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Invalid([Problem("", f"this is not YAML: {' '.join(str(error).split())}")]) from None
    if loader.twice:
        raise Invalid(loader.twice)
    return found


# ── changes ───────────────────────────────────────────────────────────────────────────────────────
_CHANGE = re.compile(r"\s*([^=\s]+?)\s*=(.*)", re.DOTALL)
#: A comma between two changes, and none inside of a value such as [a, b].
_BETWEEN = re.compile(r",\s*(?=[\w/.*-]+\s*=)")


def changed(document: Any, text: str) -> Any:
    """The document as it is after these changes. Raises Invalid."""
    found = deepcopy(document)
    problems = []
    for part in _BETWEEN.split(text):
        change = _CHANGE.fullmatch(part)
        if change is None:
            problems.append(Problem("", f"'{part.strip()}' is not of the form path=value"))
            continue
        try:
            _set(found, change[1].split("."), _parse_yaml(change[2]))
        except Invalid as invalid:
            problems += invalid.problems
    if problems:
        raise Invalid(problems)
    return found


def _set(table: Any, keys: list[str], value: Any) -> None:
    for at, key in enumerate(keys):
        path = ".".join(keys[:at])
        if not isinstance(table, dict):
            raise Invalid([Problem(path, f"has nothing below it, so there is no '{'.'.join(keys)}'")])
        if at == len(keys) - 1:
            if value is None:
                table.pop(key, None)
            else:
                table[key] = value
        elif key not in table:
            raise Invalid([Problem(path, f"there is no '{key}' here{advice(key, table)}")])
        else:
            table = table[key]


def advice(key: str, known: Any) -> str:
    """The nearest of the known names, as a question; nothing if none is near."""
    nearest = get_close_matches(key, [str(one) for one in known], n=1)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""
