"""The custom executor of the recording: its tasks run until they are killed; what it is told it repeats.

Told to shut down it takes its time, so that a task can come too late.
"""

import asyncio

from koinon.mesos import v1
from koinon.sdk import Executor


class Echo(Executor):
    """Runs on an agent."""

    def launch(self, task):
        self.update(task, v1.TaskState.TASK_RUNNING)

    def kill(self, task_id, grace_s):
        self.update(task_id, v1.TaskState.TASK_KILLED)

    def message(self, data):
        self.send_message(data)

    async def shutdown(self):
        await asyncio.sleep(2)


asyncio.run(Echo().run())
