"""What people want: other jobs, a run now, the end of one, a success that was none of ours."""

from __future__ import annotations

from msgspec.structs import replace

from koinon.chronos.core import kills, losses, outcomes, windows
from koinon.chronos.core.context import Core
from koinon.chronos.core.due import new_run
from koinon.chronos.core.events import ChangeJobs, Complete, MarkSucceeded, Notify, Processed, Refused, RunNow
from koinon.chronos.model import Job, Run
from koinon.chronos.model.problems import Unknown


def change(core: Core, event: ChangeJobs) -> None:
    """Jobs are defined otherwise, or no more."""
    for name in event.deleted:
        _known(core, name)
    for job in event.put:
        _put(core, job)
    for name in event.deleted:
        _delete(core, name)


def run_now(core: Core, event: RunNow) -> None:
    """One run by hand, as soon as there is room, and no other task of the job runs unless it may."""
    job = _known(core, event.job)
    run = replace(new_run(core, job, "manual", core.wall_ms), arguments=event.arguments)
    core.put_job(replace(job, latest_due_ms=run.due_ms))
    core.put_run(run)


def kill_runs(core: Core, name: str) -> None:
    """All of the job that runs, or was to run for itself. What its schedule makes due later is another matter."""
    _known(core, name)
    for run in core.state.runs_of(name):
        kills.kill(core, run)


def drop_waiting(core: Core) -> None:
    """All that was to run and does not yet, but for what schedules and parents make due."""
    for run in list(core.state.runs.values()):
        if run.state == "waiting":
            outcomes.drop_waiting(core, run, "dropped", "Somebody dropped all that waited.")


def mark_succeeded(core: Core, event: MarkSucceeded) -> None:
    """As if it had run, and well."""
    job = _known(core, event.job)
    start = windows.next_start(core.state, job)
    job = replace(job, successes=()) if start is None else start.job
    outcomes.count_success(core, job, windows.ANY)


def complete(core: Core, event: Complete) -> None:
    """Somebody says how the run of an asynchronous job has ended."""
    run = _running(core, event.task_id)
    if event.succeeded:
        outcomes.succeeded(core, run)
    else:
        outcomes.failed(core, run)


def processed(core: Core, event: Processed) -> None:
    """The run has got so much further."""
    run = _running(core, event.task_id)
    core.put_run(replace(run, elements_processed=run.elements_processed + event.elements))


def _put(core: Core, job: Job) -> None:
    before = core.state.jobs.get(job.name)
    if before is not None:
        if before.disabled and not job.disabled and job.missed_runs == "all" and job.schedule is not None:
            # What came due while it was disabled was not missed.
            job = replace(job, schedule=job.schedule.skipped(core.wall))
        for waiting in core.state.waiting_of(job.name):
            if not waiting.stored:  # it is made due by what may have changed
                core.state.dequeue(waiting.run)
    core.put_job(outcomes.settled(core, job))
    for run in core.state.runs_of(job.name):
        losses.watch(core, run)
    if job.disabled:
        for run in core.state.runs_of(job.name):
            if run.state == "waiting" and run.trigger != "manual":
                outcomes.drop_waiting(core, run, "disabled", "The job was disabled.")


def _delete(core: Core, name: str) -> None:
    job = core.state.jobs[name]
    for run in core.state.runs_of(name):
        core.put_run(replace(run, orphaned=True))
        kills.kill(core, core.state.runs[run.id])
    core.remove_job(name)
    core.notify(Notify("deleted", job, core.wall))


def _known(core: Core, name: str) -> Job:
    job = core.state.jobs.get(name)
    if job is None:
        raise Unknown(name)
    return job


def _running(core: Core, task_id: str) -> Run:
    run = core.state.runs.get(task_id)
    if run is None or not run.is_active:
        raise Refused(f"task '{task_id}' is not running")
    return run
