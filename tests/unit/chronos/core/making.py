"""Jobs for the small world, and what became of them."""

from __future__ import annotations

from typing import Any

from koinon.chronos import schedules
from koinon.chronos.model import Job
from koinon.timestamps import stamp
from tests.unit.chronos.core.world import START_S, World


def every(seconds: int, times: str = "", after_s: float = 10.0) -> schedules.Schedule:
    """So often, first so long after the world's beginning."""
    return schedules.read(f"R{times}/{stamp(START_S + after_s)}/PT{seconds}S", now=START_S)


def job(name: str = "a", **fields: Any) -> Job:
    return Job(name, command="true", cpus=1.0, **fields)


def dues(world: World, name: str = "a") -> list[float]:
    """When the runs that completed were due, in seconds since the world's beginning."""
    return [one.due_ms / 1000 - START_S for one in world.completed_of(name)]


def windows(world: World, name: str) -> list[float]:
    """For which the runs that completed have run, in seconds since the world's beginning."""
    return [one.window_ms / 1000 - START_S for one in world.completed_of(name)]
