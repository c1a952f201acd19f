"""A batch places its instances on offers, spread out, and ends as its instances end."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.cli.batch import Batch, Spec, exit_status_of, is_echo
from koinon.mesos.v1 import (
    URL,
    Address,
    AgentID,
    FrameworkID,
    Offer,
    OfferID,
    Resource,
    TaskID,
    TaskState,
    TaskStatus,
    Value,
)


def scalar(name: str, amount: float, **fields: Any) -> Resource:
    allocation = Resource.AllocationInfo(role="*")
    return Resource(
        name=name, type=Value.Type.SCALAR, scalar=Value.Scalar(amount), allocation_info=allocation, **fields
    )


def offer(name: str, *resources: Resource, cpus: float = 4, mem: float = 1024) -> Offer:
    return Offer(
        id=OfferID(f"offer-{name}"),
        framework_id=FrameworkID("f"),
        agent_id=AgentID(name),
        hostname=f"host-{name}",
        url=URL(scheme="http", address=Address(ip="10.0.0.1", port=5051)),
        resources=list(resources) or [scalar("cpus", cpus), scalar("mem", mem)],
    )


def batch(instances: int = 1, **resources: float) -> Batch:
    wanted = resources or {"cpus": 1, "mem": 32}
    return Batch(
        Spec(name="job", command="true", instances=instances, resources=wanted, env={"A": "1"}), "x1"
    )


def status(index: int, state: str, message: str | None = None) -> TaskStatus:
    return TaskStatus(
        task_id=TaskID(f"job-x1.{index}"), state=TaskState(f"TASK_{state}"), message=message, timestamp=7
    )


def counts(placed: list[tuple[Offer, list[Any]]]) -> dict[str, int]:
    return {one.agent_id.value: len(tasks) for one, tasks in placed}


def test_instances_spread_over_offers_evenly() -> None:
    assert counts(batch(6).place([offer("a"), offer("b"), offer("c")])) == {"a": 2, "b": 2, "c": 2}


def test_what_one_offer_cannot_hold_goes_to_the_others() -> None:
    work = batch(6)
    assert counts(work.place([offer("a", cpus=1.5), offer("b", cpus=3), offer("c", cpus=0.5)])) == {
        "a": 1,
        "b": 3,
        "c": 0,
    }
    assert work.waiting == 2


def test_a_task_carries_command_environment_and_resources() -> None:
    ((_, (task,)),) = batch().place([offer("a")])
    assert task.command is not None
    assert task.command.environment is not None
    assert {one.name: one.value for one in task.command.environment.variables} == {
        "A": "1",
        "KOINON_INDEX": "0",
        "KOINON_COUNT": "1",
        "KOINON_TASK_ID": "job-x1.0",
    }
    assert (task.task_id.value, task.agent_id.value, task.command.value) == ("job-x1.0", "a", "true")
    assert task.resources == [scalar("cpus", 1), scalar("mem", 32)]


def test_reserved_resources_are_used_before_unreserved_ones() -> None:
    reserved = scalar(
        "cpus",
        0.4,
        reservations=[Resource.ReservationInfo(type=Resource.ReservationInfo.Type.STATIC, role="*")],
    )
    ((_, (task,)),) = batch(cpus=1.0).place([offer("a", scalar("cpus", 4), reserved)])
    assert [(one.scalar.value, bool(one.reservations)) for one in task.resources if one.scalar] == [
        (0.4, True),
        (0.6, False),
    ]


def test_revocable_shared_and_special_disk_resources_are_left_alone() -> None:
    special = [
        scalar("cpus", 4, revocable=Resource.RevocableInfo()),
        scalar("cpus", 4, shared=Resource.SharedInfo()),
        scalar("cpus", 4, disk=Resource.DiskInfo()),
    ]
    assert counts(batch(cpus=1.0).place([offer("a", *special)])) == {"a": 0}


@given(
    amounts=st.lists(st.integers(min_value=0, max_value=5000), min_size=1, max_size=5),
    each=st.integers(min_value=1, max_value=1500),
)
def test_no_offer_is_ever_overdrawn(amounts: list[int], each: int) -> None:
    offers = [offer(str(at), scalar("cpus", amount / 1000)) for at, amount in enumerate(amounts)]
    placed = batch(50, cpus=each / 1000).place(offers)
    for (_, tasks), amount in zip(placed, amounts, strict=True):
        used = sum(round(one.scalar.value * 1000) for task in tasks for one in task.resources if one.scalar)
        assert used == each * len(tasks) <= amount
    assert sum(len(tasks) for _, tasks in placed) == min(50, sum(amount // each for amount in amounts))


def test_a_batch_is_done_when_every_instance_has_ended() -> None:
    work = batch(2)
    work.place([offer("a")])
    work.update(status(0, "RUNNING"))
    work.update(status(0, "FINISHED"))
    assert not work.done
    work.update(status(1, "FINISHED"))
    assert (work.done, work.exit_status, work.counts()) == (True, 0, {"FINISHED": 2})


def test_exit_status_is_that_of_the_first_instance_that_failed() -> None:
    work = batch(3)
    work.place([offer("a")])
    work.update(status(2, "FAILED", "Command exited with status 5"))
    work.update(status(1, "FAILED", "Command exited with status 4"))
    work.update(status(0, "FINISHED"))
    assert work.exit_status == 4


def test_repeated_and_late_updates_change_nothing() -> None:
    work = batch(1)
    work.place([offer("a")])
    work.update(status(0, "FAILED", "Command exited with status 3"))
    work.update(status(0, "FAILED", "Command exited with status 3"))
    work.update(status(0, "RUNNING"))
    assert (work.done, work.exit_status, work.instances[0].state) == (True, 3, "FAILED")


def test_giving_up_ends_what_waits_and_leaves_what_runs() -> None:
    work = batch(3)
    work.place([offer("a", cpus=1)])
    work.give_up_waiting()
    assert (work.waiting, len(work.alive), work.done) == (0, 1, False)
    work.update(status(0, "KILLED", "Command terminated with signal Terminated"))
    assert (work.done, work.exit_status) == (True, 143)


@pytest.mark.parametrize(
    ("state", "message", "expected"),
    [
        ("FINISHED", "Command exited with status 0", 0),
        ("FAILED", "Command exited with status 3", 3),
        ("FAILED", "Command terminated with signal Killed", 137),
        ("FAILED", "Command terminated with signal SIGSEGV", 139),
        ("FAILED", "Command terminated with signal Killed: it ran longer than its max_completion_time", 137),
        ("FAILED", "Command terminated with signal Real-time signal 99", 1),
        ("LOST", None, 1),
        ("DROPPED", "No such user 'nobody-here'", 1),
        ("KILLED", "Command exited with status 0", 1),
    ],
)
def test_exit_status_is_read_from_the_last_update(state: str, message: str | None, expected: int) -> None:
    assert exit_status_of(status(0, state, message)) == expected


def test_summary_tells_what_became_of_each_instance() -> None:
    work = batch(1)
    work.place([offer("a")])
    work.update(status(0, "RUNNING"))
    work.update(status(0, "FAILED", "Command exited with status 3"))
    assert work.summary("f") == {
        "name": "job",
        "framework_id": "f",
        "exit_status": 3,
        "counts": {"FAILED": 1},
        "instances": [
            {
                "index": 0,
                "task_id": "job-x1.0",
                "state": "FAILED",
                "exit_status": 3,
                "message": "Command exited with status 3",
                "agent_id": "a",
                "hostname": "host-a",
                "started": 7,
                "ended": 7,
            }
        ],
    }


# ── masters that fail ─────────────────────────────────────────────────────────────────────────────
def reconciled(one: TaskStatus) -> TaskStatus:
    one.reason, one.source = TaskStatus.Reason.REASON_RECONCILIATION, TaskStatus.Source.SOURCE_MASTER
    return one


@pytest.mark.parametrize("never", [status(0, "DROPPED"), reconciled(status(0, "GONE"))])
def test_an_instance_that_never_arrived_is_placed_again_under_another_id(never: TaskStatus) -> None:
    one = batch()
    one.place([offer("a")])
    instance = one.update(never)
    assert instance is not None
    assert (instance.placed, one.waiting, one.done) == (False, 1, False)
    ((_, (task,)),) = one.place([offer("b")])
    assert task.task_id.value == "job-x1.0-2"
    again = status(0, "FINISHED")
    again.task_id = task.task_id
    one.update(again)
    assert (one.done, one.exit_status) == (True, 0)


def test_should_the_first_one_turn_up_all_the_same_it_can_be_told_apart() -> None:
    one = batch()
    one.place([offer("a")])
    one.update(status(0, "DROPPED"))
    assert one.update(status(0, "RUNNING")) is None
    assert one.is_stray(status(0, "RUNNING"))
    assert not one.is_stray(status(0, "KILLED"))
    assert not one.is_stray(status(1, "RUNNING"))


def test_an_instance_that_was_heard_of_is_not_placed_again() -> None:
    one = batch()
    one.place([offer("a")])
    one.update(status(0, "STARTING"))
    one.update(reconciled(status(0, "GONE")))
    assert (one.done, one.exit_status) == (True, 1)


def test_an_instance_that_arrives_nowhere_is_given_up_in_the_end() -> None:
    one = batch()
    placings = 0
    while one.waiting:
        ((_, (task,)),) = one.place([offer("a")])
        placings += 1
        lost = status(0, "DROPPED")
        lost.task_id = task.task_id
        one.update(lost)
    assert (placings, one.done, one.instances[0].state) == (5, True, "DROPPED")


def test_a_master_that_only_knows_that_a_task_ended_is_not_the_last_word() -> None:
    assert is_echo(reconciled(status(0, "FAILED")))
    for last_word in (status(0, "FAILED"), reconciled(status(0, "RUNNING")), reconciled(status(0, "GONE"))):
        assert not is_echo(last_word)
