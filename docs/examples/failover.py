"""A framework for days when masters fail: runs a command COUNT times, each exactly once as far as anybody can tell.

python failover.py zk://host:2181/koinon 'echo $WHICH' 20

Written down nowhere, it survives its masters, not itself. What it does about them is in `subscribed` and `update`.
"""

import asyncio
import sys

from koinon.mesos import v1
from koinon.sdk import TERMINAL_STATES, Resources, Scheduler, framework_info, task_info


class Patient(Scheduler):
    each = Resources.parse("cpus:1;mem:32")

    def __init__(self, masters: str, command: str, count: int) -> None:
        # A new master gives us the time to come back before it ends our tasks; agents keep them over their own restarts.
        super().__init__(masters, framework_info("patient", failover_timeout_s=3600, checkpoint=True))
        self.command = command
        self.waiting = [str(number) for number in range(count)]
        self.launched: dict[str, tuple[str, str]] = {}  # task id → number and agent; not heard of yet
        self.running: dict[str, str] = {}
        self.count, self.done, self.launches = count, 0, 0

    def subscribed(self, framework_id):
        if (
            self.launched
        ):  # some of these may never have arrived; a new master knows when their agents are back
            agents = {task_id: agent_id for task_id, (_, agent_id) in self.launched.items()}
            self.reconcile(agents, until_answered=True)

    def offers(self, offers):
        for offer in offers:
            room, tasks = Resources.from_v1(offer.resources).unallocated(), []
            while self.waiting and room.contains(self.each):
                room -= self.each
                tasks.append(self.task(self.waiting.pop(), offer))
            self.launch(offer, tasks)  # declines what the tasks leave of it

    def task(self, number, offer):
        self.launches += 1
        task_id = f"{number}.{self.launches}"  # never the same twice
        self.launched[task_id] = number, offer.agent_id.value
        variable = v1.Environment.Variable(name="WHICH", value=number)
        command = v1.CommandInfo(value=self.command, environment=v1.Environment(variables=[variable]))
        return task_info(task_id, offer, self.each, command=command)

    def update(self, status):  # the same one may come again, as an acknowledgement may get lost
        task_id, state = status.task_id.value, status.state
        if task_id in self.launched:
            number, _ = self.launched.pop(task_id)
            if state in (v1.TaskState.TASK_DROPPED, v1.TaskState.TASK_GONE):  # no agent has ever had it
                self.waiting.append(number)
                return
            self.running[task_id] = number
        if task_id in self.running and state in TERMINAL_STATES:
            number = self.running.pop(task_id)
            print(number, state.name, status.message or "", flush=True)
            self.done += 1
            if self.done == self.count:
                print(f"all {self.count} done")
                self.stop()


asyncio.run(Patient(sys.argv[1], sys.argv[2], int(sys.argv[3])).run())
