"""Checks and health checks when the agent is started again."""

from __future__ import annotations

import pytest

from koinon.agent.core import events as ev
from koinon.mesos import v1
from tests.unit.agent.bench import Bench, config, grace, of_type
from tests.unit.agent.checked import UNHEALTHY, Checked, check, health_check, probes, verdicts


@pytest.fixture
def bench() -> Bench:
    return Bench()


def restart(checked: Checked, *, after_s: float = 0.5) -> None:
    bench = checked.bench
    started_s = bench.agent.state.frameworks["F"].tasks["t"].started_s
    bench.now += after_s
    bench.start({checked.container_id: ev.FoundContainer(42, started_s=started_s)})
    checked.news()


def test_failures_are_counted_on_after_a_restart_of_the_agent(bench):
    checked = Checked(bench, health_check=health_check())
    checked.answer(checked.wait(15.0), 0)
    restart(checked)
    checked.answer(checked.wait(9.5), 0)
    restart(checked)
    probe = checked.wait(9.5)
    assert of_type(bench.tell(ev.Probed(probe.probe_id, 0)), ev.TerminateContainer)


def test_what_was_known_is_known_after_a_restart_of_the_agent(bench):
    checked = Checked(bench, check=check(), health_check=health_check(delay_seconds=16.0))
    checked.answer(checked.wait(15.0), 200)
    checked.answer(checked.wait(1.0), 1)
    restart(checked)
    assert checked.answer(checked.wait(8.5), 200) == []
    assert checked.answer(checked.wait(1.0), 1) == []


def test_the_grace_period_counts_from_the_start_of_the_task(bench):
    checked = Checked(bench, health_check=health_check(delay_seconds=1.0, grace_period_seconds=30.0))
    restart(checked, after_s=5.5)
    assert checked.answer(checked.wait(5.5), 0) == []
    assert checked.answer(checked.wait(10.0), 0) == []
    assert verdicts(checked.answer(checked.wait(10.0), 0)) == UNHEALTHY


def test_a_task_found_again_late_is_looked_at_when_it_would_have_been(bench):
    checked = Checked(bench, health_check=health_check())
    restart(checked, after_s=1002.0)
    checked.wait(3.0)


def test_a_task_that_is_being_killed_is_not_looked_at_after_a_restart(bench):
    checked = Checked(bench, health_check=health_check())
    bench.kill(policy=grace(1000))
    restart(checked)
    assert probes(bench.pass_time(100.0)) == []


def test_a_healthy_task_costs_no_entry_in_the_checkpoint(bench):
    checked = Checked(bench, health_check=health_check())
    checked.answer(checked.wait(15.0), 0)
    assert bench.disk["failures/F/t"] == b"1"
    checked.answer(checked.wait(10.0), 1)
    assert "failures/F/t" not in bench.disk


def test_nothing_is_left_of_an_unhealthy_task(bench):
    checked = Checked(bench, health_check=health_check(consecutive_failures=1))
    checked.answer(checked.wait(15.0), 0)
    bench.exited(checked.container_id, 15)
    checked.news()
    assert set(bench.disk) == {"agent", "frameworks/F"}


def test_the_time_that_a_task_may_take_counts_from_its_start_over_restarts():
    bench = Bench()
    limit = v1.DurationInfo(60_000_000_000)
    checked = Checked(bench, health_check=health_check(), max_completion_time=limit)
    checked.answer(checked.wait(15.0), 1)
    restart(checked)
    bench.config = config()
    assert of_type(bench.pass_time(45.0), ev.DestroyContainer)
