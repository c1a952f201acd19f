"""Addresses that a role listens on and tells to others."""

from __future__ import annotations

import ipaddress
import socket


def check_address(flag: str, address: str | None) -> None:
    """Raises ValueError, for the reader of the flag, when the address is none."""
    try:
        if address is not None:
            ipaddress.IPv4Address(address)
    except ValueError:
        raise ValueError(f"--{flag}: '{address}' is not an IPv4 address") from None


def told_ip(ip: str) -> str:
    """The address to tell others when we listen on `ip`, which may mean all addresses."""
    return _outward_ip() if ip == "0.0.0.0" else ip


def _outward_ip() -> str:
    """The address from which this machine would send to another one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:  # no network
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address
