"""Killing: whoever is asked to end, and does not, is asked again."""

from __future__ import annotations

from msgspec.structs import replace

from koinon.chronos.core import outcomes
from koinon.chronos.core.context import Core
from koinon.chronos.core.events import Kill
from koinon.chronos.model import Run


def kill(core: Core, run: Run) -> None:
    """The run shall end: its task is killed; without one it does not start."""
    if run.state == "waiting" or run.awaits_call:
        outcomes.killed(core, run)
    elif run.kill_asked is None:
        run = replace(run, kill_asked=core.wall)
        core.put_run(run)
        _ask(core, run)


def resume(core: Core) -> None:
    """A master hears us: who was to end is asked again."""
    for run in list(core.state.runs.values()):
        if run.kill_asked is not None:
            _ask(core, run)


def _ask(core: Core, run: Run) -> None:
    if core.state.master is not None:
        core.effects.append(Kill(run.id, run.agent_id or None))
    core.alarms.set(core.now + core.config.kill_retry_s, _remind, run.id)


def _remind(core: Core, run_id: str) -> None:
    run = core.state.runs.get(run_id)
    if run is not None and run.kill_asked is not None:
        _ask(core, run)
