"""Resources as people write them: `cpus:4;mem:1024;ports(ads):[31000-32000,33000-33100];gadgets:{a,b}`.

Text knows scalars, ranges, sets and static reservations. Everything else takes JSON: an array of
`Resource` messages, which is accepted wherever the text is.
"""

from __future__ import annotations

import re

import msgspec

from koinon.mesos import v1
from koinon.mesos.names import DEFAULT_ROLE
from koinon.mesos.resources.forms import Amounts
from koinon.mesos.resources.kinds import Kind, Type
from koinon.mesos.resources.quantities import Items, Quantity, Ranges, ResourceError

_ENTRY = re.compile(r"\s*(?P<name>[^():]*?)\s*(?:\(\s*(?P<role>[^()]*?)\s*\)\s*)?:(?P<value>.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_RANGE = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")

_decode_json = msgspec.json.Decoder(list[v1.Resource], strict=False).decode


# ── reading ───────────────────────────────────────────────────────────────────────────────────────
def parse_resources(text: str, default_role: str = DEFAULT_ROLE) -> list[v1.Resource]:
    """The resources that `text` names, one by one, those of no quantity included.

    What names no role is reserved statically for `default_role`. Raises ResourceError if `text` cannot be
    read; whether the resources keep all rules is for `Resources.from_v1` to say.
    """
    if text.lstrip().startswith("["):
        resources = _parse_json(text)
    else:
        resources = [_parse_entry(entry) for entry in text.split(";") if entry.strip()]
    if default_role != DEFAULT_ROLE:
        for resource in resources:
            if resource.role is None and not resource.reservations:
                resource.role = default_role
    return resources


def _parse_json(text: str) -> list[v1.Resource]:
    try:
        return _decode_json(text)
    except msgspec.DecodeError as error:
        raise ResourceError(f"not a JSON array of resources: {error}") from error


def _parse_entry(entry: str) -> v1.Resource:
    if (found := _ENTRY.fullmatch(entry)) is None or not found["name"]:
        raise ResourceError(f"'{entry.strip()}' is not of the form name:value or name(role):value")
    resource = v1.Resource(name=found["name"], type=Type.SCALAR, role=found["role"])
    match parse_value(found["value"]):
        case v1.Value.Scalar() as scalar:
            resource.scalar = scalar
        case v1.Value.Ranges() as ranges:
            resource.type, resource.ranges = Type.RANGES, ranges
        case v1.Value.Set() as items:
            resource.type, resource.set = Type.SET, items
        case _:
            raise ResourceError(
                f"'{found['value'].strip()}' of '{found['name']}' is neither a number, "
                "nor ranges such as [1-5,7-9], nor a set such as {a,b}"
            )
    return resource


def parse_value(text: str) -> v1.Value.Scalar | v1.Value.Ranges | v1.Value.Set | v1.Value.Text:
    """A value by its looks: a number, `[ranges]`, `{set}`, or else text. Raises ResourceError."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return v1.Value.Ranges(range=[_parse_range(part) for part in _parts(text)])
    if text.startswith("{") and text.endswith("}"):
        return v1.Value.Set(item=[part.strip() for part in _parts(text)])
    if _NUMBER.fullmatch(text):
        return v1.Value.Scalar(float(text))
    return v1.Value.Text(text)


def _parts(text: str) -> list[str]:
    inner = text[1:-1]
    return inner.split(",") if inner.strip() else []


def _parse_range(text: str) -> v1.Value.Range:
    if (found := _RANGE.fullmatch(text)) is None:
        raise ResourceError(f"'{text.strip()}' is not a range such as 31000-32000")
    return v1.Value.Range(begin=int(found[1]), end=int(found[2]))


# ── writing ───────────────────────────────────────────────────────────────────────────────────────
def format_resources(amounts: Amounts) -> str:
    """The amounts as text, in an order that depends on nothing else.

    `parse_resources` reads it again, unless there are disks, dynamic reservations and the like, which are
    told for people only. To whom the resources are allocated is left out.
    """
    return ";".join(
        f"{_format_kind(kind)}:{_format_amount(kind, amounts[kind])}"
        for kind in sorted(amounts, key=lambda kind: kind.order)
    )


def _format_kind(kind: Kind) -> str:
    told = kind.name
    for reservation in kind.reservations:
        traits = (reservation.role, "dynamic" if reservation.dynamic else None, reservation.principal)
        told += f"({', '.join(trait for trait in traits if trait)})"
    if kind.disk is not None:
        told += _format_disk(msgspec.json.decode(kind.disk, type=v1.Resource.DiskInfo))
    if kind.revocable:
        told += "{revocable}"
    if kind.shared:
        told += "{shared}"
    return told


def _format_disk(disk: v1.Resource.DiskInfo) -> str:
    told = []
    if (source := disk.source) is not None:
        place = source.path or source.mount
        told += [source.type.value, source.id, place.root if place else None, source.profile]
    if disk.persistence is not None:
        told += [disk.persistence.id, disk.volume.container_path if disk.volume else None]
    return f"[{', '.join(part for part in told if part)}]"


def _format_amount(kind: Kind, quantity: Quantity) -> str:
    if kind.piece is None:
        return format_quantity(quantity, ",")
    size = format_quantity(kind.piece)
    return size if quantity == 1 else f"{quantity}x{size}"


def format_quantity(quantity: Quantity, separator: str = ", ") -> str:
    """A quantity as text: `0.5`, `[1-5, 7-9]`, `{a, b}`."""
    if isinstance(quantity, int):
        whole, rest = divmod(quantity, 1000)
        return f"{whole}.{rest:03}".rstrip("0").rstrip(".")
    if isinstance(quantity, tuple):
        return format_ranges(quantity, separator)
    return format_set(quantity, separator)


def format_ranges(ranges: Ranges, separator: str = ", ") -> str:
    """`[1-5, 7-9]`."""
    return f"[{separator.join(f'{begin}-{end}' for begin, end in ranges)}]"


def format_set(items: Items, separator: str = ", ") -> str:
    """`{a, b}`, sorted."""
    return "{" + separator.join(sorted(items)) + "}"
