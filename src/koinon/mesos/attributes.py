"""Attributes: what an agent tells of itself, such as `rack:a;zone:3;ports:[1-2]`.

A value is a number, ranges, or else text. Sets are not among them.
"""

from __future__ import annotations

from collections.abc import Iterable

from koinon.mesos import v1
from koinon.mesos.resources.quantities import merge_ranges
from koinon.mesos.resources.text import format_quantity, parse_value

Type = v1.Value.Type


def parse_attributes(text: str) -> list[v1.Attribute]:
    """The attributes in `text`, in its order. Raises ValueError with a sentence."""
    return [_parse(entry) for entry in text.split(";") if entry.strip()]


def _parse(entry: str) -> v1.Attribute:
    name, colon, text = entry.partition(":")
    name, text = name.strip(), text.strip()
    if not (name and colon and text):
        raise ValueError(f"attribute '{entry.strip()}' is not of the form name:value")
    match parse_value(text):
        case v1.Value.Scalar() as scalar:
            return v1.Attribute(name=name, type=Type.SCALAR, scalar=scalar)
        case v1.Value.Ranges() as ranges:
            return v1.Attribute(name=name, type=Type.RANGES, ranges=ranges)
        case v1.Value.Text() as plain:
            return v1.Attribute(name=name, type=Type.TEXT, text=plain)
        case _:
            raise ValueError(f"attribute '{name}' must be a number, ranges or text, not a set")


def attributes_object(attributes: Iterable[v1.Attribute]) -> dict[str, float | str]:
    """The compact object of the classic endpoints: value by name, ranges and sets as text."""
    return {attribute.name: _compact(attribute) for attribute in attributes}


def _compact(attribute: v1.Attribute) -> float | str:
    if attribute.scalar is not None:
        return round(attribute.scalar.value, 3)
    if attribute.ranges is not None:
        return format_quantity(merge_ranges((one.begin, one.end) for one in attribute.ranges.range))
    if attribute.set is not None:
        return format_quantity(frozenset(attribute.set.item))
    return attribute.text.value if attribute.text is not None else ""
