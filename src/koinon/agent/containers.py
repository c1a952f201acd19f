"""What the core wants done with containers, done: sandboxes in a thread, programs by the containerizer.

Launches of one turn of the event loop are prepared together. What a container tells goes back as events.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from koinon import logs
from koinon.agent import sandbox
from koinon.agent.containerizer.base import Containerizer, Exit, LauncherError, LaunchFailed, LaunchSpec
from koinon.agent.core.events import (
    ContainerExited,
    ContainerLost,
    ContainerNotStarted,
    ContainerStarted,
    Event,
    FoundContainer,
    LaunchContainer,
)


class Containers:
    """Carries out the effects on containers. Exits told before `recovered` are kept until then."""

    def __init__(self, feed: Callable[[Event], None]) -> None:
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._log = logs.get(role="agent")
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="sandboxes")
        self._launches: list[LaunchContainer] = []
        #: Ids of containers whose launch is under way.
        self.launching: set[str] = set()
        self._early: list[Exit] | None = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.containerizer: Containerizer  #: set once, before anything is done

    async def recover(self) -> dict[str, FoundContainer]:
        """What runs, or ended while nobody looked. Raises LauncherError."""
        return {
            container.container_id: FoundContainer(
                pid=container.pid,
                running=container.exit is None,
                status=container.exit.status if container.exit is not None else None,
                message=container.exit.message if container.exit is not None else "",
            )
            for container in await self.containerizer.recover()
        }

    def recovered(self) -> None:
        """The core knows its containers: tell it what happened since."""
        early, self._early = self._early or [], None
        for end in early:
            self.ended(end)

    def ended(self, end: Exit) -> None:
        """A container ended."""
        if self._early is not None:
            self._early.append(end)
        elif end.status is None:
            self._feed(ContainerLost(end.container_id, end.message))
        else:
            if end.message:
                self._log.warning("container ended", container=end.container_id, note=end.message)
            self._feed(ContainerExited(end.container_id, end.status))

    def launch(self, effect: LaunchContainer) -> None:
        """Make the sandbox and start the program, soon."""
        self.launching.add(effect.container_id)
        self._launches.append(effect)
        if len(self._launches) == 1:
            self._loop.call_soon(lambda: self._start(self._launch_all()))

    def terminate(self, container_id: str) -> None:
        """SIGTERM to all its processes."""
        self._start(self._quietly(self.containerizer.signal(container_id, signal.SIGTERM)))

    def destroy(self, container_id: str) -> None:
        """SIGKILL to all its processes."""
        self._start(self._quietly(self.containerizer.destroy(container_id)))

    def forget(self, container_id: str) -> None:
        """The end of the container is stored."""
        self.containerizer.forget(container_id)

    async def close(self) -> None:
        """Wait for nothing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._disk.shutdown(wait=False)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _launch_all(self) -> None:
        batch, self._launches = self._launches, []
        problems = await self._loop.run_in_executor(self._disk, _prepare_all, batch)
        for effect, problem in zip(batch, problems, strict=True):
            if problem is not None:
                self._launched(ContainerNotStarted(effect.container_id, problem, prepared=False))
            else:
                self._start(self._launch_one(effect))

    async def _launch_one(self, effect: LaunchContainer) -> None:
        spec = LaunchSpec(
            container_id=effect.container_id,
            argv=list(effect.argv),
            program=effect.program,
            env=dict(effect.environment),
            cwd=effect.sandbox,
            stdout=f"{effect.sandbox}/stdout",
            stderr=f"{effect.sandbox}/stderr",
            user=effect.user or "",
            rlimits={name: (soft, hard) for name, soft, hard in effect.rlimits},
            volatile=effect.volatile,
        )
        try:
            pid = await self.containerizer.launch(spec)
        except LaunchFailed as error:
            prepared = error.step != "user"
            self._launched(ContainerNotStarted(effect.container_id, str(error), prepared=prepared))
        else:
            self._launched(ContainerStarted(effect.container_id, pid))

    def _launched(self, event: ContainerStarted | ContainerNotStarted) -> None:
        self.launching.discard(event.container_id)
        self._feed(event)

    async def _quietly(self, request: Coroutine[Any, Any, bool]) -> None:
        try:
            await request  # False: it has ended already, which is told anyway
        except LauncherError as error:
            self._log.warning("the launcher refused", error=str(error))


def _prepare_all(batch: list[LaunchContainer]) -> list[str | None]:
    """Make the sandboxes; for each what went wrong, or None."""
    problems: list[str | None] = []
    for effect in batch:
        try:
            sandbox.prepare(effect.sandbox, effect.link, effect.user)
        except sandbox.SandboxError as error:
            problems.append(str(error))
        else:
            problems.append(None)
    return problems
