"""Lives of jobs in the small world: what runs when, and what follows from how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from koinon.chronos import reading, schedules
from koinon.chronos.core import Chronos, Config
from koinon.chronos.core import events as ev
from koinon.chronos.model import Defaults, Job, ids
from koinon.chronos.model.problems import Refused
from koinon.mesos import v1
from koinon.timestamps import stamp
from tests.unit.chronos.core.master import AgentNode, Task
from tests.unit.chronos.core.world import START_S, Place, World

S = v1.TaskState


def every(seconds: int, times: str = "", after_s: float = 10.0) -> schedules.Schedule:
    """So often, first so long after the world's beginning."""
    return schedules.read(f"R{times}/{stamp(START_S + after_s)}/PT{seconds}S", now=START_S)


def job(name: str = "a", **fields: Any) -> Job:
    return Job(name, command="true", cpus=1.0, **fields)


def dues(world: World, name: str = "a") -> list[float]:
    """When the runs that completed were due, in seconds since the world's beginning."""
    return [one.due_ms / 1000 - START_S for one in world.completed_of(name)]


def windows(world: World, name: str) -> list[float]:
    """For which the runs that completed have run, in seconds since the world's beginning."""
    return [one.window_ms / 1000 - START_S for one in world.completed_of(name)]


# ── schedules ─────────────────────────────────────────────────────────────────────────────────────
def test_a_job_runs_at_each_of_its_times_and_soon() -> None:
    world = World(job(schedule=every(60)))
    world.run(240)
    assert dues(world) == [10.0, 70.0, 130.0, 190.0]
    assert all(one.at - one.due_ms / 1000 < 0.2 for one in world.starts)
    assert world.job("a").success_count == 4
    assert world.states_of("a") == {"succeeded": 4}


def test_after_its_last_repetition_a_job_is_disabled_and_somebody_is_told() -> None:
    world = World(job(schedule=every(10, "2")))
    world.run(100)
    assert dues(world) == [10.0, 20.0]
    assert world.job("a").disabled
    assert [(one.kind, one.exhausted) for one in world.notices] == [("disabled", True)]


def test_what_was_missed_while_nobody_led_is_one_run() -> None:
    world = World(job(schedule=every(10)))
    world.run(15)
    world.crash()
    world.run(40)
    world.lead()
    world.run(10)
    assert dues(world) == [10.0, 20.0, 60.0]
    late = world.ended_of("a")[1]
    assert 50 < late.through_ms / 1000 - START_S < 60


def test_with_missed_runs_all_each_has_its_own_run_in_order() -> None:
    world = World(job(schedule=every(10), missed_runs="all"))
    world.run(15)
    world.crash()
    world.run(40)
    world.lead()
    world.run(10)
    assert dues(world) == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]


def test_with_missed_runs_skip_those_later_than_epsilon_are_left_out() -> None:
    world = World(job(schedule=every(10), missed_runs="skip", epsilon="PT15S"))
    world.run(15)
    world.crash()
    world.run(40)
    world.lead()
    world.run(10)
    assert dues(world) == [10.0, 50.0, 60.0]
    skipped = [run for run in world.ended_of("a") if run.state == "skipped"]
    assert [(run.due - START_S, run.reason) for run in skipped] == [(20.0, "missed")]


def test_slots_that_find_the_job_running_are_one_late_run() -> None:
    world = World(job(schedule=every(10)))
    world.duration_s = lambda name: 25.0
    world.run(95)
    assert dues(world) == [10.0, 20.0, 40.0]
    assert [round(one.at - START_S) for one in world.starts] == [10, 35, 60, 85]


def test_slots_are_queued_if_the_job_wants_that() -> None:
    world = World(job(schedule=every(10, "4"), overlap="queue"))
    world.duration_s = lambda name: 25.0
    world.run(150)
    assert dues(world) == [10.0, 20.0, 30.0, 40.0]
    assert [round(one.at - START_S) for one in world.starts] == [10, 35, 60, 85]
    assert world.job("a").disabled


def test_slots_run_side_by_side_if_the_job_allows_it() -> None:
    world = World(job(schedule=every(10, "4"), overlap="allow"))
    world.duration_s = lambda name: 25.0
    world.run(150)
    assert [round(one.at - START_S) for one in world.starts] == [10, 20, 30, 40]


def test_a_run_waits_for_room_and_says_why_it_does() -> None:
    world = World(job("big", schedule=every(3600)), job("small", schedule=every(3600)), agents=1, cpus=1.5)
    world.duration_s = lambda name: 30.0
    world.run(20)
    (waiting,) = world.core.state.queue.values()
    assert list(waiting.reasons.values()) == ["1.0 cpus needed, 0.5 offered"]
    world.run(60)
    assert len(world.completions) == 2


def test_a_job_without_room_does_not_stand_in_the_way_of_others() -> None:
    world = World(Job("huge", cpus=100.0, high_priority=True, schedule=every(10)), job(schedule=every(10)))
    world.run(45)
    assert dues(world) == [10.0, 20.0, 30.0, 40.0]


# ── how runs end ──────────────────────────────────────────────────────────────────────────────────
def test_a_failure_is_tried_again_under_the_same_due_time() -> None:
    world = World(job(schedule=every(3600)))
    world.fate = lambda name, attempt: S.TASK_FINISHED if attempt == 2 else S.TASK_FAILED
    world.run(60)
    assert [(run.attempt, run.state, run.exit_status) for run in world.ended_of("a")] == [
        (0, "failed", 3),
        (1, "failed", 3),
        (2, "succeeded", 0),
    ]
    assert len({run.due_ms for run in world.ended_of("a")}) == 1
    found = world.job("a")
    assert (found.success_count, found.error_count, world.notices) == (1, 0, [])


def test_a_run_that_fails_for_good_is_counted_once_and_told() -> None:
    world = World(job(schedule=every(3600), retries=1))
    world.fate = lambda name, attempt: S.TASK_FAILED
    world.run(60)
    found = world.job("a")
    assert (found.error_count, found.errors_since_last_success, found.last_success) == (1, 1, None)
    assert [(one.kind, one.attempt) for one in world.notices] == [("failed", 1)]


def test_after_a_run_that_failed_for_good_the_next_is_not_retried_until_one_succeeds() -> None:
    world = World(job(schedule=every(60), retries=1))
    world.fate = lambda name, attempt: S.TASK_FAILED
    world.run(120)
    assert [run.attempt for run in world.ended_of("a")] == [0, 1, 0]
    world.fate = lambda name, attempt: S.TASK_FINISHED
    world.run(60)
    assert [one.kind for one in world.notices] == ["failed", "failed", "recovered"]
    assert world.job("a").errors_since_last_success == 0


def test_failures_in_a_row_disable_a_job() -> None:
    config = Config(failure_retry_s=1.0, disable_after_failures=2)
    world = World(job(schedule=every(10), retries=0), config=config)
    world.fate = lambda name, attempt: S.TASK_FAILED
    world.run(100)
    assert world.job("a").disabled
    assert [one.kind for one in world.notices] == ["failed", "disabled"]
    assert len(world.starts) == 2


def test_a_retry_outlives_its_leader() -> None:
    world = World(job(schedule=every(3600)), config=Config(failure_retry_s=60.0))
    world.fate = lambda name, attempt: S.TASK_FINISHED if attempt else S.TASK_FAILED
    world.run(20)
    world.lead()
    world.run(100)
    assert [(run.attempt, run.state) for run in world.ended_of("a")] == [(0, "failed"), (1, "succeeded")]


def test_launches_that_come_to_nothing_again_and_again_are_failures_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As those of a user that no agent has: somebody is told, and retries are used up."""

    def drop(agent: AgentNode, task_id: str, name: str, cpus: float) -> None:
        task = agent.tasks[task_id] = Task(task_id, name, cpus)
        agent._move(task, S.TASK_DROPPED)

    monkeypatch.setattr(AgentNode, "launch", drop)
    world = World(job(schedule=every(3600, "1"), retries=1), config=Config(failure_retry_s=60.0))
    world.run(200)
    assert (world.states_of("a").keys(), world.notices) == ({"skipped"}, [])
    world.run(300)
    assert world.states_of("a") == {"skipped": 10, "failed": 2}
    assert [one.kind for one in world.notices] == ["failed"]
    assert world.is_quiet()


def test_the_next_slot_waits_for_the_retries_of_the_one_before() -> None:
    world = World(job(schedule=every(10, "2")), config=Config(failure_retry_s=15.0))
    world.fate = lambda name, attempt: S.TASK_FINISHED if attempt else S.TASK_FAILED
    world.run(100)
    assert [run.due - START_S for run in world.ended_of("a") if run.state == "succeeded"] == [10.0, 20.0]


def test_a_success_mail_is_for_those_who_asked() -> None:
    world = World(job(schedule=every(3600), notify_on_success=True))
    world.run(20)
    assert [one.kind for one in world.notices] == ["succeeded"]


# ── people ────────────────────────────────────────────────────────────────────────────────────────
def test_a_run_by_hand_has_its_arguments_and_runs_though_the_job_is_disabled() -> None:
    world = World(job(schedule=every(10), disabled=True))
    world.tell(ev.RunNow("a", "--again"))
    world.run(30)
    assert [(run.trigger, run.arguments, run.state) for run in world.ended_of("a")] == [
        ("manual", "--again", "succeeded")
    ]


def test_a_run_by_hand_outlives_its_leader() -> None:
    world = World(job(schedule=every(3600)))
    world.master.fail(30)
    world.tell(ev.RunNow("a"))
    world.run(1)
    world.lead()
    world.run(60)
    assert [run.trigger for run in world.ended_of("a")] == ["schedule", "manual"] or len(
        world.completions
    ) == 2


def test_a_run_that_is_killed_is_not_tried_again_and_counts_as_nothing() -> None:
    world = World(job(schedule=every(3600)))
    world.duration_s = lambda name: 100.0
    world.run(20)
    world.tell(ev.KillRuns("a"))
    world.run(200)
    assert world.states_of("a") == {"killed": 1}
    found = world.job("a")
    assert (found.success_count, found.error_count, world.running()) == (0, 0, [])


def test_what_waits_can_be_dropped_and_the_schedule_goes_on() -> None:
    world = World(job(schedule=every(30)))
    world.fate = lambda name, attempt: S.TASK_FAILED
    world.run(13)
    world.tell(ev.DropWaiting())
    world.fate = lambda name, attempt: S.TASK_FINISHED
    world.run(40)
    assert [(run.due - START_S, run.state) for run in world.ended_of("a")] == [
        (10.0, "failed"),
        (10.0, "skipped"),
        (40.0, "succeeded"),
    ]


def test_disabling_drops_what_waits_and_lets_what_runs_end() -> None:
    world = World(job(schedule=every(10)), job("b", schedule=every(3600)))
    world.fate = lambda name, attempt: S.TASK_FAILED if name == "b" else S.TASK_FINISHED
    world.duration_s = lambda name: 5.0
    world.run(16)
    put = tuple(
        Job(one.name, cpus=1.0, schedule=one.schedule, disabled=True)
        for one in world.core.state.jobs.values()
    )
    world.tell(ev.ChangeJobs(put=put))
    world.run(50)
    assert dues(world) == [10.0]
    assert [(run.state, run.reason) for run in world.ended_of("b")] == [
        ("failed", ""),
        ("skipped", "disabled"),
    ]


def test_a_deleted_job_is_killed_and_its_name_is_free_at_once() -> None:
    world = World(job(schedule=every(10)))
    world.duration_s = lambda name: 100.0
    world.run(12)
    world.tell(ev.ChangeJobs(deleted=("a",)))
    world.tell(ev.ChangeJobs(put=(job(schedule=every(10)),)))
    world.run(8)
    assert world.states_of("a")["killed"] == 1
    assert len(world.starts) == 2
    assert [one.kind for one in world.notices] == ["deleted"]


def test_a_job_posted_again_with_a_start_in_the_past_runs_once_more_under_another_id() -> None:
    world = World(job(schedule=every(3600)))
    world.run(20)
    before = world.job("a")
    world.tell(ev.ChangeJobs(put=(job(schedule=every(3600), latest_slot_ms=before.latest_slot_ms),)))
    world.run(20)
    assert len(world.completions) == 2
    assert len({run.id for run in world.ended_of("a")}) == 2


@pytest.mark.parametrize(
    "event", [ev.RunNow("x"), ev.KillRuns("x"), ev.MarkSucceeded("x"), ev.Complete("x", True)]
)
def test_what_there_is_not_is_refused_with_400(event: ev.Event) -> None:
    world = World()
    with pytest.raises(Refused, match="x") as refused:
        world.tell(event)
    assert refused.value.status == 400


def test_an_asynchronous_job_ends_when_it_is_told_so() -> None:
    world = World(job(schedule=every(3600), asynchronous=True))
    world.run(20)
    (run,) = world.core.state.runs.values()
    assert (run.state, run.mesos_state) == ("running", "TASK_FINISHED")
    world.run(700)
    world.tell(ev.Complete(run.id, True))
    world.run(10)
    assert world.job("a").success_count == 1


# ── dependencies ──────────────────────────────────────────────────────────────────────────────────
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


# ── what breaks ───────────────────────────────────────────────────────────────────────────────────
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


# ── clocks ────────────────────────────────────────────────────────────────────────────────────────
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
