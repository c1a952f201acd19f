"""Label selectors: `env==prod, tier in (web, api), canary`.

key                   the label is there           key in (a, b)       … and has one of these values
key==value            … and has that value         key notin (a, b)    … and has none of them
key!=value            … and has another one

All terms must hold. Keys and values are made of `[-A-Za-z0-9_.]`; any other character stands behind a `\\`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from koinon.marathon.model.problems import BadArgument

Labels = Mapping[str, str]
Selector = Callable[[Labels], bool]

_WORD = r"(?:[-A-Za-z0-9_.]|\\.)+"
_WORDS = rf"\(\s*{_WORD}(?:\s*,\s*{_WORD})*\s*\)"
_TERM = re.compile(
    rf"\s*(?P<key>{_WORD})\s*(?:(?P<operator>==|!=)\s*(?P<value>{_WORD})|\b(?P<set>in|notin)\s*(?P<values>{_WORDS}))?\s*(?P<end>,|\Z)",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class _Term(NamedTuple):
    key: str
    values: frozenset[str] | None  #: None: any
    is_among: bool  #: or else must be another

    def holds(self, labels: Labels) -> bool:
        if (value := labels.get(self.key)) is None:
            return False
        return self.values is None or (value in self.values) is self.is_among


def parse(text: str) -> Selector:
    """What a selector accepts. Raises BadArgument, which tells where it stops to be one."""
    terms: list[_Term] = []
    at = 0
    while at < len(text) or not terms:
        if (found := _TERM.match(text, at)) is None:
            raise BadArgument(
                f"The label selector '{text}' cannot be understood from '{text[at:].strip()}' on"
            )
        terms.append(_term(found))
        at = found.end()
        if at == len(text) and found["end"]:
            raise BadArgument(f"The label selector '{text}' ends with a comma")
    return lambda labels: all(term.holds(labels) for term in terms)


def _term(found: re.Match[str]) -> _Term:
    key = _plain(found["key"])
    if found["operator"] is not None:
        return _Term(key, frozenset((_plain(found["value"]),)), found["operator"] == "==")
    if found["set"] is not None:
        values = frozenset(_plain(one) for one in re.findall(_WORD, found["values"], re.DOTALL))
        return _Term(key, values, found["set"] == "in")
    return _Term(key, None, True)


def _plain(word: str) -> str:
    return _ESCAPED.sub(r"\1", word)
