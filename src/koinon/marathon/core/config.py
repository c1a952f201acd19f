"""Marathon's flags, as far as its core is concerned. Durations are seconds."""

from __future__ import annotations

from msgspec import Struct

from koinon.marathon.matching.settings import Settings
from koinon.marathon.model.settings import Rules


class Config(Struct, frozen=True, kw_only=True):
    """Defaults are those of the flags in brackets."""

    rules: Rules = Rules()  #: of definitions
    matching: Settings = Settings()  #: of offers with apps and pods
    max_running_deployments: int = 100
    max_versions: int = 50  #: kept of each app and pod, and of the root (`--zk_max_versions`)
    reconciliation_initial_delay_s: float = 15.0
    reconciliation_interval_s: float = 600.0
    scale_apps_initial_delay_s: float = 15.0
    scale_apps_interval_s: float = 300.0
    task_launch_confirm_timeout_s: float = 300.0  #: accepted → staging
    task_launch_timeout_s: float = 300.0  #: staging → running
    task_lost_expunge_initial_delay_s: float = (
        300.0  #: what was unreachable when we began waits at least so long
    )
    kill_chunk_size: int = 100  #: so many kills in flight
    kill_retry_timeout_s: float = 30.0
    #: Offers (`core/launching.py`).
    decline_offer_duration_s: float = 120.0
    min_revive_offers_interval_s: float = 5.0
    suppress_offers: bool = True
    max_instances_per_offer: int = 5
    launch_tokens: int = 100
    launch_token_refresh_interval_s: float = 30.0
