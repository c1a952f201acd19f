"""How attempts end, and what follows from that.

    succeeded    counted; children get to know; disabled if that was the last repetition
    failed       another attempt later, as long as there are retries; else counted, and told
    killed       nothing: somebody wanted it
    never began  launched again, under another number

*Failed* is also what has begun and was lost with its machine: it costs a retry, as nobody knows what it has done. An attempt of
which the master says that it never was costs none; but where launches come to nothing again and again they wait, and in the end each is a failure.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from koinon.chronos.core import windows
from koinon.chronos.core.context import Core
from koinon.chronos.core.events import Notify
from koinon.chronos.model import Job, Run

#: Attempts that never begin wait so long before the next, at most.
PATIENCE_S = 60.0
#: After so many of them, some four minutes, it is no accident: somebody is to hear of it.
_IN_VAIN_MAX = 10


def succeeded(core: Core, run: Run) -> None:
    """The run has done its work."""
    _end(core, run, "succeeded")
    job = _job_of(core, run)
    if job is None:
        return
    recovers = job.errors_since_last_success > 0
    job = count_success(core, job, run.window_ms)
    if recovers:
        core.notify(_notice("recovered", core, job, run))
    elif job.notify_on_success:
        core.notify(_notice("succeeded", core, job, run))
    if _is_exhausted(core, job) and not job.disabled:
        job = replace(job, disabled=True)
        core.put_job(job)
        core.notify(replace(_notice("disabled", core, job, run), exhausted=True))


def count_success(core: Core, job: Job, window_ms: int) -> Job:
    """One success more, for that window, which its children have waited for."""
    job = replace(
        job, success_count=job.success_count + 1, errors_since_last_success=0, last_success=core.wall
    )
    core.put_job(job)
    tell_children(core, job, window_ms)
    return job


def tell_children(core: Core, job: Job, window_ms: int) -> None:
    """A parent is done for a window. A child that is disabled does not start now, and not for this when it is enabled."""
    for name in sorted(core.state.children.get(job.name, ())):
        child = core.state.jobs[name]
        told = windows.with_success(child, job.name, window_ms)
        if told is not child:
            core.put_job(settled(core, told))


def settled(core: Core, job: Job) -> Job:
    """What makes a disabled job due is forgotten."""
    return windows.without_starts(core.state, job) if job.disabled else job


def failed(core: Core, run: Run) -> None:
    """The attempt has come to nothing, after it had begun."""
    _end(core, run, "failed")
    job = _job_of(core, run)
    if job is None:
        return
    if _is_retried(job, run):
        delay_s = job.retry_delay(run.failures, core.config.failure_retry_s)
        core.put_run(_next_attempt(run, not_before=core.wall + delay_s, failures=run.failures + 1))
        return
    job = replace(
        job,
        error_count=job.error_count + 1,
        errors_since_last_success=job.errors_since_last_success + 1,
        last_error=core.wall,
    )
    limit = core.config.disable_after_failures
    disables = 0 < limit <= job.errors_since_last_success and not job.disabled
    if disables:
        job = replace(job, disabled=True)
    core.put_job(settled(core, job))
    core.notify(_notice("disabled" if disables else "failed", core, job, run))
    if job.soft_error:
        tell_children(core, job, run.window_ms)


def killed(core: Core, run: Run) -> None:
    """Somebody has killed it, or wanted to before it began."""
    _end(core, run, "killed")


def never_began(core: Core, run: Run) -> None:
    """The master says that there never was such a task."""
    job = _job_of(core, run)
    if run.kill_asked is not None or job is None:
        killed(core, run)
        return
    in_vain = run.attempt - run.failures  # attempts before this one that did not begin either
    if in_vain >= _IN_VAIN_MAX:
        failed(core, run)
        return
    _end(core, run, "skipped")
    if job.disabled and run.trigger != "manual":
        return
    delay_s = min(2.0 ** min(in_vain - 1, 10), PATIENCE_S) if in_vain else 0.0
    core.put_run(_next_attempt(run, not_before=core.wall + delay_s, failures=run.failures))


def drop_waiting(core: Core, run: Run, reason: str, message: str) -> None:
    """It is not to run any more."""
    assert run.state == "waiting", f"{run.id} is {run.state}"
    core.put_run(replace(run, state="skipped", ended=core.wall, reason=reason, message=message))


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────
def _end(core: Core, run: Run, state: Literal["succeeded", "failed", "killed", "skipped"]) -> None:
    core.put_run(replace(run, state=state, ended=core.wall))


def _job_of(core: Core, run: Run) -> Job | None:
    return None if run.orphaned else core.state.jobs.get(run.job)


def _next_attempt(run: Run, *, not_before: float, failures: int) -> Run:
    return Run(
        run.job,
        run.due_ms,
        run.attempt + 1,
        trigger=run.trigger,
        arguments=run.arguments,
        window_ms=run.window_ms,
        through_ms=run.through_ms,
        not_before=not_before,
        failures=failures,
    )


def _is_retried(job: Job, run: Run) -> bool:
    """Once a run has failed for good, those after it are not retried until one succeeds."""
    if job.disabled and run.trigger != "manual":
        return False
    return run.failures < job.retries and not job.errors_since_last_success


def _is_exhausted(core: Core, job: Job) -> bool:
    """Whether its schedule has come to its end, and nothing of it is left to run."""
    return job.schedule is not None and job.schedule.remaining == 0 and not core.state.by_job.get(job.name)


def _notice(
    kind: Literal["failed", "disabled", "recovered", "succeeded"], core: Core, job: Job, run: Run
) -> Notify:
    return Notify(kind, job, core.wall, run.id, run.failures, run.message)
