"""Upgrades of services that may only run in certain places, or where there is hardly any room."""

from __future__ import annotations

from tests.unit.marathon.services import commands, web
from tests.unit.marathon.world import World


def test_upgrade_that_is_taken_back_finds_its_places_taken_by_what_goes() -> None:
    world = World(agents=2)
    everywhere = (("hostname", "UNIQUE"),)
    world.deploy(web("one", instances=2, constraints=everywhere))
    world.settle()
    deployment = world.deploy(web("two", instances=2, constraints=everywhere))
    world.until(lambda: commands(world) == ["one", "two", "two"])
    world.cancel(deployment)
    world.settle()
    assert commands(world) == ["one", "one"]
    assert {one.agent.agent_id for one in world.instances("/web") if one.agent} == set(world.agents)
