"""Upgrades of services that may only run in certain places, or where there is hardly any room."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from koinon.marathon.model import App, Pod
from tests.unit.marathon.services import commands, web
from tests.unit.marathon.test_chaos import Chaos
from tests.unit.marathon.world import World

_UNIQUE = (("hostname", "UNIQUE"),)


def test_upgrade_that_is_taken_back_finds_its_places_taken_by_what_goes() -> None:
    world = World(agents=2)
    world.deploy(web("one", instances=2, constraints=_UNIQUE))
    world.settle()
    deployment = world.deploy(web("two", instances=2, constraints=_UNIQUE))
    world.until(lambda: commands(world) == ["one", "two", "two"])
    world.cancel(deployment)
    world.settle()
    assert commands(world) == ["one", "one"]
    assert {one.agent.agent_id for one in world.instances("/web") if one.agent} == set(world.agents)


class Constrained(Chaos):
    """Bad days on two racks of two machines each."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        for number, agent in enumerate(self.world.agents.values()):
            agent.attributes = f"rack:r{number % 2}"

    def spec(self, path: str) -> App | Pod:
        """As ever, but in certain places only; as many as find one there."""
        spec = super().spec(path)
        if not isinstance(spec, App):
            return spec
        choices = (
            _UNIQUE,
            (("rack", "GROUP_BY"),),
            (("rack", "GROUP_BY", "2"),),
            (("hostname", "MAX_PER", "2"),),
        )
        constraints = self.random.choice(choices)
        number = min(spec.instances, len(self.world.agents)) if constraints is _UNIQUE else spec.instances
        return replace(spec, constraints=constraints, instances=number)


@pytest.mark.parametrize("seed", range(6))
def test_all_find_their_places_after_bad_days(seed: int) -> None:
    Constrained(seed).play()


def test_groups_stay_even_through_upgrades_and_scaling() -> None:
    world = World(agents=4)
    for number, agent in enumerate(world.agents.values()):
        agent.attributes = f"rack:r{number % 2}"
    for cmd, instances in (("one", 5), ("two", 5), ("two", 2), ("two", 6), ("three", 3)):
        world.deploy(web(cmd, instances=instances, constraints=(("rack", "GROUP_BY"),)))
        world.settle()
        racks = [one.agent.attributes["rack"] for one in world.instances("/web") if one.agent]
        assert len(racks) == instances
        assert abs(racks.count("r0") - racks.count("r1")) <= 1
