"""Marathon's numbers, read from its core when they are asked for."""

from __future__ import annotations

from koinon.marathon.runtime import Runtime
from koinon.service.metrics import ServiceMetrics


def install(metrics: ServiceMetrics, runtime: Runtime) -> None:
    """Let `metrics` show what `runtime` has."""
    core = runtime.core
    for name, read in (
        ("apps.active", lambda: len(core.root.apps)),
        ("pods.active", lambda: len(core.root.pods)),
        ("groups.active", lambda: len(core.root.groups)),
        ("deployments.active", lambda: len(core.state.deployments)),
        ("instances.active", lambda: len(core.state.instances)),
        ("http.event-streams.active", lambda: len(runtime.bus)),
        ("health-checks.active", lambda: len(runtime.checkers)),
    ):
        metrics.gauge(name, read)
