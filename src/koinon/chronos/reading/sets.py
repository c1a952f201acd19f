"""The jobs as a whole: who depends on whom, and what becomes of the others when one goes.

Every set of jobs that is stored is sound: each parent exists and no job waits for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from koinon.chronos.model import Job, successes_of
from koinon.chronos.model.problems import Unknown

_LISTED_MAX = 5  #: of names in a sentence


class Deletion(msgspec.Struct, frozen=True):
    """What a deletion comes to, to be stored in one step."""

    job: Job  #: that goes
    changed: tuple[Job, ...]  #: its children, as they are without it


def deleted(jobs: Mapping[str, Job], name: str) -> Deletion:
    """What the deletion of a job comes to. Raises Unknown.

    The children of a dependent job get its parents instead. A scheduled job leaves its children to their other parents;
    a child that has none becomes scheduled, at the same times.
    """
    if (job := jobs.get(name)) is None:
        raise Unknown(name)
    orphan = _adopted if job.is_dependent else _weaned
    return Deletion(job, tuple(orphan(child, job) for child in children(jobs, name)))


def children(jobs: Mapping[str, Job], name: str) -> list[Job]:
    """Those that wait for it, by name."""
    return sorted((one for one in jobs.values() if name in one.parents), key=lambda one: one.name)


def _adopted(child: Job, parent: Job) -> Job:
    """Without a dependent parent: what that one waited for has happened if it has succeeded itself, or knows of it."""
    unused, of_parent = child.unused, parent.unused
    done = unused.pop(parent.name, ())
    for one in set(parent.parents) - set(child.parents):
        unused[one] = (*done, *(window for window in of_parent.get(one, ()) if window not in done))
    parents = {*child.parents, *parent.parents} - {parent.name}
    return msgspec.structs.replace(child, parents=tuple(sorted(parents)), successes=successes_of(unused))


def _weaned(child: Job, parent: Job) -> Job:
    """Without a scheduled parent."""
    parents = tuple(one for one in child.parents if one != parent.name)
    if parents:
        successes = tuple(one for one in child.successes if one.parent != parent.name)
        return msgspec.structs.replace(child, parents=parents, successes=successes)
    return msgspec.structs.replace(
        child,
        parents=(),
        successes=(),
        schedule=parent.schedule,
        # It did not run while its parent was disabled, so it is not to start with that one's deletion either.
        disabled=child.disabled or parent.disabled,
    )


def parent_problems(jobs: Mapping[str, Job], name: str, parents: Iterable[str]) -> list[str]:
    """What is wrong with a job `name` that has these parents, in sentences."""
    missing = sorted(one for one in set(parents) if one != name and one not in jobs)
    found = []
    if missing:
        rest = f" and {len(missing) - _LISTED_MAX} more" if len(missing) > _LISTED_MAX else ""
        names = ", ".join(f"'{one}'" for one in missing[:_LISTED_MAX])
        found.append(f"parents must be jobs, and {names}{rest} {'is' if len(missing) == 1 else 'are'} none")
    if circle := cycle(jobs, name, parents):
        found.append("parents must not make a circle: " + " → ".join(circle))
    return found


def cycle(jobs: Mapping[str, Job], name: str, parents: Iterable[str]) -> tuple[str, ...]:
    """The way from job `name` by its children back to itself that these parents would close; empty if there is none."""
    #: For each job found on the way up, the child through which it was found.
    below: dict[str, str] = {}
    open_ends = [(one, name) for one in sorted(set(parents))]
    while open_ends:
        at, child = open_ends.pop()
        if at in below:
            continue
        below[at] = child
        if at == name:
            return _way_down(below, name)
        if (job := jobs.get(at)) is not None:
            open_ends.extend((one, at) for one in job.parents)
    return ()


def _way_down(below: Mapping[str, str], name: str) -> tuple[str, ...]:
    way = [name]
    while len(way) == 1 or way[-1] != name:
        way.append(below[way[-1]])
    return tuple(way)
