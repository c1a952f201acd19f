"""The clock on the wall is set in the small world: what is due goes by it, what waits does not."""

from __future__ import annotations

import pytest

from koinon.chronos import reading
from koinon.chronos.core import Config
from koinon.chronos.core import events as ev
from koinon.chronos.model import Defaults
from koinon.chronos.model.problems import Refused
from koinon.mesos import v1
from tests.unit.chronos.core.making import dues, every, job
from tests.unit.chronos.core.world import START_S, World

S = v1.TaskState


YEARS_S = 10 * 365 * 86_400.0


def test_a_clock_that_is_set_forward_makes_what_it_passed_late_at_once() -> None:
    world = World(job(schedule=every(600)), job("b", schedule=every(600), missed_runs="all"))
    world.run(20)
    world.set_clock(1800.0)
    world.run(20)
    assert dues(world) == [10.0, 610.0]
    assert dues(world, "b") == [10.0, 610.0, 1210.0, 1810.0]


@pytest.mark.parametrize("by_new_leader", [False, True])
def test_what_a_wrong_clock_made_up_for_runs_when_its_time_comes(by_new_leader: bool) -> None:
    world = World(job(schedule=every(100)), job("b", schedule=every(100), missed_runs="skip"))
    world.run(20)
    world.set_clock(YEARS_S)
    world.run(250)
    far = [one for one in dues(world) if one > 1e6]
    assert len(far) == 2, "it goes by what the clock shows"
    if by_new_leader:
        world.lead()
    else:
        world.set_clock(0.0)
    world.run(240)
    assert dues(world) == [10.0, 110.0, *far, 310.0, 410.0]
    assert dues(world, "b")[-2:] == [310.0, 410.0]


def test_what_was_given_up_by_a_wrong_clock_runs_when_its_time_comes() -> None:
    world = World(job(schedule=every(200), missed_runs="skip"))
    world.run(20)
    for _ in range(2):
        world.set_clock(300.0)
        world.run(10)
        world.set_clock(0.0)
        world.run(10)
    world.run(400)
    assert dues(world) == [10.0, 210.0, 410.0]
    assert [(run.attempt, run.state) for run in world.ended_of("a")][1:3] == [
        (0, "skipped"),
        (1, "succeeded"),
    ]


def test_what_waits_for_room_when_the_clock_is_set_back_waits_for_its_time() -> None:
    world = World(job(schedule=every(200)), agents=0)
    world.set_clock(100.0)
    world.run(1)
    assert world.core.state.queue
    world.set_clock(0.0)
    world.add_agent()
    world.run(5)
    assert world.starts == []
    world.run(20)
    assert dues(world) == [10.0]


def test_what_ran_while_the_clock_was_wrong_does_not_run_again() -> None:
    world = World(job(schedule=every(10)))
    world.run(15)
    world.set_clock(100.0)  # 20 makes up for all up to 110
    world.run(20)  # 120 and 130 have runs
    world.set_clock(0.0)
    world.run(120)
    first = [10.0, 20.0, 120.0, 130.0]
    assert dues(world) == [*first, *(float(at) for at in (*range(40, 111, 10), 140, 150))]


def test_a_clock_that_is_set_back_twice_finds_the_same_slots() -> None:
    world = World(job(schedule=every(10)))
    world.run(15)
    for off_s in (100.0, 0.0, 100.0, 50.0, 0.0):
        world.set_clock(off_s)
        world.run(8)
    world.run(200)
    found = dues(world)
    assert len(found) == len(set(found))
    assert set(range(70, 250, 10)) <= set(found)


@pytest.mark.parametrize("jump_s", [-YEARS_S, -3600.0, 3600.0, YEARS_S])
def test_retries_and_all_that_waits_wait_as_long_when_the_clock_is_set(jump_s: float) -> None:
    world = World(job(schedule=every(10_000_000)), config=Config(failure_retry_s=100.0))
    world.fate = lambda name, attempt: S.TASK_FAILED if attempt == 0 else S.TASK_FINISHED
    world.run(30)
    world.set_clock(jump_s)
    world.tell(ev.RunNow("a"))
    world.run(20)
    assert [(run.trigger, run.attempt) for run in world.ended_of("a") if run.state == "succeeded"] == []
    world.run(200)
    first, again = (one for one in world.starts if one.due_ms == world.starts[0].due_ms)
    assert round(again.at - first.at) in (101, 102)
    assert world.is_quiet()


def test_a_launch_on_its_way_is_not_asked_for_when_the_clock_is_set_forward() -> None:
    world = World(job(schedule=every(10_000_000)))
    world.latency_s = lambda: 3.0
    world.until(lambda: bool(world.intents))
    asked: list[object] = []
    world.master.reconcile = asked.append  # type: ignore[method-assign]
    world.set_clock(3600.0)
    world.run(20)
    assert asked == []
    world.run(40)
    assert world.states_of("a") == {"succeeded": 1}


def test_a_cron_that_was_posted_while_the_clock_was_wrong_begins_when_it_is_right() -> None:
    world = World()
    world.set_clock(YEARS_S)
    made = reading.job(
        {"name": "a", "command": "true", "schedule": "* * * * *"},
        asked="iso8601",
        line="3.x",
        jobs={},
        defaults=Defaults(cpus=1.0),
        now=world.now,
    )
    world.tell(ev.ChangeJobs(put=(made,)))
    world.run(5)
    world.set_clock(0.0)
    world.run(180)
    assert len(dues(world)) == 3
    assert max(dues(world)) < 200


def test_a_retry_waits_no_longer_when_the_failure_tells_that_the_clock_was_set() -> None:
    """Both are news of the same turn."""
    world = World(job(schedule=every(1000), retries=1), config=Config(failure_retry_s=5.0))
    world.duration_s = lambda name: 60.0
    world.until(lambda: bool(world.running()))
    world.clock_off_s = 3600.0
    world.update(world.running()[0].id, S.TASK_FAILED)
    world.run(10)
    assert len(world.starts) == 2


def test_a_clock_that_was_set_is_noticed_by_a_request_that_is_refused() -> None:
    world = World(job(schedule=every(600)))
    world.run(20)
    world.clock_off_s = 600.0
    with pytest.raises(Refused):
        world.tell(ev.RunNow("nobody", ""))
    world.run(5)
    assert dues(world) == [10.0, 610.0]


def test_a_schedule_that_has_come_past_where_it_was_does_not_go_back_there() -> None:
    world = World(job(schedule=every(100), missed_runs="skip", overlap="queue", epsilon="PT5S"))
    world.run(15)
    for wall in (
        305.0,
        16.0,
        312.0,
    ):  # 110 and 210 are given up, come again, and are given up again: then it is 310's turn
        world.set_clock(wall - world.time + START_S)
        world.run(1)
    world.run(60)
    assert dues(world) == [10.0, 310.0]
