"""Laws that hold whatever happens: a small world of masters, agents and schedulers that fail and come back at random.

Two acts. First anything may happen, in any order; after each event the master checks all its laws (no resource
is given twice, sums match, a task is in one table, …). Then everything heals, and all must agree on every task.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from koinon.master.core import events as m
from koinon.master.core import reconciliation
from koinon.mesos import internal, v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call
from tests.unit.master.cluster import Cluster, executor_info, framework_info, launch, task_info
from tests.unit.master.twins import AgentTwin, SchedulerTwin

#: Nothing more is expected of a task in these.
OVER = TERMINAL | {TaskState.TASK_UNKNOWN}

ENDS = (TaskState.TASK_FINISHED, TaskState.TASK_FAILED, TaskState.TASK_KILLED)


class World(RuleBasedStateMachine):
    """The first act; `teardown` is the second."""

    def __init__(self) -> None:
        super().__init__()
        self.agents: list[AgentTwin] = []
        self.departed: set[str] = set()  #: ids of those that are over
        self.schedulers: list[SchedulerTwin] = []
        self.launched = 0
        self.masters = 0
        self.unread: list[str] = []  #: streams with more to come
        self.in_small_pieces = patch.object(reconciliation, "_AT_ONCE", 2)
        self.in_small_pieces.start()

    @initialize(patient=st.booleans(), limited=st.booleans())
    def a_cluster_begins(self, patient: bool, limited: bool) -> None:
        self.config = {
            "max_completed_tasks_per_framework": 10_000,
            "agent_reregister_timeout_s": 1e9 if patient else 60.0,
            "agent_removal_interval_s": 30.0 if limited else None,
            "registry_gc_interval_s": 50.0,
            "registry_max_agent_age_s": 1e9 if patient else 100.0,
        }
        self.cluster = Cluster(**self.config)
        # Most of what can go wrong needs something to go wrong with.
        for checkpoint, timeout_s, aware in ((True, 1e6, True), (False, 50.0, False), (True, 1e6, False)):
            self.a_scheduler_comes(checkpoint, timeout_s, aware)
            self.an_agent_comes()
            self.the_registry_stores()

    # ── the wires ─────────────────────────────────────────────────────────────────────────────────
    def do(self, event: m.Event) -> None:
        self.deliver(self.cluster.do(event))
        for agent in [one for one in self.agents if one.over]:
            self.agents.remove(agent)
            self.departed.add(agent.id)
            if agent.channel:
                self.break_channel(agent)

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
            scheduler.places[f"t{self.launched}"] = offer.agent_id.value
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

    def reconcile(self, scheduler: SchedulerTwin, *, named: bool) -> None:
        """Ask for all tasks, then for those in particular that should still be there, saying where if `named`."""
        self.call(scheduler, Call.Type.RECONCILE, reconcile=Call.Reconcile())
        living = [task_id for task_id, state in scheduler.believed.items() if state not in OVER]
        if living:
            asked = [Call.Reconcile.Task(task_id=v1.TaskID(task_id)) for task_id in living]
            for task in asked if named else ():
                task.agent_id = v1.AgentID(scheduler.places[task.task_id.value])
            self.call(scheduler, Call.Type.RECONCILE, reconcile=Call.Reconcile(tasks=asked))

    @rule(choice=st.integers(0, 9), named=st.booleans())
    def a_scheduler_asks(self, choice: int, named: bool) -> None:
        if scheduler := self.pick(choice, self.schedulers, lambda one: one.stream):
            self.reconcile(scheduler, named=named)

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

    @rule(choice=st.integers(0, 9), cleanly=st.booleans(), grows=st.booleans())
    def an_agent_connects_again(self, choice: int, cleanly: bool, grows: bool) -> None:
        if agent := self.pick(choice, self.agents, lambda one: True):
            agent.cpus += grows
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

    @rule(choice=st.integers(0, 30), heard=st.booleans())
    def an_agent_takes_its_leave(self, choice: int, heard: bool) -> None:
        if choice < 2 and (agent := self.pick(choice, self.agents, lambda one: one.channel and one.admitted)):
            agent.over = True
            if heard:
                self.do(m.AgentSaid(agent.channel, internal.Unregister()))
            else:
                self.do(m.ClockTicked())

    @rule(choice=st.integers(0, 30))
    def an_operator_declares_an_agent_gone(self, choice: int) -> None:
        if choice < 2 and (agent := self.pick(choice, self.agents, lambda one: one.id)):
            with suppress(m.Refused):  # it is unknown to this master, or coming or going
                self.do(m.AgentGoneRequested(agent.id))

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

    @rule(most=st.integers(1, 3))
    def the_registry_stores(self, most: int = 1000) -> None:
        for write in self.cluster.unstored[:most]:
            self.cluster.unstored.remove(write)
            self.cluster.make_durable(write)
            self.do(m.RegistryStored(write.ticket))

    @rule(stored=st.integers(0, 2))
    def another_master_takes_over(self, stored: int) -> None:
        """Of what the old one asked to be stored, some may be, without its hearing of it."""
        old = self.cluster
        for write in old.unstored[:stored]:
            old.make_durable(write)
        self.masters += 1
        self.cluster = Cluster(old.registry, master_id=f"M{self.masters}", now=old.now, **self.config)
        self.cluster.streams, self.cluster.channels = old.streams, old.channels
        self.unread.clear()
        for agent in self.agents:
            agent.channel, agent.admitted = None, False
        for scheduler in self.schedulers:
            scheduler.stream = None
            scheduler.offers.clear()

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
        for table in (state.unreachable_agents, state.recovered_agents, state.lost_tasks, state.doomed):
            assert not table.keys() & {agent.id for agent in self.agents}
        for agent in self.agents:
            known = {
                (framework_id, task_id): task.state
                for framework_id, tasks in state.agents[agent.id].tasks.items()
                for task_id, task in tasks.items()
            }
            assert known == {key: agent.state(key) for key in agent.tasks}
        for scheduler in self.schedulers:
            if scheduler.ended or scheduler.id not in state.frameworks:
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
                if task_state not in OVER and not self.is_open_for_ever(scheduler.places[task_id], task_state)
            }
            staged = {
                task_id for task_id, task_state in living.items() if task_state is TaskState.TASK_STAGING
            }
            assert believed == living, "a scheduler believes otherwise"
            assert staged <= set(believed)

    def is_open_for_ever(self, agent_id: str, state: TaskState) -> bool:
        """Whether nobody will ever know how a task ended: its agent never comes back, but might."""
        awaited = (
            state is TaskState.TASK_UNREACHABLE or agent_id in self.cluster.master.state.recovered_agents
        )
        return awaited and agent_id in self.departed

    def heal(self) -> None:
        """All connect, time goes by, and everything that waits is done."""
        for agent in self.agents:
            self.break_channel(agent)
        for _ in range(3):  # what is being declared gone is told so when that is durable
            for agent in [one for one in self.agents if not one.admitted]:
                self.connect(agent)
            self.the_registry_stores()
        for scheduler in self.schedulers:
            if not scheduler.ended and scheduler.stream is None:
                self.subscribe(scheduler)
        for _ in range(20):
            self.time_goes_by(20.0, answering=True)
            self.the_registry_stores()
        for scheduler in self.schedulers:
            if scheduler.stream:
                # Without the agent nothing is said as long as any is awaited, and one may be that nobody knows.
                self.reconcile(scheduler, named=True)
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
