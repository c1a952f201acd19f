"""ACCEPT: operations on offers."""

import pytest

from koinon.master.core import events as m
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call, Event
from tests.unit.master.cluster import (
    Cluster,
    Operation,
    Reason,
    executor_info,
    framework_info,
    launch,
    launch_group,
    refusal,
    register,
    resources,
    sent,
    sent_update,
    status,
    statuses,
    task_info,
)


@pytest.fixture
def offered(cluster: Cluster) -> Cluster:
    """A framework on stream-1 with one offer of one agent on channel-1."""
    cluster.subscribe()
    cluster.join()
    cluster.tick()
    return cluster


# ── LAUNCH ────────────────────────────────────────────────────────────────────────────────────────
def test_a_task_is_staged_and_sent_to_its_agent(offered):
    effects = offered.launch("stream-1", task_info())
    task = task_info()
    task.resources = resources("cpus:1;mem:100", role="*")
    framework = offered.framework
    assert effects == [m.SendToAgent("channel-1", internal.RunTask(framework=framework.info, task=task))]
    assert framework.tasks["t"].state is TaskState.TASK_STAGING
    assert offered.facts[-1] == m.TaskAdded(framework.tasks["t"])


def test_what_is_left_of_the_offer_is_refused_for_five_seconds(offered):
    offered.launch("stream-1", task_info())
    assert offered.tick(4.9) == []
    (offers,) = offered.tick(2)
    left = Resources.from_v1(offers.event.offers.offers[0].resources)
    assert left == Resources.parse("cpus:3;mem:900;ports:[1-9]")


def test_without_a_refusal_the_rest_is_offered_at_once(offered):
    offered.launch("stream-1", task_info(), refuse_s=0.0)
    (offers,) = offered.do(m.ClockTicked())
    assert offers.event.offers.offers[0].id.value == "M-O1"


def test_several_offers_of_an_agent_can_be_accepted_together(cluster):
    stream = cluster.subscribe()
    cluster.join(register(text="cpus:2;mem:200"))
    cluster.tick()
    cluster.launch(stream, task_info(text="cpus:1;mem:100"), refuse_s=0.0)
    cluster.tick()
    cluster.update("channel-1", "t", TaskState.TASK_FINISHED)
    cluster.tick()
    assert len(cluster.offers) == 2
    (run,) = cluster.launch(stream, task_info("big", text="cpus:2;mem:200"))
    assert run.message.task.task_id.value == "big"


def test_launches_and_declines_are_counted_by_message(offered):
    offered.launch("stream-1", task_info("t1"), task_info("t2"), refuse_s=0.0)
    offered.tick()
    offered.launch("stream-1")
    counters = offered.master.state.counters
    assert (counters["messages_launch_tasks"], counters["messages_decline_offers"]) == (1, 1)


def test_an_empty_launch_declines(offered):
    offered.accept("stream-1", launch(), refuse_s=100.0)
    assert offered.framework.counters["offers/declined"] == 1
    assert offered.tick(99) != []  # heartbeats and pings
    assert offered.offers == []


def test_a_bad_task_fails_alone(offered):
    effects = offered.launch("stream-1", task_info("bad", text="cpus:5;mem:1"), task_info("good"))
    message = (
        "Task 'bad' is not valid: the task asks for cpus:5;mem:1, but only "
        "cpus:4;mem:1000;ports:[1-9] is left of the offer"
    )
    error, run = effects
    expected = status("bad", TaskState.TASK_ERROR, Reason.REASON_TASK_INVALID, message)
    assert error == sent_update("stream-1", expected)
    assert run.message.task.task_id.value == "good"
    assert list(offered.framework.tasks) == ["good"]


def test_ranges_cannot_be_used_twice(offered):
    first = task_info("t1", text="cpus:1;mem:1;ports:[1-5]")
    second = task_info("t2", text="cpus:1;mem:1;ports:[5-9]")
    (error,) = statuses(offered.launch("stream-1", first, second))
    assert (error.task_id.value, error.state) == ("t2", TaskState.TASK_ERROR)


def test_the_id_of_a_living_task_cannot_be_reused(offered):
    (error,) = statuses(offered.launch("stream-1", task_info(), task_info()))
    assert error.message == "Task 't' is not valid: a task with id 't' exists already"


def test_the_id_of_a_completed_task_can_be_reused(offered):
    offered.launch("stream-1", task_info())
    offered.update("channel-1", "t", TaskState.TASK_FINISHED)
    offered.tick(10)
    assert statuses(offered.launch("stream-1", task_info())) == []
    assert list(offered.framework.tasks) == ["t"]


def test_the_task_must_name_the_agent_of_the_offer(offered):
    (error,) = statuses(offered.launch("stream-1", task_info(agent_id="M-S7")))
    assert "it names agent M-S7, but the offer is of agent M-S0" in error.message


def test_limits_need_an_agent_that_can(cluster):
    stream = cluster.subscribe()
    cluster.join(register(capabilities=["MULTI_ROLE", "HIERARCHICAL_ROLE"]))
    cluster.tick()
    task = task_info(limits={"cpus": v1.Value.Scalar(2.0)})
    (error,) = statuses(cluster.launch(stream, task))
    assert error.message == "Task 't' is not valid: agent M-S0 cannot limit the resources of tasks"


# ── custom executors ──────────────────────────────────────────────────────────────────────────────
def test_a_new_executor_is_paid_for_once(offered):
    offered.launch(
        "stream-1", task_info("t1", executor=executor_info()), task_info("t2", executor=executor_info())
    )
    assert offered.agent.used["M-0000"] == Resources.parse("cpus:2.1;mem:232").allocated("*")
    assert offered.framework.tasks["t1"].executor_id == "e"


def test_an_executor_keeps_its_resources_until_it_exits(offered):
    offered.launch("stream-1", task_info(executor=executor_info()))
    offered.update("channel-1", "t", TaskState.TASK_FINISHED)
    assert offered.agent.used["M-0000"] == Resources.parse("cpus:0.1;mem:32").allocated("*")
    exited = internal.ExecutorExited(framework_id="M-0000", executor_id="e", status=256)
    body = Event.Failure(agent_id=v1.AgentID("M-S0"), executor_id=v1.ExecutorID("e"), status=256)
    assert offered.say("channel-1", exited) == [sent("stream-1", "FAILURE", body)]
    assert offered.agent.used == {}
    assert offered.say("channel-1", exited) == []


def test_an_executor_may_come_without_resources(offered):
    offered.launch("stream-1", task_info(executor=executor_info(text="")))
    offered.update("channel-1", "t", TaskState.TASK_FINISHED)
    assert offered.agent.used == {}
    exited = internal.ExecutorExited(framework_id="M-0000", executor_id="e", status=0)
    offered.say("channel-1", exited)
    assert offered.agent.executors == {}


def test_another_executor_under_the_same_id_is_refused(offered):
    other = executor_info(name="other")
    (error,) = statuses(
        offered.launch("stream-1", task_info("t1", executor=executor_info()), task_info("t2", executor=other))
    )
    assert error.task_id.value == "t2"
    assert "another executor with id 'e' runs on agent M-S0 already" in error.message


def test_task_and_executor_must_fit_together(offered):
    task = task_info(text="cpus:4;mem:100", executor=executor_info())
    (error,) = statuses(offered.launch("stream-1", task))
    assert "executor 'e' asks for cpus" in error.message
    assert offered.agent.executors == {}


# ── LAUNCH_GROUP ──────────────────────────────────────────────────────────────────────────────────
DEFAULT = v1.ExecutorInfo.Type.DEFAULT


def default_executor() -> v1.ExecutorInfo:
    return executor_info("x", "cpus:0.1;mem:32;disk:10", type=DEFAULT)


@pytest.fixture
def roomy(cluster: Cluster) -> Cluster:
    cluster.subscribe()
    cluster.join(register(text="cpus:4;mem:1000;disk:100"))
    cluster.tick()
    return cluster


def test_a_group_is_sent_whole_with_its_executor(roomy):
    group = launch_group(default_executor(), task_info("t1"), task_info("t2"))
    (run,) = roomy.accept("stream-1", group)
    assert isinstance(run.message, internal.RunTaskGroup)
    assert [task.task_id.value for task in run.message.task_group.tasks] == ["t1", "t2"]
    assert run.message.executor.framework_id == v1.FrameworkID("M-0000")
    assert [task.executor_id for task in roomy.framework.tasks.values()] == ["x", "x"]


def test_the_agent_hears_whether_an_executor_is_counted_anew(roomy):
    (first,) = roomy.accept("stream-1", launch_group(default_executor(), task_info("t1")))
    roomy.tick(10.0)
    (second,) = roomy.accept("stream-1", launch_group(default_executor(), task_info("t2")))
    assert (first.message.new_executor, second.message.new_executor) == (True, False)


def test_one_bad_task_fails_the_whole_group(roomy):
    group = launch_group(default_executor(), task_info("t1"), task_info("t2", text="cpus:9"))
    errors = statuses(roomy.accept("stream-1", group))
    assert [(one.task_id.value, one.state, one.reason) for one in errors] == [
        ("t1", TaskState.TASK_ERROR, Reason.REASON_TASK_GROUP_INVALID),
        ("t2", TaskState.TASK_ERROR, Reason.REASON_TASK_GROUP_INVALID),
    ]
    assert roomy.framework.tasks == {}
    assert roomy.agent.used == {}


@pytest.mark.parametrize(
    ("executor", "tasks", "part"),
    [
        (default_executor(), [], "it has no tasks"),
        (default_executor(), [task_info("t"), task_info("t")], "two tasks with id 't'"),
        (executor_info("x", "cpus:0.1;mem:32;disk:1", type=None), [task_info()], "DEFAULT or CUSTOM"),
        (executor_info("x", "cpus:0.1;mem:31;disk:1", type=DEFAULT), [task_info()], "at least 32 mem"),
        (executor_info("x", "cpus:0.1;mem:32", type=DEFAULT), [task_info()], "some disk"),
        (
            executor_info("x", "cpus:1;mem:32;disk:1", type=DEFAULT, command=v1.CommandInfo(value="x")),
            [task_info()],
            "must not have a command",
        ),
        (default_executor(), [task_info(executor=executor_info())], "another executor than the group"),
    ],
)
def test_rules_of_groups(roomy, executor, tasks, part):
    effects = roomy.accept("stream-1", launch_group(executor, *tasks))
    assert all(part in one.message for one in statuses(effects))
    assert len(statuses(effects)) == len(tasks)
    assert part in roomy.framework.decisions[-1].sentence
    assert roomy.framework.tasks == {}


# ── offers that cannot be accepted ────────────────────────────────────────────────────────────────
def accept(*offer_ids: str, operations: list[v1.Offer.Operation] | None = None) -> Call.Accept:
    return Call.Accept(
        offer_ids=[v1.OfferID(offer_id) for offer_id in offer_ids],
        operations=[launch(task_info())] if operations is None else operations,
    )


@pytest.mark.parametrize(
    ("capabilities", "state"), [("", TaskState.TASK_LOST), ("PARTITION_AWARE", TaskState.TASK_DROPPED)]
)
def test_with_an_offer_that_is_not_valid_every_task_is_lost(cluster, capabilities, state):
    stream = cluster.subscribe(framework_info(capabilities=capabilities))
    cluster.join()
    cluster.tick()
    message = "Task not launched: offer gone is no longer valid"
    assert cluster.call(stream, "ACCEPT", accept("M-O0", "gone")) == [
        sent_update(stream, status("t", state, Reason.REASON_INVALID_OFFERS, message))
    ]
    # The good one is void, too, and what it held is offered again.
    (offers,) = cluster.tick()
    assert offers.event.offers.offers[0].id.value == "M-O1"


@pytest.mark.parametrize(
    ("offer_ids", "part"),
    [([], "no offer was named"), (["M-O0", "M-O0"], "named twice"), (["M-O0", "M-O1"], "different agents")],
)
def test_offers_must_be_named_once_and_be_of_one_agent(cluster, offer_ids, part):
    stream = cluster.subscribe()
    for _ in range(2):
        cluster.join()
    cluster.tick()
    (lost,) = statuses(cluster.call(stream, "ACCEPT", accept(*offer_ids)))
    assert part in lost.message


def test_offers_must_be_for_one_role(cluster):
    stream = cluster.subscribe(framework_info(roles=("a", "b")))
    cluster.join(register(text="cpus(a):1;mem(a):100;cpus(b):1;mem(b):100"))
    cluster.tick()
    assert len(cluster.offers) == 2
    (lost,) = statuses(cluster.call(stream, "ACCEPT", accept("M-O0", "M-O1")))
    assert "different roles" in lost.message


def test_the_offer_of_another_framework_stays_untouched(offered):
    other = offered.subscribe()
    (lost,) = statuses(offered.call(other, "ACCEPT", accept("M-O0")))
    assert lost.state is TaskState.TASK_LOST
    assert [offer.id for offer in offered.offers] == ["M-O0"]


# ── other operations ──────────────────────────────────────────────────────────────────────────────
def reserve(operation_id: str | None) -> v1.Offer.Operation:
    return Operation(
        type=Operation.Type.RESERVE,
        id=None if operation_id is None else v1.OperationID(operation_id),
        reserve=Operation.Reserve(resources=resources("cpus(r):1")),
    )


def operation_error(stream: str, message: str, agent_id: str | None = "M-S0") -> m.SendEvent:
    body = v1.OperationStatus(
        operation_id=v1.OperationID("op"),
        state=v1.OperationState.OPERATION_ERROR,
        message=message,
        agent_id=None if agent_id is None else v1.AgentID(agent_id),
    )
    return sent(stream, "UPDATE_OPERATION_STATUS", Event.UpdateOperationStatus(body))


def test_an_operation_with_an_id_that_is_not_supported_yet_hears_so(offered):
    message = "Operation dropped: operations of type RESERVE are not supported yet"
    assert offered.accept("stream-1", reserve("op")) == [operation_error("stream-1", message)]
    offered.tick(10)
    assert offered.offers[0].resources == Resources.parse("cpus:4;mem:1000;ports:[1-9]").allocated("*")


def test_without_an_id_it_is_dropped_and_leaves_a_reason(offered):
    assert offered.accept("stream-1", reserve(None)) == []
    assert offered.framework.decisions[-1].code == "operation_dropped"


def test_operations_after_a_dropped_one_go_on(offered):
    (run,) = offered.accept("stream-1", reserve(None), launch(task_info()))
    assert run.message.task.task_id.value == "t"


def test_operations_on_invalid_offers_fail(offered):
    message = "Operation dropped: offer gone is no longer valid"
    assert offered.call("stream-1", "ACCEPT", accept("gone", operations=[reserve("op")])) == [
        operation_error("stream-1", message, agent_id=None)
    ]


# ── the form of calls ─────────────────────────────────────────────────────────────────────────────
FRAMEWORK = v1.FrameworkID("M-0000")


@pytest.mark.parametrize(
    ("call", "status", "message"),
    [
        (Call(framework_id=FRAMEWORK), 400, "The call has no known 'type'."),
        (
            Call(type=Call.Type.UNKNOWN, framework_id=FRAMEWORK),
            501,
            "Calls of type UNKNOWN are not implemented.",
        ),
        (Call(type=Call.Type.REVIVE), 400, "A call of type REVIVE must have 'framework_id'."),
        (
            Call(type=Call.Type.ACCEPT, framework_id=FRAMEWORK),
            400,
            "A call of type ACCEPT must have 'accept'.",
        ),
        (
            Call(type=Call.Type.REVIVE, framework_id=v1.FrameworkID("x")),
            400,
            "Framework x is not known: subscribe first.",
        ),
        (
            Call(
                type=Call.Type.ACKNOWLEDGE,
                framework_id=FRAMEWORK,
                acknowledge=Call.Acknowledge(agent_id=v1.AgentID("a"), task_id=v1.TaskID("t"), uuid=b"short"),
            ),
            400,
            "'uuid' must be 16 bytes long, not 5.",
        ),
        (
            Call(
                type=Call.Type.ACKNOWLEDGE_OPERATION_STATUS,
                framework_id=FRAMEWORK,
                acknowledge_operation_status=Call.AcknowledgeOperationStatus(
                    uuid=bytes(16), operation_id=v1.OperationID("o")
                ),
            ),
            400,
            "A call of type ACKNOWLEDGE_OPERATION_STATUS must have 'agent_id'.",
        ),
    ],
)
def test_malformed_calls_are_refused(cluster, call, status, message):
    stream = cluster.subscribe()
    assert refusal(cluster, m.SchedulerCalled(stream, call)) == (status, message)
    assert cluster.framework.counters["calls"] == 1  # the subscription


def test_a_call_must_carry_the_id_of_the_subscription(cluster):
    cluster.subscribe()
    call = Call(type=Call.Type.REVIVE, framework_id=FRAMEWORK)
    assert refusal(cluster, m.SchedulerCalled(None, call)) == (
        400,
        "Every call but SUBSCRIBE must carry the header 'Mesos-Stream-Id'.",
    )
    assert refusal(cluster, m.SchedulerCalled("x", call)) == (
        400,
        "'x' is not the Mesos-Stream-Id of the framework's subscription.",
    )


def test_calls_that_change_nothing_are_accepted(cluster):
    stream = cluster.subscribe()
    assert cluster.call(stream, "REQUEST", Call.Request()) == []
    assert cluster.call(stream, "DECLINE_INVERSE_OFFERS", Call.DeclineInverseOffers()) == []
