"""Constraints of jobs: what an attribute of the agent must be like.

    EQUALS   a text attribute of that name is exactly that
    LIKE     the first attribute of that name matches as a whole: text, a number, any item of a set; ranges never do
    UNLIKE   it has none of what LIKE would match

An agent without the attribute satisfies none of them. Each has a `hostname`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from koinon.chronos.model.job import Constraint
from koinon.mesos.v1 import Attribute
from koinon.offers import number_text, pattern


def objection(
    constraints: Iterable[Constraint], attributes: Sequence[Attribute], hostname: str
) -> str | None:
    """Why the agent may not run the job, in a sentence; None if it may."""
    for one in constraints:
        if (said := _broken(one, attributes, hostname)) is not None:
            return f"constraint '{one.attribute} {one.operator} {one.value}': {said}"
    return None


def _broken(constraint: Constraint, attributes: Sequence[Attribute], hostname: str) -> str | None:
    name, value = constraint.attribute, constraint.value
    named = [one for one in attributes if one.name == name]
    if not named and name != "hostname":
        return f"the agent has no {name}"
    if constraint.operator == "EQUALS":
        texts = [one.text.value for one in named if one.text is not None] if named else [hostname]
        return None if value in texts else f"it is {_shown(texts)}"
    texts = _texts(named[0]) if named else [hostname]
    matches = any(pattern(value).fullmatch(text) for text in texts)
    if constraint.operator == "LIKE":
        return None if matches else f"{_shown(texts)} does not match"
    if not texts:
        return "ranges cannot be compared"
    return f"{_shown(texts)} matches" if matches else None


def _texts(attribute: Attribute) -> list[str]:
    if attribute.text is not None:
        return [attribute.text.value]
    if attribute.scalar is not None:
        plain = number_text(attribute.scalar.value)
        # People write whole numbers either way.
        return [plain] if "." in plain else [plain, f"{plain}.0"]
    return list(attribute.set.item) if attribute.set is not None else []


def _shown(texts: Sequence[str]) -> str:
    return texts[0] if texts else "no text"
