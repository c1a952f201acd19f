"""Structs → what JSON shows of them: unset fields are left out, so are some collections when empty; whole numbers have
no fraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from koinon.marathon.model import app, pod

#: Collections that are left out when empty, by the type that has them (reference: conventions, omit rules).
_OMITTED_EMPTY: Mapping[type, frozenset[str]] = {
    app.App: frozenset(
        {
            "args",
            "constraints",
            "dependencies",
            "env",
            "fetch",
            "health_checks",
            "readiness_checks",
            "secrets",
        }
    ),
    app.Network: frozenset({"labels"}),
    app.PortDefinition: frozenset({"labels"}),
    app.PortMapping: frozenset({"network_names"}),
    app.ExternalVolume: frozenset({"options"}),
    app.PersistentVolume: frozenset({"constraints"}),
    pod.Pod: frozenset({"labels", "environment", "secrets", "volumes"}),
    pod.PodContainer: frozenset({"endpoints", "environment", "volume_mounts", "artifacts", "labels"}),
    pod.Image: frozenset({"labels"}),
    pod.Endpoint: frozenset({"protocol", "labels", "network_names"}),
}
_fields: dict[type, tuple[tuple[str, str, bool], ...]] = {}


def _fields_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, bool], ...]:
    """(attribute, name in JSON, left out when empty) of each field."""
    if (known := _fields.get(kind)) is None:
        omitted = _OMITTED_EMPTY.get(kind, frozenset())
        pairs = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
        known = _fields[kind] = tuple((attribute, name, attribute in omitted) for attribute, name in pairs)
    return known


def plain(value: Any) -> Any:
    """`value` as dicts, lists and scalars."""
    kind = type(value)
    if kind is str or kind is int or kind is bool:
        return value
    if kind is float:
        return int(value) if value.is_integer() else value
    if kind is tuple or kind is list:
        return [plain(one) for one in value]
    if kind is dict:
        return {name: plain(one) for name, one in value.items()}
    if not issubclass(kind, msgspec.Struct):
        return value
    made = {}
    for attribute, name, omit_empty in _fields_of(kind):
        one = getattr(value, attribute)
        if one is not None and (one or not omit_empty):
            made[name] = plain(one)
    return made
