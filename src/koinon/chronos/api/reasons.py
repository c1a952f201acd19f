"""Why a job does what it does, or nothing: read off the state in which the core decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from koinon.chronos.api.activity import activity_of
from koinon.chronos.core import State, windows
from koinon.chronos.core.state import Waiting
from koinon.chronos.model import Job, Run
from koinon.chronos.rendering import IDLE, moment, status

#: Of so many agents it is told why they were of no use.
_AGENTS_MAX = 10
#: So many runs are told one by one.
_RUNS_MAX = 10
#: So much is told of what was said of a task.
_SAID_MAX = 300
#: So long a run may be on its way into the history before that is told.
_RECORDING_S = 60.0


class Reason(NamedTuple):
    """Something that is so, for programs and for people."""

    code: str
    sentence: str


def explain(state: State, job: Job, now: float, before: Iterable[Run] = ()) -> dict[str, Any]:
    """All there is to say; `before` are attempts that have ended."""
    due = job.schedule.due if job.schedule is not None and not job.disabled else None
    return {
        "job": job.name,
        "status": status(job),
        "state": activity_of(state).get(job.name, IDLE).state,
        "disabled": job.disabled,
        "nextRun": moment(due),
        "reasons": [reason._asdict() for reason in _reasons(state, job, now, before)],
    }


def _reasons(state: State, job: Job, now: float, before: Iterable[Run]) -> Iterator[Reason]:
    yield from _of_runs(state, job, now, before)
    for waiting in state.waiting_of(job.name)[:_RUNS_MAX]:
        yield from _of_waiting(state, job, waiting, now)
    yield from _of_next(state, job, now)
    yield from _of_past(job, now)
    yield from _of_history(state, job, now)


# ── what runs, and what is to run again ───────────────────────────────────────────────────────────
def _of_runs(state: State, job: Job, now: float, before: Iterable[Run]) -> Iterator[Reason]:
    ended = {(run.due_ms, run.attempt): run for run in before}
    runs = sorted(state.runs_of(job.name), key=lambda run: (run.due_ms, run.attempt))
    for run in runs[:_RUNS_MAX]:
        if run.is_active:
            yield _active(job, run, now)
        elif run.not_before > now:
            yield Reason(
                "retry",
                f"{_named(run)} begins in {_span(run.not_before - now)}, at {moment(run.not_before)}."
                + _said_before(ended.get((run.due_ms, run.attempt - 1))),
            )
        elif run.id not in state.queue:
            yield Reason("after_another", f"{_named(run)} waits until the run before it has ended.")
    if len(runs) > _RUNS_MAX:
        yield Reason("more", f"There are {len(runs) - _RUNS_MAX} more runs under way or waiting.")


def _said_before(run: Run | None) -> str:
    said = "" if run is None else run.message or run.reason
    return f" The attempt before: {said[:_SAID_MAX].rstrip('.')}." if said else ""


def _active(job: Job, run: Run, now: float) -> Reason:
    where = f"on {run.hostname or run.agent_id}"
    if run.mesos_state == "TASK_UNREACHABLE":
        return Reason(
            "unreachable",
            f"{_named(run)} is {where}, which the master does not reach; nothing starts in its place until that one is"
            f" back or declared gone{_until_lost(job, run, now)}.",
        )
    if run.awaits_call:
        return Reason(
            "awaits_call", f"{_named(run)} has ended {where}, and nobody has told yet how it went (async)."
        )
    if run.kill_asked is not None:
        return Reason("being_killed", f"{_named(run)} is being killed {where}.")
    if run.state == "launching":
        return Reason(
            "launching",
            f"{_named(run)} was launched {where} {_ago(run.launched, now)}; it does not run yet.",
        )
    return Reason("running", f"{_named(run)} has been running {where} since {moment(run.started)}.")


def _until_lost(job: Job, run: Run, now: float) -> str:
    if job.lost_after_seconds is None or run.unreachable_since is None:
        return ""
    return f", or has been away for {_span(run.unreachable_since + job.lost_after_seconds - now)} more"


# ── what may start, and does not ──────────────────────────────────────────────────────────────────
def _of_waiting(state: State, job: Job, waiting: Waiting, now: float) -> Iterator[Reason]:
    yield Reason(
        "waits", f"{_named(waiting.run)} has been waiting for an agent for {_span(now - waiting.since)}."
    )
    if state.master is None:
        yield Reason("no_master", "No master hears this Chronos: nothing can start until one does.")
        return
    for hostname, reason in list(waiting.reasons.items())[-_AGENTS_MAX:]:
        yield Reason("not_placed", f"{hostname} is of no use: {reason}")
    if not waiting.reasons:
        yield Reason(
            "no_offer",
            f"The master has offered nothing since; it needs {job.cpus:g} cpus, {job.mem:g} MB of memory and"
            f" {job.disk:g} MB of disk on one agent. `koinon why` tells of the framework.",
        )


# ── what it waits for ─────────────────────────────────────────────────────────────────────────────
def _of_next(state: State, job: Job, now: float) -> Iterator[Reason]:
    if job.disabled:
        yield Reason("disabled", "It is disabled: it does not start by itself.")
    if job.is_dependent:
        yield from _of_parents(state, job)
    elif job.schedule is None or (due := job.schedule.due) is None:
        yield Reason("exhausted", "Its schedule has no repetition left.")
    elif not job.disabled and due > now:
        yield Reason("not_due", f"It is due in {_span(due - now)}, at {moment(due)} ({job.schedule.text}).")
    elif not job.disabled and not state.waiting_of(job.name):
        yield Reason(
            "overdue", f"It has been due since {moment(due)}, and starts when the run before has ended."
        )


def _of_parents(state: State, job: Job) -> Iterator[Reason]:
    window_ms, missing = windows.missing_parents(state, job)
    if not missing:
        return
    done = ", ".join(name for name in job.parents if name not in missing)
    of_window = f" in the window of {moment(window_ms / 1000)}" if window_ms else ""
    yield Reason(
        "parents",
        f"It waits for {', '.join(missing)} to succeed{of_window}{f'; {done} did already' if done else ''}.",
    )
    for name in missing:
        parent = state.jobs.get(name)
        if parent is not None and parent.disabled:
            yield Reason("parent_disabled", f"Its parent {name} is disabled.")


def _of_past(job: Job, now: float) -> Iterator[Reason]:
    if job.errors_since_last_success:
        count = job.errors_since_last_success
        often = "Its last run has" if count == 1 else f"Its last {count} runs have"
        yield Reason("failed", f"{often} failed, the latest {_ago(job.last_error, now)}.")
    elif job.last_success is not None:
        yield Reason("succeeded", f"It succeeded last {_ago(job.last_success, now)}.")


def _of_history(state: State, job: Job, now: float) -> Iterator[Reason]:
    """Runs that the history should have had by now."""
    ends = [
        run.ended
        for run in state.ended.values()
        if run.job == job.name and run.ended is not None and run.ended < now - _RECORDING_S
    ]
    if ends:
        count = "One ended run of it waits" if len(ends) == 1 else f"{len(ends)} ended runs of it wait"
        yield Reason(
            "history",
            f"{count} for the history, the first for {_span(now - min(ends))}: its database is away, or an"
            " agent does not show what was written. Nothing waits for that.",
        )


# ── words ─────────────────────────────────────────────────────────────────────────────────────────
def _named(run: Run) -> str:
    """Sentences begin with it."""
    if run.trigger == "manual":
        name = f"The run by hand of {moment(run.due)}"
    else:
        name = f"The run due {moment(run.due)}"
    return f"{name}, attempt {run.attempt + 1}," if run.attempt else name


def _ago(at: float | None, now: float) -> str:
    return "before" if at is None else f"{_span(now - at)} ago"


def _span(seconds: float) -> str:
    """`90 s`, `5 min`, `3 h`, `4 days`."""
    seconds = max(seconds, 0.0)
    for unit, length, least in (("days", 86400, 172800), ("h", 3600, 7200), ("min", 60, 120)):
        if seconds >= least:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
