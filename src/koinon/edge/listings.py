"""Answers of the operator APIs that list many objects, made in slices, in either encoding.

A *listing* is a message with lists in it (`get_tasks` with `tasks`, `completed_tasks`, …). In JSON its parts
are written one after another. In protobuf each slice is a whole message of its own: readers of protobuf merge
what comes one after another, so that nothing needs to be held back to learn its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from koinon.mesos import codec
from koinon.mesos.v1.base import V1Message

M = TypeVar("M", bound=V1Message)

#: So many tasks, or other small objects, are rendered in one go.
SLICE = 100
#: Writing protobuf takes ten times longer than JSON.
_SLICE_OF = {codec.JSON: SLICE, codec.PROTOBUF: SLICE // 10}


class Group(NamedTuple):
    """One list of a listing: the field's name, records, and what makes messages of them."""

    field: str
    records: Sequence[Any]
    message: Callable[[Any], V1Message]
    at_once: int = SLICE

    def slices(self, content_type: str) -> Iterator[tuple[int, Sequence[Any]]]:
        """Where each slice begins, and its records."""
        size = min(self.at_once, _SLICE_OF[content_type])
        for start in range(0, len(self.records), size):
            yield start, self.records[start : start + size]


class Listing(NamedTuple):
    """One message with lists: its field in the answer, its type, and the lists."""

    field: str
    kind: type[V1Message]
    groups: list[Group]


def answer(response: type[V1Message], kind: Enum, listing: Listing, content_type: str) -> Iterator[bytes]:
    """A `response` of type `kind` that holds one listing, in slices."""
    if content_type == codec.JSON:
        yield b'{"type":"%b",' % kind.value.encode()
        yield from _in_json(listing)
        yield b"}"
    else:
        first = with_field(response(), "type", kind)
        yield codec.encode(with_field(first, listing.field, listing.kind()), content_type)
        for part in _parts(listing):
            yield codec.encode(with_field(response(), listing.field, part), content_type)


def in_json(listings: list[Listing]) -> Iterator[bytes]:
    """A message of listings as JSON, in slices."""
    for index, listing in enumerate(listings):
        yield b"," if index else b"{"
        yield from _in_json(listing)
    yield b"}"


def in_parts(message: type[M], listings: list[Listing]) -> Iterator[M]:
    """Messages that make up a `message` of listings when they are merged."""
    for listing in listings:
        yield with_field(message(), listing.field, listing.kind())
        for part in _parts(listing):
            yield with_field(message(), listing.field, part)


def with_field(message: M, field: str, value: object) -> M:
    """The message, with that field set."""
    setattr(message, field, value)
    return message


def _in_json(listing: Listing) -> Iterator[bytes]:
    yield f'"{listing.field}":{{'.encode()
    for index, group in enumerate(listing.groups):
        yield f'{"," if index else ""}"{group.field}":['.encode()
        for start, records in group.slices(codec.JSON):
            piece = b",".join([codec.encode(group.message(record)) for record in records])
            yield b"," + piece if start else piece
        yield b"]"
    yield b"}"


def _parts(listing: Listing) -> Iterator[V1Message]:
    for group in listing.groups:
        for _, records in group.slices(codec.PROTOBUF):
            yield with_field(listing.kind(), group.field, [group.message(record) for record in records])
