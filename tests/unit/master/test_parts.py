"""Tables, alarms, weights, reasons."""

from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.alarms import Alarms
from koinon.master.core import events as m
from koinon.master.core import registry, tables
from koinon.mesos import v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from tests.unit.master.cluster import Cluster, framework_info, refusal, register, task_info, uuid

TABLES = [
    (tables.TASK_MOVES, TaskState, {TaskState.TASK_UNKNOWN}),
    (tables.AGENT_MOVES, tables.AgentState, set()),
    (tables.FRAMEWORK_MOVES, tables.FrameworkState, set()),
    (tables.OFFER_MOVES, tables.OfferState, set()),
]


# ── tables ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("moves", "states", "never"), TABLES)
def test_every_state_can_be_reached_and_has_its_moves(moves, states, never):
    reached: set[Enum] = set()
    front = set(moves[None])
    while front:
        reached |= front
        front = {end for start in front for end in moves[start]} - reached
    assert reached == set(states) - never == set(moves) - {None}


def test_a_task_that_ended_does_not_move_unless_it_was_lost():
    ended = TERMINAL - {TaskState.TASK_LOST}
    assert all(not tables.TASK_MOVES[state] for state in ended)


def test_an_illegal_move_tells_the_story():
    with pytest.raises(tables.IllegalMove, match="no move from TASK_FINISHED to TASK_RUNNING: 'story'"):
        tables.check_move(tables.TASK_MOVES, TaskState.TASK_FINISHED, TaskState.TASK_RUNNING, "story")


# ── alarms ────────────────────────────────────────────────────────────────────────────────────────
def go(subject: str) -> None:
    raise NotImplementedError


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.integers(0, 9))))
def test_alarms_go_off_once_at_the_time_last_set(steps):
    alarms, expected, now = Alarms(), {}, 0
    for elapsed, subject, ahead in steps:
        now += elapsed
        gone = [subject for _, subject in alarms.go_off(now)]
        due = sorted((at, subject) for subject, at in expected.items() if at <= now)
        assert sorted(gone) == sorted(subject for _, subject in due)
        assert [expected.pop(subject) for subject in gone] == [at for at, _ in due]
        alarms.set(now + ahead, go, subject)
        expected[subject] = now + ahead
        assert alarms.next_s() == min(expected.values())
    assert len(alarms) == len(expected)


def test_a_cancelled_alarm_does_not_go_off():
    alarms = Alarms()
    alarms.set(1, go, "a")
    alarms.cancel(go, "a")
    assert (alarms.next_s(), list(alarms.go_off(9))) == (None, [])


def test_an_alarm_that_is_always_moved_costs_no_memory():
    alarms = Alarms()
    for number in range(10_000):
        alarms.set(number, go, "a")
    assert len(alarms._heap) < 100


# ── weights ───────────────────────────────────────────────────────────────────────────────────────
def weight(role: str | None, value: float) -> v1.WeightInfo:
    return v1.WeightInfo(role=role, weight=value)


def test_weights_hold_when_they_are_stored_and_survive_the_master(cluster):
    (store,) = cluster.do(m.WeightsUpdated([weight("a", 2.0), weight("b", 3.5)]))
    assert [key for key, _ in store.changes] == ["weights/a", "weights/b"]
    assert cluster.master.state.weights == {}
    cluster.store()
    assert Cluster(cluster.registry).master.state.weights == {"a": 2.0, "b": 3.5}


@pytest.mark.parametrize("bad", [weight("a", 0.0), weight("a", -1.0), weight("a/", 1.0), weight(None, 1.0)])
def test_one_bad_weight_refuses_all(cluster, bad):
    assert refusal(cluster, m.WeightsUpdated([weight("good", 2.0), bad]))[0] == 400
    assert cluster.unstored == []


def test_more_weights_than_fit_into_one_write_are_refused(cluster):
    """A registry that cannot take them would end the master, and every one that leads after it."""
    many = [weight(f"role-{number}", 2.0) for number in range(5000)]
    assert refusal(cluster, m.WeightsUpdated(many))[0] == 400
    assert refusal(cluster, m.WeightsUpdated([weight("r" * registry.CHANGE_BYTES_MAX, 2.0)]))[0] == 400
    assert cluster.unstored == []
    cluster.do(m.WeightsUpdated(many[:1000]))
    assert len(cluster.unstored) == 1


def test_weights_steer_who_gets_more(cluster):
    cluster.do(m.WeightsUpdated([weight("heavy", 3.0)]))
    cluster.store()
    for role in ("heavy", "light"):
        cluster.subscribe(framework_info(roles=(role,)))
    for _ in range(8):
        cluster.join()
    cluster.tick()
    roles = [offer.role for offer in cluster.offers]
    assert (roles.count("heavy"), roles.count("light")) == (6, 2)


# ── why ───────────────────────────────────────────────────────────────────────────────────────────
def codes(cluster: Cluster, object_id: str) -> list[str]:
    return [decision.code for decision in cluster.master.why(object_id)]


def test_why_of_something_unknown_is_empty(cluster):
    assert cluster.master.why("x") == []


def test_why_a_framework_waits(cluster):
    stream = cluster.subscribe()
    cluster.tick()
    assert codes(cluster, "M-0000") == ["no_agents"]
    cluster.join(register(text="cpus:1;mem:1000"))
    cluster.tick()
    assert codes(cluster, "M-0000")[0] == "has_offers"
    cluster.decline(stream, "M-O0")
    cluster.tick()
    assert codes(cluster, "M-0000") == ["declined", "refused"]


def test_why_a_framework_waits_for_agents_that_have_not_come_back(cluster):
    cluster.join()
    restarted = Cluster(cluster.registry)
    restarted.subscribe()
    restarted.tick(3.0)
    last = restarted.master.why("M-0000")[-1]
    assert (last.code, last.sentence) == (
        "agents_awaited",
        "This master began to lead 3 s ago; 1 agent has not come back yet.",
    )


def test_why_a_task_is_where_it_is(cluster):
    stream = cluster.subscribe(framework_info(checkpoint=True, failover_timeout=9.0))
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    assert codes(cluster, "t") == ["staging"]
    cluster.update("channel-1", "t", TaskState.TASK_RUNNING, uuid(1))
    assert codes(cluster, "t") == ["task_running", "not_acknowledged"]
    cluster.acknowledge(stream, "t", uuid(1))
    assert codes(cluster, "t") == ["task_running"]
    cluster.do(m.AgentChannelClosed("channel-1"))
    assert codes(cluster, "t") == ["task_running", "agent_disconnected"]


def test_why_a_task_failed_is_what_was_said(cluster):
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info())
    cluster.update("channel-1", "t", TaskState.TASK_FAILED, uuid(1), message="Command exited with status 3")
    cluster.acknowledge(stream, "t", uuid(1))
    (decision,) = cluster.master.why("t")
    assert (decision.code, decision.sentence) == (
        "task_failed",
        "FAILED, said the executor: Command exited with status 3.",
    )


def test_why_a_task_was_never_launched_is_remembered(cluster):
    stream = cluster.subscribe()
    cluster.join()
    cluster.tick()
    cluster.launch(stream, task_info(text="cpus:9"))
    (decision,) = cluster.master.why("t")
    assert decision.code == "task_error"
    assert decision.sentence.startswith("ERROR, said the master (REASON_TASK_INVALID): ")
    assert decision.sentence.endswith("is left of the offer.")
