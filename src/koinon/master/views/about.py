"""What the master says about itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from msgspec import Struct

from koinon import MESOS_VERSION
from koinon.mesos import v1


class About(Struct, frozen=True, kw_only=True):
    """Identity and settings of this master, fixed once it listens."""

    master_id: str
    hostname: str
    ip: str  #: as others reach us
    port: int
    flags: Mapping[str, str]
    started_s: float
    cluster: str | None = None

    @property
    def pid(self) -> str:
        """The form in which tools name a master."""
        return f"master@{self.ip}:{self.port}"

    def master_info(self) -> v1.MasterInfo:
        """As it stands in the API."""
        return v1.MasterInfo(
            id=self.master_id,
            # The field holds the four bytes of the address in the order of the wire, read as on x86.
            ip=int.from_bytes(ipaddress.IPv4Address(self.ip).packed, "little"),
            port=self.port,
            pid=self.pid,
            hostname=self.hostname,
            version=MESOS_VERSION,
            address=v1.Address(hostname=self.hostname, ip=self.ip, port=self.port),
            capabilities=[
                v1.MasterInfo.Capability(type=v1.MasterInfo.Capability.Type.AGENT_UPDATE),
            ],
        )
