"""Agents and schedulers for a small world around the master: they do what real ones do, and remember what they heard."""

from __future__ import annotations

import itertools

from koinon.master.core import events as m
from koinon.mesos import internal, v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from tests.unit.master.cluster import register, update

_uuids = itertools.count(1)


class AgentTwin:
    """What an agent does: it has tasks, and repeats an update of each until it is acknowledged."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.channel: str | None = None
        self.admitted = False
        self.tasks: dict[tuple[str, str], v1.TaskInfo] = {}
        self.updates: dict[tuple[str, str], list[internal.Update]] = {}  #: not acknowledged, oldest first
        self.executors: dict[tuple[str, str], v1.ExecutorInfo] = {}
        self.frameworks: dict[str, v1.FrameworkInfo] = {}
        self.settled: dict[tuple[str, str], TaskState] = {}  #: the newest state of a task
        self.cpus = 4  #: more after some restarts
        self.over = False  #: it has left for good, and all its tasks with it

    def hear(self, message: internal.MasterMessage) -> None:
        match message:
            case internal.Registered():
                self.id, self.admitted = message.agent_id, True
                for framework_id in message.completed_frameworks:
                    self.drop(framework_id)
            case internal.RunTask():
                key = message.framework.id.value, message.task.task_id.value
                self.frameworks[key[0]] = message.framework
                self.tasks[key] = message.task
                self.updates[key] = []
                if message.task.executor is not None:
                    self.executors[key[0], message.task.executor.executor_id.value] = message.task.executor
            case internal.KillTask():
                self.report(message.framework_id, message.task_id, TaskState.TASK_KILLED)
            case internal.ShutdownFramework():
                self.drop(message.framework_id)
            case internal.Shutdown():
                self.over = True
            case internal.Acknowledge():
                key = message.framework_id, message.task_id
                waiting = self.updates.get(key, [])
                if waiting and waiting[0].status.uuid == message.uuid:
                    ended = waiting.pop(0).status.state in TERMINAL
                    if ended:
                        del self.tasks[key], self.updates[key]

    def drop(self, framework_id: str) -> None:
        for table in (self.tasks, self.updates, self.executors):
            for key in [key for key in table if key[0] == framework_id]:
                del table[key]
        self.frameworks.pop(framework_id, None)

    def state(self, key: tuple[str, str]) -> TaskState:
        return self.settled.get(key, TaskState.TASK_STAGING)

    def report(self, framework_id: str, task_id: str, state: TaskState) -> None:
        key = framework_id, task_id
        if key not in self.tasks or self.state(key) in TERMINAL:
            return
        one = update(
            task_id,
            state,
            next(_uuids).to_bytes(16, "big"),
            framework_id=framework_id,
            agent_id=v1.AgentID(self.id or ""),
        )
        self.settled[key] = state
        self.updates[key].append(one)
        for waiting in self.updates[key]:
            waiting.latest_state = state

    def registration(self) -> internal.Register:
        tasks = []
        for key, info in self.tasks.items():
            waiting = self.updates[key]
            tasks.append(
                internal.ReportedTask(
                    framework_id=key[0],
                    info=info,
                    state=self.state(key),
                    unacknowledged_state=waiting[0].status.state if waiting else None,
                    unacknowledged_uuid=waiting[0].status.uuid if waiting else None,
                )
            )
        return register(
            self.id,
            text=f"cpus:{self.cpus};mem:1000;ports:[1-4]",
            frameworks=list(self.frameworks.values()),
            tasks=tasks,
            executors=[
                internal.ReportedExecutor(framework_id=framework_id, info=info)
                for (framework_id, _), info in self.executors.items()
            ],
        )


class SchedulerTwin:
    """What a scheduler does: it launches, and believes what it hears."""

    def __init__(self, checkpoint: bool, timeout_s: float, capabilities: str) -> None:
        self.id: str | None = None
        self.stream: str | None = None
        self.ended = False
        self.options = {"checkpoint": checkpoint, "failover_timeout": timeout_s, "capabilities": capabilities}
        self.offers: dict[str, v1.Offer] = {}
        self.believed: dict[str, TaskState] = {}
        self.places: dict[str, str] = {}  #: agents of tasks
        self.waiting: list[v1.TaskStatus] = []  #: heard, to be acknowledged

    def hear(self, event: m.SendEvent) -> None:
        body = event.event
        if body.subscribed:
            self.id = body.subscribed.framework_id.value
        for offer in body.offers.offers if body.offers else ():
            self.offers[offer.id.value] = offer
        if body.rescind:
            del self.offers[body.rescind.offer_id.value]
        if body.update:
            status = body.update.status
            self.believed[status.task_id.value] = status.state
            if status.uuid is not None:
                self.waiting.append(status)
