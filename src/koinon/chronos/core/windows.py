"""For which window a child starts next, and what it uses for that.

A *window* is a slot of a scheduled job and all that follows from it down the chain. A child keeps the windows in which each
parent has succeeded and which it has not used. Whether windows of different parents are comparable depends on where they come
from: if all parents descend from one and the same scheduled job, the child is due for a window in which each of them has
succeeded. Otherwise it is due when each parent has succeeded at all.

    missedRuns: all      the oldest such window; of each parent that one success is used
    others               the newest; with it everything of before is used

A success by hand belongs to no window. It stands in where a parent's own is missing, which then does not count when it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from koinon.chronos.core.state import State
from koinon.chronos.model import Job, successes_of

#: Windows kept of each parent, while other parents, or the child, do not get on.
_KEPT_MAX = 100
#: The window of what was done by hand; and of a child whose parents have no common ones.
ANY = 0

_Unused = Mapping[str, tuple[int, ...]]


class Start(Struct, frozen=True):
    """A start that parents have made due."""

    window_ms: int
    job: Job  #: as it is after that


def next_start(state: State, job: Job) -> Start | None:
    """What the job is due for; None if it is not, or has no parents."""
    if len(job.successes) < len(job.parents) or not job.parents:
        return None
    unused = job.unused
    if not _are_comparable(state, job):
        left = {parent: windows[1:] for parent, windows in unused.items()} if _wants_all(job) else {}
        return Start(ANY, replace(job, successes=successes_of(left)))
    chosen = _choose(job, unused)
    if chosen is None:
        return None
    window, is_helped = chosen
    helped = (*job.helped_windows, window)[-_KEPT_MAX:] if is_helped else job.helped_windows
    left = {parent: _left(job, windows, window) for parent, windows in unused.items()}
    return Start(window, replace(job, successes=successes_of(left), helped_windows=helped))


def with_success(job: Job, parent: str, window: int) -> Job:
    """The job when a parent of it has succeeded in that window."""
    unused = job.unused
    known = unused.get(parent, ())
    if window != ANY and (window in known or window in job.helped_windows):
        return job
    return replace(job, successes=successes_of({**unused, parent: (*known, window)[-_KEPT_MAX:]}))


def without_starts(state: State, job: Job) -> Job:
    """The job when it is not to start for anything that its parents have done so far."""
    while (start := next_start(state, job)) is not None:
        job = start.job
    return job


def missing_parents(state: State, job: Job) -> tuple[int, list[str]]:
    """For which window the job waits foremost, and those of its parents that have still to succeed in it."""
    if next_start(state, job) is not None:
        return ANY, []
    unused = job.unused
    absent = [parent for parent in job.parents if parent not in unused]
    windows = {window for known in unused.values() for window in known} - {ANY}
    if not windows or not _are_comparable(state, job):
        return ANY, absent
    window = (min if _wants_all(job) else max)(windows)
    return window, [one for one in job.parents if not _has(unused.get(one, ()), window)]


def _choose(job: Job, unused: _Unused) -> tuple[int, bool] | None:
    """The window, and whether successes by hand have to stand in."""
    pick = min if _wants_all(job) else max
    each = [set(windows) for windows in unused.values()]
    if whole := set.intersection(*each):
        return pick(whole), False
    if helped := [window for window in set.union(*each) if all(_has(one, window) for one in each)]:
        return pick(helped), True
    return None


def _has(windows: Iterable[int], window: int) -> bool:
    return any(one in (window, ANY) for one in windows)


def _left(job: Job, windows: tuple[int, ...], used: int) -> tuple[int, ...]:
    if not _wants_all(job):
        return tuple(one for one in windows if one > used)
    place = windows.index(used if used in windows else ANY)
    return windows[:place] + windows[place + 1 :]


def _wants_all(job: Job) -> bool:
    return job.missed_runs == "all"


def _are_comparable(state: State, job: Job) -> bool:
    """Whether all that its parents do follows from slots of one schedule."""
    roots = {state.root_of(parent) for parent in job.parents}
    return len(roots) == 1 and None not in roots
