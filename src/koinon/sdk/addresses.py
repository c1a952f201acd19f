"""Where a server is that can be called."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class Address(NamedTuple):
    """A host name or IP address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, default_port: int | None = None) -> Address:
    """The address in `host:port`, `http://host:port/…` or `//host:port/…`. Raises ValueError."""
    wanted = "give host:port or http://host:port"
    scheme, separator, rest = text.rpartition("//")
    if separator and scheme not in ("", "http:"):
        raise ValueError(f"'{text}' is no address that can be called yet: {wanted}")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port or default_port
    except ValueError as error:
        raise ValueError(f"'{text}' is no address ({error}): {wanted}") from error
    if not host or port is None:
        raise ValueError(f"'{text}' is no address: {wanted}")
    return Address(host, port)
