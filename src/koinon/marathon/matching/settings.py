"""What the operator chose about matching; the names are those of Marathon's flags."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    """Defaults are Marathon's."""

    gpu_scheduling_behavior: Literal["restricted", "unrestricted"] = "restricted"
    accepted_resource_roles_default_behavior: Literal["any", "unreserved", "reserved"] = "any"
    maintenance_mode: bool = True  #: agents that are, or soon will be, under maintenance are left alone
    draining_seconds: float = 0.0  #: how long before a maintenance begins its agents are left alone
    env_vars_prefix: str = ""  #: of HOST and the variables of ports
    mesos_bridge_name: str = "mesos-bridge"  #: network of `container/bridge` in the Mesos containerizer
    mesos_user: str | None = None  #: tasks run as, unless the app says; None: the framework's user
    executor: str = "//cmd"  #: of apps that name none; else a path
    region: str | None = None  #: of the master that has taken us in; None: not known
