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
_KEPT_MAX = 8
#: A slot that has come at last may wait so long for its run when its lapse is over. Beyond that it has been made up for.
_PATIENCE_MS = 60_000


def with_lapse(job: Job, since_ms: int, through_ms: int) -> Job:
    """The job when a run for the one slot has made up for all of its slots up to the other time."""
    if job.ahead is not None:
        return job  # of what is within lapses
    return replace(job, lapses=_longest([*job.lapses, Lapse(since_ms, through_ms)]))


def with_slot_run(job: Job, slot_ms: int) -> Job:
    """The job when a slot of it has a run of its own."""
    if not any(_holds(lapse, slot_ms) for lapse in job.lapses):
        return job
    left: list[Lapse] = []
    for lapse in job.lapses:
        if not _holds(lapse, slot_ms):
            left.append(lapse)
            continue
        parts = Lapse(lapse.since_ms, slot_ms - 1), Lapse(slot_ms, lapse.through_ms)
        left += [part for part in parts if _first_of(job, part, part.since_ms / 1000) is not None]
    return replace(job, lapses=_longest(left))


def given_up(job: Job, slot_ms: int, through_ms: int) -> Job:
    """The job when slots of it up to the other time are given up: the first, too, is still to come by another clock."""
    return with_lapse(job, slot_ms - 1, through_ms) if job.ahead is None else with_slot_run(job, slot_ms)


def was_given_up(job: Job, slot_ms: int) -> bool:
    """Whether the slot is the first of those that were given up together; its record says so."""
    return any(lapse.since_ms == slot_ms - 1 for lapse in job.lapses)


def reconsidered(core: Core, job: Job) -> Job:
    """The job with its schedule where it is to be by what the wall shows now."""
    schedule = job.schedule
    if schedule is None or not (job.lapses or job.ahead):
        return job
    if job.ahead and _waits(core, job, schedule):
        return job
    open_ones = [lapse for lapse in job.lapses if lapse.through_ms > core.wall_ms]
    if not open_ones:
        return _gone_on(job, schedule)
    end = (job.ahead or schedule).due
    set_back = [_first_of(job, lapse, core.wall) for lapse in open_ones]
    times = {one.due: one for one in set_back if one is not None and one.due is not None}
    if not times or (end is not None and min(times) >= end):
        return _gone_on(job, schedule)
    first = times[min(times)]
    return job if first == schedule else replace(job, schedule=first, ahead=job.ahead or schedule)


def _gone_on(job: Job, schedule: Schedule) -> Job:
    """What was set back is where it was; or where it is, if the slot there has had its run meanwhile."""
    ahead = job.ahead
    if ahead is None:
        return job
    if isinstance(ahead, Repeating):
        ahead = replace(ahead, remaining=schedule.remaining)
    has_run = ahead.due is not None and ids.milliseconds(ahead.due) <= job.latest_slot_ms
    return replace(job, schedule=schedule if has_run else ahead, ahead=None)


def _waits(core: Core, job: Job, schedule: Schedule) -> bool:
    """Whether what is due has come."""
    due = schedule.due
    if due is None or due > core.wall:
        return False
    slot_ms, least_ms = ids.milliseconds(due), core.wall_ms - _PATIENCE_MS
    return any(_holds(lapse, slot_ms) and lapse.through_ms > least_ms for lapse in job.lapses)


def _first_of(job: Job, lapse: Lapse, after: float) -> Schedule | None:
    """The schedule at the first slot of the lapse that is later than `after`."""
    assert job.schedule is not None
    found = job.schedule.placed(max(after, lapse.since_ms / 1000))
    return found if found.due is not None and _holds(lapse, ids.milliseconds(found.due)) else None


def _longest(lapses: list[Lapse]) -> tuple[Lapse, ...]:
    if len(lapses) > _KEPT_MAX:
        longest = sorted(lapses, key=lambda lapse: lapse.through_ms - lapse.since_ms)[-_KEPT_MAX:]
        lapses = [lapse for lapse in lapses if lapse in longest]
    return tuple(lapses)


def _holds(lapse: Lapse, slot_ms: int) -> bool:
    return lapse.since_ms < slot_ms <= lapse.through_ms
