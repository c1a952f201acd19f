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
from koinon.agent.fetcher import Fetcher, FetchError


class Containers:
    """Carries out the effects on containers. Exits told before `recovered` are kept until then."""

    def __init__(self, feed: Callable[[Event], None], fetcher: Fetcher) -> None:
        self._feed = feed
        self._fetcher = fetcher
        #: Launches that something is to be fetched for; the task once that is under way.
        self._fetching: dict[str, asyncio.Task[None] | None] = {}
        self._loop = asyncio.get_running_loop()
        self._log = logs.get(role="agent")
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="sandboxes")
        self._launches: list[LaunchContainer] = []
        self._early: list[Exit] | None = []
        #: Containers that the core does not know (see `run`).
        self._own: dict[str, asyncio.Future[Exit]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.containerizer: Containerizer  #: set once, before anything is done

    async def recover(self) -> dict[str, FoundContainer]:
        """What runs, or ended while nobody looked. Raises LauncherError."""
        return {
            container.container_id: FoundContainer(
                pid=container.pid,
                started_s=container.launched_s,
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
        if (own := self._own.pop(end.container_id, None)) is not None:
            self.forget(end.container_id)
            if not own.done():
                own.set_result(end)
        elif self._early is not None:
            self._early.append(end)
        elif end.status is None:
            self._feed(ContainerLost(end.container_id, end.message))
        else:
            if end.message:
                self._log.warning("container ended", container=end.container_id, note=end.message)
            self._feed(ContainerExited(end.container_id, end.status))

    def launch(self, effect: LaunchContainer) -> None:
        """Make the sandbox and start the program, soon."""
        self._launches.append(effect)
        if effect.fetches:
            self._fetching[effect.container_id] = None
        if len(self._launches) == 1:
            self._loop.call_soon(lambda: self._start(self._launch_all()))

    def terminate(self, container_id: str) -> None:
        """SIGTERM to all its processes."""
        self._start(self._quietly(self.containerizer.signal(container_id, signal.SIGTERM)))

    def destroy(self, container_id: str) -> None:
        """SIGKILL to all its processes; nothing is fetched for it any more."""
        if container_id in self._fetching:
            if (fetching := self._fetching.pop(container_id)) is not None:
                fetching.cancel()
            message = "Destroyed before all was fetched that it needs"
            self._loop.call_soon(self._feed, ContainerNotStarted(container_id, message))
            return
        self._start(self._quietly(self.containerizer.destroy(container_id)))

    def forget(self, container_id: str) -> None:
        """The end of the container is stored."""
        self.containerizer.forget(container_id)

    async def run(self, spec: LaunchSpec) -> Exit:
        """Run a program to its end without the core; when we are cancelled it is destroyed. Raises LaunchFailed."""
        own: asyncio.Future[Exit] = self._loop.create_future()
        self._own[spec.container_id] = own
        try:
            await self.containerizer.launch(spec)
            return await own
        except LaunchFailed:
            del self._own[spec.container_id]
            raise
        except asyncio.CancelledError:
            self._start(self._quietly(self._dispose(spec.container_id)))
            raise

    async def _dispose(self, container_id: str) -> bool:
        if not (found := await self.containerizer.destroy(container_id)):
            # It was not launched. If it ended just now: the core forgets what it does not know.
            self._own.pop(container_id, None)
        return found

    async def close(self) -> None:
        """Wait for nothing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._disk.shutdown(wait=False)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _launch_all(self) -> None:
        batch, self._launches = self._launches, []
        problems = await self._loop.run_in_executor(self._disk, _prepare_all, batch)
        for effect, problem in zip(batch, problems, strict=True):
            if effect.fetches and effect.container_id not in self._fetching:
                continue  # destroyed meanwhile
            if problem is not None:
                self._fetching.pop(effect.container_id, None)
                self._feed(ContainerNotStarted(effect.container_id, problem, prepared=False))
            elif effect.fetches:
                self._fetching[effect.container_id] = self._start(self._fetch_and_launch(effect))
            else:
                self._start(self._launch_one(effect))

    async def _fetch_and_launch(self, effect: LaunchContainer) -> None:
        try:
            await self._fetcher.fetch(effect.sandbox, effect.user, effect.fetches, effect.fetch_bytes)
        except FetchError as error:
            del self._fetching[effect.container_id]
            self._feed(ContainerNotStarted(effect.container_id, str(error)))
        else:
            del self._fetching[effect.container_id]
            await self._launch_one(effect)

    async def _launch_one(self, effect: LaunchContainer) -> None:
        spec = LaunchSpec(
            container_id=effect.container_id,
            argv=list(effect.argv),
            env=dict(effect.environment),
            cwd=effect.sandbox,
            stdout=f"{effect.sandbox}/stdout",
            stderr=f"{effect.sandbox}/stderr",
            user=effect.user or "",
            rlimits={name: (soft, hard) for name, soft, hard in effect.rlimits},
        )
        try:
            pid = await self.containerizer.launch(spec)
        except LaunchFailed as error:
            self._feed(ContainerNotStarted(effect.container_id, str(error), prepared=error.step != "user"))
        else:
            self._feed(ContainerStarted(effect.container_id, pid))

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
            sandbox.prepare(effect.sandbox, effect.link, effect.user, effect.shared)
        except sandbox.SandboxError as error:
            problems.append(str(error))
        else:
            problems.append(None)
    return problems
