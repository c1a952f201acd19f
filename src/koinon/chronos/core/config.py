"""Chronos's flags, as far as its core is concerned. Durations are seconds."""

from __future__ import annotations

from msgspec import Struct


class Config(Struct, frozen=True, kw_only=True):
    """Defaults are those of the flags in brackets."""

    failure_retry_s: float = 60.0  #: (`--failure_retry`)
    disable_after_failures: int = 0  #: runs in a row that failed; 0 = never (`--disable_after_failures`)
    epsilon_s: float = 60.0  #: how late is not missed yet (`--task_epsilon`)
    reconciliation_interval_s: float = 600.0  #: (`--reconciliation_interval`)
    launch_confirm_s: float = 30.0  #: a launch of which nothing is heard for so long is asked for
    kill_retry_s: float = 30.0
    decline_offer_duration_s: float = 5.0  #: (`--decline_offer_duration`)
    min_revive_offers_interval_s: float = 5.0  #: on average (`--min_revive_offers_interval`)
    queued_max: int = 100  #: runs of one job that may wait for the one before (`overlap: queue`)
