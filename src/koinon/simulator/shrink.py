"""From a plan that breaks a law to a short one that breaks it, too.

First the faults: halves, quarters, … are left out as long as the same law is broken without them (*ddmin*). Then the
cluster and the time: fewer frameworks, agents and masters, and an end soon after the last fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from msgspec.structs import replace

from koinon.simulator.plan import Fault, Plan

T = TypeVar("T")

#: The first act goes on for so long after the last fault.
_AFTER_S = 1.0


def shrink(plan: Plan, breaks: Callable[[Plan], bool], *, tries_max: int = 400) -> Plan:
    """A shorter plan for which `breaks` holds, as it does for `plan`; asked `tries_max` times at most."""
    left = tries_max

    def still(candidate: Plan) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and breaks(candidate)

    best = plan
    while left > 0:
        before = best

        def without(faults: Sequence[Fault], whole: Plan = before) -> bool:
            return still(replace(whole, faults=tuple(faults)))

        best = replace(best, faults=tuple(minimal(best.faults, without)))
        for smaller in _smaller(best):
            if still(smaller):
                best = smaller
        if best == before:
            break
    return best


def minimal(items: Sequence[T], breaks: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """A part of `items` for which `breaks` holds, and of which nothing can be left out (Zeller's ddmin)."""
    if items and breaks(()):
        return ()
    pieces = 2
    while len(items) >= 2:
        size = -(-len(items) // pieces)
        for begin in range(0, len(items), size):
            rest = [*items[:begin], *items[begin + size :]]
            if len(rest) < len(items) and breaks(rest):
                items, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if pieces >= len(items):
                break
            pieces = min(2 * pieces, len(items))
    return items


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with a little less; one after the other, each for itself."""
    end_s = max((fault.at_s for fault in plan.faults), default=0.0) + _AFTER_S
    for act_s in (end_s, end_s + 10.0):
        if act_s < plan.act_s:
            yield replace(plan, act_s=act_s)
    for framework in plan.frameworks:
        if len(plan.frameworks) > 1:
            yield _without(
                replace(plan, frameworks=tuple(one for one in plan.frameworks if one is not framework)), plan
            )
    if len(plan.agents) > 1:
        yield _without(replace(plan, agents=plan.agents[:-1]), plan)
    if plan.masters > 1:
        yield _without(replace(plan, masters=plan.masters - 1), plan)
    if (chronos := plan.chronos) is not None:
        for job in chronos.jobs:
            rest = tuple(one for one in chronos.jobs if one is not job)
            if rest and not any(job.name in one.parents for one in rest):
                yield replace(plan, chronos=replace(chronos, jobs=rest))
        if chronos.nodes > 1:
            yield _without(replace(plan, chronos=replace(chronos, nodes=1)), plan)
    for at, fault in enumerate(plan.faults):
        if fault.for_s > 0.5:
            shorter = replace(fault, for_s=round(fault.for_s / 2, 3))
            yield replace(plan, faults=(*plan.faults[:at], shorter, *plan.faults[at + 1 :]))


def _without(smaller: Plan, plan: Plan) -> Plan:
    """Faults of what is no more are no more."""
    gone = set(plan.machines) - set(smaller.machines)

    def concerned(fault: Fault) -> bool:
        return fault.on in gone or fault.to in gone

    return replace(smaller, faults=tuple(fault for fault in plan.faults if not concerned(fault)))
