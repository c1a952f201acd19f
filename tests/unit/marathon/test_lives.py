"""Lives of services from the definition to the last event, played against a small world: starts, failures, losses."""

from __future__ import annotations

import pytest

from koinon.marathon.core import events as ev
from koinon.marathon.model import App, Pod
from koinon.marathon.model.app import (
    Container,
    ExecCommand,
    HealthCheck,
    Network,
    PortDefinition,
    PortMapping,
    ReadinessCheck,
    UnreachableStrategy,
)
from koinon.marathon.model.pod import Exec, PodContainer, Scaling
from koinon.mesos.v1 import TaskState as T
from tests.unit.marathon.services import commands, web
from tests.unit.marathon.world import START_S, World


# ── start ─────────────────────────────────────────────────────────────────────────────────────────
def test_new_app_runs(world: World) -> None:
    deployment = world.deploy(web())
    assert deployment in world.core.state.deployments
    world.settle()
    assert len(world.running("/web")) == 3
    assert [one["id"] for one in world.published("deployment_success")] == [deployment]
    assert len(world.published("deployment_info")) == len(world.published("deployment_step_success")) == 2
    assert [one["groupId"] for one in world.published("group_change_success")] == ["/"]
    assert world.published("api_post_event")[0]["appDefinition"].id == "/web"
    assert world.core.state.counts_of("/web").running == 3
    assert {one["taskStatus"] for one in world.published("status_update_event")} == {
        "TASK_STARTING",
        "TASK_RUNNING",
    }


def test_nothing_is_told_before_it_is_stored(world: World) -> None:
    world.run(1)
    world.storing_s = 5.0
    world.deploy(web())
    world.run(4)
    assert not world.published("group_change_success")
    assert not world.tasks
    world.storing_s = 0.0
    world.settle()


def test_definition_that_changes_nothing_keeps_its_version(running: World) -> None:
    before = running.core.root.apps["/web"]
    deployment = running.deploy(web())
    assert running.core.root.apps["/web"] is before
    assert deployment not in running.core.state.deployments
    running.run(1)
    assert [one["id"] for one in running.published("deployment_success")] == [deployment]


def test_dependencies_run_before_dependents(world: World) -> None:
    world.deploy(
        App("/db", cmd="db", cpus=0.1),
        App("/app", cmd="app", cpus=0.1, dependencies=("/db",)),
        App("/front", cmd="front", cpus=0.1, dependencies=("/app",)),
    )
    steps = next(iter(world.core.state.deployments.values())).steps
    assert [[one.run_spec for one in step.actions] for step in steps] == [
        ["/app", "/db", "/front"],
        ["/db"],
        ["/app"],
        ["/front"],
    ]
    world.until(lambda: bool(world.running("/db")))
    assert not world.instances("/app")
    world.settle()
    assert world.running("/front")


def test_pod_runs_and_is_replaced_whole_when_a_container_fails(world: World) -> None:
    shell = Exec(ExecCommand(shell="sleep"))
    pod = Pod(
        "/pod",
        containers=(PodContainer("a", exec=shell), PodContainer("b", exec=shell)),
        scaling=Scaling(instances=2),
    )
    world.deploy(pod)
    world.settle()
    assert len(world.running("/pod")) == 4
    victim = world.running("/pod")[0]
    world.fail(victim)
    world.run(30)
    assert len(world.running("/pod")) == 4
    assert {one.incarnation for one in world.instances("/pod")} == {1, 2}


# ── failures ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("state", [T.TASK_FAILED, T.TASK_FINISHED, T.TASK_ERROR, T.TASK_GONE_BY_OPERATOR])
def test_task_that_ends_is_launched_again_as_the_same_instance(running: World, state: T) -> None:
    before = {one.id for one in running.instances("/web")}
    running.fail(running.running("/web")[0], state)
    running.run(10)
    assert {one.id for one in running.instances("/web", "Running")} == before
    assert sorted(one.incarnation for one in running.instances("/web")) == [1, 1, 2]
    failure = running.core.state.failures.get("/web")
    assert (failure is None) == (state is T.TASK_FINISHED)
    assert failure is None or failure.state == state.value


def test_failing_app_is_launched_with_growing_delays(world: World) -> None:
    world.fate = lambda info: T.TASK_FAILED
    world.deploy(web(instances=1, backoff_seconds=10, backoff_factor=2.0))
    world.run(300)
    assert 4 <= len(world.ended) <= 6
    world.fate = lambda info: None
    world.run(300)
    assert len(world.running("/web")) == 1


def test_kill_keeps_the_instance_and_wipe_does_not(running: World) -> None:
    first, second, third = [one.id for one in running.instances("/web")]
    running.tell(ev.KillInstances(frozenset({first})))
    running.tell(ev.KillInstances(frozenset({second}), wipe=True))
    running.run(10)
    left = {one.id: one.incarnation for one in running.instances("/web", "Running")}
    assert left[first] == 2
    assert left[third] == 1
    assert second not in left
    assert len(left) == 3
    assert not running.core.state.failures


def test_unknown_task_is_killed(running: World) -> None:
    task = running.running("/web")[0]
    instance = running.core.state.tasks[task.id]
    del running.store[f"instances/{instance}"]
    running.lead()
    running.run(30)
    assert task.kills
    assert len(running.running("/web")) == 3


def test_launch_that_does_not_reach_the_master_is_no_failure(world: World) -> None:
    world.run(1)
    world.deploy(web(instances=1))
    world.until(lambda: bool(world.instances("/web", "Provisioned")))
    task = world.instances("/web")[0].tasks[0].id
    world.tasks.clear()
    status = world._status(task, T.TASK_DROPPED, "S0")
    status.reason = status.Reason.REASON_INVALID_OFFERS
    world.tell(ev.Updated(status))
    assert not world.core.state.delays
    world.settle()
    assert not world.core.state.failures


def test_task_that_does_not_come_up_is_killed_and_launched_again(world: World) -> None:
    world.starting_s = 1e9
    world.deploy(web(instances=1))
    world.run(400)
    assert world.instances("/web")[0].incarnation == 2
    world.starting_s = 0.5
    world.settle()


def test_failing_container_of_a_pod_delays_the_next_launch(world: World) -> None:
    shell = Exec(ExecCommand(shell="sleep"))
    world.fate = lambda info: T.TASK_FAILED if info.name == "a" else None
    world.deploy(Pod("/pod", containers=(PodContainer("a", exec=shell), PodContainer("b", exec=shell))))
    world.run(60)
    assert world.instances("/pod")[0].incarnation < 25


# ── unreachable ───────────────────────────────────────────────────────────────────────────────────
def lose_one(world: World) -> str:
    agent = world.running("/web")[0].agent
    world.lose(agent)
    return agent


def test_lost_instance_is_replaced_at_once_by_default(running: World) -> None:
    agent = lose_one(running)
    running.run(5)
    assert len(running.instances("/web", "Running")) == 3
    assert len(running.running("/web")) == 3
    running.find(agent)
    running.run(20)
    assert len(running.running("/web")) == 3
    assert len(running.tasks) == 3


def test_lost_instance_is_waited_for_replaced_and_given_up(world: World) -> None:
    world.deploy(web(unreachable_strategy=UnreachableStrategy(60, 600)))
    world.settle()
    lose_one(world)
    world.run(50)
    lost = len(world.instances("/web", "Unreachable"))
    assert lost >= 1
    assert len(world.instances("/web")) == 3
    world.run(20)
    assert len(world.instances("/web", "UnreachableInactive")) == lost
    assert len(world.instances("/web", "Running")) == 3
    world.run(600)
    assert len(world.instances("/web")) == 3


def test_lost_instance_that_returns_is_one_too_many(world: World) -> None:
    world.deploy(web(unreachable_strategy=UnreachableStrategy(60, 600)))
    world.settle()
    agent = lose_one(world)
    world.run(100)
    world.find(agent)
    world.run(20)
    assert len(world.instances("/web", "Running")) == len(world.instances("/web")) == 3
    assert len(world.tasks) == 3


def test_lost_instance_is_waited_for_for_ever_if_so_wanted(world: World) -> None:
    world.deploy(web(unreachable_strategy="disabled"))
    world.settle()
    agent = lose_one(world)
    world.run(100_000)
    assert world.instances("/web", "Unreachable")
    world.find(agent)
    world.run(10)
    assert len(world.running("/web")) == 3
    assert all(one.incarnation == 1 for one in world.instances("/web"))


def test_new_leader_waits_for_the_answer_before_it_gives_up(world: World) -> None:
    world.deploy(web(unreachable_strategy=UnreachableStrategy(60, 600)))
    world.settle()
    agent = lose_one(world)
    world.run(50)
    world.subscribed = False
    world.find(agent)
    world.run(1000)  # nobody is told
    world.lead()
    world.run(30)
    assert len(world.instances("/web", "Running")) == 3
    assert all(one.incarnation == 1 for one in world.instances("/web"))


# ── health and readiness ──────────────────────────────────────────────────────────────────────────
def checked(cmd: str = "one", **more: object) -> App:
    check = HealthCheck(interval_seconds=10, grace_period_seconds=60, max_consecutive_failures=3)
    return web(cmd, health_checks=(check,), port_definitions=(PortDefinition(name="http"),), **more)


def test_deployment_waits_for_health(world: World) -> None:
    world.probe = lambda probe: False
    world.deploy(checked())
    world.run(30)
    assert len(world.running("/web")) == 3
    assert world.core.state.deployments
    world.probe = lambda probe: True
    world.settle()
    assert world.core.state.counts_of("/web").healthy == 3


def test_instance_that_stays_ill_is_killed_on_the_third_failure(world: World) -> None:
    world.deploy(checked(instances=1))
    world.settle()
    world.run(100)
    world.probe = lambda probe: False
    begun = world.now
    world.until(lambda: bool(world.published("unhealthy_instance_kill_event")))
    assert 20 <= world.now - begun <= 31
    assert len(world.published("failed_health_check_event")) == 3
    world.probe = lambda probe: True
    world.run(30)
    assert world.core.state.counts_of("/web").healthy == 1
    failure = world.core.state.failures["/web"]
    assert failure.state == "TASK_KILLED"


def test_failures_in_grace_count_for_nothing(world: World) -> None:
    world.probe = lambda probe: world.now > START_S + 50
    world.deploy(checked(instances=1))
    world.settle()
    assert not world.published("failed_health_check_event")
    assert world.instances("/web")[0].incarnation == 1


def test_upgrade_to_a_broken_version_leaves_the_service_up(world: World) -> None:
    world.deploy(checked())
    world.settle()
    good = {one.id for one in world.instances("/web")}
    world.probe = lambda probe: any(one in probe.key for one in good)
    deployment = world.deploy(checked("two"))
    world.run(3600)
    assert good <= {one.id for one in world.instances("/web", "Running")}
    world.cancel(deployment)
    world.settle()
    assert {one.id for one in world.instances("/web")} == good


def test_health_told_by_the_agent(world: World) -> None:
    check = HealthCheck(protocol="MESOS_HTTP")
    world.deploy(web(instances=1, health_checks=(check,)))
    world.run(30)
    assert world.core.state.deployments
    task = world.running("/web")[0]
    world.move(task, T.TASK_RUNNING, healthy=True)
    world.settle()
    assert world.core.state.counts_of("/web").healthy == 1
    world.lead()
    world.run(1)
    assert world.core.state.counts_of("/web").healthy == 1
    world.move(task, T.TASK_RUNNING, healthy=False)
    world.run(1)
    assert world.core.state.counts_of("/web").unhealthy == 1


def test_new_instances_count_when_they_are_ready(running: World) -> None:
    check = ReadinessCheck(port_name="http", preserve_last_response=True)
    running.probe = lambda probe: False
    running.deploy(web("two", readiness_checks=(check,), port_definitions=(PortDefinition(name="http"),)))
    running.run(100)
    assert commands(running) == ["one"] * 3 + ["two"] * 3
    results = running.core.state.readiness
    assert [one.last_response for one in results.values()] == [(500, "", "")] * 3
    running.lead()
    running.run(100)
    assert commands(running) == ["one"] * 3 + ["two"] * 3
    running.probe = lambda probe: True
    running.settle()
    assert commands(running) == ["two"] * 3
    assert not running.core.state.readiness
    assert not running.probes


def test_container_with_an_address_of_its_own_is_asked_when_that_is_known(world: World) -> None:
    mapping = PortMapping(container_port=80, name="http")
    world.deploy(
        web(
            instances=1,
            networks=(Network("container", "net"),),
            port_definitions=None,
            container=Container("MESOS", port_mappings=(mapping,)),
            health_checks=(HealthCheck(),),
        )
    )
    world.run(30)
    assert world.core.state.deployments
    assert not world.probes
    world.move(world.running("/web")[0], T.TASK_RUNNING, ip="10.0.0.7")
    world.settle()
    assert [(one.host, one.port) for one in world.probes.values()] == [("10.0.0.7", 80)]


def test_health_checks_are_announced(world: World) -> None:
    world.deploy(checked())
    world.settle()
    world.deploy(checked("two"))
    world.settle()
    assert len(world.published("add_health_check_event")) == 1
    world.deploy(remove=["/web"])
    world.settle()
    assert world.published("remove_health_check_event") == [{"appId": "/web"}]
