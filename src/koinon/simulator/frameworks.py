"""Frameworks: the SDK's real Scheduler, with a simple mind.

What a framework must not forget is in its *book*, which stands for its database: its id and its tasks. It writes there
before it launches. After a crash the next instance goes on with the book.
"""

from __future__ import annotations

from enum import Enum
from itertools import count
from typing import Any

from msgspec import Struct

from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call
from koinon.sdk import FrameworkError, Scheduler, framework_info, task_info
from koinon.sdk.errors import CallError
from koinon.simulator.agents import AgentNode
from koinon.simulator.machines import Machine, Node, Process
from koinon.simulator.observer import Observer
from koinon.simulator.plan import FrameworkPlan

#: What a task may ask for, in processors and memory.
_SIZES = ("cpus:0.5;mem:64", "cpus:1;mem:128", "cpus:1;mem:128", "cpus:2;mem:256")
_EXECUTOR = "cpus:0.1;mem:32"
#: Work that waits is never more than this.
_WANTED_MAX = 20
#: Portion of tasks that do not end by themselves.
_SERVICES = 0.05
_NO_TASK = frozenset((TaskState.TASK_UNKNOWN,))


class Mood(Enum):
    """What frameworks want."""

    BUSY = "busy"  #: work arrives, and some of it is killed
    CALM = "calm"  #: nothing new
    LEAVING = "leaving"  #: what is left is killed
    CURIOUS = "curious"  #: offers, to look at them
    GREEDY = "greedy"  #: everything, one task at a time


#: What a greedy framework wants, again and again.
GREED = Resources.parse("cpus:0.5;mem:64")


class Entry(Struct):
    """A task in the book."""

    task_id: str
    agent_id: str
    state: TaskState | None = None  #: as believed; None: not heard of yet
    ended: bool = False  #: its agent has said so, which is true for ever

    @property
    def over(self) -> bool:
        """Does the framework believe that it is over?"""
        return self.state in TERMINAL or self.state in _NO_TASK


class Book:
    """What a framework knows for good."""

    def __init__(self) -> None:
        self.framework_id: str | None = None
        self.removed: list[str] = []  #: its ids of before, which the master has removed
        self.numbers = count(1)
        self.wanted = 0  #: tasks that are to be launched
        self.tasks: dict[str, Entry] = {}

    @property
    def living(self) -> dict[str, Entry]:
        """The tasks that are not believed to be over."""
        return {entry.task_id: entry for entry in self.tasks.values() if not entry.over}


class FrameworkNode(Node):
    """A framework."""

    def __init__(self, machine: Machine, plan: FrameworkPlan, master: str, observer: Observer) -> None:
        super().__init__(machine, plan.name)
        self.plan = plan
        self.master = master
        self.observer = observer
        self.book = Book()
        self.mood = Mood.BUSY
        self.seen_whole: set[str] = set()  #: agents that were offered as a whole since it is curious
        self.agents: list[AgentNode] = []  #: all there are
        self.mind: Mind | None = None

    def over(self) -> None:
        """See `Node.over`."""
        self.mind = None

    async def main(self, process: Process) -> int:
        """Be a scheduler, until somebody ends it."""
        mind = self.mind = Mind(self, process)
        try:
            await mind.run()
        except FrameworkError as error:
            self.world.tell(process.name, f"error: {error}")
            if "removed" in str(error) and mind.framework.id == v1.FrameworkID(self.book.framework_id or ""):
                self.begin_anew()
        return 1

    @property
    def is_late(self) -> bool:
        """Does it think for a while before it answers?"""
        return self.plan.late and self.mood is Mood.BUSY

    def set_mood(self, mood: Mood) -> None:
        """From now on."""
        self.mood = mood
        self.book.wanted = 0
        if self.mind is None or self.process is None:
            return
        if mood is Mood.LEAVING:
            self.process.within(self.mind.kill_all)
        elif mood is not Mood.CALM:
            self.process.within(self.mind.want_offers)

    def begin_anew(self) -> None:
        """The master has removed the framework, and all its tasks with it."""
        if self.book.framework_id is not None:
            self.book.removed.append(self.book.framework_id)
        self.book.framework_id = None
        for entry in self.book.living.values():
            entry.state = TaskState.TASK_KILLED


class Mind(Scheduler):
    """Launches what is wanted, kills some of it, answers late or soon, and asks after what it has not heard of."""

    def __init__(self, node: FrameworkNode, process: Process) -> None:
        plan = node.plan
        capabilities = ["PARTITION_AWARE"] * plan.partition_aware + [
            "TASK_KILLING_STATE"
        ] * plan.killing_state
        info = framework_info(
            node.name,
            user="nobody",
            roles=[plan.role],
            failover_timeout_s=plan.failover_timeout_s,
            checkpoint=plan.checkpoint,
            capabilities=capabilities,
        )
        if node.book.framework_id is not None:
            info.id = v1.FrameworkID(node.book.framework_id)
        super().__init__(node.master, info, auto_acknowledge=False)
        self._node = node
        self._process = process
        self._random = node.random
        self._suppressed = False
        self._stale: set[str] = set()  #: offers that are rescinded
        self._later(node.plan.arrivals_s, self._work_arrives)
        self._later(5.0, self._ask)

    @property
    def book(self) -> Book:
        """What the framework knows for good."""
        return self._node.book

    @property
    def is_subscribed(self) -> bool:
        """Does a master listen?"""
        return self._subscribed.is_set()

    def _later(self, mean_s: float, call: Any, *arguments: Any) -> None:
        self._process.loop.call_later(self._random.expovariate(1 / mean_s), call, *arguments)

    # ── what the master tells ─────────────────────────────────────────────────────────────────────
    def subscribed(self, framework_id: str) -> None:
        """The id is for good; what became of the tasks meanwhile is asked."""
        if framework_id in self.book.removed:
            # Another instance has begun anew. A new master does not know that, and two would ask for one book's tasks.
            self._process.end_now("its framework was removed")
        self.book.framework_id = framework_id
        self._suppressed = False
        self._reconcile_living()

    def offers(self, offers: list[v1.Offer]) -> None:
        """Answered at once, or later."""
        if self._node.is_late and self._random.random() < 0.3:
            self._later(2.0, self._answer, offers)
        else:
            self._answer(offers)

    def rescinded(self, offer_id: v1.OfferID) -> None:
        """It is not to be answered any more."""
        self._stale.add(offer_id.value)

    def update(self, status: v1.TaskStatus) -> None:
        """The newest state is believed, and in the end acknowledged."""
        if self._process is self._node.process:  # else another one has the book
            self._node.observer.heard(self._node, status)
            entry = self.book.tasks.get(status.task_id.value)
            if entry is not None and not entry.ended:
                entry.state = status.state
                entry.ended = status.uuid is not None and status.state in TERMINAL
        if self._node.is_late and self._random.random() < 0.2:
            self._later(1.0, self._acknowledge, status)
        else:
            self._acknowledge(status)

    def call_refused(self, call: Call, error: CallError) -> None:
        """Nobody knows what became of it; tasks are asked after."""
        self._node.observer.refused(self._node, call.type.value if call.type else "", str(error))
        if call.type is Call.Type.ACCEPT:
            self._later(0.5, self._reconcile_living)

    # ── what it does ──────────────────────────────────────────────────────────────────────────────
    def _acknowledge(self, status: v1.TaskStatus) -> None:
        if status.uuid is not None:
            self._node.observer.acknowledged(self._node, status)
        self.acknowledge(status)

    def _answer(self, offers: list[v1.Offer]) -> None:
        for offer in offers:
            if offer.id.value in self._stale and self._random.random() < 0.9:
                continue
            self._answer_one(offer)

    def kill_all(self) -> None:
        """Nothing is to be left."""
        if self.is_subscribed:
            for entry in self.book.living.values():
                self.kill(entry.task_id, entry.agent_id)

    def want_offers(self) -> None:
        """Of everything, as soon as may be."""
        self._suppressed = False
        if self.is_subscribed:
            self.revive()

    def _look_at(self, offer: v1.Offer) -> None:
        node = self._node
        for agent in node.agents:
            if agent.core is None or agent.core.state.agent_id != offer.agent_id.value:
                continue
            if Resources.from_v1(offer.resources).unallocated() == agent.resources:
                node.seen_whole.add(offer.agent_id.value)
        self.decline(offer, refuse_s=0.1)

    def _take_a_little(self, offer: v1.Offer) -> None:
        if Resources.from_v1(offer.resources).unallocated().contains(GREED):
            task = self._task(offer, GREED, seconds=self._random.uniform(1.0, 6.0))
            self._node.observer.launched(self._node, task)
            self.launch(offer, [task], refuse_s=0.0)
        else:
            self.decline(offer)

    def _answer_one(self, offer: v1.Offer) -> None:
        match self._node.mood:
            case Mood.CURIOUS:
                self._look_at(offer)
                return
            case Mood.GREEDY:
                self._take_a_little(offer)
                return
        book, random, plan = self.book, self._random, self._node.plan
        free = Resources.from_v1(offer.resources).unallocated()
        singles: list[v1.TaskInfo] = []
        while book.wanted > 0 and random.random() < 0.9:
            if random.random() < plan.groups:
                each = Resources.parse(random.choice(_SIZES))
                if free.contains(each + each + Resources.parse(_EXECUTOR)):
                    if singles:
                        break  # one operation for each offer
                    self._launch_group(offer, each)
                    return
                break
            each = Resources.parse(random.choice(_SIZES))
            executor = self._executor(offer) if random.random() < plan.executors else None
            needed = each if executor is None else each + Resources.parse(_EXECUTOR)
            if not free.contains(needed):
                break
            free = free - needed
            singles.append(self._task(offer, each, executor=executor))
        refuse_s = random.choice((None, 0.0, 1.0, 3.0))
        if singles:
            for task in singles:
                self._node.observer.launched(self._node, task)
            self.launch(offer, singles, refuse_s=refuse_s)
        else:
            self.decline(offer, refuse_s=1.0 if book.wanted else refuse_s)
            if (
                self._node.mood is Mood.BUSY
                and not book.wanted
                and not self._suppressed
                and random.random() < 0.3
            ):
                self._suppressed = True
                self.suppress()

    def _launch_group(self, offer: v1.Offer, each: Resources) -> None:
        tasks = [self._task(offer, each), self._task(offer, each)]
        executor = v1.ExecutorInfo(
            executor_id=v1.ExecutorID(f"{self._node.name}-group-{tasks[0].task_id.value}"),
            type=v1.ExecutorInfo.Type.DEFAULT,
            resources=Resources.parse(_EXECUTOR).to_v1(),
        )
        for task in tasks:
            self._node.observer.launched(self._node, task)
        self.launch_group(offer, executor, tasks)

    def _executor(self, offer: v1.Offer) -> v1.ExecutorInfo:
        """One of two for each agent; it may run there already."""
        name = f"{self._node.name}-executor-{self._random.randint(1, 2)}"
        return v1.ExecutorInfo(
            executor_id=v1.ExecutorID(name),
            type=v1.ExecutorInfo.Type.CUSTOM,
            command=v1.CommandInfo(value="executor"),
            resources=Resources.parse(_EXECUTOR).to_v1(),
            shutdown_grace_period=v1.DurationInfo(2_000_000_000),
        )

    def _task(
        self,
        offer: v1.Offer,
        resources: Resources,
        *,
        seconds: float | None = None,
        executor: v1.ExecutorInfo | None = None,
    ) -> v1.TaskInfo:
        book, random = self.book, self._random
        book.wanted = max(book.wanted - 1, 0)
        task_id = f"{self._node.name}-task-{next(book.numbers)}"
        if seconds is None:
            seconds = min(random.expovariate(1 / self._node.plan.task_s) + 0.02, 60.0)
            if random.random() < _SERVICES:
                seconds = 100_000.0
        status = random.choice((0, 0, 0, 1))
        term = random.choice(("0.05", "0.05", "0.5", "never"))
        book.tasks[task_id] = Entry(task_id, offer.agent_id.value)
        command = f"run {seconds:.3f} exit {status} term {term}"
        if executor is not None:
            return task_info(task_id, offer, resources, executor=executor, data=command.encode())
        return task_info(task_id, offer, resources, command=command)

    def _work_arrives(self) -> None:
        node, random = self._node, self._random
        self._later(node.plan.arrivals_s, self._work_arrives)
        if node.mood is not Mood.BUSY:
            return
        self.book.wanted = min(self.book.wanted + random.randint(1, 6), _WANTED_MAX)
        if not self.is_subscribed:
            return
        if self._suppressed:
            self._suppressed = False
            self.revive()
        for entry in self.book.living.values():
            if random.random() < node.plan.kills:
                agent_id = entry.agent_id if random.random() < 0.8 else None
                self.kill(entry.task_id, agent_id, grace_s=random.choice((None, 0.0, 1.0)))

    def _ask(self) -> None:
        """Nothing that is believed is believed for ever."""
        self._later(5.0, self._ask)
        if self._node.mood is Mood.LEAVING:
            self.kill_all()
        if self.is_subscribed:
            if self._random.random() < 0.2:
                self.reconcile()
            self._reconcile_living()

    def _reconcile_living(self) -> None:
        living = self.book.living
        if living and self.is_subscribed:
            self.reconcile({entry.task_id: entry.agent_id for entry in living.values()})
