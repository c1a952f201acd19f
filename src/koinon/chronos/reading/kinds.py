"""The form of JSON: a *kind* reads one value. It answers what it made of it, or `BAD` after it has told `found` what is
wrong, in a sentence that begins with the place: `container.volumes[0].mode must be …`.

Scalars may be given as text (`"cpus": "0.5"`) and text as scalars; null counts as left out everywhere; unknown fields
are ignored: clients send what they were once shown.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from koinon import timestamps

#: What a kind answers that has found problems.
BAD: Final = object()

#: Reads a value that stands at a place, and tells the problems.
Kind = Callable[[Any, str, list[str]], Any]

_WHOLE = re.compile(r" *[+-]?[0-9]{1,19} *")
_NUMBER = re.compile(r" *[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})? *")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
#: Longer ones no process can be given: Linux takes 128 KiB for each argument and variable, with a NUL behind it.
_TEXT_BYTES_MAX = 128 * 1024 - 1
_SHOWN_LENGTH_MAX = 60  #: clients print only the first hundred characters or so of all


def say(found: list[str], at: str, problem: str) -> Any:
    """Tells one problem."""
    found.append(f"{at} {problem}")
    return BAD


def shown(value: Any) -> str:
    """A value as a sentence can hold it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN_LENGTH_MAX else text[:_SHOWN_LENGTH_MAX] + "…"


def text(value: Any, at: str, found: list[str]) -> Any:
    """Any text that a process can be given; numbers and booleans as they are written."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if not isinstance(value, str):
        return say(found, at, f"must be text, not {shown(value)}")
    if "\0" in value:
        return say(found, at, "must not hold a NUL character")
    if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
        return say(found, at, "is no valid Unicode")
    if len(value) > _TEXT_BYTES_MAX // 4 and (size := len(value.encode())) > _TEXT_BYTES_MAX:
        return say(found, at, f"must have at most {_TEXT_BYTES_MAX} bytes, not {size}")
    return value


def one_line(value: Any, at: str, found: list[str]) -> Any:
    """Text of one line: what stands in headers of mails, or names a user."""
    made = text(value, at, found)
    if made is not BAD and _CONTROLS.search(made) is not None:
        return say(found, at, "must be a single line without control characters")
    return made


def some(value: Any, at: str, found: list[str]) -> Any:
    """One line that is not empty."""
    made = one_line(value, at, found)
    return say(found, at, "must not be empty") if made == "" else made


def flag(value: Any, at: str, found: list[str]) -> Any:
    """True or false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return say(found, at, f"must be true or false, not {shown(value)}")


def number(*, least: float = 0.0, most: float = 1e12) -> Kind:
    """A number within bounds."""

    def read(value: Any, at: str, found: list[str]) -> Any:
        is_text = isinstance(value, str) and _NUMBER.fullmatch(value) is not None
        if isinstance(value, bool) or not (is_text or isinstance(value, int | float)):
            return say(found, at, f"must be a number, not {shown(value)}")
        try:
            made = float(value)
        except OverflowError:
            made = math.inf if value > 0 else -math.inf
        return _within(made, least, most, at, found)

    return read


def whole(*, least: int = 0, most: int = 2**31 - 1) -> Kind:
    """A number without a fraction, within bounds."""

    def read(value: Any, at: str, found: list[str]) -> Any:
        if isinstance(value, str) and _WHOLE.fullmatch(value) is not None:
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return say(found, at, f"must be a whole number, not {shown(value)}")
        return _within(value, least, most, at, found)

    return read


def _within(value: Any, least: float, most: float, at: str, found: list[str]) -> Any:
    if not value >= least:  # NaN is not, either
        return say(found, at, f"must be {least:.15g} or more, not {shown(value)}")
    if value > most:
        return say(found, at, f"must be at most {most:.15g}, not {shown(value)}")
    return value


def one_of(*choices: str, any_case: bool = True) -> Kind:
    """One of some words."""
    by_text = {(one.lower() if any_case else one): one for one in choices}

    def read(value: Any, at: str, found: list[str]) -> Any:
        key = value.lower() if isinstance(value, str) and any_case else value
        if not isinstance(key, str) or key not in by_text:
            return say(found, at, f"must be one of {', '.join(choices)}, not {shown(value)}")
        return by_text[key]

    return read


def listed(item: Kind) -> Kind:
    """An array of one kind; elements that are null are left out."""

    def read(value: Any, at: str, found: list[str]) -> Any:
        if not isinstance(value, list):
            return say(found, at, f"must be an array, not {shown(value)}")
        made = [item(one, f"{at}[{n}]", found) for n, one in enumerate(value) if one is not None]
        return BAD if any(one is BAD for one in made) else tuple(made)

    return read


def record(struct: type[msgspec.Struct], kinds: Mapping[str, Kind], *, required: Sequence[str] = ()) -> Kind:
    """An object with the fields of `struct`, of which `kinds` tells by attribute how they are read."""
    names = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))

    def read(value: Any, at: str, found: list[str]) -> Any:
        if not isinstance(value, dict):
            return say(found, at, f"must be an object, not {shown(value)}")
        made: dict[str, Any] = {}
        for attribute, kind in kinds.items():
            one = value.get(names[attribute])
            if one is not None:
                made[attribute] = kind(one, f"{at}.{names[attribute]}", found)
            elif attribute in required:
                made[attribute] = say(found, f"{at}.{names[attribute]}", "is missing")
        return BAD if any(one is BAD for one in made.values()) else struct(**made)

    return read


def moment(value: Any, at: str, found: list[str]) -> Any:
    """A time in ISO 8601, as seconds since the epoch; empty text is None, never. Without an offset it is UTC."""
    if value == "":
        return None
    try:
        made = timestamps.seconds(value)
        timestamps.stamp(made)  # there are times at the ends of the calendar that cannot be shown
        return made
    except (TypeError, ValueError, OverflowError):
        return say(found, at, f"must be a time in ISO 8601, or empty, not {shown(value)}")
