"""Agents: registration, disconnection, health, departure."""

import msgspec
import pytest

from koinon.master.core import agents
from koinon.master.core import events as m
from koinon.master.core.registry import CHANGE_BYTES_MAX
from koinon.master.core.state import AgentEntry, Standing
from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call
from tests.unit.master.cluster import (
    Cluster,
    Reason,
    executor_info,
    failure,
    framework_info,
    refusal,
    register,
    rescinded,
    resources,
    sent_update,
    status,
    statuses,
    task_info,
)


def registered(channel: str, agent_id: str = "M-S0", **fields: object) -> m.SendToAgent:
    message = internal.Registered(
        agent_id=agent_id, master_id="M", silence_timeout_s=75.0, cluster="C", **fields
    )
    return m.SendToAgent(channel, message)


def entry(cluster: Cluster, agent_id: str = "M-S0") -> AgentEntry:
    return msgspec.json.decode(cluster.registry[f"agents/{agent_id}"], type=AgentEntry)


# ── registration ──────────────────────────────────────────────────────────────────────────────────
def test_an_agent_is_stored_before_it_is_told_its_id(cluster):
    (store,) = cluster.register()
    assert [key for key, _ in store.changes] == ["agents/M-S0"]
    assert cluster.master.state.agents == {}
    assert cluster.store() == [registered("channel-1")]
    assert entry(cluster).standing is Standing.ADMITTED
    assert cluster.facts == [m.AgentAdded(cluster.agent)]


def test_agents_learn_how_long_all_may_take_to_come_back(cluster, monkeypatch):
    monkeypatch.setattr(agents, "_RETURNS_PER_S", 2)
    told = []
    for _ in range(3):
        cluster.register()
        told += [effect.message.return_within_s for effect in cluster.store()]
    assert told == [0, 1, 1]
    after = Cluster(cluster.registry)
    assert [effect.message.return_within_s for effect in after.register(register("M-S0"))] == [1]


def test_a_new_agent_that_vanishes_before_it_is_stored_is_forgotten(cluster):
    cluster.register()
    cluster.do(m.AgentChannelClosed("channel-1"))
    assert cluster.store() == []
    assert cluster.stored_agents == []


@pytest.mark.parametrize(
    ("message", "part"),
    [
        (register(protocol=0), "upgrade all masters before the agents"),
        (register(protocol=internal.PROTOCOL + 1), "upgrade all masters before the agents"),
        (register(version="0.28.1"), "none before 1.0.0 is admitted"),
        (register(version="new"), "must be like 1.11.0"),
        (
            internal.Register(agent_info=v1.AgentInfo(hostname=""), pid="p", version="1.0.0"),
            "no hostname",
        ),
        (
            internal.Register(
                agent_info=v1.AgentInfo(
                    hostname="a", resources=[v1.Resource(name="x", type=v1.Value.Type.TEXT)]
                ),
                pid="p",
                version="1.0.0",
            ),
            "resources are not valid",
        ),
        (
            internal.Register(
                agent_info=v1.AgentInfo(hostname="a", domain=v1.DomainInfo()), pid="p", version="1.0.0"
            ),
            "this master has none",
        ),
        (
            internal.Register(
                agent_info=v1.AgentInfo(
                    hostname="a",
                    attributes=[
                        v1.Attribute(
                            name="a", type=v1.Value.Type.TEXT, text=v1.Value.Text("x" * CHANGE_BYTES_MAX)
                        )
                    ],
                ),
                pid="p",
                version="1.0.0",
            ),
            "less than 768 KiB",
        ),
    ],
)
def test_an_agent_that_does_not_fit_is_refused_with_the_reason(cluster, message, part):
    refused, close = cluster.register(message)
    assert part in refused.message.message
    assert close == m.CloseChannel("channel-1")
    assert cluster.unstored == []


def test_before_the_registry_is_read_agents_are_turned_away():
    cluster = Cluster(loaded=False)
    assert cluster.register() == [m.CloseChannel("channel-1")]


def test_an_agent_that_opens_a_second_channel_is_on_the_second(cluster):
    cluster.join()
    assert cluster.register(register("M-S0")) == [m.CloseChannel("channel-1"), registered("channel-2")]
    assert cluster.do(m.AgentChannelClosed("channel-1")) == []
    assert cluster.agent.connected


def test_a_second_registration_while_the_first_is_stored_wins(cluster):
    cluster.join()
    cluster.register(register("M-S0", text="cpus:8"))
    assert m.CloseChannel("channel-2") in cluster.register(register("M-S0", text="cpus:9"))
    assert cluster.store() == [m.CloseChannel("channel-1"), registered("channel-3")]
    assert cluster.agent.total.cpus == 9


def test_an_agent_that_changed_is_stored_again_first(cluster):
    cluster.join()
    (store,) = cluster.register(register("M-S0", text="cpus:8"))
    assert isinstance(store, m.Store)
    cluster.store()
    assert entry(cluster).info.resources == resources("cpus:8")


def test_outstanding_offers_are_rescinded_when_the_agent_registers_again(cluster):
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    effects = cluster.register(register("M-S0"))
    assert effects[0] == rescinded(stream, "M-O0")


def test_messages_on_a_channel_that_is_not_admitted_are_passed_over(cluster):
    cluster.register()
    assert cluster.say("channel-1", internal.Pong()) == []
    assert cluster.say("channel-9", internal.Unregister()) == []
    assert cluster.store() == [registered("channel-1")]


# ── disconnection ─────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def working(cluster: Cluster) -> Cluster:
    """A checkpointing framework on stream-1 with task `t` on agent M-S0 and an offer of the rest."""
    cluster.subscribe(framework_info(checkpoint=True, capabilities="PARTITION_AWARE"))
    cluster.join()
    cluster.tick()
    cluster.launch("stream-1", task_info(executor=executor_info()), refuse_s=0.0)
    cluster.tick()
    return cluster


def test_offers_of_a_disconnected_agent_are_rescinded(working):
    assert working.do(m.AgentChannelClosed("channel-1")) == [rescinded("stream-1", "M-O1")]
    assert working.tick(10) == []
    assert list(working.framework.tasks) == ["t"]


def test_tasks_of_frameworks_that_do_not_checkpoint_are_lost_with_the_connection(cluster):
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info(executor=executor_info()))
    message = "Agent M-S0 disconnected, and the framework does not checkpoint."
    expected = status("t", TaskState.TASK_LOST, Reason.REASON_AGENT_DISCONNECTED, message)
    expected.executor_id = v1.ExecutorID("e")
    assert cluster.do(m.AgentChannelClosed("channel-1")) == [sent_update(stream, expected)]
    assert cluster.agent.used == {}


def test_a_disconnected_agent_that_returns_is_offered_again(working):
    working.do(m.AgentChannelClosed("channel-1"))
    task = working.framework.tasks["t"]
    report = register(
        "M-S0",
        frameworks=[working.framework.info],
        tasks=[reported_task(working)],
        executors=[internal.ReportedExecutor(framework_id="M-0000", info=task_executor(working))],
    )
    assert working.register(report) == [registered("channel-2")]
    (offers,) = working.tick()
    assert offers.event.offers.offers[0].agent_id.value == "M-S0"
    assert working.framework.tasks["t"] is task


def reported_task(cluster: Cluster) -> internal.ReportedTask:
    info = msgspec.json.decode(cluster.framework.tasks["t"].info, type=v1.TaskInfo)
    return internal.ReportedTask(framework_id="M-0000", info=info, state=TaskState.TASK_RUNNING)


def task_executor(cluster: Cluster) -> v1.ExecutorInfo:
    return cluster.agent.executors["M-0000"]["e"].info


# ── health ────────────────────────────────────────────────────────────────────────────────────────
PING = m.SendToAgent("channel-1", internal.Ping())


def test_an_agent_that_answers_is_pinged_for_ever(cluster):
    cluster.join()
    for _ in range(20):
        assert cluster.tick(15) == [PING]
        cluster.say("channel-1", internal.Pong())
    assert cluster.agent.connected


def test_many_agents_are_pinged_in_several_ticks_without_pause(cluster):
    master, now = cluster.master, cluster.now
    for number in range(700):
        joining = register()
        joining.pid = f"slave(1)@10.0.{number >> 8}.{number & 255}:5051"
        (store,) = master.handle(m.AgentSaid(f"channel-{number}", joining), now)
        master.handle(m.RegistryStored(store.ticket), now)
    master.handle(m.ClockTicked(), now)
    now += 15
    pinged = []
    while master.next_wakeup(now) <= now:
        pinged.append(
            [effect for effect in master.handle(m.ClockTicked(), now) if effect.message == PING.message]
        )
    assert len(pinged) > 1
    assert len({effect.channel_id for effects in pinged for effect in effects}) == 700


def test_a_silent_agent_is_stored_as_unreachable_before_anybody_hears_of_it(working):
    working.launch("stream-1", task_info("t2"))
    for _ in range(5):
        assert PING in working.tick(15)
    effects = working.tick(15)
    (store,) = [effect for effect in effects if isinstance(effect, m.Store)]
    assert [key for key, _ in store.changes] == ["agents/M-S0"]
    assert not [effect for effect in effects if isinstance(effect, m.SendToAgent)]
    lost_s = working.now
    working.now += 1
    since = v1.TimeInfo(int(lost_s * 1e9))
    expected = [
        status(
            task_id,
            TaskState.TASK_UNREACHABLE,
            Reason.REASON_AGENT_REMOVED,
            "Agent M-S0 is unreachable.",
            now=working.now,
            unreachable_time=since,
            executor_id=executor_id,
        )
        for task_id, executor_id in (("t", v1.ExecutorID("e")), ("t2", None))
    ]
    assert working.store() == [
        *(sent_update("stream-1", one) for one in expected),
        m.CloseChannel("channel-1"),
        failure("stream-1", "M-S0"),
    ]
    assert entry(working).standing is Standing.UNREACHABLE
    assert working.facts[-1] == m.AgentRemoved("M-S0")
    assert list(working.framework.unreachable_tasks) == ["t", "t2"]


def lose(cluster: Cluster, channel: str = "channel-1") -> list[m.Effect]:
    """The agent is silent until it is given up."""
    cluster.do(m.AgentChannelClosed(channel))
    cluster.tick(90)
    return cluster.store()


def test_without_partition_awareness_a_task_is_lost(cluster):
    stream = cluster.subscribe(framework_info(checkpoint=True))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    update, _ = lose(cluster)
    assert update.event.update.status.state is TaskState.TASK_LOST
    assert update.event.update.status.unreachable_time is not None


def test_an_agent_that_returns_while_its_loss_is_stored_is_not_reported(working):
    working.do(m.AgentChannelClosed("channel-1"))
    working.tick(90)
    report = register(
        "M-S0",
        frameworks=[working.framework.info],
        tasks=[reported_task(working)],
        executors=[internal.ReportedExecutor(framework_id="M-0000", info=task_executor(working))],
    )
    working.register(report)
    assert working.store() == [registered("channel-2")]
    assert entry(working).standing is Standing.ADMITTED
    assert list(working.framework.tasks) == ["t"]


@pytest.mark.parametrize("call", ["RECONCILE", "KILL"])
def test_of_an_unreachable_task_the_scheduler_hears_through_its_agent(working, call):
    lose(working)
    since = working.framework.unreachable_tasks["t"].statuses[-1].unreachable_time
    assert since is not None

    def ask(agent_id: str | None) -> v1.TaskStatus:
        agent = None if agent_id is None else v1.AgentID(agent_id)
        task = Call.Reconcile.Task(task_id=v1.TaskID("t"), agent_id=agent)
        kill = Call.Kill(task_id=v1.TaskID("t"), agent_id=agent)
        body = kill if call == "KILL" else Call.Reconcile(tasks=[task])
        (answer,) = statuses(working.call("stream-1", call, body))
        assert answer.reason is Reason.REASON_RECONCILIATION
        return answer

    answer = ask("M-S0")
    assert (answer.state, answer.unreachable_time) == (TaskState.TASK_UNREACHABLE, since)
    answer = ask(None)
    assert (answer.state, answer.agent_id) == (TaskState.TASK_UNKNOWN, None)


def test_the_id_of_an_unreachable_task_cannot_be_reused(working):
    lose(working)
    working.join()
    working.tick()
    (effect,) = working.launch("stream-1", task_info(agent_id="M-S1"))
    assert effect.event.update.status.reason is Reason.REASON_TASK_INVALID


def test_unreachable_tasks_are_bounded():
    cluster = Cluster(max_unreachable_tasks_per_framework=1)
    stream = cluster.subscribe(framework_info(checkpoint=True, capabilities="PARTITION_AWARE"))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info("t1"), task_info("t2"))
    lose(cluster)
    assert list(cluster.framework.unreachable_tasks) == ["t2"]


def test_agents_known_from_the_registry_have_ten_minutes_to_come_back(working):
    restarted = Cluster(working.registry)
    assert list(restarted.master.state.recovered_agents) == ["M-S0"]
    assert restarted.tick(599) == []
    (store,) = restarted.tick(1)
    assert isinstance(store, m.Store)
    restarted.store()
    assert entry(restarted).standing is Standing.UNREACHABLE
    assert list(restarted.master.state.unreachable_agents) == ["M-S0"]
    assert restarted.facts == [m.AgentRemoved("M-S0")]
    assert restarted.master.state.counters["recovery_slave_removals"] == 1


# ── departure ─────────────────────────────────────────────────────────────────────────────────────
def test_an_agent_that_unregisters_takes_its_tasks_with_it(working):
    effects = working.say("channel-1", internal.Unregister())
    assert effects[0] == rescinded("stream-1", "M-O1")
    expected = status(
        "t",
        TaskState.TASK_LOST,
        Reason.REASON_AGENT_REMOVED,
        "Agent M-S0 was shut down.",
        executor_id=v1.ExecutorID("e"),
    )
    assert working.store() == [
        sent_update("stream-1", expected),
        m.CloseChannel("channel-1"),
        failure("stream-1", "M-S0"),
    ]
    assert working.stored_agents == []
    assert working.master.state.agents == {}


def test_an_agent_that_is_declared_gone_is_shut_down_and_never_readmitted(working):
    working.do(m.AgentGoneRequested("M-S0"))
    message = "Agent M-S0 was declared gone by an operator."
    expected = status(
        "t",
        TaskState.TASK_GONE_BY_OPERATOR,
        Reason.REASON_AGENT_REMOVED_BY_OPERATOR,
        message,
        executor_id=v1.ExecutorID("e"),
    )
    assert working.store() == [
        sent_update("stream-1", expected),
        m.SendToAgent("channel-1", internal.Shutdown(message=message)),
        m.CloseChannel("channel-1"),
        failure("stream-1", "M-S0"),
    ]
    assert working.do(m.AgentGoneRequested("M-S0")) == []


def test_an_agent_declared_gone_that_comes_back_is_shut_down_with_all_that_it_has(working):
    """Its tasks were declared gone."""
    working.do(m.AgentChannelClosed("channel-1"))
    working.do(m.AgentGoneRequested("M-S0"))
    assert working.register(register("M-S0")) == [m.CloseChannel("channel-2")]  # not before it is durable
    working.store()
    assert working.register(register("M-S0")) == [
        m.SendToAgent("channel-3", internal.Shutdown(message="Agent M-S0 was declared gone by an operator.")),
        m.CloseChannel("channel-3"),
    ]


def test_without_partition_awareness_tasks_of_an_agent_declared_gone_are_lost(cluster):
    stream = cluster.subscribe(framework_info(checkpoint=True))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.do(m.AgentGoneRequested("M-S0"))
    message = "Agent M-S0 was declared gone by an operator."
    expected = status("t", TaskState.TASK_LOST, Reason.REASON_AGENT_REMOVED, message)
    assert sent_update(stream, expected) in cluster.store()


def test_without_partition_awareness_tasks_of_an_agent_that_unregisters_are_lost(cluster):
    stream = cluster.subscribe(framework_info(checkpoint=True))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.say("channel-1", internal.Unregister())
    expected = status("t", TaskState.TASK_LOST, Reason.REASON_AGENT_REMOVED, "Agent M-S0 was shut down.")
    assert sent_update(stream, expected) in cluster.store()


def test_unreachable_tasks_of_an_agent_declared_gone_are_gone(working):
    lose(working)
    removals = working.master.state.counters["slave_removals"]
    working.do(m.AgentGoneRequested("M-S0"))
    (update,) = working.store()  # that the agent is away everybody has heard
    assert update.event.update.status.state is TaskState.TASK_GONE_BY_OPERATOR
    assert working.master.state.counters["slave_removals"] == removals
    assert working.framework.unreachable_tasks == {}
    assert [task.task_id for task in working.framework.completed_tasks] == ["t"]


def test_only_known_agents_can_be_declared_gone_and_not_while_they_come_or_go(cluster):
    assert refusal(cluster, m.AgentGoneRequested("x"))[0] == 404
    cluster.register()
    assert refusal(cluster, m.AgentGoneRequested("M-S0"))[0] == 503
