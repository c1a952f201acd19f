"""Command tasks, from their arrival to their acknowledgement."""

from __future__ import annotations

import pytest

from koinon.agent.core import events as ev
from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskState, TaskStatus
from tests.unit.agent.bench import (
    AGENT_ID,
    Bench,
    executor,
    framework,
    grace,
    of_type,
    only,
    said,
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
    [
        (3 << 8, "Command exited with status 3"),
        (9, "Command terminated with signal Killed"),
        (11 | 128, "Command terminated with signal Segmentation fault (core dumped)"),
    ],
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


def test_a_task_that_cannot_be_started_has_failed(bench):
    container_id = only(bench.run(), ev.LaunchContainer).container_id
    bench.tell(ev.ContainerNotStarted(container_id, "no process can be made"))
    assert statuses(bench) == [("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED", "no process can be made")]


def test_a_task_whose_program_is_missing_has_failed_as_if_it_had_run(bench):
    container_id = only(bench.run(), ev.LaunchContainer).container_id
    bench.tell(ev.ContainerNotStarted(container_id, "no such program", program=True))
    assert statuses(bench) == [("TASK_FAILED", None, "Command exited with status 1: no such program")]
    assert updates_in(bench.effects)[-1].source is TaskStatus.Source.SOURCE_EXECUTOR


def test_a_container_may_say_that_it_shares_the_limits_around_it(bench):
    shares = v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS, linux_info=v1.LinuxInfo(share_cgroups=True))
    assert of_type(bench.run(task(container=shares)), ev.LaunchContainer)


RLimit = v1.RLimitInfo.RLimit


def limited(kind: RLimit.Type | None, soft: int | None, hard: int | None) -> v1.ContainerInfo:
    limits = v1.RLimitInfo(rlimits=[RLimit(type=kind, soft=soft, hard=hard)])
    return v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS, rlimit_info=limits)


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
        ({"container": limited(None, 1, 2)}, "no type"),
        ({"container": limited(RLimit.Type.UNKNOWN, 1, 2)}, "not known"),
        ({"container": limited(RLimit.Type.RLMT_NOFILE, 1, None)}, "RLMT_NOFILE needs both"),
        ({"container": limited(RLimit.Type.RLMT_NOFILE, None, 2)}, "RLMT_NOFILE needs both"),
        ({"container": limited(RLimit.Type.RLMT_NOFILE, 3, 2)}, "RLMT_NOFILE is above"),
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


def test_a_task_that_says_nothing_of_its_container_has_the_default_one():
    bench = Bench(default_container=limited(RLimit.Type.RLMT_CORE, None, None))
    effect = only(bench.run(), ev.LaunchContainer)
    assert effect.rlimits == (("RLMT_CORE", None, None),)
    own = limited(RLimit.Type.RLMT_NOFILE, 1, 2)
    assert only(bench.run(task("own", container=own)), ev.LaunchContainer).rlimits == (("RLMT_NOFILE", 1, 2),)
    effects = bench.run(task("x", executor=executor()))
    assert only(effects, ev.LaunchContainer).rlimits == (("RLMT_CORE", None, None),)
    assert bench.agent.state.frameworks["F"].executors["e"].info == executor(framework_id=v1.FrameworkID("F"))
    by = executor("d", type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    assert only(bench.run_group(task("g"), by=by), ev.LaunchContainer).rlimits == ()


def test_a_task_of_an_id_that_is_here_already_is_not_run_again(bench):
    bench.running()
    assert [type(effect) for effect in bench.run()] == [ev.Note]


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


@pytest.mark.parametrize(
    ("policy_s", "flag_s", "grace_s"),
    [(None, 5.0, 3.0), (None, 30.0, 28.0), (None, 1.0, 0.0), (8.0, 30.0, 8.0)],
)
def test_a_task_whose_framework_is_shut_down_has_the_time_of_its_executor(policy_s, flag_s, grace_s):
    bench = Bench(executor_shutdown_grace_period_s=flag_s)
    bench.running(task(kill_policy=None if policy_s is None else grace(policy_s)))
    effects = bench.hear(internal.ShutdownFramework(framework_id="F"))
    if grace_s:
        assert of_type(effects, ev.TerminateContainer)
        assert not of_type(bench.pass_time(grace_s - 0.1), ev.DestroyContainer)
        effects = bench.pass_time(0.1)
    assert of_type(effects, ev.DestroyContainer)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (v1.CommandInfo(value="sleep 100000000"), "sh -c 'sleep 100000000'"),
        (v1.CommandInfo(value="sleep 1000000000"), "sh -c 'sleep 100000...'"),
        (v1.CommandInfo(shell=False, value="ls", arguments=["ls", "-l"]), "[ls, ls, -l]"),
        (v1.CommandInfo(shell=False, value="/bin/sleep", arguments=["sleep", "9"]), "[/bin/sleep, ...]"),
        (v1.CommandInfo(shell=False, value="/bin/true"), "[/bin/true]"),
        (v1.CommandInfo(shell=False, arguments=["true"]), "NO EXECUTABLE"),
        (v1.CommandInfo(), "NO COMMAND"),
    ],
)
def test_the_executor_of_a_command_is_named_after_it(bench, command, shown):
    bench.run(task(command=command))
    frameworks = bench.agent.state.frameworks["F"]
    (found,) = [*frameworks.executors.values(), *frameworks.completed]
    assert found.info.name == f"Command Executor (Task: t) (Command: {shown})"


def test_the_executor_of_a_command_has_the_labels_the_discovery_and_the_container_of_its_task(bench):
    container = v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS)
    labels = v1.Labels(labels=[v1.Label(key="k", value="v")])
    discovery = v1.DiscoveryInfo(visibility=v1.DiscoveryInfo.Visibility.CLUSTER, name="web")
    bench.running(task(labels=labels, discovery=discovery, container=container))
    info = bench.agent.state.frameworks["F"].executors["t"].info
    assert (info.labels, info.discovery, info.container) == (labels, discovery, container)


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
