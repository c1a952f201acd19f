"""Kinds: what a resource is, apart from how much there is of it.

Kinds are interned: equal kinds are one object, so that looking one up in a table costs no more than
looking up an address. Quantities of equal kinds add up; of different kinds they stand side by side.

A disk that cannot be divided (a persistent volume, a mounted disk, …) carries its size in its kind. Its
quantity then counts pieces, and the same arithmetic that serves for scalars takes it whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from koinon.mesos import v1
from koinon.mesos.names import DEFAULT_ROLE

Type = v1.Value.Type


class Reservation(NamedTuple):
    """One level of a stack of reservations."""

    role: str
    dynamic: bool = False
    principal: str | None = None
    #: Sorted, as their order means nothing.
    labels: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True, kw_only=True)
class Kind:
    """What a resource is. Made by `kind_of` only; compare with `is` or `==`."""

    name: str
    type: v1.Value.Type
    #: Outermost first; empty for the unreserved.
    reservations: tuple[Reservation, ...]
    #: A DiskInfo as JSON.
    disk: bytes | None
    shared: bool
    revocable: bool
    provider_id: str | None
    #: The role that it is offered to or used by; None while nobody has it.
    allocation_role: str | None
    #: Thousandths of one piece, if it cannot be divided.
    piece: int | None
    #: The role that may have it: of the innermost reservation, or `*`.
    role: str
    #: Where it stands among others when written down.
    order: tuple[Any, ...]

    def replace(self, **changes: Any) -> Kind:
        """The kind that differs in `changes`."""
        return kind_of(**(self._identity() | changes))

    def _identity(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _IDENTITY}

    def __reduce__(self) -> tuple[Any, ...]:
        return _kind_from, tuple(self._identity().values())


_IDENTITY = (
    "name",
    "type",
    "reservations",
    "disk",
    "shared",
    "revocable",
    "provider_id",
    "allocation_role",
    "piece",
)

_interned: WeakValueDictionary[tuple[Any, ...], Kind] = WeakValueDictionary()

#: The resources that every agent has come first, in the order people expect.
_PLACES = {name: place for place, name in enumerate(("cpus", "gpus", "mem", "disk", "ports"))}


def kind_of(
    name: str,
    type: v1.Value.Type,
    reservations: tuple[Reservation, ...] = (),
    disk: bytes | None = None,
    shared: bool = False,
    revocable: bool = False,
    provider_id: str | None = None,
    allocation_role: str | None = None,
    piece: int | None = None,
) -> Kind:
    """The one kind with these traits."""
    identity = (name, type, reservations, disk, shared, revocable, provider_id, allocation_role, piece)
    if (kind := _interned.get(identity)) is None:
        kind = _interned[identity] = Kind(
            name=name,
            type=type,
            reservations=reservations,
            disk=disk,
            shared=shared,
            revocable=revocable,
            provider_id=provider_id,
            allocation_role=allocation_role,
            piece=piece,
            role=reservations[-1].role if reservations else DEFAULT_ROLE,
            order=_order(*identity),
        )
    return kind


def _order(name: str, type: v1.Value.Type, *traits: Any) -> tuple[Any, ...]:
    # repr, because traits may be None, which does not compare.
    return _PLACES.get(name, len(_PLACES)), name, type.value, repr(traits)


def _kind_from(*identity: Any) -> Kind:
    return kind_of(*identity)


@lru_cache(65536)
def allocated_kind(kind: Kind, role: str | None) -> Kind:
    """`kind` in the hands of `role`; None: of nobody."""
    return kind if kind.allocation_role == role else kind.replace(allocation_role=role)
