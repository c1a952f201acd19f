"""Worlds to begin with."""

from __future__ import annotations

import pytest

from tests.unit.marathon.services import commands, web
from tests.unit.marathon.world import World


@pytest.fixture
def world() -> World:
    """Nothing runs."""
    return World()


@pytest.fixture
def running(world: World) -> World:
    """Three instances of /web run."""
    world.deploy(web())
    world.settle()
    assert commands(world) == ["one"] * 3
    world.events.clear()
    return world
