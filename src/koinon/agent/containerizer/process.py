"""Containers that are plain processes: no isolation, no root needed, sessions and resource limits.

The launcher keeps a container's processes together: nothing a main process started survives it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from koinon.agent.launching import Container, Exit, LauncherClient, LaunchSpec
from koinon.agent.usage import measure
from koinon.mesos.v1 import ResourceStatistics

__all__ = ["ProcessContainerizer"]


class ProcessContainerizer:
    """A `Containerizer` over the launcher of `directory`. `on_trouble` gets sentences worth a warning."""

    def __init__(
        self, directory: Path, *, on_exit: Callable[[Exit], None], on_trouble: Callable[[str], None]
    ) -> None:
        self._client = LauncherClient(directory, on_exit=self._ended, on_trouble=on_trouble)
        self._on_exit = on_exit
        #: Running containers and their main processes.
        self._mains: dict[str, int] = {}

    async def recover(self) -> list[Container]:
        """See `Containerizer.recover`."""
        await self._client.start()
        containers = await self._client.list()
        self._mains.update((each.container_id, each.pid) for each in containers if each.exit is None)
        return containers

    async def launch(self, spec: LaunchSpec) -> int:
        """See `Containerizer.launch`."""
        pid = await self._client.launch(spec)
        self._mains[spec.container_id] = pid
        return pid

    async def signal(self, container_id: str, signum: int) -> bool:
        """See `Containerizer.signal`."""
        return await self._client.signal(container_id, signum)

    async def destroy(self, container_id: str) -> bool:
        """See `Containerizer.destroy`."""
        return await self._client.destroy(container_id)

    async def terminal(self, container_id: str) -> tuple[int, ...]:
        """See `Containerizer.terminal`."""
        return await self._client.terminal(container_id)

    def forget(self, container_id: str) -> None:
        """See `Containerizer.forget`."""
        self._client.forget(container_id)

    async def usage(self) -> dict[str, ResourceStatistics]:
        """See `Containerizer.usage`: one look at all processes of the machine, in a thread."""
        return await asyncio.to_thread(measure, dict(self._mains))

    async def stop(self) -> None:
        """See `Containerizer.stop`."""
        await self._client.stop()

    async def close(self) -> None:
        """See `Containerizer.close`."""
        await self._client.close()

    def _ended(self, exit: Exit) -> None:
        self._mains.pop(exit.container_id, None)
        self._on_exit(exit)
