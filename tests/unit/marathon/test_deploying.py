"""Changes of services, played against a small world: scaling, upgrades, cancelled ones, canaries, locks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from koinon.marathon.core import Config, Refused
from koinon.marathon.core import events as ev
from koinon.marathon.model import App
from koinon.marathon.model.app import (
    HealthCheck,
    PortDefinition,
    UnreachableStrategy,
    UpgradeStrategy,
)
from tests.unit.marathon.services import commands, web
from tests.unit.marathon.world import World


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


@pytest.mark.parametrize("number", [2, 5])
def test_scaling_does_not_wait_for_those_that_were_ill_before(running: World, number: int) -> None:
    checked = web(
        port_definitions=(PortDefinition(),),
        health_checks=(HealthCheck(interval_seconds=5, grace_period_seconds=0, max_consecutive_failures=0),),
    )
    running.deploy(checked)
    running.settle()
    ill = running.instances("/web")[0].id
    running.probe = lambda probe: ill not in probe.key
    running.run(60)
    assert running.core.state.counts_of("/web").unhealthy == 1
    running.deploy(replace(checked, instances=number))
    running.settle()
    assert running.core.state.counts_of("/web").running == number


@pytest.mark.parametrize(("number", "running"), [(2, 2), (5, 4)])
def test_scaling_does_not_wait_for_those_that_are_lost(world: World, number: int, running: int) -> None:
    patient = web(unreachable_strategy="disabled")
    world.deploy(patient)
    world.settle()
    world.lose("S0")
    world.run(1)
    world.deploy(replace(patient, instances=number))
    world.until(lambda: not world.core.state.deployments)
    assert len(world.running("/web")) == running


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
    assert {key.split("/")[0] for key in running.store} == {"framework", "changes", "versions", "groups"}


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


@pytest.mark.parametrize("strategy", [UpgradeStrategy(1, 1), UpgradeStrategy(1, 0), UpgradeStrategy(0, 0)])
def test_upgrade_cancelled_after_any_event_ends_as_before(strategy: UpgradeStrategy) -> None:
    """Each instance that had not been given up yet is kept."""
    events = 0
    while True:
        events += 1
        world = World()
        world.deploy(web(upgrade_strategy=strategy))
        world.settle()
        app = world.core.root.apps["/web"]
        deployment = world.deploy(web("two", upgrade_strategy=strategy))
        for _ in range(events):
            if deployment in world.core.state.deployments:
                world._step(world.now + 100)
        if deployment not in world.core.state.deployments:
            break
        kept = {
            one.id for one in world.instances("/web") if one.version == app.version and one.goal == "Running"
        }
        world.cancel(deployment)
        world.settle()
        assert world.core.root.apps["/web"] == app
        assert commands(world) == ["one"] * 3, f"cancelled after {events} events"
        assert kept <= {one.id for one in world.instances("/web", "Running")}
        assert len(world.tasks) == 3
        world.core.check()
    assert events > 20


def test_scaling_by_force_in_an_upgrade_goes_on_with_the_upgrade(running: World) -> None:
    running.starting_s = 20
    running.deploy(web("two", upgrade_strategy=UpgradeStrategy(1, 0)))
    running.run(30)
    assert commands(running) == ["one", "one", "two"]
    running.deploy(web("two", instances=4, upgrade_strategy=UpgradeStrategy(1, 0)), force=True)
    running.settle()
    assert commands(running) == ["two"] * 4


def test_force_goes_on_with_what_else_was_being_upgraded(running: World) -> None:
    running.deploy(App("/other", cmd="one"))
    running.settle()
    running.starting_s = 1e9
    first = running.deploy(web("two"), App("/other", cmd="two"))
    running.run(5)
    running.starting_s = 0.5
    second = running.deploy(web("three"), force=True)
    running.settle()
    assert commands(running) == ["three"] * 3
    assert commands(running, "/other") == ["two"]
    assert [one["id"] for one in running.published("deployment_failed")] == [first]
    assert second in {one["id"] for one in running.published("deployment_success")}


def test_what_waits_for_its_step_keeps_its_number(world: World) -> None:
    """Its dependency does not come up; meanwhile an agent is lost."""
    app = App("/app", cmd="one", cpus=0.1, instances=3, dependencies=("/db",))
    world.deploy(App("/db", cmd="db", cpus=0.1), app)
    world.settle()
    world.starting_s = 1e9
    world.deploy(
        App("/db", cmd="new", cpus=0.1), App("/app", cmd="two", cpus=0.1, instances=3, dependencies=("/db",))
    )
    world.run(5)
    world.starting_s = 0.5
    world.lose(world.running("/app")[0].agent)
    world.run(10)
    assert len(world.running("/app")) == 3


def test_another_strategy_holds_for_instances_that_are_lost_already(world: World) -> None:
    world.deploy(web(unreachable_strategy="disabled"))
    world.settle()
    world.lose(world.running("/web")[0].agent)
    world.run(100)
    assert world.instances("/web", "Unreachable")
    world.deploy(web(unreachable_strategy=UnreachableStrategy(0, 0)))
    world.settle()
    assert len(world.instances("/web", "Running")) == len(world.instances("/web")) == 3
