"""What the agent asks of every way to run containers.

A **container** is a tree of processes that starts with one main process and counts as ended when that
has ended and nothing else of the tree is left. Containers outlive the agent: after a restart `recover`
gives them back, and ends that nobody has stored yet are told again.
"""

from __future__ import annotations

from typing import Protocol

from koinon.agent.launching import Container, Exit, LauncherError, LaunchFailed, LaunchSpec
from koinon.mesos.v1 import ResourceStatistics

__all__ = ["Container", "Containerizer", "Exit", "LaunchFailed", "LaunchSpec", "LauncherError"]


class Containerizer(Protocol):
    """Runs containers. It is made with `on_exit`, which it calls once for each end, until forgotten."""

    async def recover(self) -> list[Container]:
        """Get ready and return what runs, or ended and was not forgotten (those ends follow by `on_exit`).

        To be called once, first. Raises LauncherError if containers cannot be run at all.
        """
        ...

    async def launch(self, spec: LaunchSpec) -> int:
        """Start a container and return the pid of its main process, or raise LaunchFailed.

        The exit is never told before this returns. Launching a container that exists gives its pid.
        """
        ...

    async def signal(self, container_id: str, signum: int) -> bool:
        """Send a signal to every process of a container. False if it has ended already or is unknown.

        Raises LauncherError if the main process has become another user's and may not be signalled.
        """
        ...

    async def destroy(self, container_id: str) -> bool:
        """Kill a container with all its processes; its exit follows. False as for `signal`."""
        ...

    async def terminal(self, container_id: str) -> tuple[int, ...]:
        """Our end of a container's own terminal, and the log to write what it shows into, if there is one.

        Empty if the container is no more. Raises LauncherError.
        """
        ...

    def forget(self, container_id: str) -> None:
        """The end of this container is stored safely and need not be told again."""
        ...

    async def usage(self) -> dict[str, ResourceStatistics]:
        """What each running container uses, by container id: `timestamp` and the measured fields only."""
        ...

    async def stop(self) -> None:
        """Kill all containers, and leave nothing running."""
        ...

    async def close(self) -> None:
        """Let go of the containers; they run on."""
        ...
