"""Clocks that are set back.

Who is late makes up for several slots by one run, and the schedule goes on behind what the clock shows. If that was wrong, and
the clock is set right, the slots between are still to come: they were to be run at their times, and nobody has. So each job
remembers its *lapses*, the stretches of slots that were made up for. When the wall shows a time before the end of one, the
schedule is set back to the first slot of it that is still to come, and goes on to where it was, `ahead`, after the last. What
has had a run of its own is in no lapse, so it never runs again.

    slots     1   2   3   4   5   6   7   8
    run       1   2···········5   6              2 made up for what the clock had come to, (2, 5]: it was set from 2 to 5
    set back          3   4   5           7      3, 4 and 5 run at their times, then 7
"""

from __future__ import annotations

from msgspec.structs import replace

from koinon.chronos.core.context import Core
from koinon.chronos.model import Job, Lapse, ids
from koinon.chronos.schedules import Repeating, Schedule

#: Lapses kept of one job. Of more the shortest are forgotten: what was in them does not run again.
_KEPT_MAX = 6


def with_lapse(job: Job, since_ms: int, through_ms: int) -> Job:
    """The job when a run for the one slot has made up for all of its slots up to the other time."""
    if job.ahead is not None:
        return job  # of what is within lapses
    lapses = (*job.lapses, Lapse(since_ms, through_ms))
    if len(lapses) > _KEPT_MAX:
        shortest = min(lapses, key=lambda lapse: lapse.through_ms - lapse.since_ms)
        lapses = tuple(lapse for lapse in lapses if lapse is not shortest)
    return replace(job, lapses=lapses)


def with_slot_run(job: Job, slot_ms: int) -> Job:
    """The job when a slot of it has a run of its own."""
    if not any(_holds(lapse, slot_ms) for lapse in job.lapses):
        return job
    lapses = (
        Lapse(slot_ms, lapse.through_ms) if _holds(lapse, slot_ms) else lapse
        for lapse in job.lapses
        if slot_ms < lapse.through_ms or not _holds(lapse, slot_ms)
    )
    return replace(job, lapses=tuple(lapses))


def reconsidered(core: Core, job: Job) -> Job:
    """The job with its schedule where it is to be by what the wall shows now."""
    schedule = job.schedule
    if schedule is None or not (job.lapses or job.ahead):
        return job
    open_ones = [lapse for lapse in job.lapses if lapse.through_ms > core.wall_ms]
    if not open_ones:
        return _gone_on(job, schedule)
    due, end = schedule.due, (job.ahead or schedule).due
    if job.ahead and due is not None and due <= core.wall and _is_within(open_ones, due):
        return job  # it has come, and waits
    set_back = [schedule.placed(max(core.wall, lapse.since_ms / 1000)) for lapse in open_ones]
    times = {
        one.due: one
        for one, lapse in zip(set_back, open_ones, strict=True)
        if one.due is not None and _holds(lapse, ids.milliseconds(one.due))
    }
    if not times or (end is not None and min(times) >= end):
        return _gone_on(job, schedule)
    first = times[min(times)]
    return job if first == schedule else replace(job, schedule=first, ahead=job.ahead or schedule)


def _gone_on(job: Job, schedule: Schedule) -> Job:
    """What was set back is where it was."""
    ahead = job.ahead
    if isinstance(ahead, Repeating):
        ahead = replace(ahead, remaining=schedule.remaining)
    return job if ahead is None else replace(job, schedule=ahead, ahead=None)


def _is_within(lapses: list[Lapse], due: float) -> bool:
    return any(_holds(lapse, ids.milliseconds(due)) for lapse in lapses)


def _holds(lapse: Lapse, slot_ms: int) -> bool:
    return lapse.since_ms < slot_ms <= lapse.through_ms
