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
    ContainerGone,
    ContainerLost,
    ContainerNotStarted,
    ContainerStarted,
    Event,
    FoundContainer,
    LaunchContainer,
)
from koinon.agent.fetcher import Fetcher, FetchError
from koinon.agent.switchboard import Switchboard


class Containers:
    """Carries out the effects on containers. Exits told before `recovered` are kept until then.

    `prepare` makes sandboxes, in a thread: for each what went wrong, or None.
    """

    def __init__(
        self,
        feed: Callable[[Event], None],
        fetcher: Fetcher,
        rotate: tuple[int, int, int],
        *,
        prepare: Callable[[list[LaunchContainer]], list[str | None]] | None = None,
    ) -> None:
        self._feed = feed
        self._prepare = prepare or prepare_sandboxes
        self._rotate = rotate if any(rotate[:2]) else None  #: see LaunchSpec
        self._fetcher = fetcher
        #: Launches that something is to be fetched for; the task once that is under way.
        self._fetching: dict[str, asyncio.Task[None] | None] = {}
        self._loop = asyncio.get_running_loop()
        self._log = logs.get(role="agent")
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="sandboxes")
        self._launches: list[LaunchContainer] = []
        #: Ids of containers whose launch is under way.
        self.launching: set[str] = set()
        self._early: list[Exit] | None = []
        #: Containers that do not count as started yet, and how they have ended meanwhile.
        self._starting: dict[str, Exit | None] = {}
        self.switchboard = Switchboard(self._disk)
        #: Who waits to hear what came of a launch, or of an end.
        self._launched: dict[str, asyncio.Future[str | None]] = {}
        self._gone: dict[str, list[asyncio.Future[ContainerGone]]] = {}
        #: Containers that the core does not know (see `run`).
        self._own: dict[str, asyncio.Future[Exit]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.containerizer: Containerizer  #: set once, before anything is done

    async def recover(self) -> dict[str, FoundContainer]:
        """What runs, or ended while nobody looked. Raises LauncherError."""
        self.switchboard.containerizer = self.containerizer
        found = await self.containerizer.recover()
        for container in found:
            if container.terminal and container.exit is None:
                await self.switchboard.take_terminal(container.container_id)
        return {
            container.container_id: FoundContainer(
                pid=container.pid,
                started_s=container.launched_s,
                running=container.exit is None,
                status=container.exit.status if container.exit is not None else None,
                message=container.exit.message if container.exit is not None else "",
            )
            for container in found
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
        elif end.container_id in self._starting:
            self._starting[end.container_id] = end
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
        if effect.fetches:
            self._fetching[effect.container_id] = None
        if len(self._launches) == 1:
            self._loop.call_soon(lambda: self._start(self._launch_all()))

    def launched(self, container_id: str) -> asyncio.Future[str | None]:
        """What came of a launch, when it is known: why it failed, or None."""
        future = self._launched[container_id] = self._loop.create_future()
        future.add_done_callback(lambda _: self._launched.pop(container_id, None))
        return future

    def gone(self, container_id: str) -> asyncio.Future[ContainerGone]:
        """How a container will have ended."""
        future: asyncio.Future[ContainerGone] = self._loop.create_future()
        self._gone.setdefault(container_id, []).append(future)
        return future

    def tell_gone(self, effect: ContainerGone) -> None:
        """A container has ended, which may be known now."""
        self.switchboard.conclude(effect.container_id)
        for future in self._gone.pop(effect.container_id, ()):
            if not future.done():
                future.set_result(effect)

    def terminate(self, container_id: str) -> None:
        """SIGTERM to all its processes."""
        self.signal(container_id, signal.SIGTERM)

    def signal(self, container_id: str, number: int) -> None:
        """A signal to all its processes."""
        self._start(self._quietly(self.containerizer.signal(container_id, number)))

    def remove_sandbox(self, path: str, root: str) -> None:
        """Remove the sandbox of a nested or standalone container, soon."""
        self._start(self._remove_sandbox(path, root))

    async def _remove_sandbox(self, path: str, root: str) -> None:
        try:
            await self._loop.run_in_executor(self._disk, sandbox.remove_nested, path, root)
        except OSError as error:
            self._log.warning("sandbox not removed", path=path, error=str(error))

    def destroy(self, container_id: str) -> None:
        """SIGKILL to all its processes; nothing is fetched for it any more."""
        if container_id in self._fetching:
            if (fetching := self._fetching.pop(container_id)) is not None:
                fetching.cancel()
            message = "Destroyed before all was fetched that it needs"
            self._loop.call_soon(lambda: self._not_started(container_id, message))
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
        await self.switchboard.close()
        self._disk.shutdown(wait=False)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _launch_all(self) -> None:
        batch, self._launches = self._launches, []
        problems = await self._loop.run_in_executor(self._disk, self._prepare, batch)
        for effect, problem in zip(batch, problems, strict=True):
            if effect.fetches and effect.container_id not in self._fetching:
                continue  # destroyed meanwhile
            if problem is not None:
                self._fetching.pop(effect.container_id, None)
                self._not_started(effect.container_id, problem, step="sandbox")
            elif effect.fetches:
                self._fetching[effect.container_id] = self._start(
                    self._surely(effect.container_id, self._fetch_and_launch(effect))
                )
            else:
                self._start(self._surely(effect.container_id, self._launch_one(effect)))

    async def _surely(self, container_id: str, launch: Coroutine[Any, Any, None]) -> None:
        """See to it that a failure of ours is told, too: nobody waits for ever."""
        try:
            await launch
        except Exception as error:
            self._log.exception("a launch failed", container=container_id)
            self._fetching.pop(container_id, None)
            await self._quietly(self.containerizer.destroy(container_id))
            self._not_started(container_id, f"The agent failed ({error!r}): its log has the details")

    async def _fetch_and_launch(self, effect: LaunchContainer) -> None:
        try:
            await self._fetcher.fetch(effect.sandbox, effect.user, effect.fetches, effect.fetch_bytes)
        except FetchError as error:
            del self._fetching[effect.container_id]
            self._not_started(effect.container_id, str(error))
        else:
            del self._fetching[effect.container_id]
            await self._launch_one(effect)

    async def _launch_one(self, effect: LaunchContainer) -> None:
        spec = LaunchSpec(
            container_id=effect.container_id,
            argv=list(effect.argv),
            program=effect.program,
            env=dict(effect.environment),
            cwd=effect.sandbox,
            stdout="" if effect.session else f"{effect.sandbox}/stdout",
            stderr="" if effect.session else f"{effect.sandbox}/stderr",
            window=None if effect.session else effect.window,
            user=effect.user or "",
            rotate=self._rotate,
            rlimits={name: (soft, hard) for name, soft, hard in effect.rlimits},
            tied=effect.tied,
            patience_s=effect.patience_s,
        )
        try:
            if effect.session or effect.window:
                pid = await self._launch_with_streams(spec, effect)
            else:
                pid = await self.containerizer.launch(spec)
        except LaunchFailed as error:
            self._not_started(effect.container_id, str(error), step=error.step)
        else:
            self.launching.discard(effect.container_id)
            self._feed(ContainerStarted(effect.container_id, pid))
            if (waiting := self._launched.get(effect.container_id)) is not None and not waiting.done():
                waiting.set_result(None)
        finally:
            if (end := self._starting.pop(effect.container_id, None)) is not None:
                self.ended(end)

    async def _launch_with_streams(self, spec: LaunchSpec, effect: LaunchContainer) -> int:
        """It counts as started when its streams can be used."""
        self._starting[spec.container_id] = None
        if effect.session:
            return await self.switchboard.launch_session(spec, effect.window)
        pid = await self.containerizer.launch(spec)
        try:
            await self.switchboard.take_terminal(spec.container_id)
        except LauncherError as error:
            self._log.warning("a terminal cannot be attached", container=spec.container_id, error=str(error))
        return pid

    def _not_started(self, container_id: str, message: str, *, step: str = "") -> None:
        """`step` is what could not be done: as of LaunchFailed, or the sandbox."""
        self.launching.discard(container_id)
        if (waiting := self._launched.get(container_id)) is not None and not waiting.done():
            waiting.set_result(message)
        prepared = step not in ("sandbox", "user")
        self._feed(ContainerNotStarted(container_id, message, prepared, program=step == "program"))

    async def _quietly(self, request: Coroutine[Any, Any, bool]) -> None:
        try:
            await request  # False: it has ended already, which is told anyway
        except LauncherError as error:
            self._log.warning("the launcher refused", error=str(error))


def prepare_sandboxes(batch: list[LaunchContainer]) -> list[str | None]:
    """Make the sandboxes; for each what went wrong, or None."""
    problems: list[str | None] = []
    for effect in batch:
        try:
            if effect.standalone:
                sandbox.prepare_standalone(effect.sandbox, effect.user, effect.shared)
            elif effect.root:
                sandbox.prepare_nested(effect.sandbox, effect.root, effect.user, effect.shared)
            elif not effect.session:
                sandbox.prepare(effect.sandbox, effect.link, effect.user, effect.shared)
        except sandbox.SandboxError as error:
            problems.append(str(error))
        else:
            problems.append(None)
    return problems
