"""A custom executor on our SDK: each task naps for as many seconds as its data says, and leaves footprints."""

import asyncio
import sys

from koinon.mesos.v1 import TaskState
from koinon.sdk import Executor


class Napper(Executor):
    """Naps side by side."""

    async def launch(self, task):
        leave(f"start {task.task_id.value}\n")
        self.update(task, TaskState.TASK_RUNNING)
        await asyncio.sleep(float(task.data))
        leave(f"end {task.task_id.value}\n")
        self.update(task, TaskState.TASK_FINISHED)


def leave(footprint):
    with open(sys.argv[1], "a") as file:
        file.write(footprint)


if __name__ == "__main__":
    asyncio.run(Napper().run())
