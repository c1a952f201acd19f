"""Lives of jobs that wait for others: for which windows they run, and when."""

from __future__ import annotations

from koinon.chronos.core import events as ev
from koinon.chronos.model import ids
from koinon.mesos import v1
from tests.unit.chronos.core.making import every, job, windows
from tests.unit.chronos.core.world import START_S, World

S = v1.TaskState


def test_a_child_starts_when_all_its_parents_have_succeeded_since_its_last_start() -> None:
    world = World(
        job("a", schedule=every(60)),
        job("b", schedule=every(60)),
        job("c", parents=("a", "b")),
    )
    world.duration_s = lambda name: 20.0 if name == "b" else 1.0
    world.run(130)
    assert [round(one.at - START_S) for one in world.starts if one.job == "c"] == [30, 90]


def test_a_child_does_not_start_for_a_window_in_which_one_of_its_parents_has_failed() -> None:
    world = World(
        job("a", schedule=every(60)),
        job("b", parents=("a",)),
        job("c", parents=("a",), retries=0),
        job("d", parents=("b", "c")),
    )
    world.duration_s = lambda name: 20.0 if name == "c" else 1.0
    world.fate = lambda name, _: (
        S.TASK_FAILED if name == "c" and world.time < START_S + 60 else S.TASK_FINISHED
    )
    world.run(130)
    assert windows(world, "d") == [70.0]
    (start,) = [one for one in world.starts if one.job == "d"]
    assert round(start.at - START_S) == 91, "when c has succeeded in this round, not as soon as b has"


def test_a_child_that_was_slow_makes_up_for_all_windows_if_it_wants_them_and_for_the_newest_if_not() -> None:
    world = World(
        job("a", schedule=every(10, "5")),
        job("b", parents=("a",), missed_runs="all"),
        job("c", parents=("a",)),
        job("d", parents=("a",), missed_runs="all", overlap="queue"),
        job("e", parents=("b",), missed_runs="all", overlap="allow"),
        agents=4,
    )
    world.duration_s = lambda name: 1.0 if name == "a" else 25.0
    world.run(50)
    world.lead()
    world.run(150)
    every_window = [10.0, 20.0, 30.0, 40.0, 50.0]
    assert windows(world, "b") == windows(world, "d") == windows(world, "e") == every_window
    assert windows(world, "c") == [10.0, 30.0, 50.0]


def test_windows_that_wait_for_a_slow_child_are_runs_when_it_queues() -> None:
    world = World(job("a", schedule=every(10, "5")), job("b", parents=("a",), overlap="queue"))
    world.duration_s = lambda name: 1.0 if name == "a" else 100.0
    world.run(60)
    states = [(run.window_ms / 1000 - START_S, run.state) for run in world.core.state.runs_of("b")]
    assert states == [(10.0, "running"), *((at, "waiting") for at in (20.0, 30.0, 40.0, 50.0))]


def test_a_success_by_hand_stands_in_for_the_parent_that_failed() -> None:
    world = World(
        job("a", schedule=every(3600)),
        job("b", parents=("a",)),
        job("c", parents=("a",), retries=0),
        job("d", parents=("b", "c"), missed_runs="all"),
    )
    world.fate = lambda name, _: S.TASK_FAILED if name == "c" else S.TASK_FINISHED
    world.run(30)
    assert windows(world, "d") == []
    world.fate = lambda name, _: S.TASK_FINISHED
    world.tell(ev.RunNow("c"))
    world.run(30)
    assert windows(world, "d") == [10.0]


def test_a_chain_that_is_started_by_hand_runs_to_its_end() -> None:
    world = World(
        job("a", schedule=every(3600), disabled=True),
        job("b", parents=("a",)),
        job("c", parents=("a",)),
        job("d", parents=("b", "c")),
    )
    world.tell(ev.RunNow("a"))
    world.run(30)
    assert [one.window_ms for one in world.completed_of("d")] == [0]


def test_with_parents_of_several_schedules_each_start_takes_one_success_of_each() -> None:
    world = World(
        job("a", schedule=every(10, "3")),
        job("b", schedule=every(40, "3")),
        job("all", parents=("a", "b"), missed_runs="all"),
        job("one", parents=("a", "b")),
        agents=4,
    )
    world.run(150)
    starts = {
        name: [round(one.at - START_S) for one in world.starts if one.job == name] for name in ("all", "one")
    }
    assert starts == {"all": [11, 51, 91], "one": [11, 51]}


def test_what_parents_have_done_outlives_the_leader() -> None:
    world = World(
        job("a", schedule=every(3600)), job("b", schedule=every(3600)), job("c", parents=("a", "b"))
    )
    world.duration_s = lambda name: 20.0 if name == "b" else 1.0
    world.run(15)
    assert world.job("c").unused == {"a": (ids.milliseconds(START_S + 10),)}
    world.lead()
    world.run(30)
    assert len(world.completed_of("c")) == 1


def test_a_child_runs_when_its_parent_fails_softly_and_not_when_it_fails_or_is_killed() -> None:
    world = World(
        job("hard", schedule=every(3600), retries=0),
        job("soft", schedule=every(3600), retries=0, soft_error=True),
        job("after-hard", parents=("hard",)),
        job("after-soft", parents=("soft",)),
    )
    world.fate = lambda name, attempt: S.TASK_FINISHED if name.startswith("after") else S.TASK_FAILED
    world.run(60)
    assert [one.job for one in world.completions] == ["after-soft"]


def test_marking_success_starts_the_children_and_no_task() -> None:
    world = World(job("a", schedule=every(3600), disabled=True), job("c", parents=("a",)))
    world.tell(ev.MarkSucceeded("a"))
    world.run(20)
    assert [one.job for one in world.starts] == ["c"]
    assert world.job("a").success_count == 1


def test_a_disabled_child_does_not_start_now_nor_when_it_is_enabled() -> None:
    child = job("c", parents=("a",), disabled=True)
    world = World(job("a", schedule=every(3600)), child)
    world.run(20)
    assert world.job("c").successes == ()
    world.tell(ev.ChangeJobs(put=(job("c", parents=("a",)),)))
    world.run(20)
    assert world.completed_of("c") == []
