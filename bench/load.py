"""Frameworks that make load: ordinary SDK schedulers which launch as many tasks as an offer has room for.

loads = [Load(master, 0, count=1000, command="true")]
async with subscribed(loads):
    await run_out(loads)      # all tasks have ended, and each end is acknowledged
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from koinon.mesos import v1
from koinon.sdk import TERMINAL_STATES, Resources, Scheduler, framework_info, task_info

EACH = Resources.parse("cpus:1;mem:32")
TIMEOUT_S = 600.0


class Load(Scheduler):
    """A framework that runs `count` tasks, as commands or by the executor that `executor_command` starts.

    `count` may be raised while it runs: then `revive()`.
    """

    def __init__(
        self,
        master: str,
        index: int,
        count: int,
        *,
        command: str = "true",
        executor_command: str | None = None,
        checkpoint: bool = False,
    ) -> None:
        info = framework_info(f"load-{index}", checkpoint=checkpoint)
        super().__init__(master, info, suppressed_roles=["*"])
        self._command = command
        self._executor_command = executor_command
        self._made = self._waiting = self._unstarted = self._unfinished = 0
        self.accepts = 0
        self.ready = asyncio.Event()
        self.want(count)

    def want(self, count: int, command: str | None = None) -> None:
        """So many tasks more; `revive` when they are to start."""
        self._command = command or self._command
        self._waiting += count
        self._unstarted += count
        self._unfinished += count
        self.first_offer_s = 0.0  #: on the performance counter
        self.started = asyncio.Event()  #: all are running
        self.done = asyncio.Event()  #: all have ended
        self._note_counts()

    def subscribed(self, framework_id: str) -> None:
        """Offers come when everybody is ready."""
        self.ready.set()

    def offers(self, offers: list[v1.Offer]) -> None:
        """Fills each offer with tasks."""
        self.first_offer_s = self.first_offer_s or time.perf_counter()
        unused = []
        for offer in offers:
            if count := min(_room(offer), self._waiting):
                self.launch(offer, [self._task(offer) for _ in range(count)])
                self.accepts += 1
            else:
                unused.append(offer)
        if unused:
            self.decline(unused)
        if not self._waiting:
            self.suppress()

    def _task(self, offer: v1.Offer) -> v1.TaskInfo:
        self._waiting -= 1
        self._made += 1
        name = f"task-{self._made}"
        if self._executor_command is None:
            return task_info(name, offer, EACH, command=self._command)
        executor = v1.ExecutorInfo(
            type=v1.ExecutorInfo.Type.CUSTOM,
            executor_id=v1.ExecutorID("worker"),
            framework_id=self.framework.id,
            command=v1.CommandInfo(value=self._executor_command),
        )
        return task_info(name, offer, EACH, executor=executor)

    def update(self, status: v1.TaskStatus) -> None:
        """Counts."""
        if status.state is v1.TaskState.TASK_RUNNING:
            self._unstarted -= 1
        elif status.state in TERMINAL_STATES:
            if status.state is not v1.TaskState.TASK_FINISHED:
                raise RuntimeError(f"{status.task_id.value}: {status.state.name}: {status.message}")
            self._unfinished -= 1
        self._note_counts()

    def _note_counts(self) -> None:
        if not self._unstarted:
            self.started.set()
        if not self._unfinished:
            self.done.set()


def _room(offer: v1.Offer) -> int:
    for one in offer.resources:
        if one.name == "cpus" and one.scalar is not None:
            return int(one.scalar.value)
    return 0


@contextlib.asynccontextmanager
async def subscribed(loads: Sequence[Load]) -> AsyncIterator[Watch]:
    """All frameworks are subscribed, and wait; they are torn down at the end."""
    watch = Watch(loads)
    await watch.all(load.ready for load in loads)
    try:
        yield watch
    finally:
        for load in loads:
            load.stop()
        await asyncio.gather(*watch.runs)


class Watch:
    """Runs frameworks, and waits without missing that one fails."""

    def __init__(self, loads: Sequence[Load]) -> None:
        self.loads = loads
        self.runs = [asyncio.create_task(load.run()) for load in loads]

    async def run_out(self) -> None:
        """Let all tasks run; returns when the last one has ended."""
        for load in self.loads:
            load.revive()
        await self.all(load.done for load in self.loads)

    async def start_all(self) -> None:
        """Let all tasks run; returns when the last one has started."""
        for load in self.loads:
            load.revive()
        await self.all(load.started for load in self.loads)

    async def all(self, events: Any) -> None:
        """Returns when all events are set; raises when a framework ends before."""
        waiting = asyncio.gather(*(event.wait() for event in events))
        anything: list[asyncio.Future[Any]] = [waiting, *self.runs]
        await asyncio.wait(anything, return_when=asyncio.FIRST_COMPLETED, timeout=TIMEOUT_S)
        for run in self.runs:
            if run.done():
                run.result()
        if not waiting.done():
            waiting.cancel()
            raise SystemExit(f"not done within {TIMEOUT_S:g} s")
