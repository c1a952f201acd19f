"""Mistakes in Chronos, made on purpose: see `mutations.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from msgspec.structs import replace

from koinon.chronos.core import context, outcomes, updates, windows
from koinon.chronos.model import Run
from koinon.chronos.recording import Recorder
from koinon.coordination.zookeeper.election import Election
from koinon.mesos.v1 import TaskState
from koinon.service import driver
from koinon.service.loop import CoreLoop
from koinon.simulator.plan import Fault, Plan, draw_chronos
from tests.simulation.mutations import Patches


def _launches_before_the_intent_is_stored() -> Patches:
    end = context.Core.end

    def eager(core: context.Core) -> list[Any]:
        effects, core.effects = core.effects, []
        return [*effects, *end(core)]

    return [patch.object(context.Core, "end", eager)]


def _at_takeover(spoil: Callable[[context.Core], None]) -> Patches:
    """What is done when the store has been read."""
    record_again = context.Core.record_again

    def spoilt(core: context.Core, runs: list[Run]) -> None:
        record_again(core, runs)
        spoil(core)

    return [patch.object(context.Core, "record_again", spoilt)]


def _silence_is_an_answer(core: context.Core) -> None:
    for run in list(core.state.runs.values()):
        if run.state == "launching":
            outcomes.never_began(core, run)


def _retries_are_forgotten(core: context.Core) -> None:
    for run in list(core.state.runs.values()):
        if run.state == "waiting":
            outcomes.drop_waiting(core, run, "lost", "")


def _successes_are_forgotten(core: context.Core) -> None:
    for job in list(core.state.jobs.values()):
        core.put_job(replace(job, successes=()))


def _out_of_reach_is_lost() -> Patches:
    return [
        patch.object(updates, "OPEN", frozenset((TaskState.TASK_STAGING,))),
        patch.object(updates, "FAILED", updates.FAILED | {TaskState.TASK_UNREACHABLE}),
    ]


def _recorded_at_once() -> Patches:
    record = Recorder.record

    def hasty(recorder: Recorder, runs: Sequence[Run]) -> None:
        record(recorder, runs)
        recorder._done += [run.id for run in runs]
        recorder._tell()

    return [patch.object(Recorder, "record", hasty)]


def _accepted_at_once() -> Patches:
    async def settled(loop: object) -> None:
        return None

    return [patch.object(CoreLoop, "settled", settled)]


class ChronosMutation(NamedTuple):
    """See `Mutation`. What shows only at rare moments is given more of them: with `faults` of these kinds all the time, to
    a Chronos that is alone, and so leads again at once.
    """

    sentence: str
    patches: Callable[[], Patches]
    faults: tuple[str, ...] = ()
    within: int = 40
    masters: int = 0


def plans(mutation: ChronosMutation) -> Iterator[Plan]:
    """Bad days on which it may be noticed."""
    drawn = (plan for plan in map(draw_chronos, count(1)) if plan.masters >= mutation.masters)
    return (
        worse(plan, mutation.faults) if mutation.faults else plan for plan in islice(drawn, mutation.within)
    )


def worse(plan: Plan, kinds: Sequence[str]) -> Plan:
    """The plan with faults of these kinds only, every other second, and of machines only those of Chronoses."""
    random = Random(f"{plan.seed}/worse")
    faults = (
        Fault(
            at_s=round(at_s + random.random(), 3),
            kind=random.choice(kinds),
            on=random.choice(plan.chronos_names),
            for_s=round(4.0 * random.random() ** 2, 3),
            size=round(random.uniform(0.5, 1.0), 3),
        )
        for at_s in range(4, int(plan.act_s), 2)
    )
    return replace(plan, faults=tuple(faults))


CHRONOS_MUTATIONS = {
    "intent_not_stored": ChronosMutation(
        "a launch leaves before its intent is stored",
        _launches_before_the_intent_is_stored,
        ("kill", "slow disk"),
    ),
    "silence_is_an_answer": ChronosMutation(
        "a new leader launches again what it has heard nothing of",
        lambda: _at_takeover(_silence_is_an_answer),
        ("kill", "slow link"),
    ),
    "retries_forgotten": ChronosMutation(
        "a new leader forgets what was to be tried again",
        lambda: _at_takeover(_retries_are_forgotten),
        ("kill",),
    ),
    "successes_forgotten": ChronosMutation(
        "a new leader forgets what parents have done",
        lambda: _at_takeover(_successes_are_forgotten),
        ("kill",),
    ),
    "out_of_reach_is_lost": ChronosMutation(
        "what runs on an agent that cannot be reached is taken for lost", _out_of_reach_is_lost
    ),
    "any_success_counts": ChronosMutation(
        "a child runs when its parents have succeeded in different windows",
        lambda: [patch.object(windows, "_are_comparable", lambda state, job: False)],
    ),
    "sent_is_not_done": ChronosMutation(
        "a launch whose answer is lost is taken for not done",
        lambda: [patch.object(driver, "_was_surely_not_done", lambda error: True)],
        ("break connections", "slow link", "slow link"),
    ),
    "recorded_at_once": ChronosMutation(
        "a run is forgotten before the history has it", _recorded_at_once, ("history away", "kill")
    ),
    "accepted_at_once": ChronosMutation(
        "a request is accepted before it is stored", _accepted_at_once, ("kill", "slow disk")
    ),
    "chronos_lease_ignored": ChronosMutation(
        "a Chronos that lost ZooKeeper goes on",
        lambda: [
            patch("koinon.coordination.candidate.Candidate.lease_end_s", math.inf),
            patch.object(Election, "held", lambda election: True),
        ],
        masters=1,
    ),
}
