"""Agreement with the master about what runs.

A run whose task may exist is asked for with the agent that it was sent to: after each subscription, when nothing has been
heard of its launch for a while, and now and then. A master that cannot know yet says nothing, and nothing follows from that.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from koinon.chronos.core import due, kills, launching, losses, outcomes
from koinon.chronos.core.context import Core
from koinon.chronos.core.events import Reconcile, Resign, Subscribed
from koinon.chronos.model import Run

#: Exit status: the framework's id is lost while tasks of it may run.
_FRAMEWORK_ID_MISSING = 108


def took_over(core: Core) -> None:
    """The store has been read: all that was under way goes on."""
    state = core.state
    if state.framework_id is None and any(run.is_active for run in state.runs.values()):
        reason = "There are runs, but the id of the framework that launched them is not in the store."
        core.effects.append(Resign(_FRAMEWORK_ID_MISSING, reason))
        return
    core.record_again(list(state.ended.values()))
    for run in list(state.runs.values()):
        _hasten(core, run)
        losses.watch(core, run)
    due.look_at_all(core)
    core.alarms.set(core.now + core.config.reconciliation_interval_s, reconcile_all)
    core.alarms.set(core.now + core.config.launch_confirm_s, _confirm)


def _hasten(core: Core, run: Run) -> None:
    """The clock of the leader before us may have been ahead of ours: no retry waits longer than it was to."""
    job = core.state.jobs.get(run.job)
    if run.state == "waiting" and run.not_before > core.wall and job is not None:
        longest_s = max(
            job.retry_delay(max(run.failures - 1, 0), core.config.failure_retry_s), outcomes.PATIENCE_S
        )
        if run.not_before > core.wall + longest_s:
            core.put_run(replace(run, not_before=core.wall + longest_s))


def subscribed(core: Core, event: Subscribed) -> None:
    """A master has taken us in. It may not know what the last one knew."""
    state = core.state
    state.master = event.master
    if state.framework_id != event.framework_id:
        state.framework_id = event.framework_id
        core.store("framework", event.framework_id)
    _ask(core, state.runs.values())
    kills.resume(core)
    launching.subscribed(core)


def disconnected(core: Core) -> None:
    """No master hears us."""
    core.state.master = None
    launching.disconnected(core)


def reconcile_all(core: Core, _: str) -> None:
    """Time to compare all that runs."""
    core.alarms.set(core.now + core.config.reconciliation_interval_s, reconcile_all)
    if core.state.master is not None:
        _ask(core, _longer_known(core))
        core.effects.append(Reconcile({}))


def _confirm(core: Core, _: str) -> None:
    """Time to ask what has become of launches."""
    core.alarms.set(core.now + core.config.launch_confirm_s, _confirm)
    if core.state.master is not None:
        _ask(core, [run for run in _longer_known(core) if run.state == "launching"])


def _longer_known(core: Core) -> list[Run]:
    """Those of which the master must have heard: what is just being launched may still be on its way."""
    before = core.now - core.config.launch_confirm_s
    # Those that a leader before us has launched were asked for when we were taken in.
    return [
        run for run in core.state.runs.values() if run.is_active and core.sent.get(run.id, before) <= before
    ]


def _ask(core: Core, runs: Iterable[Run]) -> None:
    tasks = {run.id: run.agent_id or None for run in runs if run.is_active and not run.awaits_call}
    if tasks:
        core.effects.append(Reconcile(tasks))
