"""Status updates and acknowledgements, kill, messages, reconciliation."""

import pytest

from koinon.master.core import events as m
from koinon.master.core import reconciliation
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import OperationState, TaskState
from koinon.mesos.v1.scheduler import Call, Event
from tests.unit.master.cluster import (
    Cluster,
    Reason,
    framework_info,
    register,
    sent,
    sent_update,
    status,
    statuses,
    task_info,
    update,
    uuid,
)

RUNNING, FINISHED, STARTING = TaskState.TASK_RUNNING, TaskState.TASK_FINISHED, TaskState.TASK_STARTING


@pytest.fixture
def running(cluster: Cluster) -> Cluster:
    """Framework M-0000 on stream-1 with a staging task `t` on agent M-S0 on channel-1."""
    cluster.subscribe(framework_info(failover_timeout=60.0))
    cluster.join()
    cluster.tick()
    cluster.launch("stream-1", task_info(), refuse_s=1000.0)
    return cluster


def acknowledged(task_id: str, uuid: bytes) -> m.SendToAgent:
    message = internal.Acknowledge(framework_id="M-0000", task_id=task_id, uuid=uuid)
    return m.SendToAgent("channel-1", message)


# ── updates ───────────────────────────────────────────────────────────────────────────────────────
def test_an_update_goes_to_the_scheduler_as_it_came(running):
    expected = update("t", RUNNING, uuid(1), data=b"d").status
    assert running.update("channel-1", "t", RUNNING, uuid(1), data=b"d") == [
        sent_update("stream-1", expected)
    ]
    task = running.framework.tasks["t"]
    assert (task.state, [one.state for one in task.statuses]) == (RUNNING, [RUNNING])
    assert task.statuses[0].data is None


def test_the_latest_state_may_be_ahead_of_the_update(running):
    running.update("channel-1", "t", STARTING, uuid(1), latest=FINISHED)
    task = running.framework.tasks["t"]
    assert (task.state, task.update_state) == (FINISHED, STARTING)


def test_an_update_that_is_repeated_may_bring_the_end_of_the_task(running):
    running.update("channel-1", "t", STARTING, uuid(1))
    running.update("channel-1", "t", STARTING, uuid(1), latest=FINISHED)
    task = running.framework.tasks["t"]
    assert (task.state, task.update_state) == (FINISHED, STARTING)
    assert [one.state for one in task.statuses] == [STARTING]
    assert running.agent.used == {}


def test_resources_come_free_when_the_end_is_reported_not_when_it_is_acknowledged(running):
    running.update("channel-1", "t", FINISHED, uuid(1))
    assert running.agent.used == {}
    (offers,) = running.tick()
    free = Resources.from_v1(offers.event.offers.offers[0].resources)
    assert free == Resources.parse("cpus:4;mem:1000;ports:[1-9]")


def test_an_ended_task_is_completed_when_its_end_is_acknowledged(running):
    running.update("channel-1", "t", FINISHED, uuid(1))
    assert list(running.framework.tasks) == ["t"]
    assert running.acknowledge("stream-1", "t", uuid(1)) == [acknowledged("t", uuid(1))]
    assert running.framework.tasks == {}
    assert [task.task_id for task in running.framework.completed_tasks] == ["t"]


def test_acknowledging_an_older_update_does_not_complete_it(running):
    running.update("channel-1", "t", RUNNING, uuid(1), latest=FINISHED)
    running.acknowledge("stream-1", "t", uuid(1))
    assert list(running.framework.tasks) == ["t"]


def test_an_update_without_uuid_needs_no_acknowledgement(running):
    running.update("channel-1", "t", FINISHED)
    assert running.framework.tasks == {}


def test_a_repeated_update_is_forwarded_and_changes_nothing(running):
    running.update("channel-1", "t", RUNNING, uuid(1))
    facts = list(running.facts)
    assert len(running.update("channel-1", "t", RUNNING, uuid(1))) == 1
    assert running.facts == facts


def test_statuses_of_one_state_in_a_row_are_kept_once(running):
    running.update("channel-1", "t", RUNNING, uuid(1), healthy=False)
    running.update("channel-1", "t", RUNNING, uuid(2), healthy=True)
    assert [one.healthy for one in running.framework.tasks["t"].statuses] == [True]


def test_a_second_end_is_forwarded_but_not_believed(running):
    running.update("channel-1", "t", FINISHED, uuid(1))
    assert len(running.update("channel-1", "t", TaskState.TASK_FAILED, uuid(2))) == 1
    assert running.framework.tasks["t"].state is FINISHED


def test_an_update_of_an_unknown_task_is_forwarded_for_the_scheduler_to_acknowledge(running):
    expected = update("x", FINISHED, uuid(1)).status
    assert running.update("channel-1", "x", FINISHED, uuid(1)) == [sent_update("stream-1", expected)]
    assert running.acknowledge("stream-1", "x", uuid(1)) == [acknowledged("x", uuid(1))]


def test_an_update_from_another_agent_does_not_touch_the_task(running):
    other = running.join()
    running.update(other, "t", FINISHED, uuid(1))
    assert running.framework.tasks["t"].state is TaskState.TASK_STAGING


def test_an_update_for_a_disconnected_framework_waits_at_the_agent(running):
    running.do(m.SchedulerStreamClosed("stream-1"))
    assert running.update("channel-1", "t", RUNNING, uuid(1)) == []
    assert running.framework.tasks["t"].state is RUNNING


def test_an_acknowledgement_for_a_disconnected_agent_is_dropped(running):
    running.subscribe(framework_info("M-0000", failover_timeout=60.0, checkpoint=True))
    running.update("channel-1", "t", FINISHED, uuid(1))
    running.do(m.AgentChannelClosed("channel-1"))
    assert running.acknowledge("stream-2", "t", uuid(1)) == []
    assert list(running.framework.tasks) == ["t"]


def test_facts_tell_the_update_and_the_newest_state(running):
    running.update("channel-1", "t", STARTING, uuid(1), latest=RUNNING)
    task = running.framework.tasks["t"]
    assert running.facts[-1] == m.TaskUpdated(task, task.statuses[-1], RUNNING)


def test_counters_follow_a_task_through_its_life(running):
    running.update("channel-1", "t", RUNNING, uuid(1))
    assert running.framework.counters["tasks/active/task_running"] == 1
    running.update(
        "channel-1", "t", TaskState.TASK_FAILED, uuid(2), reason=Reason.REASON_COMMAND_EXECUTOR_FAILED
    )
    counters = running.framework.counters
    assert (counters["tasks/active/task_running"], counters["tasks/terminal/task_failed"]) == (0, 1)
    of_master = running.master.state.counters
    assert of_master["tasks_failed"] == 1
    assert of_master["task_failed/source_executor/reason_command_executor_failed"] == 1


# ── kill ──────────────────────────────────────────────────────────────────────────────────────────
def kill(task_id: str = "t", agent_id: str | None = None, **fields: object) -> Call.Kill:
    agent = None if agent_id is None else v1.AgentID(agent_id)
    return Call.Kill(task_id=v1.TaskID(task_id), agent_id=agent, **fields)


def kill_task(policy: v1.KillPolicy | None = None) -> internal.KillTask:
    return internal.KillTask(framework_id="M-0000", task_id="t", kill_policy=policy)


def test_a_kill_goes_to_the_agent_with_its_policy(running):
    policy = v1.KillPolicy(grace_period=v1.DurationInfo(5))
    assert running.call("stream-1", "KILL", kill(kill_policy=policy)) == [
        m.SendToAgent("channel-1", kill_task(policy))
    ]


def test_a_kill_that_names_the_wrong_agent_is_ignored(running):
    assert running.call("stream-1", "KILL", kill(agent_id="M-S9")) == []
    assert running.framework.decisions[-1].code == "kill_ignored"


def test_a_kill_of_an_ended_task_is_void(running):
    running.update("channel-1", "t", FINISHED, uuid(1))
    assert running.call("stream-1", "KILL", kill()) == []


def test_a_kill_of_an_unknown_task_is_answered_like_reconciliation(running):
    message = "Reconciliation: the task is not known, and the question names no agent"
    expected = status("x", TaskState.TASK_LOST, Reason.REASON_RECONCILIATION, message, agent_id=None)
    assert running.call("stream-1", "KILL", kill("x")) == [sent_update("stream-1", expected)]


# ── messages ──────────────────────────────────────────────────────────────────────────────────────
def test_messages_pass_both_ways(running):
    body = Call.Message(agent_id=v1.AgentID("M-S0"), executor_id=v1.ExecutorID("e"), data=b"hi")
    message = internal.SchedulerMessage(framework_id="M-0000", executor_id="e", data=b"hi")
    assert running.call("stream-1", "MESSAGE", body) == [m.SendToAgent("channel-1", message)]
    answer = internal.ExecutorMessage(framework_id="M-0000", executor_id="e", data=b"ho")
    event = Event.Message(agent_id=v1.AgentID("M-S0"), executor_id=v1.ExecutorID("e"), data=b"ho")
    assert running.say("channel-1", answer) == [sent("stream-1", "MESSAGE", event)]


def test_a_message_to_nobody_is_dropped_and_counted(running):
    body = Call.Message(agent_id=v1.AgentID("M-S9"), executor_id=v1.ExecutorID("e"), data=b"hi")
    assert running.call("stream-1", "MESSAGE", body) == []
    assert running.master.state.counters["invalid_framework_to_executor_messages"] == 1


def test_shutdown_of_an_executor_goes_to_its_agent(running):
    body = Call.Shutdown(executor_id=v1.ExecutorID("e"), agent_id=v1.AgentID("M-S0"))
    message = internal.ShutdownExecutor(framework_id="M-0000", executor_id="e")
    assert running.call("stream-1", "SHUTDOWN", body) == [m.SendToAgent("channel-1", message)]


# ── reconciliation ────────────────────────────────────────────────────────────────────────────────
def reconcile(
    cluster: Cluster, *tasks: tuple[str, str | None], stream: str = "stream-1"
) -> list[v1.TaskStatus]:
    asked = [
        Call.Reconcile.Task(
            task_id=v1.TaskID(task_id), agent_id=None if agent_id is None else v1.AgentID(agent_id)
        )
        for task_id, agent_id in tasks
    ]
    return statuses(cluster.call(stream, "RECONCILE", Call.Reconcile(tasks=asked)))


def test_a_known_task_is_told_in_its_latest_state_without_uuid_and_data(running):
    running.update("channel-1", "t", RUNNING, uuid(1), healthy=True, data=b"d")
    message = "Reconciliation: latest state of the task"
    expected = status("t", RUNNING, Reason.REASON_RECONCILIATION, message, healthy=True)
    assert reconcile(running, ("t", None)) == [expected]


def test_a_state_whose_update_is_still_to_come_is_not_told_before_it(running):
    running.update("channel-1", "t", RUNNING, uuid(1), latest=FINISHED)
    assert [one.state for one in (*reconcile(running), *reconcile(running, ("t", "M-S0")))] == [RUNNING] * 2
    running.acknowledge("stream-1", "t", uuid(1))
    running.update("channel-1", "t", FINISHED, uuid(2))
    assert [one.state for one in reconcile(running)] == [FINISHED]


def test_without_tasks_all_are_told(running):
    running.update("channel-1", "t", FINISHED, uuid(1))
    running.tick()
    running.launch("stream-1", task_info("t2"))
    assert [(one.task_id.value, one.state) for one in reconcile(running)] == [
        ("t", FINISHED),
        ("t2", TaskState.TASK_STAGING),
    ]


def test_without_tasks_nothing_is_told_of_unreachable_ones(cluster):
    stream = cluster.subscribe(framework_info(checkpoint=True, capabilities="PARTITION_AWARE"))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.tick(90)
    cluster.store()
    assert list(cluster.framework.unreachable_tasks) == ["t"]
    assert reconcile(cluster) == []
    (answer,) = reconcile(cluster, ("t", "M-S0"))
    assert answer.state is TaskState.TASK_UNREACHABLE


ROOM = m.SchedulerHasRoom("stream-1")
AWAIT = m.AwaitRoom("stream-1")


def asking_for(count: int) -> Call.Reconcile:
    return Call.Reconcile(tasks=[Call.Reconcile.Task(task_id=v1.TaskID(f"x{n}")) for n in range(count)])


def test_who_asks_for_many_tasks_is_answered_in_pieces(running):
    pieces = [running.call("stream-1", "RECONCILE", asking_for(1200)), running.do(ROOM), running.do(ROOM)]
    assert [len(statuses(piece)) for piece in pieces] == [500, 500, 200]
    assert [piece[-1] == AWAIT for piece in pieces] == [True, True, False]
    told = [one.task_id.value for piece in pieces for one in statuses(piece)]
    assert told == [f"x{n}" for n in range(1200)]
    assert running.do(ROOM) == []


@pytest.fixture
def piecemeal(cluster: Cluster, monkeypatch) -> Cluster:
    """As `running`, with a second task `t2`; questions are answered one by one."""
    cluster.subscribe(framework_info(failover_timeout=60.0))
    cluster.join()
    cluster.tick()
    cluster.launch("stream-1", task_info(), task_info("t2"), refuse_s=1000.0)
    monkeypatch.setattr(reconciliation, "_AT_ONCE", 1)
    return cluster


def test_what_happens_between_pieces_is_taken_into_account(piecemeal):
    (first,) = reconcile(piecemeal)
    assert (first.task_id.value, first.state) == ("t", TaskState.TASK_STAGING)
    piecemeal.update("channel-1", "t2", RUNNING, uuid(1))
    (second,) = statuses(piecemeal.do(ROOM))
    assert (second.task_id.value, second.state) == ("t2", RUNNING)


@pytest.mark.parametrize("named", [(), (("t", None), ("t2", None))])
def test_a_task_that_ends_before_its_turn_is_not_called_gone(piecemeal, named):
    assert len(reconcile(piecemeal, *named)) == 1
    piecemeal.update("channel-1", "t2", FINISHED, uuid(1))
    piecemeal.acknowledge("stream-1", "t2", uuid(1))
    assert piecemeal.do(ROOM) == []


def test_questions_end_with_the_subscription_that_asked(piecemeal):
    reconcile(piecemeal)
    piecemeal.subscribe(framework_info("M-0000", failover_timeout=60.0))
    assert piecemeal.do(ROOM) == piecemeal.do(m.SchedulerHasRoom("stream-2")) == []
    assert [one.task_id.value for one in reconcile(piecemeal, stream="stream-2")] == ["t"]


def test_who_asks_on_and_on_without_reading_is_answered_at_once(piecemeal, monkeypatch):
    monkeypatch.setattr(reconciliation, "_WAITING_MAX", 5)
    counts = [len(statuses(piecemeal.call("stream-1", "RECONCILE", asking_for(4)))) for _ in range(5)]
    assert counts == [1, 0, 2, 4, 4]
    assert len(piecemeal.framework.questions) == 9


@pytest.fixture
def restarted() -> Cluster:
    """A restarted master that knows one agent of each standing; stream-1 is partition aware, stream-2 not."""
    before = Cluster()
    for _ in range(4):
        before.join()
    before.do(m.AgentGoneRequested("M-S2"))
    before.store()
    before.do(m.AgentChannelClosed("channel-2"))
    for _ in range(10):
        before.tick(14)
        before.say("channel-1", internal.Pong())
        before.say("channel-4", internal.Pong())
    before.store()
    assert list(before.master.state.unreachable_agents) == ["M-S1"]
    cluster = Cluster(before.registry)
    cluster.subscribe(framework_info(capabilities="PARTITION_AWARE"))
    cluster.subscribe()
    cluster.join(register("M-S0"))
    return cluster


@pytest.mark.parametrize(
    ("agent_id", "aware", "message"),
    [
        ("M-S0", TaskState.TASK_GONE, "the agent does not have the task"),
        ("M-S1", TaskState.TASK_UNREACHABLE, "the agent is unreachable"),
        ("M-S2", TaskState.TASK_GONE_BY_OPERATOR, "the agent was declared gone"),
        ("M-S9", TaskState.TASK_UNKNOWN, "neither the task nor its agent is known"),
    ],
)
def test_an_unknown_task_is_judged_by_its_agent(restarted, agent_id, aware, message):
    for stream, state in (("stream-1", aware), ("stream-2", TaskState.TASK_LOST)):
        (answer,) = reconcile(restarted, ("x", agent_id), stream=stream)
        assert (answer.state, answer.message) == (state, f"Reconciliation: {message}")
        assert (answer.unreachable_time is not None) == (agent_id == "M-S1")


def test_what_was_lost_with_the_connection_is_not_said_to_be_gone(cluster):
    """Its agent may have it yet, and not know of the broken connection."""
    stream = cluster.subscribe(framework_info(capabilities="PARTITION_AWARE"))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.do(m.AgentChannelClosed("channel-1"))
    (answer,) = reconcile(cluster, ("t", "M-S0"), stream=stream)
    message = "Reconciliation: the agent is disconnected, and may have the task yet"
    assert (answer.state, answer.message) == (TaskState.TASK_LOST, message)
    cluster.register(register("M-S0"))
    (answer,) = reconcile(cluster, ("t", "M-S0"), stream=stream)
    assert answer.state is TaskState.TASK_GONE


def test_nothing_is_said_of_a_task_whose_agent_is_still_awaited(restarted):
    assert reconcile(restarted, ("x", "M-S3"), ("x", None)) == []
    restarted.join(register("M-S3"))
    (answer,) = reconcile(restarted, ("x", None))
    assert answer.state is TaskState.TASK_UNKNOWN
    assert answer.message == "Reconciliation: the task is not known, and the question names no agent"


@pytest.mark.parametrize(
    ("agent_id", "state"),
    [
        ("M-S0", OperationState.OPERATION_UNKNOWN),
        ("M-S1", OperationState.OPERATION_UNREACHABLE),
        ("M-S2", OperationState.OPERATION_GONE_BY_OPERATOR),
        ("M-S3", OperationState.OPERATION_RECOVERING),
    ],
)
def test_operations_are_judged_by_their_agent(restarted, agent_id, state):
    asked = Call.ReconcileOperations.Operation(
        operation_id=v1.OperationID("o"), agent_id=v1.AgentID(agent_id)
    )
    body = Call.ReconcileOperations(operations=[asked])
    (answer,) = restarted.call("stream-1", "RECONCILE_OPERATIONS", body)
    assert answer.event.update_operation_status.status.state is state
