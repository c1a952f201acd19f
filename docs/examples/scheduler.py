"""A first framework: runs ten commands wherever there is room, tells how they end, and leaves."""

import asyncio
import sys

from koinon.sdk import TERMINAL_STATES, Resources, Scheduler, framework_info, task_info


class Hello(Scheduler):
    each = Resources.parse("cpus:0.1;mem:32")
    waiting = [f"hello-{number}" for number in range(10)]
    unfinished = set(waiting)

    def offers(self, offers):
        for offer in offers:
            room, tasks = Resources.from_v1(offer.resources).unallocated(), []
            while self.waiting and room.contains(self.each):
                name, room = self.waiting.pop(), room - self.each
                tasks.append(task_info(name, offer, self.each, command=f"echo this is {name}"))
            self.launch(offer, tasks)  # declines what the tasks leave of it

    def update(self, status):
        print(status.task_id.value, status.state.name, status.message or "")
        if status.state in TERMINAL_STATES:
            self.unfinished.discard(status.task_id.value)
            if not self.unfinished:
                self.stop()


asyncio.run(Hello(sys.argv[1], framework_info("hello")).run())
