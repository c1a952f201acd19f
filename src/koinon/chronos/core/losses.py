"""Runs out of reach: waited for, for ever or as long as their job says (`lostAfterSeconds`).

How long is counted from when the master said so; the time is stored with the run, so that a new leader counts on from there.
What has been waited for in vain counts as failed. Its task may go on all the same: it is killed when it turns up.
"""

from __future__ import annotations

from msgspec.structs import replace

from koinon.chronos.core import outcomes
from koinon.chronos.core.context import Core
from koinon.chronos.model import Run


def watch(core: Core, run: Run) -> None:
    """The run is out of reach, or what its job says of that may be otherwise now."""
    job = None if run.orphaned else core.state.jobs.get(run.job)
    if job is None or job.lost_after_seconds is None or run.unreachable_since is None or not run.is_active:
        return
    # By another leader's clock it may have been so since tomorrow, or for years.
    passed_s = min(max(core.wall - run.unreachable_since, 0.0), job.lost_after_seconds)
    core.alarms.set(core.now + job.lost_after_seconds - passed_s, _give_up, run.id)


def _give_up(core: Core, run_id: str) -> None:
    run = core.state.runs.get(run_id)
    if run is None or run.orphaned or not run.is_active or run.unreachable_since is None:
        return
    job = core.state.jobs[run.job]
    if job.lost_after_seconds is None:
        return
    message = (
        f"The master had not reached its agent for {job.lost_after_seconds:g} s. Its task may still run."
    )
    lost = replace(run, reason="lost", message=message)
    (outcomes.failed if run.kill_asked is None else outcomes.killed)(core, lost)
