"""What returning agents bring: after a restart of the master, of the agent, and after it was given up."""

import msgspec
import pytest

from koinon.master.core import events as m
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call
from tests.unit.master.cluster import (
    Cluster,
    Reason,
    executor_info,
    failure,
    framework_info,
    register,
    resources,
    sent_update,
    status,
    statuses,
    task_info,
    update,
    uuid,
)

RUNNING, FINISHED = TaskState.TASK_RUNNING, TaskState.TASK_FINISHED


def reported(task_id: str = "t", state: TaskState = RUNNING, **fields: object) -> internal.ReportedTask:
    info = task_info(task_id)
    info.resources = resources("cpus:1;mem:100", role="*")
    return internal.ReportedTask(framework_id="F", info=info, state=state, **fields)


def returning(*tasks: internal.ReportedTask, **fields: object) -> internal.Register:
    info = framework_info("F", checkpoint=True, capabilities="PARTITION_AWARE")
    return register("M-S0", frameworks=[info], tasks=list(tasks), **fields)


def subscribe(cluster: Cluster, capabilities: str = "PARTITION_AWARE") -> str:
    return cluster.subscribe(
        framework_info("F", checkpoint=True, failover_timeout=99.0, capabilities=capabilities)
    )


# ── a restarted master ────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def restarted() -> Cluster:
    """A new master whose registry knows agent M-S0."""
    before = Cluster()
    before.join()
    return Cluster(before.registry)


def test_a_known_agent_is_admitted_without_a_write(restarted):
    (registered,) = restarted.register(returning())
    assert registered.message.agent_id == "M-S0"
    assert restarted.master.state.recovered_agents == {}


def test_tasks_come_back_with_their_framework_which_is_recovered(restarted):
    restarted.register(returning(reported()))
    framework = restarted.framework
    assert (framework.id, framework.recovered, framework.connected) == ("F", True, False)
    assert framework.tasks["t"].state is RUNNING
    assert restarted.agent.used == {"F": Resources.parse("cpus:1;mem:100").allocated("*")}
    kinds = [type(fact) for fact in restarted.facts]
    assert kinds == [m.FrameworkAdded, m.TaskAdded, m.AgentAdded]


def test_a_recovered_framework_waits_for_ever_and_subscribes_as_new(restarted):
    restarted.register(returning(reported()))
    restarted.do(m.AgentChannelClosed("channel-1"))
    assert restarted.framework.recovered
    subscribe(restarted)
    assert restarted.framework.connected
    assert list(restarted.framework.tasks) == ["t"]


def test_what_tasks_use_is_not_offered(restarted):
    restarted.register(returning(reported()))
    subscribe(restarted)
    (offers,) = restarted.tick()
    free = Resources.from_v1(offers.event.offers.offers[0].resources)
    assert free == Resources.parse("cpus:3;mem:900;ports:[1-9]")


def test_schedulers_are_told_nothing_by_themselves(restarted):
    """They reconcile after a change of master."""
    subscribe(restarted)
    assert statuses(restarted.register(returning(reported()))) == []


def test_an_ended_task_that_waits_for_its_acknowledgement_comes_back_as_such(restarted):
    stream = subscribe(restarted)
    task = reported(state=FINISHED, unacknowledged_state=FINISHED, unacknowledged_uuid=uuid(1))
    restarted.register(returning(task))
    assert restarted.agent.used == {}
    restarted.acknowledge(stream, "t", uuid(1))
    assert [task.task_id for task in restarted.framework.completed_tasks] == ["t"]


def test_executors_come_back_and_are_paid_for(restarted):
    info = executor_info()
    info.resources = resources("cpus:0.1;mem:32", role="*")
    executor = internal.ReportedExecutor(framework_id="F", info=info)
    restarted.register(returning(executors=[executor]))
    assert restarted.agent.used == {"F": Resources.parse("cpus:0.1;mem:32").allocated("*")}


def test_an_agent_the_registry_does_not_know_is_stored_first():
    cluster = Cluster()
    (store,) = cluster.register(returning())
    assert isinstance(store, m.Store)
    cluster.store()
    assert cluster.agent.id == "M-S0"


def test_work_of_a_completed_framework_is_shut_down(restarted):
    stream = subscribe(restarted)
    restarted.call(stream, "TEARDOWN")
    (registered,) = restarted.register(returning(reported()))
    assert registered.message.completed_frameworks == ["F"]
    assert restarted.agent.tasks == {}


def test_a_recovered_framework_can_be_torn_down(restarted):
    restarted.register(returning(reported()))
    shut_down, *_ = restarted.do(m.TeardownRequested("F"))
    assert shut_down == m.SendToAgent("channel-1", internal.ShutdownFramework(framework_id="F"))
    assert list(restarted.master.state.completed_frameworks) == ["F"]
    assert restarted.agent.used == {}


def test_a_recovered_framework_that_subscribed_has_its_failover_timeout(restarted):
    restarted.register(returning(reported()))
    stream = subscribe(restarted)
    restarted.do(m.SchedulerStreamClosed(stream))
    restarted.tick(100)
    assert list(restarted.master.state.completed_frameworks) == ["F"]


def test_history_of_before_the_election_is_forgotten():
    """What a framework was is kept in memory only: removed under one master it may come back under the next."""
    before = Cluster()
    before.join()
    stream = subscribe(before)
    before.call(stream, "TEARDOWN")
    after = Cluster(before.registry)
    subscribe(after)
    assert after.framework.connected
    assert after.master.state.completed_frameworks == {}


# ── an agent that nobody remembers ────────────────────────────────────────────────────────────────
def test_schedulers_hear_of_tasks_on_an_agent_that_even_the_registry_forgot():
    """They may believe them to be lost."""
    cluster = Cluster()
    stream = subscribe(cluster)
    cluster.register(returning(reported()))
    message = "Agent M-S0 is back, and the task with it."
    expected = status("t", RUNNING, Reason.REASON_AGENT_REREGISTERED, message)
    assert sent_update(stream, expected) in cluster.store()
    assert cluster.master.state.counters["slave_reregistrations"] == 1


def test_what_does_not_checkpoint_goes_on_at_a_master_that_has_not_seen_its_agent_before():
    cluster = Cluster()
    cluster.subscribe(framework_info("F"))
    cluster.register(register("M-S0", frameworks=[framework_info("F")], tasks=[reported()]))
    effects = cluster.store()
    assert not [one for one in effects if isinstance(getattr(one, "message", None), internal.KillTask)]
    assert cluster.framework.tasks["t"].state is RUNNING


# ── a returning agent ─────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def working() -> Cluster:
    """Partition aware framework F on stream-1 with task `t`, staging, on agent M-S0 on channel-1."""
    cluster = Cluster()
    stream = subscribe(cluster)
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info(), refuse_s=1000.0)
    return cluster


def test_a_task_that_moved_on_meanwhile_is_taken_over_quietly(working):
    working.do(m.AgentChannelClosed("channel-1"))
    assert statuses(working.register(returning(reported()))) == []
    assert working.framework.tasks["t"].state is RUNNING


def test_a_task_that_ended_meanwhile_frees_its_resources(working):
    working.do(m.AgentChannelClosed("channel-1"))
    working.register(returning(reported(state=FINISHED)))
    assert working.agent.used == {}
    assert list(working.framework.tasks) == ["t"]


@pytest.mark.parametrize(
    ("before", "capabilities", "state"),
    [
        (TaskState.TASK_STAGING, "PARTITION_AWARE", TaskState.TASK_DROPPED),
        (RUNNING, "PARTITION_AWARE", TaskState.TASK_GONE),
        (RUNNING, "", TaskState.TASK_LOST),
    ],
)
def test_a_task_the_agent_came_back_without_is_reported(before, capabilities, state):
    cluster = Cluster()
    stream = subscribe(cluster, capabilities)
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    if before is RUNNING:
        cluster.update("channel-1", "t", RUNNING, framework_id="F")
    message = "Agent M-S0 came back without the task."
    expected = status("t", state, Reason.REASON_RECONCILIATION, message)
    assert sent_update(stream, expected) in cluster.register(returning())
    assert cluster.framework.tasks == {}
    assert [task.state for task in cluster.framework.completed_tasks] == [state]


def refusal() -> internal.Update:
    return update("t", TaskState.TASK_DROPPED, uuid(1), framework_id="F")


def test_a_task_that_the_agent_did_not_take_is_left_to_what_it_says_itself(working):
    working.do(m.AgentChannelClosed("channel-1"))
    assert statuses(working.register(returning(refusals=[refusal()]))) == []
    assert statuses(working.say("channel-2", refusal())) == [refusal().status]
    working.acknowledge("stream-1", "t", uuid(1))
    assert [task.state for task in working.framework.completed_tasks] == [TaskState.TASK_DROPPED]


def test_a_kill_asked_for_in_the_meantime_is_sent_on_return(working):
    working.do(m.AgentChannelClosed("channel-1"))
    policy = v1.KillPolicy(grace_period=v1.DurationInfo(1))
    body = Call.Kill(task_id=v1.TaskID("t"), kill_policy=policy)
    assert working.call("stream-1", "KILL", body) == []
    kill = internal.KillTask(framework_id="F", task_id="t", kill_policy=policy)
    assert working.register(returning(reported()))[-1] == m.SendToAgent("channel-2", kill)
    assert working.agent.kills == {}


def test_an_executor_the_agent_came_back_without_frees_its_resources():
    cluster = Cluster()
    stream = subscribe(cluster)
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info(executor=executor_info()))
    report = reported()
    report.info.executor = cluster.agent.executors["F"]["e"].info
    executor = internal.ReportedExecutor(framework_id="F", info=report.info.executor)
    cluster.register(returning(report, executors=[executor]))
    assert "e" in cluster.agent.executors["F"]
    cluster.register(returning(report))
    assert cluster.agent.executors == {}
    assert cluster.agent.used == {"F": Resources.parse("cpus:1;mem:100").allocated("*")}


def test_an_executor_that_ends_before_its_agent_is_stored_is_not_believed_to_live(cluster):
    """The agent says so once."""
    stream = subscribe(cluster)
    cluster.join()
    executor = internal.ReportedExecutor(
        framework_id="F", info=executor_info(), container_id=v1.ContainerID(value="c")
    )
    cluster.register(register("M-S0", text="cpus:8", executors=[executor]))
    exited = internal.ExecutorExited(framework_id="F", executor_id="e", status=256)
    assert cluster.say("channel-2", exited) == []
    assert failure(stream, "M-S0", executor_id=v1.ExecutorID("e"), status=256) in cluster.store()
    assert cluster.agent.executors == cluster.agent.used == {}
    assert cluster.say("channel-1", exited) == []


# ── an agent that was given up ────────────────────────────────────────────────────────────────────
@pytest.fixture
def lost(working: Cluster) -> Cluster:
    """The same after its agent was given up."""
    working.do(m.AgentChannelClosed("channel-1"))
    working.tick(90)
    working.store()
    assert list(working.framework.unreachable_tasks) == ["t"]
    return working


def test_a_task_that_is_still_there_is_reported_with_its_state(lost):
    lost.register(returning(reported()))
    message = "Agent M-S0 is back, and the task with it."
    expected = status("t", RUNNING, Reason.REASON_AGENT_REREGISTERED, message, now=lost.now)
    assert sent_update("stream-1", expected) in lost.store()
    assert list(lost.framework.tasks) == ["t"]
    assert lost.framework.unreachable_tasks == {}


def test_what_is_known_of_a_task_that_is_still_there_is_told_with_it(lost):
    health = v1.TaskStatus(
        task_id=v1.TaskID("t"),
        state=RUNNING,
        healthy=False,
        container_status=v1.ContainerStatus(executor_pid=7),
    )
    task = reported(statuses=[health])
    task.info.executor, task.info.command = executor_info(), None
    lost.register(returning(task))
    (told,) = statuses(lost.store())
    assert (told.healthy, told.container_status.executor_pid) == (False, 7)
    assert (told.executor_id.value, told.unreachable_time, told.uuid) == ("e", None, None)


def test_a_task_that_is_not_there_any_more_is_gone(lost):
    lost.register(returning())
    message = "Agent M-S0 came back without the task."
    expected = status("t", TaskState.TASK_GONE, Reason.REASON_RECONCILIATION, message, now=lost.now)
    assert sent_update("stream-1", expected) in lost.store()
    assert [task.state for task in lost.framework.completed_tasks] == [TaskState.TASK_GONE]


def test_a_task_that_the_agent_did_not_take_has_one_end_only(lost):
    lost.register(returning(refusals=[refusal()]))
    assert statuses(lost.store()) == []
    assert statuses(lost.say("channel-2", refusal())) == [refusal().status]
    assert [task.state for task in lost.framework.completed_tasks] == [TaskState.TASK_DROPPED]
    assert lost.framework.unreachable_tasks == {}


@pytest.fixture
def volatile() -> Cluster:
    """Framework F does not checkpoint; its task `t` and `t1`, `t2` of executor `e` are lost with the connection."""
    cluster = Cluster()
    stream = cluster.subscribe(framework_info("F"))
    cluster.join()
    cluster.tick()
    by = executor_info()
    cluster.launch(stream, task_info(), task_info("t1", executor=by), task_info("t2", executor=by))
    lost = statuses(cluster.do(m.AgentChannelClosed("channel-1")))
    assert [one.state for one in lost] == [TaskState.TASK_LOST] * 3
    return cluster


def volatile_report(cluster: Cluster) -> internal.Register:
    info = executor_info()
    info.resources = resources("cpus:0.1;mem:32", role="*")
    found = [reported(), reported("t1"), reported("t2")]
    for one in found[1:]:
        one.info.command, one.info.executor = None, info
    return register(
        "M-S0",
        frameworks=[framework_info("F")],
        tasks=found,
        executors=[internal.ReportedExecutor(framework_id="F", info=info)],
    )


def test_what_was_lost_with_the_connection_is_ended_on_return(volatile):
    effects = volatile.register(volatile_report(volatile))
    assert statuses(effects) == []
    assert [effect.message for effect in effects if isinstance(effect, m.SendToAgent)][1:] == [
        internal.KillTask(framework_id="F", task_id="t"),
        internal.ShutdownExecutor(framework_id="F", executor_id="e"),
    ]
    assert volatile.agent.used == {"F": Resources.parse("cpus:3.1;mem:332").allocated("*")}


def test_what_was_lost_with_the_connection_holds_its_resources_until_it_has_ended(volatile):
    volatile.register(volatile_report(volatile))
    for number, task_id in enumerate(("t", "t1", "t2")):
        volatile.update("channel-2", task_id, TaskState.TASK_KILLED, uuid(number), framework_id="F")
        volatile.acknowledge("stream-1", task_id, uuid(number))
    volatile.say("channel-2", internal.ExecutorExited(framework_id="F", executor_id="e", status=0))
    assert volatile.agent.used == {}
    assert volatile.framework.tasks == volatile.framework.unreachable_tasks == {}


def test_what_does_not_checkpoint_is_back_with_an_agent_that_was_silent_only():
    cluster = Cluster()
    stream = cluster.subscribe(framework_info("F"))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.tick(90)
    (lost,) = statuses(cluster.store())
    assert lost.state is TaskState.TASK_LOST
    message = "Agent M-S0 is back, and the task with it."
    expected = status("t", RUNNING, Reason.REASON_AGENT_REREGISTERED, message, now=cluster.now)
    cluster.register(returning(reported()))
    assert sent_update(stream, expected) in cluster.store()
    assert list(cluster.framework.tasks) == ["t"]


def test_an_agent_that_returns_to_its_id_used_elsewhere_is_told_to_kill():
    """The bounded memory of unreachable tasks forgot the task, and its id was given to another."""
    cluster = Cluster(max_unreachable_tasks_per_framework=0)
    stream = subscribe(cluster)
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.do(m.AgentChannelClosed("channel-1"))
    cluster.tick(90)
    cluster.store()
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info(agent_id="M-S1"))
    cluster.register(returning(reported()))
    kill = internal.KillTask(framework_id="F", task_id="t")
    assert m.SendToAgent("channel-3", kill) in cluster.store()
    assert cluster.framework.tasks["t"].agent_id == "M-S1"


def test_an_unacknowledged_end_survives_the_loss_of_the_agent(working):
    working.update("channel-1", "t", FINISHED, uuid(1), framework_id="F")
    working.do(m.AgentChannelClosed("channel-1"))
    working.tick(90)
    working.store()
    assert [task.task_id for task in working.framework.completed_tasks] == ["t"]
    task = reported(state=FINISHED, unacknowledged_state=FINISHED, unacknowledged_uuid=uuid(1))
    working.register(returning(task))
    working.store()
    assert list(working.framework.completed_tasks) == []
    working.acknowledge("stream-1", "t", uuid(1))
    assert [task.task_id for task in working.framework.completed_tasks] == ["t"]


def test_the_info_of_a_task_is_kept_as_json(working):
    info = msgspec.json.decode(working.framework.tasks["t"].info, type=v1.TaskInfo)
    assert info.command == v1.CommandInfo(value="true")
