"""Mappings of a document, read key by key; what is wrong is put down, and reading goes on.

Each reader returns something of the right kind whatever it finds, so that all problems come to light; what was read is
of use only if there are none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from koinon.simulator.study.document import Problem, advice
from koinon.simulator.study.units import parse_time_s, time_text

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


class Table:
    """One mapping. `close` it when all is read."""

    def __init__(self, problems: list[Problem], path: str, value: Any) -> None:
        self.path = path
        self.problems = problems
        self._values: dict[Any, Any] = {}
        self._known: list[str] = []
        self._broken = not isinstance(value, dict)
        if isinstance(value, dict):
            self._values = value
        else:
            self.wrong("", f"must be a mapping{'' if value is None else f', not {_shown(value)}'}")

    def wrong(self, key: str, sentence: str) -> None:
        """Put down a problem with this key, or with the whole."""
        self.problems.append(Problem(self.below(key), sentence))

    def below(self, key: str) -> str:
        """The path of a key."""
        return ".".join(filter(None, (self.path, key)))

    def has(self, key: str) -> bool:
        """Is it there?"""
        return self._values.get(key) is not None

    def raw(self, *keys: str) -> Any:
        """What stands there, below several keys, unread; None if there is nothing."""
        found: Any = self._values
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def close(self) -> None:
        """Put down keys that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                self.problems.append(
                    Problem(
                        self.path,
                        f"'{key}' is not known here{advice(str(key), self._known)}"
                        f" (known: {', '.join(self._known)})",
                    )
                )

    # ── values ────────────────────────────────────────────────────────────────────────────────────
    def read(self, key: str, read: Callable[[Any], Any], default: Any, stand_in: Any) -> Any:
        """What `read` makes of the value; `default` if there is none, None meaning that there has to be one."""
        self._known.append(key)
        value = self._values.get(key)
        if value is None:
            if default is None and not self._broken:
                self.wrong(key, "is missing")
            return stand_in if default is None else default
        try:
            return read(value)
        except ValueError as error:
            self.wrong(key, f"{error}, not {_shown(value)}")
            return stand_in

    def text(self, key: str) -> str:
        """Text that is not empty."""

        def read(value: Any) -> str:
            if not isinstance(value, str) or not value:
                raise ValueError("must be text")
            return value

        found: str = self.read(key, read, None, "-")
        return found

    def whole(self, key: str, default: int | None = None, *, least: int = 0, most: int = 10**9) -> int:
        """A whole number between these, inclusive."""

        def read(value: Any) -> int:
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"must be a whole number from {least:,} to {most:,}")
            return value

        found: int = self.read(key, read, default, max(least, 1))
        return found

    def positive(self, key: str, default: float | None = None) -> float:
        """A number above 0."""

        def read(value: Any) -> float:
            if not (is_number(value) and value > 0):
                raise ValueError("must be a number above 0")
            return float(value)

        found: float = self.read(key, read, default, 1.0)
        return found

    def time_s(
        self, key: str, default: float | None = None, *, above_0: bool = True, least_s: float = 0.0
    ) -> float:
        """A time; a number is seconds."""

        def read(value: Any) -> float:
            if isinstance(value, str):
                value = parse_time_s(value)
            elif not is_number(value):
                raise ValueError("must be a time such as 250ms, 90s, 5m, 1h30m or 2d")
            if value < 0 or (above_0 and value == 0):
                raise ValueError(f"must {'be above 0' if above_0 else 'not be negative'}")
            if value < least_s:
                raise ValueError(f"must be {time_text(least_s)} at least")
            return float(value)

        found: float = self.read(key, read, default, 1.0)
        return found

    def choice(self, key: str, choices: Iterable[str]) -> str:
        """One of these words."""

        def read(value: Any) -> str:
            if not isinstance(value, str) or value not in choices:
                raise ValueError(f"must be one of {', '.join(choices)}")
            return value

        found: str = self.read(key, read, None, "-")
        return found

    # ── tables ────────────────────────────────────────────────────────────────────────────────────
    def table(self, key: str) -> Table:
        """The mapping below; there has to be one."""
        self._known.append(key)
        if key not in self._values:
            if not self._broken:
                self.wrong(key, "is missing")
            table = Table(self.problems, self.below(key), {})
            table._broken = True  # what is missing has nothing missing
            return table
        return Table(self.problems, self.below(key), self._values[key])

    def optional(self, key: str) -> Table | None:
        """The mapping below, if there is one."""
        if self.has(key):
            return self.table(key)
        self._known.append(key)
        return None

    def tables(self, key: str, what: str, *, needed: bool = True) -> Iterator[tuple[str, Table]]:
        """The mappings below, by name; all names are checked. `what` one of them is."""
        self._known.append(key)
        if not self.has(key) and not needed:
            return
        values = self._values.get(key)
        if not isinstance(values, dict) or not values:
            if not self._broken:
                self.wrong(key, f"must be a mapping from the name of each {what} to what it is")
            return
        for name, value in values.items():
            if key != "roles" and not (isinstance(name, str) and _NAME.fullmatch(name)):
                self.wrong(key, f"{_shown(name)} is no name: letters, digits, - and _ make one")
            yield str(name), Table(self.problems, f"{self.below(key)}.{name}", value)

    def texts(self, key: str) -> dict[str, tuple[str, ...]]:
        """Texts, or lists of them, by name; numbers count as texts. Nothing if there is none."""
        self._known.append(key)
        values = self._values.get(key)
        if values is None:
            return {}
        if not isinstance(values, dict):
            self.wrong(key, f"must be a mapping, not {_shown(values)}")
            return {}
        found = {}
        for name, value in values.items():
            several = value if isinstance(value, list) and value else [value]
            if not isinstance(name, str) or not all(_is_word(one) for one in several):
                self.wrong(f"{key}.{name}", f"must be text, or a list of texts, not {_shown(value)}")
            found[str(name)] = tuple(str(one) for one in several)
        return found


def is_number(value: Any) -> bool:
    """Is it a finite number? True and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_word(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or is_number(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
