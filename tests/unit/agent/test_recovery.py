"""What an agent that was killed knows when it is started again."""

from __future__ import annotations

import msgspec
import pytest

from koinon.agent.core import events as ev
from koinon.agent.core.records import CorruptCheckpoint
from koinon.agent.core.tables import AgentState
from koinon.mesos import internal, v1
from koinon.mesos.attributes import parse_attributes
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState, TaskStatus
from tests.unit.agent.bench import (
    AGENT_ID,
    TOTAL,
    Bench,
    config,
    executor,
    framework,
    grace,
    of_type,
    only,
    said,
    states_in,
    status,
    task,
    updates_in,
)

RUNS = ev.FoundContainer(42)
RESTARTED = TaskStatus.Reason.REASON_AGENT_RESTARTED


@pytest.fixture
def bench() -> Bench:
    return Bench()


def registration(bench: Bench) -> internal.Register:
    return [one for one in said(bench.effects) if isinstance(one, internal.Register)][-1]


def test_the_agent_keeps_its_id(bench):
    bench.start()
    assert registration(bench).agent_info.id == v1.AgentID(AGENT_ID)


def test_a_running_task_goes_on_and_is_told_to_the_master(bench):
    container_id = bench.running()
    bench.start({container_id: RUNS})
    (reported,) = registration(bench).tasks
    assert (reported.info.task_id.value, reported.state) == ("t", TaskState.TASK_RUNNING)
    assert reported.unacknowledged_state is TaskState.TASK_STARTING
    bench.exited(container_id, 0)
    assert [one.state.value for one in bench.acknowledge_all()] == [
        "TASK_STARTING",
        "TASK_RUNNING",
        "TASK_FINISHED",
    ]


def test_a_task_that_ended_meanwhile_tells_how(bench):
    container_id = bench.running()
    bench.acknowledge_all()
    bench.start({container_id: ev.FoundContainer(42, running=False, status=3 << 8)}, connected=False)
    bench.effects.clear()
    bench.connect()
    (update,) = updates_in(bench.effects)
    assert (update.state, update.message) == (TaskState.TASK_FAILED, "Command exited with status 3")


def test_an_acknowledged_update_is_not_sent_again(bench):
    container_id = bench.running()
    bench.acknowledge(updates_in(bench.effects)[0])
    bench.effects.clear()
    bench.start({container_id: RUNS})
    assert states_in(bench.effects) == ["TASK_RUNNING"]


def test_a_task_whose_container_was_never_started_is_dropped(bench):
    bench.run(of=framework(capabilities=["PARTITION_AWARE"]))
    bench.start()
    (update,) = updates_in(bench.effects)
    assert (update.state, update.reason) == (TaskState.TASK_DROPPED, RESTARTED)


def test_a_task_started_just_before_the_crash_is_announced(bench):
    container_id = only(bench.run(), ev.LaunchContainer).container_id
    bench.start({container_id: RUNS})
    assert [one.state.value for one in bench.acknowledge_all()] == ["TASK_STARTING", "TASK_RUNNING"]


def test_after_a_reboot_what_ran_is_lost(bench):
    container_id = bench.running()
    bench.acknowledge_all()
    bench.start({container_id: RUNS}, boot_id="another")
    update = updates_in(bench.effects)[-1]
    assert (update.state, update.reason) == (TaskState.TASK_LOST, RESTARTED)


def test_after_a_reboot_what_had_ended_before_tells_how(bench):
    container_id = bench.running()
    bench.acknowledge_all()
    bench.start({container_id: ev.FoundContainer(42, running=False, status=0)}, boot_id="another")
    assert states_in(bench.effects)[-1] == "TASK_FINISHED"


def test_after_a_reboot_nothing_of_before_goes_on(bench):
    container_id = bench.running()
    bench.start({container_id: RUNS}, boot_id="another")
    assert ev.DestroyContainer(container_id) in bench.effects


def test_tasks_of_an_executor_that_was_not_started_are_dropped_whatever_became_of_others(bench):
    ours = framework(capabilities=["PARTITION_AWARE"])
    bench.run(task("killed", executor=executor()), ours)
    bench.run(task("waiting", executor=executor()), ours)
    bench.kill("killed")
    bench.effects.clear()
    bench.start()
    ends = {
        update.task_id.value: (update.state.value, update.message) for update in updates_in(bench.effects)
    }
    assert ends == {
        "killed": ("TASK_KILLED", "Killed before it was handed to its executor"),
        "waiting": ("TASK_DROPPED", "The agent restarted before the executor was started"),
    }


def test_after_a_reboot_the_tasks_of_a_custom_executor_are_lost(bench):
    launched = only(bench.run(task(executor=executor())), ev.LaunchContainer)
    bench.started(launched.container_id)
    bench.subscribe()
    bench.say(status("t", TaskState.TASK_RUNNING))
    bench.start({}, boot_id="another")
    assert (bench.acknowledge_all()[-1].state, bench.agent.state.agent_id) == (TaskState.TASK_LOST, AGENT_ID)


def test_a_task_that_ended_unseen_is_lost(bench):
    container_id = bench.running()
    bench.acknowledge_all()
    bench.start({container_id: ev.FoundContainer(42, running=False, message="nobody saw it")})
    update = updates_in(bench.effects)[-1]
    assert (update.state, update.message) == (TaskState.TASK_LOST, "nobody saw it")


def test_tasks_of_frameworks_without_checkpoint_are_killed(bench):
    container_id = bench.running(of=framework(checkpoint=False))
    bench.start({container_id: RUNS})
    assert bench.agent.state.frameworks == {}
    assert ev.DestroyContainer(container_id) in bench.effects
    assert registration(bench).tasks == []
    assert bench.exited(container_id, 9) == [ev.ForgetContainer(container_id)]


def test_what_an_agent_left_that_took_leave_is_forgotten(bench):
    bench.exited(bench.running(), 0)
    del bench.disk["agent"]  # as the last thing that it did
    bench.start(connected=False)
    assert bench.disk == {}
    assert bench.agent.state.frameworks == {}
    bench.connect()
    assert registration(bench).refusals == []


def test_a_kill_goes_on(bench):
    container_id = bench.running()
    bench.acknowledge_all()
    bench.kill(policy=grace(30))
    bench.start({container_id: RUNS})
    assert ev.TerminateContainer(container_id) in bench.effects
    assert ev.DestroyContainer(container_id) in bench.pass_time(30.0)
    bench.exited(container_id, 0)
    assert states_in(bench.effects)[-1] == "TASK_KILLED"


def test_a_kill_waits_no_longer_when_the_clock_was_set_back(bench):
    container_id = bench.running()
    bench.kill(policy=grace(30))
    bench.now -= 3600.0
    bench.start({container_id: RUNS})
    assert ev.DestroyContainer(container_id) in bench.pass_time(30.0)


def test_a_framework_being_shut_down_is_shut_down(bench):
    container_id = bench.running()
    bench.hear(internal.ShutdownFramework(framework_id="F"))
    bench.start({container_id: RUNS}, connected=False)
    bench.connect(completed_frameworks=["F"])
    bench.effects.clear()
    bench.exited(container_id, 15)
    assert updates_in(bench.effects) == []
    assert set(bench.disk) == {"agent"}


def test_cleanup_kills_what_is_found_and_ends(bench):
    container_id = bench.running()
    bench.config = config(cleanup=True)
    bench.start({container_id: RUNS}, connected=False)
    assert of_type(bench.exited(container_id, 15), ev.Exit)
    assert bench.disk == {}


def test_before_recovery_executors_are_told_to_wait():
    bench = Bench()
    bench.agent.state.state = AgentState.RECOVERING
    with pytest.raises(ev.Refused) as refused:
        bench.subscribe()
    assert refused.value.status == 503


def test_a_checkpoint_that_cannot_be_read_stops_the_agent(bench):
    bench.disk["tasks/F/t"] = b"{"
    with pytest.raises(CorruptCheckpoint, match="tasks/F/t"):
        bench.start()


def test_who_the_agent_is_must_be_readable_in_any_case(bench):
    bench.disk["agent"] = b"{"
    bench.config = config(strict=False)
    with pytest.raises(CorruptCheckpoint, match="'agent'"):
        bench.start()


@pytest.mark.parametrize("broken", ["tasks/F/bad", "updates/F/bad/0", "acks/F/bad"])
def test_an_agent_that_is_not_strict_gives_up_the_task_that_it_cannot_read_and_no_other(bench, broken):
    bad, good = bench.running(task("bad")), bench.running(task("good"))
    bench.disk[broken] = b"{"
    bench.config = config(strict=False)
    bench.effects.clear()
    bench.start({bad: RUNS, good: RUNS})
    assert [one.info.task_id.value for one in registration(bench).tasks] == ["good"]
    assert registration(bench).refusals == []
    assert only(bench.effects, ev.DestroyContainer).container_id == bad
    assert not [key for key in bench.disk if "/bad" in key]
    assert bench.agent.state.counters.recovery_errors > 0
    bench.start({good: RUNS})
    assert bench.agent.state.counters.recovery_errors == 0


@pytest.mark.parametrize("broken", ["frameworks/F", "executors/F/e"])
def test_what_hangs_on_an_unreadable_entry_goes_with_it(bench, broken):
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    container_id = only(bench.run_group(task("t"), by=by), ev.LaunchContainer).container_id
    bench.started(container_id)
    bench.disk[broken] = b"{"
    bench.config = config(strict=False)
    bench.effects.clear()
    bench.start({container_id: RUNS})
    assert registration(bench).tasks == []
    assert only(bench.effects, ev.DestroyContainer).container_id == container_id
    assert set(bench.disk) <= {"agent", "frameworks/F"}


@pytest.mark.parametrize("missing", ["frameworks/F", "executors/F/e"])
def test_a_checkpoint_with_a_gap_stops_the_agent(bench, missing):
    bench.run_group(task("t"), by=executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None))
    del bench.disk[missing]
    with pytest.raises(CorruptCheckpoint, match="has no"):
        bench.start()


# ── configured otherwise ──────────────────────────────────────────────────────────────────────────
def changed(policy: str, **info: object) -> Bench:
    bench = Bench()
    given = {"hostname": "host", "port": 5051, "resources": TOTAL.to_v1(), **info}
    bench.config = config(agent_info=v1.AgentInfo(**given), reconfiguration_policy=policy)
    bench.start()
    return bench


MORE = (TOTAL + Resources.parse("cpus:4")).to_v1()
LESS = (TOTAL - Resources.parse("cpus:1")).to_v1()


@pytest.mark.parametrize(
    ("policy", "info", "word"),
    [
        ("equal", {"resources": MORE}, "resources"),
        ("equal", {"attributes": parse_attributes("rack:a")}, "attributes"),
        ("additive", {"resources": LESS}, "resources"),
        ("additive", {"hostname": "other"}, "hostname"),
        ("additive", {"port": 1}, "port"),
    ],
)
def test_a_change_that_is_not_allowed_is_refused_with_advice(policy, info, word):
    with pytest.raises(ev.Incompatible, match=rf"{word}.*start it as it was"):
        changed(policy, **info)


@pytest.mark.parametrize(
    "info", [{"resources": MORE}, {"attributes": parse_attributes("rack:a")}, {"resources": TOTAL.to_v1()}]
)
def test_more_than_before_is_allowed_when_it_is_said(info):
    bench = changed("additive", **info)
    assert registration(bench).agent_info.id == v1.AgentID(AGENT_ID)


@pytest.mark.parametrize(
    "info",
    [
        {"resources": LESS},
        {"resources": Resources.parse("cpus:1;ports:[1-2]").to_v1()},
        {"attributes": parse_attributes("rack:a")},
        {"hostname": "other"},
        {"port": 1},
    ],
)
def test_anything_is_allowed_when_it_is_said_and_nothing_runs(info):
    bench = changed("any", **info)
    assert registration(bench).agent_info.id == v1.AgentID(AGENT_ID)


def restarted_with_a_task(total: str, **changes: object) -> Bench:
    """The task has cpus:0.1;mem:32."""
    bench = Bench()
    container_id = bench.running()
    info = v1.AgentInfo(hostname="host", port=5051, resources=Resources.parse(total).to_v1())
    bench.config = config(agent_info=msgspec.structs.replace(info, **changes), reconfiguration_policy="any")
    bench.effects.clear()
    bench.start({container_id: RUNS})
    return bench


def test_what_runs_keeps_what_it_has_when_anything_is_allowed():
    bench = restarted_with_a_task("cpus:0.1;mem:64")
    assert [one.info.task_id.value for one in registration(bench).tasks] == ["t"]
    with pytest.raises(ev.Incompatible, match=r"what still runs has .*mem:32.* until those have ended"):
        restarted_with_a_task("cpus:4;mem:16")
    with pytest.raises(ev.Incompatible, match="what still runs knows it at port 5051"):
        restarted_with_a_task("cpus:4;mem:64", port=1)


def test_devices_that_a_task_has_must_stay_when_anything_is_allowed():
    total = Resources.parse("gpus:1").to_v1()
    info = v1.AgentInfo(hostname="host", port=5051, resources=total)
    bench = Bench(agent_info=info, gpus=("a",))
    container_id = bench.running(task(resources=Resources.parse("gpus:1").allocated("ops").to_v1()))
    bench.config = config(agent_info=info, gpus=("b",), reconfiguration_policy="any")
    with pytest.raises(ev.Incompatible):
        bench.start({container_id: RUNS})


def test_an_agent_that_is_another_after_a_reboot_is_a_new_one():
    bench = Bench()
    container_id = bench.running()
    bench.config = config(agent_info=v1.AgentInfo(hostname="other", port=5051, resources=LESS))
    bench.effects.clear()
    bench.start({container_id: ev.FoundContainer(42, running=False)}, boot_id="next", connected=False)
    assert bench.agent.state.agent_id == ""
    assert bench.disk == {}
    bench.connect()
    assert registration(bench).tasks == []
    assert only(bench.effects, ev.ForgetContainer).container_id == container_id
    assert set(bench.disk) == {"agent"}, "the id that it has been given now"


def test_the_new_resources_are_those_to_compare_with_next_time():
    bench = changed("additive", resources=MORE)
    bench.config = config()
    with pytest.raises(ev.Incompatible):
        bench.start()


def test_a_new_task_after_a_restart_runs(bench):
    bench.start()
    assert of_type(bench.run(task("new")), ev.LaunchContainer)
