"""Checks and health checks: when a task is looked at, and what is reported of it."""

from __future__ import annotations

from typing import Any

import pytest

from koinon.agent.core import events as ev
from koinon.mesos import v1
from koinon.mesos.v1 import CheckInfo, CheckStatusInfo, HealthCheck, NetworkInfo, TaskState, TaskStatus
from tests.unit.agent.bench import Bench, executor, framework, grace, of_type, only, task
from tests.unit.agent.checked import (
    HEALTH,
    HEALTHY,
    UNHEALTHY,
    Checked,
    check,
    command_check,
    health_check,
    probes,
    verdicts,
)

Reason = TaskStatus.Reason
CHECK = Reason.REASON_TASK_CHECK_STATUS_UPDATED


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ── when ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_task_is_first_looked_at_after_the_delay_and_then_an_interval_after_each_result(bench):
    checked = Checked(bench, health_check=health_check())
    first = checked.wait(15.0)
    assert first.timeout_s == 20.0
    assert probes(bench.pass_time(12.0)) == []  # it is under way
    checked.answer(first, 1)
    assert checked.wait(10.0).probe_id != first.probe_id


def test_a_task_without_checks_is_not_looked_at(bench):
    bench.running()
    assert probes(bench.pass_time(1000.0)) == []


def test_without_a_time_out_a_probe_may_take_for_ever(bench):
    checked = Checked(bench, check=check(delay_seconds=0.0, timeout_seconds=0.0))
    assert checked.wait(0.0).timeout_s is None


def test_an_interval_of_nothing_keeps_the_agent_from_nothing_else(bench):
    checked = Checked(bench, check=check(delay_seconds=0.0, interval_seconds=0.0))
    checked.answer(checked.wait(0.0), 200)
    checked.wait(0.1)


def test_times_without_end_never_come(bench):
    for number in range(2):
        forever = {"delay_seconds": number and float("inf"), "interval_seconds": float("inf")}
        bench.run(task(f"t{number}", check=check(**forever)))
    for launched in of_type(bench.effects, ev.LaunchContainer):
        bench.started(launched.container_id)
    (probe,) = probes(bench.pass_time(0.0))
    bench.tell(ev.Probed(probe.probe_id, 200))
    assert probes(bench.pass_time(100 * 86400.0)) == []
    assert bench.agent.next_wakeup < float("inf")


def test_a_task_with_a_check_and_a_health_check_has_both(bench):
    checked = Checked(bench, check=check(delay_seconds=1.0), health_check=health_check(delay_seconds=2.0))
    assert isinstance(checked.wait(1.0), ev.ProbeHttp)
    assert isinstance(checked.wait(1.0), ev.ProbeTcp)


# ── checks ────────────────────────────────────────────────────────────────────────────────────────
def http_status(code: int | None) -> CheckStatusInfo:
    return CheckStatusInfo(type=CheckInfo.Type.HTTP, http=CheckStatusInfo.Http(status_code=code))


def test_every_update_of_a_task_with_a_check_has_its_type(bench):
    container_id = bench.running(task(check=check()), of=framework(capabilities=["TASK_KILLING_STATE"]))
    bench.kill()
    bench.exited(container_id, 15)
    statuses = bench.acknowledge_all()
    assert [(one.state.value, one.check_status) for one in statuses] == [
        ("TASK_STARTING", http_status(None)),
        ("TASK_RUNNING", http_status(None)),
        ("TASK_KILLING", http_status(None)),
        ("TASK_KILLED", http_status(None)),
    ]


def test_a_result_is_reported_when_it_changes(bench):
    checked = Checked(bench, check=check(delay_seconds=10.0))
    (first,) = checked.answer(checked.wait(10.0), 200)
    assert (first.state, first.reason, first.check_status) == (
        TaskState.TASK_RUNNING,
        CHECK,
        http_status(200),
    )
    assert first.healthy is None
    assert checked.answer(checked.wait(10.0), 200) == []
    (second,) = checked.answer(checked.wait(10.0), 503)
    assert second.check_status == http_status(503)


def test_no_result_in_time_is_an_empty_result(bench):
    checked = Checked(bench, check=check(delay_seconds=10.0))
    assert checked.answer(checked.wait(10.0), None) == []  # nothing was known before
    checked.answer(checked.wait(10.0), 200)
    (lost,) = checked.answer(checked.wait(10.0), None, message="too late")
    assert lost.check_status == http_status(None)


def test_a_probe_that_could_not_be_made_says_nothing(bench):
    checked = Checked(bench, check=check(delay_seconds=10.0), health_check=health_check(delay_seconds=500.0))
    checked.answer(checked.wait(10.0), 200)
    assert checked.answer(checked.wait(10.0), None, made=False) == []
    checked.wait(10.0)


@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        (
            command_check(v1.CommandInfo(value="x")),
            3,
            CheckStatusInfo(type=CheckInfo.Type.COMMAND, command=CheckStatusInfo.Command(exit_code=3)),
        ),
        (
            CheckInfo(type=CheckInfo.Type.TCP, tcp=CheckInfo.Tcp(80)),
            0,
            CheckStatusInfo(type=CheckInfo.Type.TCP, tcp=CheckStatusInfo.Tcp(succeeded=False)),
        ),
    ],
)
def test_results_are_told_in_the_field_of_their_type(bench, asked, value, expected):
    checked = Checked(bench, check=asked)
    (status,) = checked.answer(checked.wait(15.0), value)
    assert status.check_status == expected


def test_check_and_health_check_each_keep_what_the_other_found(bench):
    checked = Checked(bench, check=check(delay_seconds=1.0), health_check=health_check(delay_seconds=2.0))
    checked.answer(checked.wait(1.0), 200)
    (status,) = checked.answer(checked.wait(1.0), 1)
    assert (status.reason, status.healthy, status.check_status) == (HEALTH, True, http_status(200))
    (status,) = checked.answer(checked.wait(9.0), 404)
    assert (status.reason, status.healthy, status.check_status) == (CHECK, True, http_status(404))


# ── health checks ─────────────────────────────────────────────────────────────────────────────────
def test_health_is_reported_at_the_first_success_at_each_failure_and_at_the_recovery(bench):
    checked = Checked(bench, health_check=health_check())
    assert verdicts(checked.answer(checked.wait(15.0), 1)) == HEALTHY
    assert checked.answer(checked.wait(10.0), 1) == []
    assert verdicts(checked.answer(checked.wait(10.0), 0)) == UNHEALTHY
    assert verdicts(checked.answer(checked.wait(10.0), None)) == UNHEALTHY
    assert verdicts(checked.answer(checked.wait(10.0), 1)) == HEALTHY
    assert checked.answer(checked.wait(10.0), 1) == []


def test_a_failure_tells_what_went_wrong(bench):
    checked = Checked(bench, health_check=health_check())
    (status,) = checked.answer(checked.wait(15.0), 0, message="nobody listens")
    assert status.message == "The health check failed: nobody listens"


def test_failures_in_the_grace_period_before_the_first_success_do_not_count(bench):
    patient = health_check(delay_seconds=0.0, grace_period_seconds=25.0, consecutive_failures=1)
    checked = Checked(bench, health_check=patient)
    assert checked.answer(checked.wait(0.0), 0) == []
    assert checked.answer(checked.wait(10.0), 0) == []
    assert verdicts(checked.answer(checked.wait(10.0), 1)) == HEALTHY


def test_a_failure_after_a_success_counts_in_the_grace_period_too(bench):
    checked = Checked(bench, health_check=health_check(delay_seconds=0.0, grace_period_seconds=100.0))
    checked.answer(checked.wait(0.0), 1)
    assert verdicts(checked.answer(checked.wait(10.0), 0)) == UNHEALTHY


def test_a_failure_after_the_grace_period_counts(bench):
    checked = Checked(bench, health_check=health_check(delay_seconds=0.0, grace_period_seconds=5.0))
    assert checked.answer(checked.wait(0.0), 0) == []
    assert verdicts(checked.answer(checked.wait(10.0), 0)) == UNHEALTHY


def test_without_a_grace_period_the_first_failure_counts(bench):
    checked = Checked(bench, health_check=health_check(delay_seconds=0.0, grace_period_seconds=0.0))
    assert verdicts(checked.answer(checked.wait(0.0), 0)) == UNHEALTHY


def test_so_many_failures_in_a_row_kill_the_task(bench):
    checked = Checked(
        bench,
        health_check=health_check(),
        kill_policy=grace(7),
        of=framework(capabilities=["TASK_KILLING_STATE"]),
    )
    checked.answer(checked.wait(15.0), 0)
    checked.answer(checked.wait(10.0), 1)  # they must be in a row
    checked.answer(checked.wait(10.0), 0)
    checked.answer(checked.wait(10.0), 0)
    effects = bench.tell(ev.Probed(checked.wait(10.0).probe_id, 0))
    assert only(effects, ev.TerminateContainer).container_id == checked.container_id
    assert of_type(bench.pass_time(7.0), ev.DestroyContainer) == [ev.DestroyContainer(checked.container_id)]
    bench.exited(checked.container_id, 9)
    statuses = checked.news()
    assert verdicts(statuses) == [
        ("TASK_RUNNING", False, HEALTH),
        ("TASK_KILLING", None, None),
        ("TASK_KILLED", False, None),
    ]
    assert statuses[-1].message == (
        "Command terminated with signal Killed: its health check failed 3 times in a row"
    )


def test_a_task_killed_by_others_says_nothing_of_its_health(bench):
    checked = Checked(bench, health_check=health_check())
    checked.answer(checked.wait(15.0), 1)
    bench.kill()
    bench.exited(checked.container_id, 15)
    assert verdicts(checked.news()) == [("TASK_KILLED", None, None)]


@pytest.mark.parametrize(
    ("value", "healthy"), [(199, False), (200, True), (302, True), (399, True), (400, False), (None, False)]
)
def test_answers_from_200_to_399_are_healthy(bench, value, healthy):
    asked = HealthCheck(type=HealthCheck.Type.HTTP, http=HealthCheck.HTTPCheckInfo(port=80))
    checked = Checked(bench, health_check=asked)
    (status,) = checked.answer(checked.wait(15.0), value)
    assert status.healthy is healthy


@pytest.mark.parametrize(("value", "healthy"), [(0, True), (1, False), (None, False)])
def test_a_command_that_ends_with_0_is_healthy(bench, value, healthy):
    asked = HealthCheck(type=HealthCheck.Type.COMMAND, command=v1.CommandInfo(value="x"))
    checked = Checked(bench, health_check=asked)
    (status,) = checked.answer(checked.wait(15.0), value)
    assert status.healthy is healthy


def test_a_scheduler_that_stays_away_does_not_fill_the_agent_with_news(bench):
    checked = Checked(bench, health_check=health_check(consecutive_failures=10**6))
    bench.disconnect()
    for _ in range(200):
        bench.now += 1000.0
        (probe,) = probes(bench.pass_time(0.0))
        bench.tell(ev.Probed(probe.probe_id, 0, message=f"at {bench.now}"))
    assert len([key for key in bench.disk if key.startswith("updates/")]) < 100
    bench.exited(checked.container_id, 0)
    bench.connect()
    statuses = checked.news()
    assert statuses[-2].message == f"The health check failed: at {bench.now}"
    assert [one.state.value for one in statuses[-2:]] == ["TASK_RUNNING", "TASK_FINISHED"]


# ── what is looked at ─────────────────────────────────────────────────────────────────────────────
def health_probe(bench: Bench, kind: str, **fields: Any) -> Any:
    asked = HealthCheck(type=HealthCheck.Type[kind], **fields)
    return Checked(bench, health_check=asked).wait(15.0)


IPV6 = NetworkInfo.Protocol.IPv6


def test_http_is_asked_of_this_machine(bench):
    asked = HealthCheck.HTTPCheckInfo(port=8080, path="/ok?a=1")
    assert health_probe(bench, "HTTP", http=asked).url == "http://127.0.0.1:8080/ok?a=1"


def test_https_over_ipv6_is_asked_so(bench):
    asked = HealthCheck.HTTPCheckInfo(port=8443, scheme="https", protocol=IPV6)
    assert health_probe(bench, "HTTP", http=asked).url == "https://[::1]:8443"


@pytest.mark.parametrize(("protocol", "address"), [(NetworkInfo.Protocol.IPv4, "127.0.0.1"), (IPV6, "::1")])
def test_a_port_is_tried_over_the_protocol_asked_for(bench, protocol, address):
    asked = HealthCheck.TCPCheckInfo(port=22, protocol=protocol)
    probe = health_probe(bench, "TCP", tcp=asked)
    assert (probe.address, probe.port) == (address, 22)


def test_the_type_says_what_is_looked_at_whatever_else_is_there(bench):
    http, tcp = HealthCheck.HTTPCheckInfo(port=1), HealthCheck.TCPCheckInfo(port=2)
    assert health_probe(bench, "TCP", http=http, tcp=tcp).port == 2


def test_a_command_gets_what_its_task_got_and_its_own_environment(bench):
    def environment(**variables: str) -> v1.Environment:
        return v1.Environment(
            variables=[v1.Environment.Variable(name=name, value=value) for name, value in variables.items()]
        )

    own = v1.CommandInfo(value="x", user="nobody", environment=environment(A="task", B="task"))
    asked = v1.CommandInfo(
        shell=False, value="/bin/test", arguments=["[", "]"], environment=environment(B="check")
    )
    launched = only(bench.run(task(command=own, check=command_check(asked))), ev.LaunchContainer)
    bench.started(launched.container_id)
    (probe,) = probes(bench.pass_time(15.0))
    assert (probe.program, probe.argv) == ("/bin/test", ("[", "]"))
    assert probe.environment == {**launched.environment, "B": "check"}
    assert (probe.container.sandbox, probe.container.user) == (launched.sandbox, "nobody")


def test_tasks_of_a_group_are_looked_at_each_in_its_own_sandbox(bench):
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    asked = command_check(v1.CommandInfo(value="look"))
    launches = of_type(
        bench.run_group(task("t1", check=asked), task("t2", check=asked), by=by), ev.LaunchContainer
    )
    for launched in launches:
        bench.started(launched.container_id)
    found = probes(bench.pass_time(15.0))
    assert [one.container.sandbox for one in found] == [one.sandbox for one in launches]


def test_one_unhealthy_task_ends_its_group(bench):
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    tasks = [task("t1", health_check=health_check(consecutive_failures=1)), task("t2")]
    containers = [one.container_id for one in of_type(bench.run_group(*tasks, by=by), ev.LaunchContainer)]
    for container_id in containers:
        bench.started(container_id)
    (probe,) = probes(bench.pass_time(15.0))
    bench.tell(ev.Probed(probe.probe_id, 0))
    effects = bench.exited(containers[0], 15)
    assert of_type(effects, ev.TerminateContainer) == [ev.TerminateContainer(containers[1])]


# ── the end ───────────────────────────────────────────────────────────────────────────────────────
def test_a_task_that_is_being_killed_is_not_looked_at(bench):
    checked = Checked(bench, health_check=health_check())
    probe = checked.wait(15.0)
    assert ev.AbandonProbe(probe.probe_id) in bench.kill(policy=grace(100))
    assert checked.answer(probe, 0) == []
    assert probes(bench.pass_time(50.0)) == []


def test_a_probe_of_a_task_that_ends_is_abandoned(bench):
    checked = Checked(bench, check=check(), health_check=health_check(delay_seconds=16.0))
    probe = checked.wait(15.0)
    assert ev.AbandonProbe(probe.probe_id) in bench.exited(checked.container_id, 0)
    assert [one.state.value for one in checked.answer(probe, 200)] == ["TASK_FINISHED"]
    assert probes(bench.pass_time(1000.0)) == []


# ── what cannot be checked ────────────────────────────────────────────────────────────────────────
SECRET = v1.Environment.Variable(
    name="S",
    type=v1.Environment.Variable.Type.SECRET,
    secret=v1.Secret(type=v1.Secret.Type.REFERENCE, reference=v1.Secret.Reference(name="s")),
)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"check": CheckInfo()}, "needs a type"),
        ({"health_check": HealthCheck(type=HealthCheck.Type.HTTP)}, "needs a type"),
        (
            {
                "check": command_check(
                    v1.CommandInfo(value="x", environment=v1.Environment(variables=[SECRET]))
                )
            },
            "secret",
        ),
    ],
)
def test_a_task_whose_checks_cannot_be_made_is_not_run(bench, fields, word):
    assert not of_type(bench.run(task(**fields)), ev.LaunchContainer)
    (status,) = bench.acknowledge_all()
    assert status.reason is Reason.REASON_CONTAINER_LAUNCH_FAILED
    assert word in status.message
