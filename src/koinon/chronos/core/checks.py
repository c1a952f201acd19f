"""The laws of the state, to be checked in tests."""

from __future__ import annotations

from koinon.chronos.core.context import Core
from koinon.chronos.core.state import State
from koinon.chronos.core.windows import next_start


def check(core: Core) -> None:
    """Raises AssertionError if a law does not hold. Slow."""
    state = core.state
    rebuilt = State()
    for job in state.jobs.values():
        rebuilt.put_job(job)
        assert not (job.schedule is not None and job.parents), f"{job.name} is scheduled and dependent"
        assert not (job.disabled and next_start(state, job)), f"{job.name} is disabled, and due"
        assert job.unused.keys() <= set(job.parents), f"{job.name} remembers who is no parent of it"
    for run in (*state.runs.values(), *state.ended.values()):
        rebuilt.put_run(run)
    assert rebuilt.children == state.children
    assert rebuilt.runs == state.runs
    assert rebuilt.ended == state.ended
    assert rebuilt.by_job == state.by_job
    assert not core.touched, f"not settled: {list(core.touched)}"
    _check_runs(state)
    _check_queue(state)


def _check_runs(state: State) -> None:
    for run in state.runs.values():
        assert run.orphaned or run.job in state.jobs, f"{run.id} is nobody's"
        assert not run.is_active or run.agent_id, f"{run.id} is nowhere"
        assert not (run.orphaned and run.state == "waiting"), f"{run.id} waits, and its job is gone"


def _check_queue(state: State) -> None:
    queued = {run_id: None for of_job in state.queued.values() for run_id in of_job}
    assert queued.keys() == state.queue.keys()
    assert state.urgent == {
        run_id: waiting
        for run_id, waiting in state.queue.items()
        if state.jobs[waiting.run.job].high_priority
    }
    for run_id, waiting in state.queue.items():
        assert waiting.run.id == run_id
        assert waiting.run.job in state.jobs
        assert waiting.stored == (run_id in state.runs), f"{run_id} is stored and is not"
