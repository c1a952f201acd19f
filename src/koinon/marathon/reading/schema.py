"""The form of JSON: types, ranges, patterns.

A *kind* reads one value: it answers what it made of it, or `BAD` after it has told `found` every problem with its path.
An object's unknown fields are ignored and those that are null count as left out. The codes are those that clients of
Marathon know; where a code says too little a sentence stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from koinon.marathon.model.problems import Invalid, Problem

BAD: Final = object()  #: what a kind answers that has found problems

_INT32 = 2**31 - 1
_FLOAT_MAX = 2.0**53  #: beyond it they are no longer exact, and nothing is meant that large


class Kind:
    """One kind of value."""

    words = ""  #: for people

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """What `value` says, or BAD."""
        raise NotImplementedError


def read(kind: Kind, value: Any, path: str = "") -> Any:
    """What `value` says. Raises Invalid with all problems."""
    found: list[Problem] = []
    result = kind.read(value, path, found)
    if found:
        raise Invalid(found, schema=True)
    return result


#: What is said beside codes that mean the same everywhere.
_SENTENCES = {
    "error.expected.jsstring": "must be a string",
    "error.expected.jsnumber": "must be a number",
    "error.expected.int": "must be a whole number",
    "error.expected.jsboolean": "must be true or false",
    "error.expected.jsarray": "must be a list",
    "error.expected.jsobject": "must be an object",
    "error.path.missing": "must be given",
}


def _say(found: list[Problem], path: str, code: str, sentence: str = "") -> Any:
    messages = (code, sentence or _SENTENCES[code])
    found.extend(Problem(path or "/", message) for message in messages)
    return BAD


class Text(Kind):
    """A string."""

    def __init__(
        self,
        *,
        least: int = 0,
        most: int | None = None,
        pattern: str | None = None,
        words: str = "",
        rule: str = "",
    ) -> None:
        self.least, self.most = least, most
        self.pattern = re.compile(pattern) if pattern is not None else None
        self.words = words or "string"
        self.rule = rule or f"must match {pattern}"  #: what the pattern asks for

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        if not isinstance(value, str):
            return _say(found, path, "error.expected.jsstring")
        if len(value) < self.least:
            return _say(found, path, "error.minLength", f"must have {self.least} characters or more")
        if self.most is not None and len(value) > self.most:
            return _say(found, path, "error.maxLength", f"must have at most {self.most} characters")
        if self.pattern is not None and self.pattern.fullmatch(value) is None:
            return _say(found, path, "error.pattern", f"'{value}' {self.rule}")
        return value


class OneOf(Kind):
    """One of some words, in upper or lower case."""

    def __init__(self, *choices: str) -> None:
        self.choices = {choice.lower(): choice for choice in choices}
        self.words = " | ".join(choices)

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        if not isinstance(value, str) or (choice := self.choices.get(value.lower())) is None:
            shown = f"'{value}'" if isinstance(value, str) else "this"
            sentence = f"{shown} is none of {', '.join(self.choices.values())}"
            return _say(found, path, "error.unknown.enum.literal", sentence)
        return choice


class Number(Kind):
    """A number; `whole`: without a fraction."""

    def __init__(
        self, *, least: float | None = None, most: float | None = None, whole: bool = False, words: str = ""
    ) -> None:
        self.least, self.most, self.whole = least, most, whole
        bounds = "" if least is None else f" ≥ {least:g}" if most is None else f" from {least:g} to {most:g}"
        self.words = words or ("integer" if whole else "number") + bounds
        self.limit = most if most is not None else _INT32 if whole else _FLOAT_MAX

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _say(found, path, "error.expected.jsnumber")
        if self.whole and value != int(value):
            return _say(found, path, "error.expected.int")
        if self.least is not None and value < self.least:
            return _say(found, path, "error.min", f"must be {self.least:g} or more")
        if value > self.limit:
            return _say(found, path, "error.max", f"must be at most {self.limit:.16g}")
        return int(value) if self.whole else float(value)


class Flag(Kind):
    """True or false. Their names as text are taken too: some clients are written in Python."""

    words = "boolean"

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        if value in ("True", "true"):
            return True
        if value in ("False", "false"):
            return False
        return value if isinstance(value, bool) else _say(found, path, "error.expected.jsboolean")


class Listed(Kind):
    """An array of one kind."""

    def __init__(self, item: Kind, *, least: int = 0, most: int | None = None, unique: bool = False) -> None:
        self.item, self.least, self.most, self.unique = item, least, most, unique
        self.words = f"[{item.words}]"

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        if not isinstance(value, list):
            return _say(found, path, "error.expected.jsarray")
        if len(value) < self.least:
            return _say(found, path, "error.minLength", f"must have {self.least} elements or more")
        if self.most is not None and len(value) > self.most:
            return _say(found, path, "error.maxLength", f"must have at most {self.most} elements")
        made = [self.item.read(one, f"{path}({at})", found) for at, one in enumerate(value)]
        if any(one is BAD for one in made):
            return BAD
        # A set said with a word twice means the same set.
        return [one for at, one in enumerate(made) if one not in made[:at]] if self.unique else made


class Mapped(Kind):
    """An object with names of the user's."""

    def __init__(self, item: Kind, *, names: str | None = None) -> None:
        self.item = item
        self.names = re.compile(names) if names is not None else None
        self.words = f"map name → {item.words}"

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        if not isinstance(value, dict):
            return _say(found, path, "error.expected.jsobject")
        made: dict[str, Any] = {}
        for name, one in value.items():
            if self.names is not None and self.names.fullmatch(name) is None:
                _say(
                    found, f"{path}/{name}", "error.pattern", f"'{name}' does not match {self.names.pattern}"
                )
            else:
                made[name] = self.item.read(one, f"{path}/{name}", found)
        return BAD if any(one is BAD for one in made.values()) or len(made) < len(value) else made


class Object(Kind):
    """An object with these fields."""

    def __init__(self, fields: Mapping[str, Kind], *, required: Sequence[str] = ()) -> None:
        self.fields, self.required = fields, required
        self.words = "object"

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        if not isinstance(value, dict):
            return _say(found, path, "error.expected.jsobject")
        made: dict[str, Any] = {}
        for name in self.required:
            if value.get(name) is None:
                made[name] = _say(found, f"{path}/{name}", "error.path.missing")
        for name, one in value.items():
            if one is not None and (kind := self.fields.get(name)) is not None:
                made[name] = kind.read(one, f"{path}/{name}", found)
        return BAD if any(one is BAD for one in made.values()) else made


class Anything(Kind):
    """An object that somebody else reads."""

    words = "object"

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        return value if isinstance(value, dict) else _say(found, path, "error.expected.jsobject")


class Either(Kind):
    """Text is read by the first kind, anything else by the second."""

    def __init__(self, text: Kind, other: Kind) -> None:
        self.text, self.other = text, other
        self.words = f"{text.words} or {other.words}"

    def read(self, value: Any, path: str, found: list[Problem]) -> Any:
        """See Kind."""
        if isinstance(value, str):
            return self.text.read(value, path, found)
        of_other: list[Problem] = []
        made = self.other.read(value, path, of_other)
        if any(one.path == path for one in of_other):  # not of its type at all
            return _say(found, path, of_other[0].message, f"must be {self.words}")
        found.extend(of_other)
        return made
