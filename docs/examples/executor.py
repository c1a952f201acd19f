"""A framework with an executor of its own: one process per agent that digests numbers, many at a time.

    python executor.py 127.0.0.1:5050

runs the framework. The agents run the same file, as the executor: they set MESOS_EXECUTOR_ID. A command task costs
a process; a task of such an executor costs two small messages.
"""

import asyncio
import hashlib
import os
import shlex
import sys

from koinon.mesos import v1
from koinon.sdk import TERMINAL_STATES, Executor, Resources, Scheduler, framework_info, task_info

OF_EXECUTOR = Resources.parse("cpus:0.1;mem:64")
OF_TASK = Resources.parse("cpus:0.01;mem:1")


class Digester(Executor):
    """Runs on an agent. Each task comes with data; its digest goes back with the last update."""

    async def launch(self, task):
        self.update(task, v1.TaskState.TASK_RUNNING)
        await asyncio.sleep(0.1)  # a real one would wait for something worth waiting for
        digest = hashlib.sha256(task.data).hexdigest()
        self.update(task, v1.TaskState.TASK_FINISHED, data=digest.encode())

    def message(self, data):
        self.send_message(b"you said " + data)

    def disconnected(self):
        print("the agent is away; tasks go on", file=sys.stderr)


class Digests(Scheduler):
    """Runs here. Has the numbers from 0 to 99 digested."""

    waiting = list(range(100))
    digests: dict[str, str] = {}
    greeted = False

    def offers(self, offers):
        for offer in offers:
            room = Resources.from_v1(offer.resources).unallocated()
            if not offer.executor_ids and room.contains(OF_EXECUTOR):
                room -= OF_EXECUTOR  # the first task there starts the executor
            tasks = []
            while self.waiting and room.contains(OF_TASK):
                room -= OF_TASK
                tasks.append(self.task(self.waiting.pop(), offer))
            self.launch(offer, tasks)

    def task(self, number, offer):
        command = shlex.join([sys.executable, os.path.abspath(__file__)])
        executor = v1.ExecutorInfo(
            type=v1.ExecutorInfo.Type.CUSTOM,
            executor_id=v1.ExecutorID("digester"),
            framework_id=self.framework.id,
            command=v1.CommandInfo(value=command),
            resources=OF_EXECUTOR.to_v1(),
        )
        return task_info(str(number), offer, OF_TASK, executor=executor, data=str(number).encode())

    def update(self, status):
        if not self.greeted:
            self.greeted = True
            self.send_message(status.agent_id, "digester", b"hello")
        if status.state is v1.TaskState.TASK_FINISHED:
            self.digests[status.task_id.value] = status.data.decode()
        elif status.state in TERMINAL_STATES:
            print(f"{status.task_id.value}: {status.state.name} {status.message}")
            self.waiting.append(int(status.task_id.value))
        if len(self.digests) == 100:
            self.stop()

    def message(self, agent_id, executor_id, data):
        print(f"{executor_id.value} on {agent_id.value}: {data.decode()}")


if "MESOS_EXECUTOR_ID" in os.environ:
    asyncio.run(Digester().run())
else:
    digests = Digests(sys.argv[1], framework_info("digests", checkpoint=True))
    asyncio.run(digests.run())
    print(len(digests.digests), "digests, the last one", digests.digests["99"])
