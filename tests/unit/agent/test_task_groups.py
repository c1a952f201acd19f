"""Task groups under the default executor, which is built in."""

from __future__ import annotations

import msgspec
import pytest

from koinon.agent.core import events as ev
from koinon.mesos import internal, v1
from tests.unit.agent.bench import AGENT_ID, Bench, executor, grace, of_type, said, task


@pytest.fixture
def bench() -> Bench:
    return Bench()


BY = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)


def run_group(bench: Bench, *task_ids: str) -> dict[str, str]:
    """Containers by task, all started."""
    tasks = [task(task_id) for task_id in task_ids]
    launches = of_type(bench.run_group(*tasks, by=BY), ev.LaunchContainer)
    for launched in launches:
        bench.started(launched.container_id)
    return dict(zip(task_ids, (launched.container_id for launched in launches), strict=True))


def final_states(bench: Bench) -> dict[str, str]:
    return {one.task_id.value: one.state.value for one in bench.acknowledge_all()}


def test_each_task_has_a_container_within_that_of_the_executor(bench):
    launches = of_type(bench.run_group(task("t1"), task("t2"), by=BY), ev.LaunchContainer)
    found = bench.agent.state.frameworks["F"].executors["e"]
    directory = f"/srv/agent/slaves/{AGENT_ID}/frameworks/F/executors/e/runs/{found.container_id}"
    assert [(one.sandbox, one.link) for one in launches] == [
        (f"{directory}/containers/{launches[0].container_id}", f"{directory}/tasks/t1"),
        (f"{directory}/containers/{launches[1].container_id}", f"{directory}/tasks/t2"),
    ]
    assert launches[0].environment == {
        "MESOS_ALLOCATION_ROLE": "ops",
        "MESOS_CONTAINER_IP": "10.0.0.1",
        "MESOS_SANDBOX": launches[0].sandbox,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PWD": launches[0].sandbox,
    }


def test_a_status_names_both_containers(bench):
    containers = run_group(bench, "t1")
    (first, *_) = bench.acknowledge_all()
    found = bench.agent.state.frameworks["F"].executors["e"]
    assert first.container_status.container_id == v1.ContainerID(
        value=containers["t1"], parent=v1.ContainerID(value=found.container_id)
    )


def test_a_task_that_finishes_leaves_its_group_alone(bench):
    containers = run_group(bench, "t1", "t2")
    effects = bench.exited(containers["t1"], 0)
    assert not of_type(effects, ev.TerminateContainer)
    bench.exited(containers["t2"], 0)
    assert final_states(bench) == {"t1": "TASK_FINISHED", "t2": "TASK_FINISHED"}


def test_a_task_that_fails_takes_its_group_with_it_and_no_other(bench):
    first, second = run_group(bench, "t1", "t2"), run_group(bench, "t3")
    effects = bench.exited(first["t1"], 1 << 8)
    assert of_type(effects, ev.TerminateContainer) == [ev.TerminateContainer(first["t2"])]
    bench.exited(first["t2"], 15)
    assert final_states(bench) == {"t1": "TASK_FAILED", "t2": "TASK_KILLED", "t3": "TASK_RUNNING"}
    assert list(bench.agent.state.containers) == [second["t3"]]


def test_killing_one_task_kills_its_group_when_that_task_is_gone(bench):
    containers = run_group(bench, "t1", "t2")
    effects = bench.kill("t2")
    assert of_type(effects, ev.TerminateContainer) == [ev.TerminateContainer(containers["t2"])]
    effects = bench.exited(containers["t2"], 0)
    assert of_type(effects, ev.TerminateContainer) == [ev.TerminateContainer(containers["t1"])]
    bench.exited(containers["t1"], 15)
    ends = {one.task_id.value: one for one in bench.acknowledge_all()}
    assert {name: one.state.value for name, one in ends.items()} == {"t1": "TASK_KILLED", "t2": "TASK_KILLED"}
    assert ends["t1"].message == (
        "Command terminated with signal Terminated: its group's task t2 ended with TASK_KILLED"
    )


def test_the_others_of_a_group_keep_their_own_grace_periods(bench):
    tasks = [task("t1"), task("t2", kill_policy=grace(60))]
    containers = {}
    for launched in of_type(bench.run_group(*tasks, by=BY), ev.LaunchContainer):
        containers[launched.link.rpartition("/")[2]] = launched.container_id
        bench.started(launched.container_id)
    bench.kill("t1", policy=grace(0))
    bench.exited(containers["t1"], 9)
    assert not of_type(bench.pass_time(59.0), ev.DestroyContainer)
    assert of_type(bench.pass_time(1.0), ev.DestroyContainer) == [ev.DestroyContainer(containers["t2"])]


def test_a_task_that_is_being_killed_already_keeps_its_grace_period_when_another_of_its_group_ends(bench):
    containers = run_group(bench, "t1", "t2")
    bench.kill("t1", policy=grace(60))
    bench.exited(containers["t2"], 1 << 8)
    assert not of_type(bench.pass_time(59.0), ev.DestroyContainer)
    assert of_type(bench.pass_time(1.0), ev.DestroyContainer) == [ev.DestroyContainer(containers["t1"])]


# ── shutting down ─────────────────────────────────────────────────────────────────────────────────
def shut_down(bench: Bench) -> list[ev.Effect]:
    return bench.hear(internal.ShutdownExecutor(framework_id="F", executor_id="e"))


def test_an_executor_that_is_shut_down_kills_all_its_groups(bench):
    containers = {**run_group(bench, "t1", "t2"), **run_group(bench, "t3")}
    effects = shut_down(bench)
    assert {one.container_id for one in of_type(effects, ev.TerminateContainer)} == set(containers.values())
    for container_id in containers.values():
        effects = bench.exited(container_id, 15)
    assert internal.ExecutorExited(framework_id="F", executor_id="e", status=0) in said(effects)
    assert set(final_states(bench).values()) == {"TASK_KILLED"}


def test_no_task_of_an_executor_takes_longer_to_shut_down_than_the_executor_may(bench):
    by = msgspec.structs.replace(BY, shutdown_grace_period=v1.DurationInfo(1_000_000_000))
    (launched,) = of_type(bench.run_group(task("t1", kill_policy=grace(60)), by=by), ev.LaunchContainer)
    bench.started(launched.container_id)
    shut_down(bench)
    assert bench.pass_time(1.0) == [ev.DestroyContainer(launched.container_id)]


def test_an_executor_that_is_shut_down_takes_no_more_tasks(bench):
    run_group(bench, "t1")
    shut_down(bench)
    effects = bench.run_group(task("t2"), by=BY)
    (dropped,) = [one for one in said(effects) if isinstance(one, internal.Update)]
    assert (dropped.status.state.value, dropped.status.reason.value) == (
        "TASK_LOST",
        "REASON_EXECUTOR_TERMINATED",
    )


def test_an_executor_that_is_shut_down_is_so_after_a_restart_of_the_agent(bench):
    containers = run_group(bench, "t1")
    shut_down(bench)
    bench.start({containers["t1"]: ev.FoundContainer(42)})
    assert not of_type(bench.run_group(task("t2"), by=BY), ev.LaunchContainer)
    assert bench.pass_time(3.0) == [ev.DestroyContainer(containers["t1"])]


def test_the_executor_ends_with_its_last_task(bench):
    containers = run_group(bench, "t1", "t2")
    assert not [
        one for one in said(bench.exited(containers["t1"])) if isinstance(one, internal.ExecutorExited)
    ]
    effects = bench.exited(containers["t2"])
    assert internal.ExecutorExited(framework_id="F", executor_id="e", status=0) in said(effects)
    bench.acknowledge_all()
    assert set(bench.disk) == {"agent", "frameworks/F"}


def test_a_group_with_a_task_that_cannot_run_does_not_run(bench):
    tasks = [task("t1"), task("t2", command=v1.CommandInfo()), task("t3")]
    launches = of_type(bench.run_group(*tasks, by=BY), ev.LaunchContainer)
    for launched in launches:
        for effect in of_type(bench.started(launched.container_id), ev.DestroyContainer):
            bench.exited(effect.container_id, 9)
    assert final_states(bench) == {"t1": "TASK_KILLED", "t2": "TASK_FAILED", "t3": "TASK_KILLED"}
    assert not bench.agent.state.containers


def test_a_task_of_a_group_that_cannot_be_launched_is_reported_as_by_its_executor(bench):
    launches = of_type(bench.run_group(task("t1"), task("t2"), by=BY), ev.LaunchContainer)
    bench.tell(ev.ContainerNotStarted(launches[0].container_id, "no process can be made"))
    (status,) = bench.acknowledge_all()
    assert (status.task_id.value, status.source.value) == ("t1", "SOURCE_EXECUTOR")
    assert status.reason is v1.TaskStatus.Reason.REASON_CONTAINER_LAUNCH_FAILED
    assert status.message == "no process can be made"


def test_a_group_whose_sandboxes_cannot_be_made_was_never_started(bench):
    launches = of_type(bench.run_group(task("t1"), task("t2"), task("t3"), by=BY), ev.LaunchContainer)
    for launched in launches[:2]:
        bench.tell(ev.ContainerNotStarted(launched.container_id, "no such user", prepared=False))
    assert ev.DestroyContainer(launches[2].container_id) in bench.started(launches[2].container_id)
    bench.exited(launches[2].container_id, 9)
    assert final_states(bench) == {"t1": "TASK_LOST", "t2": "TASK_LOST", "t3": "TASK_KILLED"}


def test_what_the_container_of_an_executor_cannot_be_is_refused_whatever_its_tasks_say(bench):
    network = v1.NetworkInfo(name="overlay")
    around = v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS, network_infos=[network])
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None, container=around)
    own = v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS)
    assert not of_type(bench.run_group(task(container=own), by=by), ev.LaunchContainer)
    assert "network" in bench.acknowledge_all()[0].message


def test_groups_go_on_after_a_restart_of_the_agent(bench):
    containers = run_group(bench, "t1", "t2")
    bench.start({container_id: ev.FoundContainer(42) for container_id in containers.values()})
    bench.exited(containers["t1"], 1 << 8)
    bench.exited(containers["t2"], 15)
    assert final_states(bench) == {"t1": "TASK_FAILED", "t2": "TASK_KILLED"}


def test_a_group_that_was_half_launched_when_the_agent_was_killed_does_not_go_on(bench):
    launches = of_type(bench.run_group(task("t1"), task("t2"), by=BY), ev.LaunchContainer)
    bench.started(launches[0].container_id)
    bench.start({launches[0].container_id: ev.FoundContainer(42)})
    assert ev.TerminateContainer(launches[0].container_id) in bench.effects
    bench.exited(launches[0].container_id, 15)
    assert final_states(bench) == {"t1": "TASK_KILLED", "t2": "TASK_LOST"}
