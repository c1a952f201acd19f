"""What can be set on the master's core; the flags of the same names say it to people."""

from __future__ import annotations

from msgspec import Struct


class Config(Struct, frozen=True, kw_only=True):
    """Settings of one master. Times in seconds."""

    agent_ping_timeout_s: float = 15.0
    max_agent_ping_timeouts: int = 5
    agent_reregister_timeout_s: float = 600.0
    agent_removal_interval_s: float | None = (
        None  #: between two agents that are given up; None: any number at once
    )
    recovery_agent_removal_limit: float = (
        1.0  #: part of the agents in the registry that may be given up at once
    )
    allocation_interval_s: float = 1.0
    offer_timeout_s: float | None = None
    heartbeat_interval_s: float = 15.0
    max_completed_frameworks: int = 50
    max_completed_tasks_per_framework: int = 1000
    max_unreachable_tasks_per_framework: int = 1000
    min_allocatable_resources: str = "cpus:0.01|mem:32"
    fair_sharing_excluded_resource_names: tuple[str, ...] = ()
    filter_gpu_resources: bool = True
    require_agent_domain: bool = False
    root_submissions: bool = True
    registry_gc_interval_s: float = 900.0
    registry_max_agent_age_s: float = 14 * 86400.0
    registry_max_agent_count: int = 102400
