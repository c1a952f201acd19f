"""What an operator has set that decides which definitions are accepted and how they are completed."""

from __future__ import annotations

import msgspec


class Rules(msgspec.Struct, frozen=True):
    """Flags of Marathon's that matter to definitions."""

    role: str = "*"  #: `--mesos_role`
    features: frozenset[str] = frozenset()  #: `--enable_features`
    local_port_min: int = 10000  #: service ports
    local_port_max: int = 20000  #: the first that is none any more
    default_network_name: str | None = None
    mesos_bridge_name: str = "mesos-bridge"
    new_group_enforce_role: bool = False  #: `--new_group_enforce_role top`
