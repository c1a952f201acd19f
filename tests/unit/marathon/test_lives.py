"""Whole lives of services, from the definition to the last event, played against a small world."""

from __future__ import annotations

import pytest

from koinon.marathon.model import App
from koinon.marathon.model.app import UpgradeStrategy
from tests.unit.marathon.world import World


def test_new_app_runs() -> None:
    world = World()
    deployment = world.deploy(App("/web", cmd="sleep", instances=3))
    assert deployment in world.core.state.deployments
    world.settle()
    assert len(world.running("/web")) == 3
    assert [one["id"] for one in world.published("deployment_success")] == [deployment]
    assert len(world.published("deployment_info")) == len(world.published("deployment_step_success")) == 2
    assert world.core.state.counts_of("/web").running == 3


@pytest.mark.parametrize(
    "strategy", [UpgradeStrategy(1, 1), UpgradeStrategy(1, 0), UpgradeStrategy(0.5, 0.2)]
)
def test_upgrade_replaces_all(strategy: UpgradeStrategy) -> None:
    world = World()
    app = App("/web", cmd="one", instances=4, upgrade_strategy=strategy)
    world.deploy(app)
    world.settle()
    world.deploy(App("/web", cmd="two", instances=4, upgrade_strategy=strategy))
    world.settle()
    assert [task.info.command.value for task in world.running("/web")] == ["two"] * 4  # type: ignore[union-attr]
