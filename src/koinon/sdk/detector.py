"""Where the leading master is."""

from __future__ import annotations

from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

MASTER_PORT = 5050


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


class Detector(Protocol):
    """Finds the leading master; asked anew for every subscription."""

    async def detect(self) -> Address:
        """Where to subscribe. Any master will do: one that does not lead redirects to the leader."""
        ...


class FixedMaster:
    """The master is always at one address."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def detect(self) -> Address:
        """The address given."""
        return self._address


def detector_for(master: str) -> Detector:
    """The detector for what people write after `--master`: `host:port` or `http://…`. Raises ValueError."""
    if master.startswith("zk://"):
        raise ValueError(f"masters cannot be found through ZooKeeper yet ('{master}'): give host:port")
    return FixedMaster(parse_address(master, MASTER_PORT))
