"""What of a job may start now: worked out anew from what there is, whenever something of the job has changed.

    schedule.due <= now ──────────────┐
    parents have succeeded (windows) ─┼─▶ overlap ─▶ queue ─▶ launching
    stored and waiting: retries, runs ┘
    by hand, slots that were queued

A due time of the schedule is a *slot*, and the *window* of its run and of all that follows from that. Slots that are late,
because nothing could start when they came, are made up for as the job wants: by one run for all of them (`missedRuns: one`),
by one for each, or not at all once they are later than epsilon.

With `overlap: skip` a job has one task at a time, and its runs come in their order: the next slot waits until the run
before has ended for good, retries included, and is late then. With `queue` the same, but each slot is kept as a run of its
own from the moment it is due. With `allow` nothing waits for anything. So it is with what parents make due. A run by hand
waits for the task that runs, not for a retry that is still to come.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from msgspec.structs import replace

from koinon.chronos import schedules
from koinon.chronos.core import setbacks, windows
from koinon.chronos.core.context import Core
from koinon.chronos.core.state import Waiting
from koinon.chronos.model import Job, Run, Trigger, ids
from koinon.chronos.schedules import zones

#: So many jobs are looked at in one turn: some 20 ms.
_LOOKS = 1_000
_PAUSE_S = 0.001


def look(core: Core, name: str) -> None:
    """Brings the job's place in the queue up to date, and sets its alarm."""
    state = core.state
    job = state.jobs.get(name)
    found: list[Run] = []
    if job is not None:
        job = _deal_with_late(core, _reconsider(core, job))
        found = _may_start(core, job)
        _set_alarm(core, job)
    wanted = {run.id: run for run in found}
    for waiting in state.waiting_of(name):
        if waiting.run.id not in wanted:
            state.dequeue(waiting.run)
    for run in found:
        known = state.queue.get(run.id)
        if known is None:
            state.enqueue(Waiting(run, since=core.wall, stored=run.id in state.runs))
            core.unsettled = True


def look_at_all(core: Core) -> None:
    """Every job is looked at: as many in one turn as leave the lease time to be renewed."""
    core.unseen = iter(list(core.state.jobs))
    _look_on(core)


def _look_on(core: Core, _: str = "") -> None:
    names = list(islice(core.unseen, _LOOKS))
    core.touched.update(dict.fromkeys(names))
    if len(names) == _LOOKS:
        core.alarms.set(core.now + _PAUSE_S, _look_on)


def new_run(core: Core, job: Job, trigger: Trigger, due_ms: int, window_ms: int = windows.ANY) -> Run:
    """A run that is due at that time, or as soon after as no run of this job's has been due yet.

    A job that is posted again with a start in the past would run under an id that the history knows.
    """
    latest_ms = job.latest_slot_ms if trigger == "schedule" else job.latest_due_ms
    if due_ms <= latest_ms:
        due_ms = max(core.wall_ms, latest_ms + 1)
    state = core.state
    while (
        due_ms in (job.latest_slot_ms, job.latest_due_ms)
        or (run_id := ids.task_id(job.name, due_ms)) in state.runs
        or run_id in state.ended
    ):
        due_ms += 1
    return Run(job.name, due_ms, trigger=trigger, window_ms=due_ms if trigger == "schedule" else window_ms)


def clock_jumped(core: Core) -> None:
    """The wall shows another time all at once: retries wait as long as before, and schedules may have to go back."""
    by_s, core.jump_s = core.jump_s, 0.0
    for run in list(core.state.runs.values()):
        if run.state == "waiting" and run.not_before:
            core.put_run(replace(run, not_before=run.not_before + by_s))
        elif run.unreachable_since is not None:
            core.put_run(replace(run, unreachable_since=run.unreachable_since + by_s))
    if by_s < 0:
        state = core.state
        core.touched.update(dict.fromkeys(state.queued))  # what waits for room may not have come any more
        core.touched.update((name, None) for name, job in state.jobs.items() if job.lapses or job.ahead)


def launched(core: Core, run: Run) -> tuple[Job, Run]:
    """The job with what made the run due dealt with, and the run with what it makes up for."""
    job = core.state.jobs[run.job]
    if run.trigger == "schedule":
        schedule = job.schedule
        assert schedule is not None, f"{run.id} has no schedule"
        assert schedule.due is not None, f"{run.id} is not due"
        job = setbacks.with_slot_run(job, ids.milliseconds(schedule.due))
        job = replace(job, latest_slot_ms=max(run.due_ms, job.latest_slot_ms))
        after = schedule.advanced(schedule.due)
        if job.missed_runs != "all" and (after.due is None or after.due <= core.wall):
            if after.due is not None:
                run = replace(run, through_ms=core.wall_ms)
                job = setbacks.with_lapse(job, ids.milliseconds(schedule.due), core.wall_ms)
            after = schedule.advanced(core.wall)
        return replace(job, schedule=after), run
    assert run.trigger == "parent", f"{run.id} is in no need of this"
    # While it waited for room another window may have become whole.
    start = windows.next_start(core.state, job)
    assert start is not None, f"{run.id} is not due"
    return replace(start.job, latest_due_ms=run.due_ms), replace(run, window_ms=start.window_ms)


# ── slots ─────────────────────────────────────────────────────────────────────────────────────────
def _reconsider(core: Core, job: Job) -> Job:
    """The schedule may have to go back with the clock, or on."""
    found = setbacks.reconsidered(core, job)
    if found is not job:
        for waiting in core.state.waiting_of(job.name):
            if not waiting.stored:  # for a slot that may be another one now
                core.state.dequeue(waiting.run)
        core.put_job(found)
    return found


def _deal_with_late(core: Core, job: Job) -> Job:
    """Slots that are too late are given up, others kept as runs, as the job wants."""
    due = _due(core, job)
    if due is not None and job.missed_runs == "skip" and not core.state.queued.get(job.name):
        job = _give_up_missed(core, job, due)
    return _queue_all(core, job) if job.overlap == "queue" else job


def _give_up_missed(core: Core, job: Job, due: float) -> Job:
    """Those later than epsilon. One that waits for room has been in time, and is kept."""
    limit = core.wall - _epsilon_s(core, job)
    if due >= limit:
        return job
    schedule = job.schedule
    assert schedule is not None
    run = _slot_run(core, job, ids.milliseconds(due))
    last_ms = zones.whole(limit)
    job = setbacks.given_up(job, ids.milliseconds(due), last_ms)
    job = replace(job, schedule=schedule.skipped(limit), latest_slot_ms=max(run.due_ms, job.latest_slot_ms))
    core.put_job(job)
    core.put_run(
        replace(
            run,
            state="skipped",
            ended=core.wall,
            through_ms=last_ms,
            reason="missed",
            message="Nothing could start in time.",
        )
    )
    return job


def _queue_all(core: Core, job: Job) -> Job:
    """Whatever is due becomes a run of its own. More than so many are left, and late when there is place again."""
    place = core.config.queued_max - len(core.state.runs_of(job.name))
    while place > 0 and (derived := _next_derived(core, job)) is not None:
        job, run = launched(core, derived)
        job = setbacks.reconsidered(core, job)
        core.put_job(job)
        core.put_run(run)
        place -= 1
    return job


def _due(core: Core, job: Job) -> float | None:
    """The first slot, if it has come."""
    if job.disabled or job.schedule is None:
        return None
    due = job.schedule.due
    return due if due is not None and due <= core.wall else None


def _epsilon_s(core: Core, job: Job) -> float:
    return schedules.read_period(job.epsilon).length / 1000 if job.epsilon else core.config.epsilon_s


# ── who may start ─────────────────────────────────────────────────────────────────────────────────
def _may_start(core: Core, job: Job) -> list[Run]:
    state = core.state
    stored = sorted(
        (run for run in state.runs_of(job.name) if run.state == "waiting"),
        key=lambda run: (run.due_ms, run.attempt),
    )
    if job.overlap == "allow":
        return [*_ready(core, stored), *_derived(core, job)]
    if any(state.active_of(job.name)):
        return []
    by_hand = [run for run in stored if run.trigger == "manual"]
    others = [run for run in stored if run.trigger != "manual"]
    # Runs of schedule and parents come one after the other, so the first of them decides for all.
    found = [*_ready(core, by_hand), *(_ready(core, others[:1]) if others else _derived(core, job))]
    return found[:1]


def _ready(core: Core, runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if run.not_before <= core.wall]


def _derived(core: Core, job: Job) -> list[Run]:
    """The run that schedule or parents make due, if there is one. Once it waits for room it stays the same one."""
    derived = _next_derived(core, job)
    if derived is None:
        return []
    return [one.run for one in core.state.waiting_of(job.name) if not one.stored] or [derived]


def _next_derived(core: Core, job: Job) -> Run | None:
    if job.disabled:
        return None
    if (due := _due(core, job)) is not None:
        due_ms = ids.milliseconds(due)
        begins_late = (
            job.missed_runs != "all" and job.ahead is None and isinstance(job.schedule, schedules.Repeating)
        )
        if begins_late and job.created_ms <= core.wall_ms:
            # Before there was the job nobody waited for it; and one of that name, deleted since, may have had that id.
            due_ms = max(due_ms, job.created_ms)
        return _slot_run(core, job, due_ms)
    if (start := windows.next_start(core.state, job)) is not None:
        return new_run(core, job, "parent", core.wall_ms, start.window_ms)
    return None


def _slot_run(core: Core, job: Job, due_ms: int) -> Run:
    """The run of a slot; of one that has come once more with the clock the next attempt, if it was given up before."""
    if job.ahead is None:
        return new_run(core, job, "schedule", due_ms)
    attempt = 1 if setbacks.was_given_up(job, due_ms) else 0
    return Run(job.name, due_ms, attempt, window_ms=due_ms)


def _set_alarm(core: Core, job: Job) -> None:
    times = [run.not_before for run in core.state.runs_of(job.name) if run.state == "waiting"]
    if not job.disabled and job.schedule is not None and job.schedule.due is not None:
        times.append(job.schedule.due)
    later = [at for at in times if at > core.wall]
    if later:
        core.wall_alarms.set(min(later), _touch, job.name)
    else:
        core.wall_alarms.cancel(_touch, job.name)


def _touch(core: Core, name: str) -> None:
    core.touched[name] = None
