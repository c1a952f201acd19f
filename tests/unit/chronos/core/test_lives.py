"""Lives of jobs in the small world: what runs when, and what follows from how it ends."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace

from koinon.chronos.core import Config
from koinon.chronos.core import events as ev
from koinon.chronos.model import Job
from koinon.chronos.model.problems import Refused
from koinon.mesos import v1
from tests.unit.chronos.core.making import dues, every, job
from tests.unit.chronos.core.master import AgentNode, Task
from tests.unit.chronos.core.world import START_S, World

S = v1.TaskState


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


def test_what_is_due_together_is_launched_a_part_at_a_time() -> None:
    """The first are on their way while the next are placed; but nothing waits that has room on the same agent."""
    world = World(*(job(f"job-{n}", schedule=every(3600)) for n in range(250)), agents=5, cpus=60.0)
    world.duration_s = lambda name: 30.0
    world.run(12)
    at_once = Counter(run.launched for run in world.core.state.runs.values())
    assert list(at_once.values()) == [120, 120, 10]
    assert len(world.starts) == 250
    alone = World(*(job(f"job-{n}", schedule=every(3600)) for n in range(250)), agents=1, cpus=300.0)
    alone.run(12)
    assert len(alone.starts) == 250


def test_who_has_priority_goes_first_also_if_that_is_said_while_it_waits() -> None:
    world = World(*(job(name) for name in "abcd"), agents=1, cpus=1.0)
    world.duration_s = lambda name: 30.0
    for name in "abcd":
        world.tell(ev.RunNow(name))
    world.run(5)
    for name, is_urgent in (("b", True), ("d", True), ("b", False)):
        world.tell(ev.ChangeJobs(put=(replace(world.job(name), high_priority=is_urgent),)))
        world.core.check()
    world.run(180)
    assert [one.job for one in world.starts] == ["a", "d", "b", "c"]


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
    assert [(one.kind, one.attempt) for one in world.notices] == [("failed", 1)]
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
