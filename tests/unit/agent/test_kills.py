"""How command tasks are killed: when somebody asks for it, and when they take too long."""

from __future__ import annotations

import pytest

from koinon.agent.core import events as ev
from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskStatus
from tests.unit.agent.bench import (
    Bench,
    framework,
    grace,
    of_type,
    only,
    states_in,
    task,
)
from tests.unit.agent.test_command_tasks import statuses

Reason = TaskStatus.Reason


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_kill_is_a_sigterm_and_a_sigkill_after_three_seconds(bench):
    container_id = bench.running()
    effects = bench.kill()
    assert of_type(effects, ev.TerminateContainer) == [ev.TerminateContainer(container_id)]
    assert bench.pass_time(2.9) == []
    assert bench.pass_time(0.2) == [ev.DestroyContainer(container_id)]
    bench.exited(container_id, 9)
    assert statuses(bench)[-1] == ("TASK_KILLED", None, "Command terminated with signal Killed")


def test_a_killed_task_is_killed_even_if_it_ends_with_0(bench):
    container_id = bench.running()
    bench.kill()
    bench.exited(container_id, 0)
    assert statuses(bench)[-1][0] == "TASK_KILLED"
    assert bench.pass_time(10.0) == []


def test_the_grace_period_of_the_kill_goes_before_that_of_the_task(bench):
    container_id = bench.running(task(kill_policy=grace(60)))
    bench.kill(policy=grace(1))
    assert bench.pass_time(1.0) == [ev.DestroyContainer(container_id)]


def test_a_second_kill_may_shorten_the_grace_period(bench):
    container_id = bench.running(task(kill_policy=grace(60)))
    bench.kill()
    bench.pass_time(1.0)
    assert only(bench.kill(policy=grace(0)), ev.DestroyContainer).container_id == container_id


def test_a_second_kill_does_not_lengthen_the_grace_period(bench):
    container_id = bench.running()
    bench.kill(policy=grace(1))
    assert bench.kill(policy=grace(60)) == []
    assert bench.pass_time(1.0) == [ev.DestroyContainer(container_id)]


def test_a_second_kill_counts_its_grace_period_from_the_first(bench):
    container_id = bench.running(task(kill_policy=grace(60)))
    bench.kill()
    bench.pass_time(3.0)
    assert bench.kill(policy=grace(5)) == [only(bench.effects[-1:], ev.Checkpoint)]
    assert bench.pass_time(1.9) == []
    assert bench.pass_time(0.2) == [ev.DestroyContainer(container_id)]


def test_a_second_kill_that_comes_too_late_for_its_own_grace_period_kills_at_once(bench):
    container_id = bench.running(task(kill_policy=grace(60)))
    bench.kill()
    bench.pass_time(10.0)
    assert only(bench.kill(policy=grace(5)), ev.DestroyContainer).container_id == container_id


def test_a_framework_that_wants_to_know_hears_of_the_killing(bench):
    container_id = bench.running(of=framework(capabilities=["TASK_KILLING_STATE"]))
    bench.kill()
    bench.exited(container_id, 15)
    assert [one[0] for one in statuses(bench)] == [
        "TASK_STARTING",
        "TASK_RUNNING",
        "TASK_KILLING",
        "TASK_KILLED",
    ]


def test_a_task_killed_while_it_is_launched_never_runs(bench):
    container_id = only(bench.run(), ev.LaunchContainer).container_id
    assert not of_type(bench.kill(), ev.TerminateContainer)
    assert bench.started(container_id) == [ev.DestroyContainer(container_id)]
    bench.exited(container_id, 9)
    assert statuses(bench) == [
        ("TASK_KILLED", "REASON_TASK_KILLED_DURING_LAUNCH", "Killed before it started")
    ]


def test_a_kill_of_an_unknown_task_is_answered(bench):
    bench.running()
    assert states_in(bench.kill("other")) == ["TASK_LOST"]
    bench.hear(internal.UpdateFramework(framework=framework(capabilities=["PARTITION_AWARE"])))
    assert states_in(bench.kill("another")) == ["TASK_DROPPED"]


def test_a_task_that_runs_too_long_has_failed(bench):
    container_id = bench.running(task(max_completion_time=v1.DurationInfo(5_000_000_000)))
    assert of_type(bench.pass_time(5.0), ev.DestroyContainer) == [ev.DestroyContainer(container_id)]
    bench.exited(container_id, 9)
    assert statuses(bench)[-1] == (
        "TASK_FAILED",
        "REASON_MAX_COMPLETION_TIME_REACHED",
        "Command terminated with signal Killed: it ran longer than its max_completion_time",
    )


def test_a_task_that_runs_too_long_is_not_announced_as_being_killed(bench):
    limit = v1.DurationInfo(5_000_000_000)
    container_id = bench.running(
        task(max_completion_time=limit), of=framework(capabilities=["TASK_KILLING_STATE"])
    )
    bench.pass_time(5.0)
    bench.exited(container_id, 9)
    assert [one[0] for one in statuses(bench)] == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]


def test_a_task_being_killed_when_its_time_is_up_is_killed(bench):
    container_id = bench.running(task(max_completion_time=v1.DurationInfo(5_000_000_000)))
    bench.kill(policy=grace(60))
    assert not of_type(bench.pass_time(9.0), ev.DestroyContainer)
    bench.exited(container_id, 15)
    assert statuses(bench)[-1][:2] == ("TASK_KILLED", None)


def test_a_max_completion_time_of_nothing_is_none(bench):
    bench.running(task(max_completion_time=v1.DurationInfo(0)))
    assert not of_type(bench.pass_time(1000.0), ev.DestroyContainer)
