"""The laws of the small world notice mistakes: each of these, made on purpose, must break a play within a few seeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from koinon.chronos.core import context, due, launching, outcomes, setbacks, updates, windows
from koinon.chronos.core.state import State
from koinon.chronos.model import Job
from koinon.mesos import v1
from tests.unit.chronos.core.test_chaos import Chaos, drawn_plan

S = v1.TaskState
Patch = pytest.MonkeyPatch


def launches_before_the_intent_is_stored(patch: Patch) -> None:
    end = context.Core.end

    def eager(core: context.Core) -> list[object]:
        effects = core.effects
        core.effects = []
        return [*effects, *end(core)]

    patch.setattr(context.Core, "end", eager)


def forgets_to_advance_the_schedule(patch: Patch) -> None:
    launched = due.launched

    def stuck(core: context.Core, run: object) -> object:
        _, changed = launched(core, run)  # type: ignore[arg-type]
        return core.state.jobs[changed.job], changed

    patch.setattr(launching.due, "launched", stuck)


def takes_out_of_reach_for_lost(patch: Patch) -> None:
    patch.setattr(updates, "OPEN", frozenset((S.TASK_STAGING,)))
    patch.setattr(updates, "FAILED", updates.FAILED | {S.TASK_UNREACHABLE})


def takes_what_never_began_for_done(patch: Patch) -> None:
    patch.setattr(outcomes, "never_began", outcomes.killed)


def launches_again_whatever_is_not_heard_of(patch: Patch) -> None:
    load = context.Core.record_again

    def impatient(core: context.Core, runs: list[object]) -> None:
        load(core, runs)  # type: ignore[arg-type]
        for run in list(core.state.runs.values()):
            if run.state == "launching":
                outcomes.never_began(core, run)

    patch.setattr(context.Core, "record_again", impatient)


def loses_retries_with_the_leader(patch: Patch) -> None:
    record_again = context.Core.record_again

    def forgetful(core: context.Core, runs: list[object]) -> None:
        record_again(core, runs)  # type: ignore[arg-type]
        for run in list(core.state.runs.values()):
            if run.state == "waiting":
                core.put_run(replace(run, state="skipped", ended=core.now))

    patch.setattr(context.Core, "record_again", forgetful)


def forgets_what_parents_have_done_with_the_leader(patch: Patch) -> None:
    record_again = context.Core.record_again

    def forgetful(core: context.Core, runs: list[object]) -> None:
        record_again(core, runs)  # type: ignore[arg-type]
        for job in list(core.state.jobs.values()):
            core.put_job(replace(job, successes=()))

    patch.setattr(context.Core, "record_again", forgetful)


def takes_any_success_of_each_parent(patch: Patch) -> None:
    patch.setattr(windows, "_are_comparable", lambda state, job: False)


def uses_more_than_one_window(patch: Patch) -> None:
    next_start = windows.next_start

    def greedy(state: State, job: Job) -> windows.Start | None:
        start = next_start(state, job)
        return start and windows.Start(start.window_ms, replace(start.job, successes=()))

    patch.setattr(windows, "next_start", greedy)


def takes_what_has_run_for_made_up_for(patch: Patch) -> None:
    patch.setattr(setbacks, "with_slot_run", lambda job, slot_ms: job)


@pytest.mark.parametrize(
    ("mistake", "noticed"),
    [
        (launches_before_the_intent_is_stored, "leaves before it is stored"),
        (forgets_to_advance_the_schedule, "leaves twice"),
        (takes_out_of_reach_for_lost, "has completed twice"),
        (takes_what_never_began_for_done, "slot .* of "),
        (launches_again_whatever_is_not_heard_of, "has completed twice"),
        (loses_retries_with_the_leader, "slot .* of "),
        (forgets_what_parents_have_done_with_the_leader, "^(left|right|report|audit): "),
        (takes_any_success_of_each_parent, "^(left|right|report|audit): "),
        (uses_more_than_one_window, "^(left|right|report|audit): "),
        (takes_what_has_run_for_made_up_for, "leaves twice|in two ways|twice for"),
    ],
)
def test_a_mistake_is_noticed(mistake: Callable[[Patch], None], noticed: str, monkeypatch: Patch) -> None:
    mistake(monkeypatch)
    with pytest.raises(AssertionError, match=noticed):
        _play()


def _play() -> None:
    for seed in range(25):
        Chaos(seed, drawn_plan(seed)).play()
