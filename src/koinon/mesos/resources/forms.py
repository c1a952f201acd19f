"""Resources as they stand in messages, in three forms that differ in how they tell reservations:

                 unreserved      static for R                       dynamic for R            refined
    post         –               reservations[STATIC R]             reservations[DYNAMIC R]  reservations[…, …]
    pre          role "*"        role R                             role R, reservation      not expressible
    endpoint     role "*"        both                               both                     as post

Agents, newer frameworks and we ourselves speak *post*(-refinement); frameworks without the capability
RESERVATION_REFINEMENT get *pre*; answers of the older endpoints have the *endpoint* form. All are read.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import msgspec

from koinon.mesos import v1
from koinon.mesos.names import DEFAULT_ROLE, id_problem, is_ancestor, role_problem
from koinon.mesos.resources.kinds import Kind, Reservation, Type, kind_of
from koinon.mesos.resources.quantities import Quantity, Ranges, ResourceError, merge_ranges, thousandths

Form: TypeAlias = Literal["post", "pre", "endpoint"]

#: Quantities by kind; none is empty.
Amounts: TypeAlias = dict[Kind, Any]

_ReservationInfo = v1.Resource.ReservationInfo
_SourceType = v1.Resource.DiskInfo.Source.Type


# ── reading ───────────────────────────────────────────────────────────────────────────────────────
def read_resource(resource: v1.Resource) -> tuple[Kind, Quantity]:
    """Kind and quantity of a resource in any form; the quantity may be empty. Raises ResourceError."""
    try:
        quantity = _read_quantity(resource)
        role = resource.role
        if (
            (role is None or role == DEFAULT_ROLE)
            and not resource.reservations
            and resource.reservation is None
            and resource.disk is None
            and resource.revocable is None
            and resource.shared is None
            and resource.provider_id is None
        ):
            return _plain_kind(resource.name, resource.type, _allocation_role(resource)), quantity
        return _read_special(resource, quantity)
    except ResourceError as error:
        raise ResourceError(f"resource '{resource.name}': {error}") from None


@lru_cache(4096)
def _plain_kind(name: str, type: v1.Value.Type, allocation_role: str | None) -> Kind:
    return kind_of(name, type, allocation_role=allocation_role)


def _allocation_role(resource: v1.Resource) -> str | None:
    return None if resource.allocation_info is None else resource.allocation_info.role


def _read_quantity(resource: v1.Resource) -> Quantity:
    if not resource.name:
        raise ResourceError("the name must not be empty")
    scalar, ranges, items = resource.scalar, resource.ranges, resource.set
    match resource.type:
        case Type.SCALAR if scalar is not None and ranges is None and items is None:
            if scalar.value < 0:
                raise ResourceError(f"a scalar must not be negative, as {scalar.value} is")
            return thousandths(scalar.value)
        case Type.RANGES if ranges is not None and scalar is None and items is None:
            return _read_ranges(ranges)
        case Type.SET if items is not None and scalar is None and ranges is None:
            quantity = frozenset(items.item)
            if len(quantity) < len(items.item):
                raise ResourceError("a set must not hold an item twice")
            return quantity
        case Type.TEXT:
            raise ResourceError("the type must be SCALAR, RANGES or SET, not TEXT")
    raise ResourceError(f"of type {resource.type.value}, so exactly that value must be set")


def _read_ranges(ranges: v1.Value.Ranges) -> Ranges:
    pairs = sorted((one.begin, one.end) for one in ranges.range)
    last = -1
    for begin, end in pairs:
        if begin > end:
            raise ResourceError(f"range [{begin}-{end}] begins after its end")
        if end >= 2**63:
            raise ResourceError(f"range [{begin}-{end}] ends beyond all bounds")
        if begin <= last:
            raise ResourceError(f"range [{begin}-{end}] overlaps another")
        last = end
    return merge_ranges(pairs)


def _read_special(resource: v1.Resource, quantity: Quantity) -> tuple[Kind, Quantity]:
    reservations = _read_reservations(resource)
    piece = None
    if resource.disk is not None:
        if resource.name != "disk" or resource.type is not Type.SCALAR:
            raise ResourceError("only a scalar resource 'disk' may have DiskInfo")
        _check_disk(resource, reservations)
        if quantity and _is_indivisible(resource.disk):
            piece, quantity = quantity, 1
    if resource.shared is not None and (resource.disk is None or resource.disk.persistence is None):
        raise ResourceError("only persistent volumes can be shared")
    kind = kind_of(
        resource.name,
        resource.type,
        reservations=reservations,
        disk=None if resource.disk is None else msgspec.json.encode(resource.disk),
        shared=resource.shared is not None,
        revocable=resource.revocable is not None,
        provider_id=None if resource.provider_id is None else resource.provider_id.value,
        allocation_role=_allocation_role(resource),
        piece=piece,  # type: ignore[arg-type]
    )
    return kind, quantity


def _read_reservations(resource: v1.Resource) -> tuple[Reservation, ...]:
    role, reservation = resource.role, resource.reservation
    if not resource.reservations:
        if role is None or role == DEFAULT_ROLE:
            if reservation is not None:
                raise ResourceError("what is reserved dynamically needs a role other than '*'")
            return ()
        if reservation is None:
            return (Reservation(_checked_role(role)),)
        if reservation.type not in (None, _ReservationInfo.Type.DYNAMIC):
            raise ResourceError("'reservation' tells of a dynamic reservation; its type is not STATIC")
        if reservation.role not in (None, role):
            raise ResourceError(f"'role' is '{role}', but 'reservation.role' is '{reservation.role}'")
        return (Reservation(_checked_role(role), True, reservation.principal, _read_labels(reservation)),)
    stack = tuple(map(_read_reservation, resource.reservations))
    for outer, inner in pairwise(stack):
        if not inner.dynamic:
            raise ResourceError("a refined reservation must be DYNAMIC")
        if not is_ancestor(outer.role, inner.role):
            raise ResourceError(
                f"a reservation for '{outer.role}' can be refined for a role below it only, not for '{inner.role}'"
            )
    if role is not None and role != stack[-1].role:
        raise ResourceError(f"'role' is '{role}', but it is reserved for '{stack[-1].role}'")
    if reservation is not None:
        told = Reservation(stack[-1].role, True, reservation.principal, _read_labels(reservation))
        if stack != (told,):
            raise ResourceError("'reservation' and 'reservations' contradict each other")
    return stack


def _read_reservation(info: v1.Resource.ReservationInfo) -> Reservation:
    if info.type not in (_ReservationInfo.Type.STATIC, _ReservationInfo.Type.DYNAMIC):
        raise ResourceError("the type of a reservation must be STATIC or DYNAMIC")
    if info.role is None:
        raise ResourceError("a reservation must name its role")
    dynamic = info.type is _ReservationInfo.Type.DYNAMIC
    if not dynamic and (info.principal is not None or info.labels is not None):
        raise ResourceError("a static reservation has neither principal nor labels")
    return Reservation(_checked_role(info.role), dynamic, info.principal, _read_labels(info))


def _checked_role(role: str) -> str:
    if role == DEFAULT_ROLE:
        raise ResourceError("nothing can be reserved for '*'")
    if problem := role_problem(role):
        raise ResourceError(problem)
    return role


def _read_labels(info: v1.Resource.ReservationInfo) -> tuple[tuple[str, str | None], ...]:
    if info.labels is None:
        return ()
    pairs = ((label.key, label.value) for label in info.labels.labels)
    return tuple(sorted(pairs, key=lambda pair: (pair[0], pair[1] is not None, pair[1] or "")))


def _is_indivisible(disk: v1.Resource.DiskInfo) -> bool:
    if disk.persistence is not None:
        return True
    if (source := disk.source) is None:
        return False
    # A raw disk without an id is a pool of storage that disks are cut from.
    return source.type in (_SourceType.MOUNT, _SourceType.BLOCK) or (
        source.type is _SourceType.RAW and source.id is not None
    )


def _check_disk(resource: v1.Resource, reservations: tuple[Reservation, ...]) -> None:
    assert resource.disk is not None
    persistence, volume = resource.disk.persistence, resource.disk.volume
    if persistence is None:
        if volume is not None:
            raise ResourceError("a volume on it must be persistent")
        return
    if problem := id_problem(persistence.id):
        raise ResourceError(f"persistence id: {problem}")
    if not reservations:
        raise ResourceError("a persistent volume must be reserved")
    if resource.revocable is not None:
        raise ResourceError("a persistent volume cannot be revocable")
    if volume is None:
        raise ResourceError("a persistent volume needs 'volume'")
    if volume.mode is not v1.Volume.Mode.RW:
        raise ResourceError("a persistent volume must have mode RW")
    if volume.host_path is not None:
        raise ResourceError("a persistent volume must not have 'host_path'")


# ── writing ───────────────────────────────────────────────────────────────────────────────────────
def write_resources(amounts: Amounts, form: Form) -> list[v1.Resource]:
    """The same in messages, in an order that depends on nothing but the amounts. Raises ResourceError."""
    return [
        resource
        for kind in sorted(amounts, key=_order_of)
        for resource in _write_resource(kind, amounts[kind], form)
    ]


def _order_of(kind: Kind) -> tuple[Any, ...]:
    return kind.order


def _write_resource(kind: Kind, quantity: Any, form: Form) -> list[v1.Resource]:
    template = _template(kind, form)
    if kind.piece is not None:
        return [template] * int(quantity)
    resource = copy(template)
    match kind.type:
        case Type.SCALAR:
            resource.scalar = v1.Value.Scalar(quantity / 1000)
        case Type.RANGES:
            resource.ranges = v1.Value.Ranges(
                range=[v1.Value.Range(begin=begin, end=end) for begin, end in quantity]
            )
        case _:
            resource.set = v1.Value.Set(item=sorted(quantity))
    return [resource]


@lru_cache(65536)
def _template(kind: Kind, form: Form) -> v1.Resource:
    """A resource of this kind, complete but for its quantity."""
    resource = v1.Resource(name=kind.name, type=kind.type)
    if kind.provider_id is not None:
        resource.provider_id = v1.ResourceProviderID(kind.provider_id)
    if kind.allocation_role is not None:
        resource.allocation_info = v1.Resource.AllocationInfo(role=kind.allocation_role)
    if kind.disk is not None:
        resource.disk = msgspec.json.decode(kind.disk, type=v1.Resource.DiskInfo)
    if kind.revocable:
        resource.revocable = v1.Resource.RevocableInfo()
    if kind.shared:
        resource.shared = v1.Resource.SharedInfo()
    if kind.piece is not None:
        resource.scalar = v1.Value.Scalar(kind.piece / 1000)
    _write_reservations(resource, kind, form)
    return resource


def _write_reservations(resource: v1.Resource, kind: Kind, form: Form) -> None:
    if form != "pre":
        resource.reservations = [_write_reservation(reservation) for reservation in kind.reservations]
    refined = len(kind.reservations) > 1
    if form == "pre" and refined:
        raise ResourceError(
            f"resource '{kind.name}': a refined reservation cannot be told without 'reservations'"
        )
    if form != "post" and not refined:
        resource.role = kind.role
        if kind.reservations and kind.reservations[0].dynamic:
            told = _write_reservation(kind.reservations[0])
            told.type = told.role = None
            resource.reservation = told


def _write_reservation(reservation: Reservation) -> v1.Resource.ReservationInfo:
    kind = _ReservationInfo.Type.DYNAMIC if reservation.dynamic else _ReservationInfo.Type.STATIC
    labels = None
    if reservation.labels:
        labels = v1.Labels(labels=[v1.Label(key=key, value=value) for key, value in reservation.labels])
    return _ReservationInfo(type=kind, role=reservation.role, principal=reservation.principal, labels=labels)
