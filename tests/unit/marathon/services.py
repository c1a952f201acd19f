"""Services as tests write them."""

from __future__ import annotations

from typing import Any

from koinon.marathon.model import App
from tests.unit.marathon.world import World


def web(cmd: str = "one", instances: int = 3, **more: Any) -> App:
    """An app, `/web`."""
    return App("/web", cmd=cmd, instances=instances, cpus=0.1, **more)


def commands(world: World, path: str = "/web") -> list[str]:
    """What its tasks that really run were told to do."""
    return sorted(task.info.command.value for task in world.running(path))  # type: ignore[union-attr, type-var]
