"""What jobs are at."""

from __future__ import annotations

from koinon.chronos.core import State
from koinon.chronos.rendering import Activity


def activity_of(state: State) -> dict[str, Activity]:
    """Of the jobs that are at something."""
    found = {}
    for name, runs in state.by_job.items():
        if running := sum(run.is_active for run in runs.values()):
            found[name] = Activity(running, name in state.queued)
    for name in state.queued:
        if name not in found:
            found[name] = Activity(0, True)
    return found
