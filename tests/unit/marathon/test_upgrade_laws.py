"""Upgrades while things break: what Marathon itself does never takes a service below its minimum or above its maximum."""

from __future__ import annotations

from random import Random

import pytest

from koinon.marathon.core import rolling
from koinon.marathon.model import Instance
from koinon.marathon.model.app import HealthCheck, PortDefinition, UnreachableStrategy, UpgradeStrategy
from koinon.mesos.v1 import TaskState as T
from tests.unit.marathon.services import commands, web
from tests.unit.marathon.world import World

N = 6


class Witness:
    """Looks after each event at what was given up, and at what was launched."""

    def __init__(self, world: World, bounds: rolling.Bounds) -> None:
        self.world = world
        self.bounds = bounds
        self.before: dict[str, Instance] = {}
        world.watch = self.look

    def look(self) -> None:
        now = {one.id: one for one in self.world.instances("/web")}
        given_up = {
            one.id
            for one in self.before.values()
            # Those whose agent is lost are forgotten at once, which is not our doing.
            if self._is_well(one) and one.id in now and now[one.id].goal != "Running"
        }
        well = sum(map(self._is_well, now.values()))
        if given_up:
            assert well >= min(self.bounds.healthy_min, well + len(given_up)), (
                f"gave up {given_up}, left {well}"
            )
        if now.keys() - self.before.keys():
            alive = [one for one in now.values() if one.condition != "UnreachableInactive"]
            assert len(alive) <= max(self.bounds.alive_max, N) + (
                self.bounds.healthy_min == self.bounds.alive_max
            )
        self.before = now

    def _is_well(self, instance: Instance) -> bool:
        # As it was when it was seen: results of health checks are looked up, and those of who is gone are gone.
        return (
            instance.condition == "Running"
            and instance.goal == "Running"
            and instance.kill_asked_at is None
            and self.world.core.state.is_healthy(instance) is not False
        )


@pytest.mark.parametrize("seed", range(12))
def test_upgrade_while_things_break(seed: int) -> None:
    random = Random(seed)
    world = World(agents=4, seed=seed)
    strategy = UpgradeStrategy(
        random.choice((0.0, 0.34, 0.5, 0.75, 1.0)), random.choice((0.0, 0.2, 0.5, 1.0))
    )
    checks = (HealthCheck(interval_seconds=2, grace_period_seconds=10),) if random.random() < 0.7 else ()

    def app(cmd: str) -> object:
        return web(
            cmd,
            instances=N,
            upgrade_strategy=strategy,
            health_checks=checks,
            port_definitions=(PortDefinition(name="http"),),
            unreachable_strategy=UnreachableStrategy(0, 0),
            backoff_seconds=1,
        )

    world.deploy(app("one"))  # type: ignore[arg-type]
    world.settle()
    bounds = rolling.bounds(N, strategy.minimum_health_capacity, strategy.maximum_over_capacity)
    Witness(world, bounds)
    deployment = world.deploy(app("two"))  # type: ignore[arg-type]
    world.probe = lambda probe: random.random() < 0.9
    for _ in range(15):
        world.run(random.choice((0.1, 0.5, 2.0)))
        agent = random.choice(list(world.agents.values()))
        match random.randrange(4):
            case 0 if agent.reachable and sum(one.reachable for one in world.agents.values()) > 2:
                world.lose(agent.id)
            case 1 if not agent.reachable:
                world.find(agent.id)
            case 2 if world.tasks:
                world.fail(world.tasks[random.choice(sorted(world.tasks))], T.TASK_FAILED)
            case 3:
                world.lead()
    world.probe = lambda probe: True
    for agent in world.agents.values():
        world.find(agent.id)
    world.settle()
    assert commands(world) == ["two"] * N
    assert [one["id"] for one in world.published("deployment_success")][-1] == deployment
