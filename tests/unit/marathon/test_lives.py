"""Whole lives of services, from the definition to the last event, played against a small world."""

from __future__ import annotations

import pytest

from koinon.marathon.core import Config, Refused
from koinon.marathon.core import events as ev
from koinon.marathon.model import App, Pod
from koinon.marathon.model.app import (
    ExecCommand,
    HealthCheck,
    PortDefinition,
    ReadinessCheck,
    UnreachableStrategy,
    UpgradeStrategy,
)
from koinon.marathon.model.pod import Exec, PodContainer, Scaling
from koinon.mesos.v1 import TaskState as T
from tests.unit.marathon.world import START_S, World


def web(cmd: str = "one", instances: int = 3, **more: object) -> App:
    return App("/web", cmd=cmd, instances=instances, cpus=0.1, **more)  # type: ignore[arg-type]


def commands(world: World, path: str = "/web") -> list[str]:
    return sorted(task.info.command.value for task in world.running(path))  # type: ignore[union-attr, type-var]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def running(world: World) -> World:
    """Three instances of /web run."""
    world.deploy(web())
    world.settle()
    assert commands(world) == ["one"] * 3
    world.events.clear()
    return world


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


# ── scaling, restart, removal ─────────────────────────────────────────────────────────────────────
def test_scaling_up_and_down(running: World) -> None:
    ids = {one.id for one in running.instances("/web")}
    running.deploy(web(instances=5))
    running.settle()
    assert ids < {one.id for one in running.instances("/web", "Running")}
    assert len(running.running("/web")) == 5
    running.deploy(web(instances=2))
    running.settle()
    assert {one.id for one in running.instances("/web")} < ids  # the youngest went
    assert len(running.running("/web")) == 2
    info = running.core.root.apps["/web"].version_info
    assert info is not None
    assert info.last_config_change_at < info.last_scaling_at


def test_oldest_go_first_if_so_wanted(world: World) -> None:
    world.deploy(web(kill_selection="OLDEST_FIRST", instances=1))
    world.settle()
    first = world.instances("/web")[0].id
    world.deploy(web(kill_selection="OLDEST_FIRST", instances=2))
    world.settle()
    world.deploy(web(kill_selection="OLDEST_FIRST", instances=1))
    world.settle()
    assert world.instances("/web")[0].id != first


def test_named_ones_go_first(running: World) -> None:
    named = frozenset(one.id for one in running.instances("/web")[:2])
    running.deploy(web(instances=1), kill=named)
    running.settle()
    assert {one.id for one in running.instances("/web")}.isdisjoint(named)
    assert len(running.running("/web")) == 1


def test_scaling_keeps_groups_even(world: World) -> None:
    for number, agent in enumerate(world.agents.values()):
        agent.attributes = f"rack:r{number % 2}"
    app = web(instances=6, constraints=(("rack", "GROUP_BY", "2"),))
    world.deploy(app)
    world.settle()
    world.deploy(web(instances=2, constraints=(("rack", "GROUP_BY", "2"),)))
    world.settle()
    racks = [one.agent.attributes["rack"] for one in world.instances("/web") if one.agent]
    assert sorted(racks) == ["r0", "r1"]


def test_restart_replaces_all_with_the_same_definition(running: World) -> None:
    before = {one.id for one in running.instances("/web")}
    config = running.core.root.apps["/web"].version_info
    running.deploy(restart=frozenset({"/web"}))
    running.settle()
    after = {one.id for one in running.instances("/web", "Running")}
    assert len(after) == 3
    assert before.isdisjoint(after)
    info = running.core.root.apps["/web"].version_info
    assert config is not None
    assert info is not None
    assert info.last_config_change_at > config.last_config_change_at
    assert info.last_scaling_at == config.last_scaling_at


def test_removed_app_leaves_nothing(running: World) -> None:
    running.fail(running.running("/web")[0])
    running.run(10)
    running.deploy(remove=["/web"])
    running.settle()
    assert not running.tasks
    assert not running.core.state.instances
    assert running.published("app_terminated_event") == [{"appId": "/web"}]
    assert {key.split("/")[0] for key in running.store} == {"framework", "changes", "versions"}


def test_removed_app_can_be_created_again_while_its_instances_die(running: World) -> None:
    running.dying_s = 60
    running.deploy(remove=["/web"])
    running.run(5)
    running.deploy(web("two"), force=True)
    running.settle()
    assert commands(running) == ["two"] * 3


def test_many_kills_go_out_a_hundred_at_a_time() -> None:
    world = World(agents=10)
    world.deploy(web(instances=250))
    world.settle()
    world.dying_s = 60
    world.deploy(remove=["/web"])
    world.run(5)
    assert sum(task.kills > 0 for task in world.tasks.values()) == 100
    assert all(task.kills <= 1 for task in world.tasks.values())
    world.settle()
    assert not world.tasks


def test_kill_is_repeated_until_it_is_heard(running: World) -> None:
    running.subscribed = True
    original, running._kill = running._kill, lambda task_id: None  # type: ignore[method-assign]
    running.deploy(remove=["/web"])
    running.run(20)
    assert len(running.tasks) == 3
    running._kill = original  # type: ignore[method-assign]
    running.settle()
    assert not running.tasks


# ── locks ─────────────────────────────────────────────────────────────────────────────────────────
def test_locked_app_is_refused_unless_forced(running: World) -> None:
    running.starting_s = 1e9
    first = running.deploy(web("two"))
    root = running.core.root
    with pytest.raises(Refused) as refused:
        running.deploy(web("three"))
    assert refused.value.status == 409
    assert refused.value.body["deployments"] == [{"id": first}]
    assert running.core.root is root
    running.run(1)
    assert [one["groupId"] for one in running.published("group_change_failed")] == ["/"]
    running.starting_s = 0.5
    second = running.deploy(web("three"), force=True)
    running.settle()
    assert commands(running) == ["three"] * 3
    assert {one["id"] for one in running.published("deployment_failed")} == {first, *_turned_away(running)}
    assert [one["id"] for one in running.published("deployment_success")] == [second]


def _turned_away(world: World) -> set[str]:
    return {one["id"] for one in world.published("deployment_failed") if "locked" in one["reason"]}


def test_disjoint_deployments_run_side_by_side(world: World) -> None:
    world.starting_s = 1e9
    world.deploy(web())
    world.deploy(App("/other", cmd="x"))
    assert len(world.core.state.deployments) == 2


def test_too_many_deployments() -> None:
    world = World(config=Config(max_running_deployments=1))
    world.deploy(web())
    with pytest.raises(Refused) as refused:
        world.deploy(App("/other", cmd="x"))
    assert refused.value.status == 403
    world.settle()
    world.deploy(App("/other", cmd="x"))
    world.settle()


# ── upgrades, cancelled and canaries ──────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "strategy", [UpgradeStrategy(1, 1), UpgradeStrategy(1, 0), UpgradeStrategy(0.5, 0.2)]
)
def test_upgrade_replaces_all_and_never_falls_below_the_minimum(strategy: UpgradeStrategy) -> None:
    world = World()
    world.deploy(web(instances=4, upgrade_strategy=strategy))
    world.settle()
    least = 4

    def watch() -> None:
        nonlocal least
        least = min(least, len([one for one in world.running("/web") if not one.kills]))

    world.watch = watch
    world.deploy(web("two", instances=4, upgrade_strategy=strategy))
    world.settle()
    assert commands(world) == ["two"] * 4
    assert least >= 4 * strategy.minimum_health_capacity


def test_old_instance_that_dies_in_an_upgrade_comes_back_new(running: World) -> None:
    running.starting_s = 100
    running.deploy(web("two"))
    running.run(1)
    running.fail(running.running("/web")[0])
    running.settle()
    assert commands(running) == ["two"] * 3


def test_cancelled_upgrade_keeps_the_old_instances(running: World) -> None:
    before = {one.id for one in running.instances("/web")}
    app = running.core.root.apps["/web"]
    running.starting_s = 1e9
    cancelled = running.deploy(web("two"))
    running.run(10)
    running.starting_s = 0.5
    undoing = running.cancel(cancelled)
    running.settle()
    assert running.core.root.apps["/web"] == app
    assert {one.id for one in running.instances("/web")} == before
    assert commands(running) == ["one"] * 3
    assert len(running.tasks) == 3
    assert [one["id"] for one in running.published("deployment_failed")] == [cancelled]
    assert [one["id"] for one in running.published("deployment_success")] == [undoing]


def test_cancel_touches_nothing_else(running: World) -> None:
    cancelled = running.deploy(App("/a/new", cmd="x"), web("two"))
    running.deploy(App("/b/other", cmd="y"))
    running.cancel(cancelled)
    running.settle()
    root = running.core.root
    assert set(root.apps) == {"/web", "/b/other"}
    assert set(root.groups) == {"/", "/b"}
    assert commands(running) == ["one"] * 3


def test_cancelled_removal_brings_the_app_back(running: World) -> None:
    running.dying_s = 30
    app = running.core.root.apps["/web"]
    cancelled = running.deploy(remove=["/web"])
    running.run(5)
    running.cancel(cancelled)
    running.settle()
    assert running.core.root.apps["/web"] == app
    assert commands(running) == ["one"] * 3


def test_forced_cancel_leaves_things_as_they_are(running: World) -> None:
    running.starting_s = 1e9
    cancelled = running.deploy(web("two"))
    running.run(10)
    running.tell(ev.CancelDeployment(cancelled, "D-no", force=True))
    running.starting_s = 0.5
    assert not running.core.state.deployments
    assert running.core.root.apps["/web"].cmd == "two"
    running.run(1000)
    assert len(running.running("/web")) == 3


def test_forced_cancel_of_a_removal_leaves_orphans_to_reconciliation(running: World) -> None:
    running.dying_s = 10
    original, running._kill = running._kill, lambda task_id: None  # type: ignore[method-assign]
    cancelled = running.deploy(remove=["/web"])
    running.tell(ev.CancelDeployment(cancelled, "D-no", force=True))
    running._kill = original  # type: ignore[method-assign]
    running.run(1000)
    assert not running.tasks
    assert not running.core.state.instances


def test_unknown_deployment_cannot_be_cancelled(running: World) -> None:
    with pytest.raises(Refused) as refused:
        running.cancel("D-unknown")
    assert refused.value.status == 404


def test_canary_waits_until_it_is_told_to_go_on(running: World) -> None:
    canary = {"koinon.canary": "1"}
    deployment = running.deploy(web("two", labels=canary))
    running.run(1000)
    assert commands(running) == ["one", "one", "two"]
    assert running.core.state.deployments[deployment].canaries_since.keys() == {"/web"}
    running.fail(next(task for task in running.running("/web") if task.info.command.value == "one"))  # type: ignore[union-attr]
    running.run(30)
    assert commands(running) == ["one", "one", "two"]
    running.lead()
    running.run(100)
    assert commands(running) == ["one", "one", "two"]
    running.continue_(deployment)
    running.settle()
    assert commands(running) == ["two"] * 3
    with pytest.raises(Refused):
        running.continue_(deployment)


def test_canary_goes_on_when_its_time_is_over(running: World) -> None:
    running.deploy(web("two", labels={"koinon.canary": "1", "koinon.canary-seconds": "100"}))
    running.run(50)
    running.lead()
    running.run(40)
    assert commands(running) == ["one", "one", "two"]
    running.settle(60)
    assert commands(running) == ["two"] * 3


def test_canary_label_must_be_a_number(running: World) -> None:
    with pytest.raises(Refused) as refused:
        running.deploy(web("two", labels={"koinon.canary": "some"}))
    assert refused.value.body["details"][0]["path"] == "/labels/koinon.canary"


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


# ── leaders and masters ───────────────────────────────────────────────────────────────────────────
def test_new_leader_knows_the_same(running: World) -> None:
    before = running.core.state
    running.lead()
    after = running.core.state
    assert after.root == before.root
    assert after.instances == before.instances
    assert after.history == before.history
    assert after.changes == before.changes
    assert after.counts == before.counts
    running.run(100)
    assert len(running.running("/web")) == 3
    assert all(one.incarnation == 1 for one in running.instances("/web"))


def test_new_leader_goes_on_with_an_upgrade_after_each_write(running: World) -> None:
    app = web("two", upgrade_strategy=UpgradeStrategy(1, 0))
    running.deploy(app)
    written = 0

    def watch() -> None:
        nonlocal written
        if len(running.store) + sum(map(len, running.store.values())) != written:
            written = len(running.store) + sum(map(len, running.store.values()))
            if running.generation < 30:
                running.at(0.0, running._in_generation(running.lead))

    running.watch = watch
    running.settle()
    assert commands(running) == ["two"] * 3
    assert running.generation > 10


def test_framework_id_that_is_lost_ends_the_process(running: World) -> None:
    del running.store["framework"]
    running.lead()
    assert running.resigned is not None
    assert running.resigned.status == 108


def test_everything_is_refused_before_the_store_is_read() -> None:
    world = World()
    from koinon.marathon.core import Marathon

    with pytest.raises(Refused) as refused:
        Marathon(Config(), seed=1).handle(ev.ClockTicked(), world.now)
    assert refused.value.status == 503


def test_what_happened_while_no_master_was_there_is_asked_for(running: World) -> None:
    running.disconnect()
    victim = running.running("/web")[0]
    del running.tasks[victim.id]
    running.run(60)
    running.subscribe()
    running.run(30)
    assert len(running.running("/web")) == 3
    assert [one["master"] for one in running.published("scheduler_reregistered_event")] == ["master:5050"]
    assert len(running.published("scheduler_disconnected_event")) == 1


# ── versions ──────────────────────────────────────────────────────────────────────────────────────
def test_former_versions_of_apps_and_of_the_root_are_kept_as_far_as_wanted() -> None:
    world = World(config=Config(max_versions=3))
    roots = []
    for number in range(6):
        world.deploy(web(f"cmd-{number}"))
        world.settle()
        roots.append(world.core.root)
    state = world.core.state
    assert [state.definition("/web", one).cmd for one in state.versions_of("/web")] == [
        "cmd-5",
        "cmd-4",
        "cmd-3",
        "cmd-2",
    ]  # type: ignore[union-attr]
    assert state.root_at(roots[3].version) == roots[3]
    assert state.root_at(roots[0].version) is None
    world.lead()
    assert world.core.state.root_at(roots[3].version) == roots[3]
