"""Laws that hold whatever happens: a small world of agents and schedulers that fail and come back at random.

Two acts. First anything may happen, in any order; after each event the master checks all its laws (no resource
is given twice, sums match, a task is in one table, …). Then everything heals, and all must agree on every task.
"""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from koinon.master.core import events as m
from koinon.master.core import reconciliation
from koinon.mesos import internal, v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call
from tests.unit.master.cluster import (
    Cluster,
    executor_info,
    framework_info,
    launch,
    register,
    task_info,
    update,
)

#: Nothing more is expected of a task in these.
OVER = TERMINAL | {TaskState.TASK_UNKNOWN}

ENDS = (TaskState.TASK_FINISHED, TaskState.TASK_FAILED, TaskState.TASK_KILLED)


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
        World.uuids += 1
        one = update(
            task_id,
            state,
            World.uuids.to_bytes(16, "big"),
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
            text="cpus:4;mem:1000;ports:[1-4]",
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


class World(RuleBasedStateMachine):
    """The first act; `teardown` is the second."""

    uuids = 0

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(max_completed_tasks_per_framework=10_000, agent_reregister_timeout_s=1e9)
        self.agents: list[AgentTwin] = []
        self.schedulers: list[SchedulerTwin] = []
        self.launched = 0
        self.unread: list[str] = []  #: streams with more to come
        self.in_small_pieces = patch.object(reconciliation, "_AT_ONCE", 2)
        self.in_small_pieces.start()
        # Most of what can go wrong needs something to go wrong with.
        for checkpoint, timeout_s, aware in ((True, 1e6, True), (False, 50.0, False), (True, 1e6, False)):
            self.a_scheduler_comes(checkpoint, timeout_s, aware)
            self.an_agent_comes()
            self.the_registry_stores()

    # ── the wires ─────────────────────────────────────────────────────────────────────────────────
    def do(self, event: m.Event) -> None:
        self.deliver(self.cluster.do(event))

    def deliver(self, effects: list[m.Effect]) -> None:
        for effect in effects:
            match effect:
                case m.SendEvent(stream_id):
                    for scheduler in self.schedulers:
                        if scheduler.stream == stream_id:
                            scheduler.hear(effect)
                case m.AwaitRoom(stream_id):
                    self.unread.append(stream_id)
                case m.CloseStream(stream_id):
                    for scheduler in self.schedulers:
                        if scheduler.stream == stream_id:
                            scheduler.stream, scheduler.ended = None, True
                case m.SendToAgent(channel_id, message):
                    # As bytes, since both sides change what they hold.
                    (heard,) = internal.decode_from_master(internal.encode([message]))
                    for agent in self.agents:
                        if agent.channel == channel_id:
                            agent.hear(heard)
                case m.CloseChannel(channel_id):
                    for agent in self.agents:
                        if agent.channel == channel_id:
                            agent.channel, agent.admitted = None, False

    def call(self, scheduler: SchedulerTwin, kind: Call.Type, **body: object) -> None:
        call = Call(type=kind, framework_id=v1.FrameworkID(scheduler.id or ""), **body)
        self.do(m.SchedulerCalled(scheduler.stream, call))

    def pick(self, choice: int, among: list, good: Callable) -> object:
        candidates = [one for one in among if good(one)]
        return candidates[choice % len(candidates)] if candidates else None

    # ── schedulers ────────────────────────────────────────────────────────────────────────────────
    @precondition(lambda self: len(self.schedulers) < 5)
    @rule(checkpoint=st.booleans(), timeout_s=st.sampled_from([0.0, 50.0, 1e6]), aware=st.booleans())
    def a_scheduler_comes(self, checkpoint: bool, timeout_s: float, aware: bool) -> None:
        scheduler = SchedulerTwin(checkpoint, timeout_s, "PARTITION_AWARE" if aware else "")
        self.schedulers.append(scheduler)
        self.subscribe(scheduler)

    def subscribe(self, scheduler: SchedulerTwin) -> None:
        self.cluster.streams += 1
        scheduler.stream = f"stream-{self.cluster.streams}"
        scheduler.offers.clear()
        info = framework_info(scheduler.id, **scheduler.options)
        call = Call(
            type=Call.Type.SUBSCRIBE, framework_id=info.id, subscribe=Call.Subscribe(framework_info=info)
        )
        self.do(m.SchedulerSubscribed(scheduler.stream, call))

    @rule(choice=st.integers(0, 9))
    def a_scheduler_subscribes_again(self, choice: int) -> None:
        if scheduler := self.pick(choice, self.schedulers, lambda one: not one.ended):
            self.subscribe(scheduler)

    @rule(choice=st.integers(0, 9))
    def a_stream_breaks(self, choice: int) -> None:
        if choice < 5 and (scheduler := self.pick(choice, self.schedulers, lambda one: one.stream)):
            stream, scheduler.stream = scheduler.stream, None
            scheduler.offers.clear()
            scheduler.ended = scheduler.options["failover_timeout"] == 0.0
            self.do(m.SchedulerStreamClosed(stream))

    @rule(choice=st.integers(0, 30))
    def a_scheduler_tears_down(self, choice: int) -> None:
        if choice == 0 and (scheduler := self.pick(choice, self.schedulers, lambda one: one.stream)):
            self.call(scheduler, Call.Type.TEARDOWN)

    @rule(
        choice=st.integers(0, 9),
        texts=st.lists(
            st.sampled_from(["cpus:1;mem:100", "cpus:0.5", "cpus:3;ports:[1-2]", "ports:[2-3]", "cpus:9"]),
            max_size=4,
        ),
        custom=st.booleans(),
        refuse_s=st.sampled_from([0.0, 5.0]),
    )
    def a_scheduler_accepts(self, choice: int, texts: list[str], custom: bool, refuse_s: float) -> None:
        self.do(m.ClockTicked())
        scheduler = self.pick(choice, self.schedulers, lambda one: one.stream and one.offers)
        if scheduler is None:
            return
        offer_id = sorted(scheduler.offers)[choice % len(scheduler.offers)]
        offer = scheduler.offers.pop(offer_id)
        tasks = []
        for text in texts:
            self.launched += 1
            fields = {"executor": executor_info()} if custom else {}
            tasks.append(task_info(f"t{self.launched}", text, offer.agent_id.value, **fields))
            scheduler.believed[f"t{self.launched}"] = TaskState.TASK_STAGING
        body = Call.Accept(
            offer_ids=[offer.id], operations=[launch(*tasks)], filters=v1.Filters(refuse_seconds=refuse_s)
        )
        self.call(scheduler, Call.Type.ACCEPT, accept=body)

    @rule(choice=st.integers(0, 9))
    def a_scheduler_acknowledges(self, choice: int) -> None:
        if scheduler := self.pick(choice, self.schedulers, lambda one: one.stream and one.waiting):
            self.acknowledge(scheduler)

    def acknowledge(self, scheduler: SchedulerTwin) -> None:
        status = scheduler.waiting.pop(0)
        body = Call.Acknowledge(agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid)
        self.call(scheduler, Call.Type.ACKNOWLEDGE, acknowledge=body)

    def reconcile(self, scheduler: SchedulerTwin) -> None:
        """Ask for all tasks, then for those in particular that should still be there."""
        self.call(scheduler, Call.Type.RECONCILE, reconcile=Call.Reconcile())
        living = [task_id for task_id, state in scheduler.believed.items() if state not in OVER]
        if living:
            asked = [Call.Reconcile.Task(task_id=v1.TaskID(task_id)) for task_id in living]
            self.call(scheduler, Call.Type.RECONCILE, reconcile=Call.Reconcile(tasks=asked))

    @rule(choice=st.integers(0, 9))
    def a_scheduler_asks(self, choice: int) -> None:
        if scheduler := self.pick(choice, self.schedulers, lambda one: one.stream):
            self.reconcile(scheduler)

    @rule()
    def schedulers_read(self) -> None:
        while self.unread:
            self.do(m.SchedulerHasRoom(self.unread.pop(0)))

    @rule(choice=st.integers(0, 9))
    def a_scheduler_kills(self, choice: int) -> None:
        if scheduler := self.pick(choice, self.schedulers, lambda one: one.stream and one.believed):
            task_id = sorted(scheduler.believed)[choice % len(scheduler.believed)]
            self.call(scheduler, Call.Type.KILL, kill=Call.Kill(task_id=v1.TaskID(task_id)))

    # ── agents ────────────────────────────────────────────────────────────────────────────────────
    @precondition(lambda self: len(self.agents) < 5)
    @rule()
    def an_agent_comes(self) -> None:
        agent = AgentTwin()
        self.agents.append(agent)
        self.connect(agent)

    def connect(self, agent: AgentTwin) -> None:
        self.cluster.channels += 1
        agent.channel, agent.admitted = f"channel-{self.cluster.channels}", False
        (message,) = internal.decode_from_agent(internal.encode([agent.registration()]))
        self.do(m.AgentSaid(agent.channel, message))

    @rule(choice=st.integers(0, 9), cleanly=st.booleans())
    def an_agent_connects_again(self, choice: int, cleanly: bool) -> None:
        if agent := self.pick(choice, self.agents, lambda one: True):
            # Without an id it would come as another agent, and only missed pings would tell of the first.
            if cleanly or agent.id is None:
                self.break_channel(agent)
            self.connect(agent)

    @rule(choice=st.integers(0, 9))
    def a_channel_breaks(self, choice: int) -> None:
        if agent := self.pick(choice, self.agents, lambda one: one.channel):
            self.break_channel(agent)

    def break_channel(self, agent: AgentTwin) -> None:
        if agent.channel:
            channel, agent.channel, agent.admitted = agent.channel, None, False
            self.do(m.AgentChannelClosed(channel))

    @rule(choice=st.integers(0, 9))
    def a_launch_is_lost_with_the_channel(self, choice: int) -> None:
        if agent := self.pick(choice, self.agents, lambda one: one.channel and one.tasks):
            key = sorted(agent.tasks)[choice % len(agent.tasks)]
            if agent.state(key) is TaskState.TASK_STAGING:
                del agent.tasks[key], agent.updates[key]
                self.break_channel(agent)

    @rule(choice=st.integers(0, 9), state=st.sampled_from([TaskState.TASK_RUNNING, *ENDS]))
    def a_task_moves(self, choice: int, state: TaskState) -> None:
        if agent := self.pick(choice, self.agents, lambda one: one.tasks):
            framework_id, task_id = sorted(agent.tasks)[choice % len(agent.tasks)]
            agent.report(framework_id, task_id, state)
            self.send_updates(agent)

    def send_updates(self, agent: AgentTwin) -> None:
        for waiting in list(agent.updates.values()):
            if waiting and agent.channel and agent.admitted:
                (message,) = internal.decode_from_agent(internal.encode([waiting[0]]))
                self.do(m.AgentSaid(agent.channel, message))

    @rule(choice=st.integers(0, 9))
    def an_executor_exits(self, choice: int) -> None:
        if agent := self.pick(choice, self.agents, lambda one: one.executors):
            key = sorted(agent.executors)[0]
            for task_key, info in agent.tasks.items():
                if task_key[0] == key[0] and info.executor is not None:
                    agent.report(*task_key, TaskState.TASK_FAILED)
            del agent.executors[key]
            if agent.admitted:
                self.send_updates(agent)
                exited = internal.ExecutorExited(framework_id=key[0], executor_id=key[1], status=9)
                self.do(m.AgentSaid(agent.channel, exited))

    # ── time and the registry ─────────────────────────────────────────────────────────────────────
    @rule(seconds=st.sampled_from([1.0, 6.0, 20.0, 20.0]), answering=st.booleans())
    def time_goes_by(self, seconds: float, answering: bool) -> None:
        self.cluster.now += seconds
        self.do(m.ClockTicked())
        if answering:
            self.pong()

    @rule()
    def the_registry_stores(self) -> None:
        while self.cluster.unstored:
            write = self.cluster.unstored.pop(0)
            self.do(m.RegistryStored(write.ticket))

    def pong(self) -> None:
        for agent in self.agents:
            if agent.admitted:
                self.do(m.AgentSaid(agent.channel, internal.Pong()))

    # ── the second act ────────────────────────────────────────────────────────────────────────────
    def teardown(self) -> None:
        try:
            self.agree()
        finally:
            self.in_small_pieces.stop()

    def agree(self) -> None:
        self.heal()
        state = self.cluster.master.state
        assert not state.unreachable_agents
        assert not state.lost_tasks
        for agent in self.agents:
            known = {
                (framework_id, task_id): task.state
                for framework_id, tasks in state.agents[agent.id].tasks.items()
                for task_id, task in tasks.items()
            }
            assert known == {key: agent.state(key) for key in agent.tasks}
        for scheduler in self.schedulers:
            if scheduler.id not in state.frameworks:
                continue
            living = {
                key[1]: agent.state(key)
                for agent in self.agents
                for key in agent.tasks
                if key[0] == scheduler.id
            }
            believed = {
                task_id: task_state
                for task_id, task_state in scheduler.believed.items()
                if task_state not in OVER
            }
            staged = {
                task_id for task_id, task_state in living.items() if task_state is TaskState.TASK_STAGING
            }
            assert believed == living, "a scheduler believes otherwise"
            assert staged <= set(believed)

    def heal(self) -> None:
        """All connect, and everything that waits is done."""
        for agent in self.agents:
            self.break_channel(agent)
            self.connect(agent)
        self.the_registry_stores()
        for scheduler in self.schedulers:
            if not scheduler.ended and scheduler.stream is None:
                self.subscribe(scheduler)
            if scheduler.stream:
                self.reconcile(scheduler)
        self.schedulers_read()
        for _ in range(1000):
            for agent in self.agents:
                self.send_updates(agent)
            busy = False
            for scheduler in self.schedulers:
                while scheduler.stream and scheduler.waiting:
                    self.acknowledge(scheduler)
                    busy = True
            if not busy:
                return
        raise AssertionError("it does not settle")


World.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestLaws = World.TestCase
