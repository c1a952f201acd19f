"""Frameworks: the SDK's real Scheduler, with a simple mind.

What a framework must not forget is in its *book*, which stands for its database: its id and its tasks.
"""

from __future__ import annotations

from itertools import count

from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from koinon.sdk import Scheduler, framework_info, task_info
from koinon.simulator.machines import Machine, Process

RESTART_S = 0.5


class Book:
    """What a framework knows for good."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.framework_id: str | None = None
        self.numbers = count(1)
        self.wanted = 0  #: tasks that are to be launched
        self.tasks: dict[str, TaskState | None] = {}  #: as believed; None: not heard of yet
        self.agents: dict[str, str] = {}  #: where each task was launched


class FrameworkNode:
    """A framework that is started again and again, with the same book."""

    def __init__(self, machine: Machine, name: str, master: str) -> None:
        self.machine = machine
        self.name = name
        self.world = machine.world
        self.master = master
        self.book = Book(name)
        self.wanted = True
        self.process: Process | None = None
        self.scheduler: Mind | None = None
        self.random = self.world.random(name)
        self._starts = count(1)

    def start(self) -> None:
        """Start a process, if it is to run and does not."""
        if self.process is not None or not self.wanted or not self.machine.up:
            return
        process = self.process = Process(self.machine, f"{self.name}.{next(self._starts)}")
        process.on_end.append(self._ended)
        process.start(self._main(process))

    def _ended(self) -> None:
        self.process = self.scheduler = None
        self.world.after(RESTART_S, self.start)

    async def _main(self, process: Process) -> int:
        self.scheduler = Mind(self, process)
        await self.scheduler.run()
        return 0


class Mind(Scheduler):
    """Launches what the book says is wanted, and remembers what it hears."""

    def __init__(self, node: FrameworkNode, process: Process) -> None:
        self.book = node.book
        info = framework_info(node.name, user="nobody", failover_timeout_s=3600.0, checkpoint=True)
        if self.book.framework_id is not None:
            info.id = v1.FrameworkID(self.book.framework_id)
        super().__init__(node.master, info)
        self._node = node
        self._process = process

    def subscribed(self, framework_id: str) -> None:
        """The id is for good; what became of the tasks meanwhile is asked."""
        self.book.framework_id = framework_id
        living = {
            task: self.book.agents[task] for task, state in self.book.tasks.items() if state not in TERMINAL
        }
        if living:
            self.reconcile(living)

    def offers(self, offers: list[v1.Offer]) -> None:
        """One task for each processor, as long as any are wanted."""
        for offer in offers:
            free = Resources.from_v1(offer.resources)
            each = Resources.parse("cpus:1;mem:128", default_role="*")
            tasks = []
            for _ in range(int(min(free.cpus, free.mem / 128, self.book.wanted))):
                task_id = f"{self.book.name}-task-{next(self.book.numbers)}"
                seconds = self._node.random.expovariate(1 / 10) + 0.05
                tasks.append(task_info(task_id, offer, each, command=f"run {seconds:.3f}"))
                self.book.tasks[task_id] = None
                self.book.agents[task_id] = offer.agent_id.value
                self.book.wanted -= 1
            self.launch(offer, tasks) if tasks else self.decline(offer)

    def update(self, status: v1.TaskStatus) -> None:
        """The newest state is believed."""
        self.book.tasks[status.task_id.value] = status.state
