"""What a candidate says about itself: a MasterInfo as JSON, which other tools for Mesos read, too."""

from __future__ import annotations

import msgspec

from koinon.coordination import Leader


class _Address(msgspec.Struct):
    ip: str | None = None
    hostname: str | None = None
    port: int | None = None


class _Info(msgspec.Struct):
    address: _Address = msgspec.field(default_factory=_Address)
    hostname: str | None = None
    port: int = 5050


def read_leader(epoch: int, info: bytes) -> Leader | None:
    """Where the candidate with this `info` can be reached; None if it does not say so."""
    try:
        found = msgspec.json.decode(info, type=_Info)
    except msgspec.DecodeError:
        return None
    host = found.address.ip or found.address.hostname or found.hostname
    return Leader(host, found.address.port or found.port, epoch, info) if host else None
