"""Command tasks, from their arrival to their acknowledgement."""

from __future__ import annotations

import pytest

from koinon.agent.core import events as ev
from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskState, TaskStatus
from tests.unit.agent.bench import (
    AGENT_ID,
    Bench,
    framework,
    grace,
    of_type,
    only,
    said,
    states_in,
    task,
    updates_in,
)

Reason = TaskStatus.Reason


@pytest.fixture
def bench() -> Bench:
    return Bench()


def statuses(bench: Bench) -> list[tuple[str, str | None, str | None]]:
    """State, reason and message of everything reported, all acknowledged on the way."""
    return [
        (one.state.value, one.reason.value if one.reason else None, one.message)
        for one in bench.acknowledge_all()
    ]


def test_a_task_is_on_disk_before_its_container_is_launched(bench):
    effects = bench.run()
    kinds = [type(effect) for effect in effects]
    assert kinds == [ev.Checkpoint, ev.Checkpoint, ev.LaunchContainer]
    assert [list(effect.changes) for effect in of_type(effects, ev.Checkpoint)] == [
        ["frameworks/F"],
        ["tasks/F/t"],
    ]


def test_a_task_without_checkpoint_leaves_nothing_on_disk(bench):
    before = dict(bench.disk)
    bench.running(of=framework(checkpoint=False))
    assert bench.disk == before


def test_a_task_that_ends_with_0_is_finished(bench):
    container_id = bench.running()
    bench.exited(container_id, 0)
    assert statuses(bench) == [
        ("TASK_STARTING", None, None),
        ("TASK_RUNNING", None, None),
        ("TASK_FINISHED", None, "Command exited with status 0"),
    ]


def test_a_status_says_where_the_task_runs(bench):
    container_id = bench.running()
    (first,) = updates_in(bench.effects)
    assert first == TaskStatus(
        task_id=v1.TaskID("t"),
        state=TaskState.TASK_STARTING,
        source=TaskStatus.Source.SOURCE_EXECUTOR,
        agent_id=v1.AgentID(AGENT_ID),
        executor_id=v1.ExecutorID("t"),
        timestamp=1000.0,
        uuid=first.uuid,
        container_status=v1.ContainerStatus(
            container_id=v1.ContainerID(value=container_id),
            network_infos=[v1.NetworkInfo(ip_addresses=[v1.NetworkInfo.IPAddress(ip_address="10.0.0.1")])],
            executor_pid=42,
        ),
    )
    assert first.uuid is not None
    assert len(first.uuid) == 16


@pytest.mark.parametrize(
    ("wait_status", "message"),
    [(3 << 8, "Command exited with status 3"), (9, "Command terminated with signal Killed")],
)
def test_a_task_that_ends_otherwise_has_failed(bench, wait_status, message):
    bench.exited(bench.running(), wait_status)
    assert statuses(bench)[-1] == ("TASK_FAILED", None, message)


def test_an_update_is_on_disk_before_it_is_sent_and_its_container_forgotten_after(bench):
    bench.running()
    for update in updates_in(bench.effects):
        bench.acknowledge(update)
    bench.acknowledge(updates_in(bench.effects)[-1])
    (container_id,) = bench.agent.state.containers
    effects = bench.exited(container_id, 0)
    assert [type(effect) for effect in effects] == [
        ev.Checkpoint,
        ev.SendToMaster,
        ev.CollectSandbox,
        ev.ForgetContainer,
        ev.ContainerGone,
    ]


def test_nothing_is_left_of_an_acknowledged_task_but_history(bench):
    bench.exited(bench.running(), 0)
    bench.acknowledge_all()
    assert set(bench.disk) == {"agent", "frameworks/F"}
    found = bench.agent.state.frameworks["F"]
    assert not found.executors
    assert not found.tasks
    assert not bench.agent.state.containers
    assert [one.task_id for executor in found.completed for one in executor.completed] == ["t"]


def test_a_task_whose_sandbox_cannot_be_made_is_lost(bench):
    container_id = only(bench.run(), ev.LaunchContainer).container_id
    bench.tell(ev.ContainerNotStarted(container_id, "no such user", prepared=False))
    assert statuses(bench) == [("TASK_LOST", "REASON_EXECUTOR_TERMINATED", "no such user")]


def test_a_task_whose_sandbox_cannot_be_made_is_dropped_for_partition_aware_frameworks(bench):
    of = framework(capabilities=["PARTITION_AWARE"])
    container_id = only(bench.run(of=of), ev.LaunchContainer).container_id
    bench.tell(ev.ContainerNotStarted(container_id, "disk full", prepared=False))
    assert statuses(bench) == [("TASK_DROPPED", "REASON_EXECUTOR_TERMINATED", "disk full")]


def test_a_task_whose_program_cannot_be_started_has_failed(bench):
    container_id = only(bench.run(), ev.LaunchContainer).container_id
    bench.tell(ev.ContainerNotStarted(container_id, "no such program"))
    assert statuses(bench) == [("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED", "no such program")]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"command": v1.CommandInfo(value="x", uris=[v1.CommandInfo.URI(value="hdfs://h/f")])}, "hdfs"),
        ({"command": v1.CommandInfo()}, "command.value"),
        ({"container": v1.ContainerInfo(type=v1.ContainerInfo.Type.DOCKER)}, "Docker"),
        (
            {
                "container": v1.ContainerInfo(
                    type=v1.ContainerInfo.Type.MESOS,
                    mesos=v1.ContainerInfo.MesosInfo(image=v1.Image(type=v1.Image.Type.DOCKER)),
                )
            },
            "image",
        ),
    ],
)
def test_what_cannot_be_done_fails_with_a_sentence(bench, more, word):
    effects = bench.run(task(**more))
    assert not of_type(effects, ev.LaunchContainer)
    ((state, reason, message),) = statuses(bench)
    assert (state, reason) == ("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED")
    assert word in message
    assert "frameworks/F" in bench.disk
    assert "tasks/F/t" not in bench.disk


def test_a_task_of_an_id_that_is_here_already_is_not_run_again(bench):
    bench.running()
    assert [type(effect) for effect in bench.run()] == [ev.Note]


# ── killing ───────────────────────────────────────────────────────────────────────────────────────
def test_a_kill_is_a_sigterm_and_a_sigkill_after_three_seconds(bench):
    container_id = bench.running()
    effects = bench.kill()
    assert of_type(effects, ev.TerminateContainer) == [ev.TerminateContainer(container_id)]
    assert bench.pass_time(2.9) == []
    assert bench.pass_time(0.2) == [ev.DestroyContainer(container_id)]
    bench.exited(container_id, 9)
    assert statuses(bench)[-1] == ("TASK_KILLED", None, "Command terminated with signal Killed")


def test_a_killed_task_is_killed_even_if_it_ends_with_0(bench):
    container_id = bench.running()
    bench.kill()
    bench.exited(container_id, 0)
    assert statuses(bench)[-1][0] == "TASK_KILLED"
    assert bench.pass_time(10.0) == []


def test_the_grace_period_of_the_kill_goes_before_that_of_the_task(bench):
    container_id = bench.running(task(kill_policy=grace(60)))
    bench.kill(policy=grace(1))
    assert bench.pass_time(1.0) == [ev.DestroyContainer(container_id)]


def test_a_second_kill_may_shorten_the_grace_period(bench):
    container_id = bench.running(task(kill_policy=grace(60)))
    bench.kill()
    bench.pass_time(1.0)
    assert only(bench.kill(policy=grace(0)), ev.DestroyContainer).container_id == container_id


def test_a_second_kill_does_not_lengthen_the_grace_period(bench):
    container_id = bench.running()
    bench.kill(policy=grace(1))
    assert bench.kill(policy=grace(60)) == []
    assert bench.pass_time(1.0) == [ev.DestroyContainer(container_id)]


def test_a_second_kill_counts_its_grace_period_from_the_first(bench):
    container_id = bench.running(task(kill_policy=grace(60)))
    bench.kill()
    bench.pass_time(3.0)
    assert bench.kill(policy=grace(5)) == [only(bench.effects[-1:], ev.Checkpoint)]
    assert bench.pass_time(1.9) == []
    assert bench.pass_time(0.2) == [ev.DestroyContainer(container_id)]


def test_a_second_kill_that_comes_too_late_for_its_own_grace_period_kills_at_once(bench):
    container_id = bench.running(task(kill_policy=grace(60)))
    bench.kill()
    bench.pass_time(10.0)
    assert only(bench.kill(policy=grace(5)), ev.DestroyContainer).container_id == container_id


def test_a_framework_that_wants_to_know_hears_of_the_killing(bench):
    container_id = bench.running(of=framework(capabilities=["TASK_KILLING_STATE"]))
    bench.kill()
    bench.exited(container_id, 15)
    assert [one[0] for one in statuses(bench)] == [
        "TASK_STARTING",
        "TASK_RUNNING",
        "TASK_KILLING",
        "TASK_KILLED",
    ]


def test_a_task_killed_while_it_is_launched_never_runs(bench):
    container_id = only(bench.run(), ev.LaunchContainer).container_id
    assert not of_type(bench.kill(), ev.TerminateContainer)
    assert bench.started(container_id) == [ev.DestroyContainer(container_id)]
    bench.exited(container_id, 9)
    assert statuses(bench) == [
        ("TASK_KILLED", "REASON_TASK_KILLED_DURING_LAUNCH", "Killed before it started")
    ]


def test_a_kill_of_an_unknown_task_is_answered(bench):
    bench.running()
    assert states_in(bench.kill("other")) == ["TASK_LOST"]


def test_a_task_that_runs_too_long_has_failed(bench):
    container_id = bench.running(task(max_completion_time=v1.DurationInfo(5_000_000_000)))
    assert of_type(bench.pass_time(5.0), ev.DestroyContainer) == [ev.DestroyContainer(container_id)]
    bench.exited(container_id, 9)
    assert statuses(bench)[-1] == (
        "TASK_FAILED",
        "REASON_MAX_COMPLETION_TIME_REACHED",
        "Command terminated with signal Killed: it ran longer than its max_completion_time",
    )


def test_a_task_that_runs_too_long_is_not_announced_as_being_killed(bench):
    limit = v1.DurationInfo(5_000_000_000)
    container_id = bench.running(
        task(max_completion_time=limit), of=framework(capabilities=["TASK_KILLING_STATE"])
    )
    bench.pass_time(5.0)
    bench.exited(container_id, 9)
    assert [one[0] for one in statuses(bench)] == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]


def test_a_task_being_killed_when_its_time_is_up_is_killed(bench):
    container_id = bench.running(task(max_completion_time=v1.DurationInfo(5_000_000_000)))
    bench.kill(policy=grace(60))
    assert not of_type(bench.pass_time(9.0), ev.DestroyContainer)
    bench.exited(container_id, 15)
    assert statuses(bench)[-1][:2] == ("TASK_KILLED", None)


def test_a_max_completion_time_of_nothing_is_none(bench):
    bench.running(task(max_completion_time=v1.DurationInfo(0)))
    assert not of_type(bench.pass_time(1000.0), ev.DestroyContainer)


# ── frameworks and the agent going ────────────────────────────────────────────────────────────────
def test_a_framework_that_is_shut_down_ends_in_silence(bench):
    container_id = bench.running()
    before = len(updates_in(bench.effects))
    effects = bench.hear(internal.ShutdownFramework(framework_id="F"))
    assert of_type(effects, ev.TerminateContainer) == [ev.TerminateContainer(container_id)]
    bench.exited(container_id, 15)
    assert len(updates_in(bench.effects)) == before
    assert set(bench.disk) == {"agent"}
    assert bench.pass_time(1000.0) == []


def test_what_another_master_shut_down_ends_in_public(bench):
    container_id = bench.running()
    bench.hear(internal.ShutdownFramework(framework_id="F"))
    bench.disconnect()
    bench.connect()  # a master that does not know that the framework was removed
    bench.exited(container_id, 15)
    assert bench.acknowledge_all()[-1].state is TaskState.TASK_KILLED


def test_a_framework_that_another_master_shut_down_may_launch_again(bench):
    bench.exited(bench.running(), 0)
    bench.hear(internal.ShutdownFramework(framework_id="F"))
    bench.disconnect()
    bench.connect()
    container_id = bench.running(task("t2"))
    bench.start({container_id: ev.FoundContainer(pid=42)})  # what is on disk is whole
    assert bench.agent.state.frameworks["F"].tasks["t2"].state is TaskState.TASK_RUNNING


def test_a_completed_framework_is_shut_down_at_registration(bench):
    container_id = bench.running()
    bench.disconnect()
    bench.tell(ev.MasterConnected(7))
    effects = bench.hear(
        internal.Registered(
            agent_id=AGENT_ID, master_id="M2", silence_timeout_s=75.0, completed_frameworks=["F", "other"]
        )
    )
    assert of_type(effects, ev.TerminateContainer) == [ev.TerminateContainer(container_id)]


def test_an_agent_that_leaves_kills_first_then_unregisters_then_ends(bench):
    container_id = bench.running()
    assert not of_type(bench.tell(ev.ShutdownRequested("enough")), ev.Exit)
    effects = bench.exited(container_id, 15)
    assert [type(effect) for effect in effects if not isinstance(effect, ev.Forget)] == [
        ev.CollectSandbox,
        ev.ForgetContainer,
        ev.ContainerGone,
        ev.Checkpoint,
        ev.SendToMaster,
        ev.Exit,
    ]
    assert said(effects) == [internal.Unregister()]
    assert bench.disk == {}


def test_an_agent_that_leaves_tells_nothing_of_tasks_that_it_has_not(bench):
    bench.running(task("one"))
    bench.exited(bench.running(task("two")))
    bench.tell(ev.ShutdownRequested("enough"))  # of "two" nothing is known any more
    assert bench.kill("two") == []


def test_a_refused_agent_ends_and_leaves_its_tasks(bench):
    bench.running()
    assert bench.hear(internal.Refused(message="no")) == [ev.Exit(1, "The master refuses this agent: no")]


def test_only_the_last_idle_frameworks_are_remembered():
    bench = Bench(idle_frameworks_max=2)
    for name in ("F1", "F2", "F3"):
        launched = only(bench.run(of=framework(name)), ev.LaunchContainer)
        bench.tell(ev.ContainerNotStarted(launched.container_id, "x"))
        bench.hear(
            internal.Acknowledge(framework_id=name, task_id="t", uuid=updates_in(bench.effects)[-1].uuid)
        )
    assert list(bench.agent.state.frameworks) == ["F2", "F3"]
    assert set(bench.disk) == {"agent", "frameworks/F2", "frameworks/F3"}


def test_no_more_history_is_kept_than_was_asked_for():
    bench = Bench(completed_executors_max=0)
    bench.exited(bench.running(), 0)
    bench.acknowledge_all()
    assert bench.agent.state.frameworks["F"].completed == []


def test_a_framework_that_the_master_does_not_know_is_not_reported_for_ever(bench):
    bench.running()
    bench.kill("unknown")
    bench.hear(internal.ShutdownFramework(framework_id="F"))
    assert bench.pass_time(1000.0) == [ev.DestroyContainer(next(iter(bench.agent.state.containers)))]
    assert bench.pass_time(1000.0) == []


# ── what programs get ─────────────────────────────────────────────────────────────────────────────
def test_the_environment_of_a_command_task_is_complete(bench):
    variables = [
        v1.Environment.Variable(name="A", value="1"),
        v1.Environment.Variable(name="PATH", value="/p"),
    ]
    command = v1.CommandInfo(value="x", environment=v1.Environment(variables=variables))
    launched = only(bench.run(task(command=command)), ev.LaunchContainer)
    sandbox = f"/srv/agent/slaves/{AGENT_ID}/frameworks/F/executors/t/runs/{launched.container_id}"
    assert launched.sandbox == sandbox
    assert launched.link == f"/srv/agent/slaves/{AGENT_ID}/frameworks/F/executors/t/runs/latest"
    assert launched.argv == ("/bin/sh", "-c", "x")
    assert launched.environment == {
        "A": "1",
        "PATH": "/p",
        "PWD": sandbox,
        "MESOS_FRAMEWORK_ID": "F",
        "MESOS_EXECUTOR_ID": "t",
        "MESOS_SLAVE_ID": AGENT_ID,
        "MESOS_SLAVE_PID": "slave(1)@10.0.0.1:5051",
        "MESOS_AGENT_ENDPOINT": "10.0.0.1:5051",
        "MESOS_DIRECTORY": sandbox,
        "MESOS_SANDBOX": sandbox,
        "MESOS_CHECKPOINT": "1",
        "MESOS_RECOVERY_TIMEOUT": "15mins",
        "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
        "MESOS_HTTP_COMMAND_EXECUTOR": "0",
        "MESOS_ALLOCATION_ROLE": "ops",
        "LIBPROCESS_PORT": "0",
        "LIBPROCESS_IP": "10.0.0.1",
    }


def test_a_task_runs_as_the_user_it_names(bench):
    command = v1.CommandInfo(value="x", user="nobody")
    assert only(bench.run(task(command=command)), ev.LaunchContainer).user == "nobody"


def test_without_switch_user_all_run_as_the_agent():
    bench = Bench(switch_user=False)
    command = v1.CommandInfo(value="x", user="nobody")
    assert only(bench.run(task(command=command)), ev.LaunchContainer).user is None


def test_a_program_without_shell_gets_its_arguments(bench):
    command = v1.CommandInfo(shell=False, value="/bin/echo", arguments=["echo", "a b"])
    launched = only(bench.run(task(command=command)), ev.LaunchContainer)
    assert (launched.program, launched.argv) == ("/bin/echo", ("echo", "a b"))


@pytest.mark.parametrize(
    ("command", "program", "argv"),
    [
        (v1.CommandInfo(shell=False, value="ls"), "ls", ("ls",)),
        (v1.CommandInfo(shell=False, arguments=["ls", "-l"]), "ls", ("ls", "-l")),
        (v1.CommandInfo(value="ls -l"), "/bin/sh", ("/bin/sh", "-c", "ls -l")),
    ],
)
def test_program_and_arguments_as_far_as_they_are_given(bench, command, program, argv):
    launched = only(bench.run(task(command=command)), ev.LaunchContainer)
    assert (launched.program, launched.argv) == (program, argv)


@pytest.mark.parametrize(("grace_s", "text"), [(None, "5secs"), (10, "12secs"), (0.5, "2500ms")])
def test_a_task_is_told_how_long_its_shutdown_may_take(bench, grace_s, text):
    info = task(kill_policy=None if grace_s is None else grace(grace_s))
    launched = only(bench.run(info), ev.LaunchContainer)
    assert launched.environment["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"] == text
