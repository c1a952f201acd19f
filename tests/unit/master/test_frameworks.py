"""Frameworks: subscription, failover, disconnection, change, removal."""

import pytest

from koinon.master.core import events as m
from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import AttributeConstraint, Call, Event, OfferConstraints
from tests.unit.master.cluster import (
    MASTER_INFO,
    Cluster,
    Reason,
    framework_info,
    refusal,
    register,
    resources,
    sent,
    sent_error,
    statuses,
    task_info,
    uuid,
)


def subscribed(stream: str, framework_id: str = "M-0000") -> list[m.Effect]:
    body = Event.Subscribed(
        framework_id=v1.FrameworkID(framework_id), heartbeat_interval_seconds=15.0, master_info=MASTER_INFO
    )
    return [sent(stream, "SUBSCRIBED", body), sent(stream, "HEARTBEAT")]


# ── subscription ──────────────────────────────────────────────────────────────────────────────────
def test_a_new_framework_gets_an_id_and_a_heartbeat_at_once(cluster):
    assert cluster.subscribing() == subscribed("stream-1")
    assert cluster.facts == [m.FrameworkAdded(cluster.framework)]


def test_ids_count_from_zero_with_four_digits(cluster):
    cluster.subscribe()
    assert cluster.subscribing() == subscribed("stream-2", "M-0001")


def test_heartbeats_come_every_fifteen_seconds_to_all(cluster):
    cluster.subscribe()
    cluster.subscribe()
    beats = [sent("stream-1", "HEARTBEAT"), sent("stream-2", "HEARTBEAT")]
    assert cluster.tick(14.9) == []
    assert cluster.tick(0.1) == beats
    assert cluster.tick(15) == beats


def test_before_the_registry_is_read_every_call_is_refused():
    cluster = Cluster(loaded=False)
    call = Call(type=Call.Type.SUBSCRIBE, subscribe=Call.Subscribe(framework_info=framework_info()))
    assert refusal(cluster, m.SchedulerSubscribed("s", call)) == (
        503,
        "The master has not read the registry yet.",
    )


def test_an_id_unknown_to_this_master_is_kept(cluster):
    assert cluster.subscribing(framework_info("old-0007")) == subscribed("stream-1", "old-0007")


def test_ids_in_call_and_info_must_agree(cluster):
    call = Call(
        type=Call.Type.SUBSCRIBE,
        framework_id=v1.FrameworkID("x"),
        subscribe=Call.Subscribe(framework_info=framework_info()),
    )
    assert refusal(cluster, m.SchedulerSubscribed("s", call))[0] == 400


def test_an_empty_id_is_none(cluster):
    info = framework_info("")
    call = Call(type=Call.Type.SUBSCRIBE, subscribe=Call.Subscribe(framework_info=info))
    cluster.do(m.SchedulerSubscribed("s", call))
    assert cluster.framework.id == "M-0000"


def test_every_subscription_counts_as_a_call(cluster):
    cluster.subscribe(framework_info("f"))
    cluster.subscribe(framework_info("f"))
    assert (cluster.framework.counters["calls"], cluster.framework.counters["calls/subscribe"]) == (2, 2)


def test_who_authenticates_is_the_principal(cluster):
    call = Call(type=Call.Type.SUBSCRIBE, subscribe=Call.Subscribe(framework_info=framework_info()))
    cluster.do(m.SchedulerSubscribed("s", call, principal="p"))
    assert cluster.framework.info.principal == "p"


def test_another_principal_than_the_one_that_authenticated_is_refused(cluster):
    info = framework_info(principal="q")
    call = Call(type=Call.Type.SUBSCRIBE, subscribe=Call.Subscribe(framework_info=info))
    assert refusal(cluster, m.SchedulerSubscribed("s", call, principal="p")) == (
        400,
        "The framework's principal is 'q', but 'p' authenticated.",
    )


def constraints(role: str = "*", **predicate: object) -> OfferConstraints:
    one = AttributeConstraint(
        selector=AttributeConstraint.Selector(attribute_name="rack"),
        predicate=AttributeConstraint.Predicate(**predicate),
    )
    group = OfferConstraints.RoleConstraints.Group(attribute_constraints=[one])
    return OfferConstraints(role_constraints={role: OfferConstraints.RoleConstraints(groups=[group])})


@pytest.mark.parametrize(
    ("info", "body", "part"),
    [
        (framework_info("a/b"), {}, "slash"),
        (framework_info(roles=("a", "a")), {}, "twice"),
        (framework_info(roles=("a", "-b")), {}, "starts with '-'"),
        (framework_info(capabilities="MULTI_ROLE", role="a"), {}, "'roles', not in 'role'"),
        (v1.FrameworkInfo(user="u", name="n", roles=["a"]), {}, "must have the capability MULTI_ROLE"),
        (framework_info(failover_timeout=-1.0), {}, "failover_timeout"),
        (framework_info(failover_timeout=1e12), {}, "failover_timeout"),
        (framework_info(), {"suppressed_roles": ["a"]}, "suppressed role 'a'"),
        (framework_info(offer_filters={"b": v1.OfferFilters()}), {}, "offer filters 'b'"),
        (framework_info(), {"offer_constraints": constraints()}, "no predicate"),
        (
            framework_info(),
            {"offer_constraints": constraints("b", exists=AttributeConstraint.Predicate.Exists())},
            "role 'b'",
        ),
    ],
)
def test_an_invalid_framework_hears_an_error_and_its_stream_ends(cluster, info, body, part):
    error, close = cluster.subscribing(info, **body)
    assert part in error.event.error.message
    assert close == m.CloseStream("stream-1")
    assert cluster.frameworks == []


def test_root_may_be_kept_out():
    cluster = Cluster(root_submissions=False)
    info = v1.FrameworkInfo(user="root", name="n")
    message = "User 'root' may not run frameworks here (--no-root_submissions)."
    assert cluster.subscribing(info) == sent_error("stream-1", message)


# ── failover ──────────────────────────────────────────────────────────────────────────────────────
def test_a_second_subscription_replaces_the_first(cluster):
    cluster.subscribe()
    assert cluster.subscribing(framework_info("M-0000")) == [
        *sent_error("stream-1", "Framework failed over"),
        *subscribed("stream-2"),
    ]
    assert cluster.do(m.SchedulerStreamClosed("stream-1")) == []
    assert cluster.framework.connected


def test_offers_of_the_old_subscription_are_offered_again_without_rescind(cluster):
    cluster.subscribe()
    cluster.join()
    cluster.tick()
    effects = cluster.subscribing(framework_info("M-0000"))
    assert not [e for e in effects if isinstance(e, m.SendEvent) and e.event.rescind]
    (offers,) = cluster.tick()
    assert (offers.stream_id, [offer.id.value for offer in offers.event.offers.offers]) == (
        "stream-2",
        ["M-O1"],
    )


def test_user_and_checkpoint_stay_what_they_were(cluster):
    cluster.subscribe()
    info = framework_info("M-0000", checkpoint=True, hostname="new")
    info.user = "other"
    cluster.subscribe(info)
    assert (cluster.framework.info.user, cluster.framework.info.checkpoint) == ("u", False)
    assert cluster.framework.info.hostname == "new"


def test_the_principal_cannot_change(cluster):
    cluster.subscribe(framework_info(principal="p"))
    message = "The framework's principal cannot change."
    assert cluster.subscribing(framework_info("M-0000", principal="q")) == sent_error("stream-2", message)
    assert cluster.framework.stream_id == "stream-1"


def test_agents_that_work_for_it_hear_of_its_return(cluster):
    stream = cluster.subscribe(framework_info(failover_timeout=60.0))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.do(m.SchedulerStreamClosed(stream))
    effects = cluster.subscribing(framework_info("M-0000", failover_timeout=60.0))
    message = internal.UpdateFramework(framework=cluster.framework.info)
    assert effects == [*subscribed("stream-2"), m.SendToAgent("channel-1", message)]


# ── disconnection ─────────────────────────────────────────────────────────────────────────────────
def test_without_failover_timeout_a_broken_stream_removes_the_framework(cluster):
    cluster.subscribe()
    cluster.do(m.SchedulerStreamClosed("stream-1"))
    assert cluster.frameworks == []
    assert cluster.facts[-1] == m.FrameworkRemoved(cluster.master.state.completed_frameworks["M-0000"])


def test_calls_are_refused_until_it_subscribes_again(cluster):
    stream = cluster.subscribe(framework_info(failover_timeout=60.0))
    cluster.do(m.SchedulerStreamClosed(stream))
    call = Call(type=Call.Type.REVIVE, framework_id=v1.FrameworkID("M-0000"))
    assert refusal(cluster, m.SchedulerCalled(stream, call)) == (403, "Framework M-0000 is not subscribed.")


def test_its_offers_go_to_others(cluster):
    cluster.subscribe(framework_info(failover_timeout=60.0))
    cluster.join()
    cluster.tick()
    cluster.subscribe()
    assert cluster.tick() == []
    cluster.do(m.SchedulerStreamClosed("stream-1"))
    (offers,) = cluster.tick()
    assert offers.stream_id == "stream-2"


def test_back_in_time_it_keeps_its_tasks(cluster):
    stream = cluster.subscribe(framework_info(failover_timeout=60.0))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.do(m.SchedulerStreamClosed(stream))
    cluster.tick(59)
    cluster.subscribe(framework_info("M-0000", failover_timeout=60.0))
    cluster.tick(60)
    assert list(cluster.framework.tasks) == ["t"]


def test_after_the_failover_timeout_it_is_removed_and_its_tasks_with_it(cluster):
    stream = cluster.subscribe(framework_info(failover_timeout=50.0))
    channel = cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.do(m.SchedulerStreamClosed(stream))
    assert cluster.tick(49.9) == [m.SendToAgent(channel, internal.Ping())] * 3
    assert cluster.tick(0.1) == [
        m.SendToAgent(channel, internal.ShutdownFramework(framework_id="M-0000")),
    ]
    (task,) = cluster.master.state.completed_frameworks["M-0000"].completed_tasks
    assert (task.state, task.statuses[-1].reason) == (TaskState.TASK_KILLED, Reason.REASON_FRAMEWORK_REMOVED)
    assert cluster.agent.used == {}


def test_a_removed_framework_cannot_come_back(cluster):
    cluster.subscribe()
    cluster.do(m.SchedulerStreamClosed("stream-1"))
    effects = cluster.subscribing(framework_info("M-0000"))
    assert effects == sent_error("stream-2", "Framework has been removed")


# ── change ────────────────────────────────────────────────────────────────────────────────────────
def test_an_update_rescinds_offers_of_roles_that_are_given_up(cluster):
    stream = cluster.subscribe(framework_info(roles=("a", "b")))
    cluster.join()
    cluster.tick()
    (offer,) = cluster.offers
    rest = {"a": "b", "b": "a"}[offer.role]
    body = Call.UpdateFramework(framework_info=framework_info("M-0000", roles=(rest,)))
    effects = cluster.call(stream, "UPDATE_FRAMEWORK", body)
    assert effects == [sent(stream, "RESCIND", Event.Rescind(v1.OfferID(offer.id)))]
    cluster.tick()
    assert [offer.role for offer in cluster.offers] == [rest]


@pytest.mark.parametrize("change", [{"checkpoint": True}, {"principal": "q"}])
def test_an_update_must_not_change_what_is_fixed(cluster, change):
    cluster.subscribe(framework_info(principal="p"))
    info = framework_info("M-0000", **{"principal": "p", **change})
    call = Call(
        type=Call.Type.UPDATE_FRAMEWORK,
        framework_id=v1.FrameworkID("M-0000"),
        update_framework=Call.UpdateFramework(framework_info=info),
    )
    field = next(iter(change))
    assert refusal(cluster, m.SchedulerCalled("stream-1", call)) == (
        400,
        f"The framework's '{field}' cannot change.",
    )


def test_an_invalid_update_changes_nothing(cluster):
    stream = cluster.subscribe(framework_info(roles=("a",)))
    body = Call.UpdateFramework(framework_info=framework_info("M-0000", roles=("b",)), suppressed_roles=["a"])
    with pytest.raises(m.Refused, match="suppressed role 'a'"):
        cluster.call(stream, "UPDATE_FRAMEWORK", body)
    assert cluster.framework.roles == ("a",)


# ── removal ───────────────────────────────────────────────────────────────────────────────────────
def test_teardown_shuts_down_closes_and_tells_no_task(cluster):
    stream = cluster.subscribe()
    channel = cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    assert cluster.call(stream, "TEARDOWN") == [
        m.SendToAgent(channel, internal.ShutdownFramework(framework_id="M-0000")),
        m.CloseStream(stream),
    ]
    assert cluster.frameworks == []


def test_an_operator_can_tear_down(cluster):
    stream = cluster.subscribe()
    assert cluster.do(m.TeardownRequested("M-0000")) == [m.CloseStream(stream)]
    assert refusal(cluster, m.TeardownRequested("M-0000"))[0] == 400


def test_what_it_held_is_offered_to_others(cluster):
    stream = cluster.subscribe()
    cluster.join(register(text="cpus:1;mem:100"))
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.subscribe()
    assert cluster.tick() == []
    cluster.call(stream, "TEARDOWN")
    (offers,) = cluster.tick()
    assert offers.event.offers.offers[0].resources == resources_pre("cpus:1;mem:100")


def resources_pre(text: str) -> list[v1.Resource]:
    parts = resources(text)
    for part in parts:
        part.role = "*"
    return parts


def test_a_late_update_for_a_removed_framework_shuts_it_down_again(cluster):
    stream = cluster.subscribe()
    channel = cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.call(stream, "TEARDOWN")
    effects = cluster.update(channel, "t", TaskState.TASK_RUNNING, uuid(1))
    assert effects == [m.SendToAgent(channel, internal.ShutdownFramework(framework_id="M-0000"))]


def test_history_is_bounded():
    cluster = Cluster(max_completed_frameworks=2, max_completed_tasks_per_framework=1)
    channel = cluster.join()
    for _ in range(3):
        stream = cluster.subscribe()
        framework_id = cluster.framework.id
        cluster.tick()
        cluster.launch(stream, task_info("t1"), task_info("t2"))
        for number, task_id in enumerate(("t1", "t2")):
            cluster.update(channel, task_id, TaskState.TASK_FINISHED, uuid(number), framework_id=framework_id)
            cluster.acknowledge(stream, task_id, uuid(number))
        cluster.call(stream, "TEARDOWN")
    completed = cluster.master.state.completed_frameworks
    assert list(completed) == ["M-0001", "M-0002"]
    assert [[task.task_id for task in one.completed_tasks] for one in completed.values()] == [["t2"], ["t2"]]


def test_a_flooded_stream_that_is_cut_off_leaves_a_reason(cluster):
    stream = cluster.subscribe(framework_info(failover_timeout=9.0))
    cluster.do(m.SchedulerStreamClosed(stream, "it does not read"))
    assert cluster.master.why("M-0000")[0].sentence == (
        "disconnected: it does not read; removed unless it is back within 9 s"
    )
    assert statuses(cluster.tick()) == []
