"""Custom executors: the SDK's real Executor as a program on an agent's machine.

What a task does stands in its data, in the words of `launcher.py`. An executor that has had nothing to do for a while
ends by itself.
"""

from __future__ import annotations

import asyncio

from koinon.agent.launching import LaunchSpec
from koinon.mesos import v1
from koinon.mesos.v1 import TaskState
from koinon.sdk import Executor, FrameworkError
from koinon.sdk.errors import ApiError
from koinon.simulator.launcher import duration_and_status
from koinon.simulator.machines import Machine, Process
from koinon.simulator.observer import Observer

_IDLE_S = 4.0


def spawn(machine: Machine, spec: LaunchSpec, observer: Observer) -> Process:
    """Start the program of a container."""
    process = Process(machine, f"{machine.name}/{spec.env['MESOS_EXECUTOR_ID']}/{spec.container_id[:8]}")
    process.start(_main(process, spec, observer))
    return process


async def _main(process: Process, spec: LaunchSpec, observer: Observer) -> int:
    worker = Worker(process, spec, observer)
    try:
        await worker.run()
    except (ApiError, FrameworkError) as error:
        process.world.tell(process.name, f"the agent will not have it: {error}")
        return 1
    return 0


class Worker(Executor):
    """Runs tasks that wait for a while, and then end as they were told."""

    def __init__(self, process: Process, spec: LaunchSpec, observer: Observer) -> None:
        super().__init__(spec.env)
        self._process = process
        self._observer = observer
        self._look_later()

    async def launch(self, task: v1.TaskInfo) -> None:
        """Be the task."""
        self._observer.begins(self._process, task.task_id.value)
        seconds, status = duration_and_status((task.data or b"").decode().split())
        self.update(task, TaskState.TASK_RUNNING)
        await asyncio.sleep(seconds)
        self.update(task, TaskState.TASK_FAILED if status else TaskState.TASK_FINISHED)

    def _look_later(self) -> None:
        self._process.loop.call_later(_IDLE_S, self._look, len(self._work))

    def _look(self, before: int) -> None:
        if before or self._work or self._unacknowledged_updates:
            self._look_later()
        else:
            self.stop()
