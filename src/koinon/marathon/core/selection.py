"""Which instances go when there are too many.

First those that somebody named, then those that leave the groups of a GROUP_BY as even as can be, then by condition (the
least useful first), then by age as the app wants it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from koinon.marathon.matching.constraints import value_of
from koinon.marathon.model import App, Instance
from koinon.marathon.model.records import Condition
from koinon.marathon.model.root import RunSpec

_FIRST: tuple[Condition, ...] = (
    "Scheduled",
    "UnreachableInactive",
    "Unreachable",
    "Provisioned",
    "Staging",
    "Starting",
)


def by_preference(instances: Iterable[Instance], spec: RunSpec) -> list[Instance]:
    """Whoever comes first is missed least, as far as condition and age are concerned."""
    if isinstance(spec, App):
        youngest_first = spec.kill_selection == "YOUNGEST_FIRST"
    else:
        youngest_first = spec.scheduling.kill_selection == "YOUNGEST_FIRST"
    # Sorting keeps the order of equals: by age first, then by condition. Ids of one age decide for good.
    ordered = sorted(
        instances, key=lambda one: (one.active_since or one.since, one.id), reverse=youngest_first
    )
    ordered.sort(key=_rank)
    return ordered


def choose(
    instances: Collection[Instance], number: int, spec: RunSpec, named: Collection[str] = ()
) -> list[Instance]:
    """`number` of the instances, or all if there are fewer."""
    if number <= 0:
        return []
    ordered = by_preference(instances, spec)
    chosen = [one for one in ordered if one.id in named][:number]
    rest = [one for one in ordered if one not in chosen] if chosen else ordered
    fields = _grouping_fields(spec)
    if not fields or len(chosen) + len(rest) <= number:
        return chosen + rest[: number - len(chosen)]
    return chosen + _evenly(rest, number - len(chosen), fields)


def _rank(instance: Instance) -> int:
    return _FIRST.index(instance.condition) if instance.condition in _FIRST else len(_FIRST)


def _grouping_fields(spec: RunSpec) -> list[str]:
    if isinstance(spec, App):
        return [one[0] for one in spec.constraints if one[1] == "GROUP_BY"]
    return [one.field_name for one in spec.scheduling.placement.constraints if one.operator == "GROUP_BY"]


def _evenly(ordered: list[Instance], number: int, fields: list[str]) -> list[Instance]:
    """Each time one of the biggest group (of the biggest groups, with several fields) goes."""
    places = {
        one.id: [(field, one.agent and value_of(one.agent, field)) for field in fields]
        for one in ordered
        if one.condition != "Scheduled"
    }
    chosen = [one for one in ordered if one.id not in places][:number]  # those are nowhere yet
    sizes = Counter(place for of_one in places.values() for place in of_one)
    rest = [one for one in ordered if one.id in places]
    while len(chosen) < number and rest:
        victim = max(
            rest, key=lambda one: sum(sizes[place] for place in places[one.id])
        )  # the first of equals
        rest.remove(victim)
        chosen.append(victim)
        sizes.subtract(places[victim.id])
    return chosen
