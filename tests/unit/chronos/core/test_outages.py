"""What breaks in the small world, one thing at a time: what is launched again, and what is waited for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from koinon.chronos.core import Chronos, Config
from koinon.chronos.core import events as ev
from koinon.chronos.model import Job, ids
from koinon.chronos.model.problems import Refused
from koinon.mesos import v1
from tests.unit.chronos.core.making import dues, every, job
from tests.unit.chronos.core.master import Task
from tests.unit.chronos.core.world import START_S, Place, World

S = v1.TaskState


def test_a_launch_that_did_not_arrive_is_made_again_and_costs_no_retry() -> None:
    world = World(job(schedule=every(3600), retries=0))
    world.latency_s = lambda: 0.5
    world.until(lambda: bool(world.intents))
    world.lead()  # the Accept is lost with its session
    world.run(60)
    assert [(run.attempt, run.state) for run in world.ended_of("a")] == [(0, "skipped"), (1, "succeeded")]
    assert len(world.starts) == 1


def test_a_launch_that_arrived_is_not_made_again_by_the_next_leader() -> None:
    world = World(job(schedule=every(3600)))
    world.until(lambda: bool(world.starts))
    world.crash()
    world.run(30)
    world.lead()
    world.run(60)
    assert [(run.attempt, run.state) for run in world.ended_of("a")] == [(0, "succeeded")]


def test_silence_of_a_new_master_is_no_answer() -> None:
    world = World(job(schedule=every(3600)), agents=1)
    world.duration_s = lambda name: 60.0
    world.until(lambda: bool(world.starts))
    world.agents["S0"].cut = True
    world.master.fail(1.0)
    world.run(10)
    (run,) = world.core.state.runs.values()
    assert run.is_active
    world.agents["S0"].cut = False
    world.run(100)
    assert len(world.starts) == 1
    assert world.states_of("a") == {"succeeded": 1}


def test_an_agent_out_of_reach_is_waited_for() -> None:
    world = World(job(schedule=every(10)))
    world.duration_s = lambda name: 5.0
    world.until(lambda: bool(world.starts))
    agent = next(one for one in world.agents.values() if one.tasks)
    world.master.lose(agent)
    world.run(60)
    assert len(world.starts) == 1
    agent.cut = False
    world.run(30)
    assert dues(world)[:2] == [10.0, 20.0]


def test_an_agent_out_of_reach_is_given_up_after_a_while_if_the_job_says_so() -> None:
    world = World(job(schedule=every(3600), lost_after_seconds=60.0))
    world.duration_s = lambda name: 1000.0
    world.until(lambda: bool(world.starts))
    agent = next(one for one in world.agents.values() if one.tasks)
    world.run(1)
    world.master.lose(agent)
    world.run(40)
    world.set_clock(3600.0)  # it is by what passes
    world.set_clock(0.0)
    world.lead()  # which goes on from there
    world.run(15)
    assert len(world.starts) == 1
    world.duration_s = lambda name: 100.0
    world.run(20)
    assert [(run.state, run.reason) for run in world.ended_of("a")] == [("failed", "lost")]
    agent.cut = False
    world.run(30)
    assert [task.attempt for task in map(_place, world.running())] == [1], "what turns up is killed"
    world.run(100)
    assert [(run.attempt, run.state) for run in world.ended_of("a")] == [(0, "failed"), (1, "succeeded")]


@pytest.mark.parametrize("change", [{}, {"lost_after_seconds": 500.0}])
def test_who_is_back_in_time_is_not_given_up_and_how_long_that_is_may_be_changed(
    change: dict[str, Any],
) -> None:
    world = World(job(schedule=every(3600), lost_after_seconds=60.0))
    world.duration_s = lambda name: 300.0
    world.until(lambda: bool(world.starts))
    agent = next(one for one in world.agents.values() if one.tasks)
    world.run(1)
    world.master.lose(agent)
    world.run(50)
    if change:
        world.tell(ev.ChangeJobs(put=(replace(world.job("a"), **change),)))
        world.run(100)
    agent.cut = False
    world.run(350)
    assert [(run.state, run.unreachable_since) for run in world.ended_of("a")] == [("succeeded", None)]


def _place(task: Task) -> ids.TaskPlace:
    return ids.parse_task(task.id)


def test_what_runs_on_a_machine_that_is_declared_gone_is_tried_again() -> None:
    world = World(job(schedule=every(3600)))
    world.duration_s = lambda name: 30.0
    world.until(lambda: bool(world.starts))
    world.run(5)
    agent = next(one for one in world.agents.values() if one.tasks)
    world.master.mark_gone(agent)
    world.run(60)
    assert [(run.attempt, run.state) for run in world.ended_of("a")] == [(0, "failed"), (1, "succeeded")]


def test_a_task_that_nobody_knows_is_killed() -> None:
    world = World()
    killed: list[str] = []
    world.master.kill = killed.append  # type: ignore[method-assign]
    world.update("ct:1:0:somebody:", S.TASK_RUNNING)
    world.run(1)
    assert killed == ["ct:1:0:somebody:"]


def test_requests_before_the_store_is_read_are_refused_with_503() -> None:
    with pytest.raises(Refused) as refused:
        Chronos(Config(), room=Place).handle(ev.RunNow("a"), 0.0, 0.0)
    assert refused.value.status == 503


def test_thousands_that_find_no_room_do_not_stand_in_the_way_of_one_that_does() -> None:
    huge = [Job(f"huge-{n}", cpus=100.0 + n, schedule=every(3600)) for n in range(1_500)]
    world = World(*huge, job("small", schedule=every(3600, after_s=12.0)))
    handle, turns = world.core.handle, []
    world.core.handle = lambda *given: turns.append(given) or handle(*given)  # type: ignore[method-assign, func-returns-value]
    world.core.check = lambda: None  # type: ignore[method-assign]  # it looks at everything each time
    world.run(20)
    assert [one.job for one in world.completions] == ["small"]
    assert len(turns) < 500, "it is tried all the time"
    assert all(waiting.reasons for waiting in world.core.state.queue.values())


def test_runs_without_the_framework_that_launched_them_are_nobodys_to_judge() -> None:
    world = World(job(schedule=every(3600)))
    world.until(lambda: bool(world.starts))
    del world.store["framework"]
    effects = Chronos(Config(), room=Place).handle(ev.Loaded(world.store), world.now, world.now)
    assert [type(effect) for effect in effects] == [ev.Resign]


def test_who_takes_over_looks_at_many_jobs_in_several_turns() -> None:
    """A lease is renewed between them."""
    jobs = [job(f"job-{n}", schedule=every(3600)) for n in range(2500)]
    core = Chronos(Config(), room=Place)
    now = START_S + 60
    core.handle(ev.Loaded({f"jobs/{one.name}": msgspec.json.encode(one) for one in jobs}), now, now)
    seen = [len(core.state.queue)]
    while (now := core.next_wakeup(now, now)) < START_S + 61:
        core.handle(ev.ClockTicked(), now, now)
        seen.append(len(core.state.queue))
    assert seen[:3] == [1000, 2000, 2500]
    core.check()
