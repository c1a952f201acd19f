"""Custom executors: programs of the user that subscribe to the agent."""

from __future__ import annotations

import pytest

from koinon.agent.core import events as ev
from koinon.agent.core.state import NestedKind
from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskState, TaskStatus
from koinon.mesos.v1.executor import Call, Event
from tests.unit.agent.bench import (
    AGENT_ID,
    Bench,
    config,
    events_in,
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

RUNNING, FINISHED = TaskState.TASK_RUNNING, TaskState.TASK_FINISHED


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def subscribed(bench) -> Bench:
    """With a task at its executor."""
    launched = only(bench.run(task(executor=executor())), ev.LaunchContainer)
    bench.started(launched.container_id)
    bench.subscribe()
    return bench


def container_of(bench: Bench) -> str:
    (container_id,) = bench.agent.state.containers
    return container_id


def test_an_executor_is_launched_for_its_first_task_only(bench):
    launched = only(bench.run(task("t1", executor=executor())), ev.LaunchContainer)
    assert launched.argv == ("/bin/sh", "-c", "./executor")
    assert launched.environment["MESOS_EXECUTOR_ID"] == "e"
    assert not of_type(bench.run(task("t2", executor=executor())), ev.LaunchContainer)


def test_tasks_wait_for_the_executor_to_subscribe(bench):
    launched = only(bench.run(task("t1", executor=executor())), ev.LaunchContainer)
    bench.started(launched.container_id)
    bench.run(task("t2", executor=executor()))
    assert events_in(bench.effects) == []
    effects = bench.subscribe()
    assert events_in(effects) == ["SUBSCRIBED", "LAUNCH", "LAUNCH"]
    assert events_in(bench.run(task("t3", executor=executor()))) == ["LAUNCH"]


def test_a_command_and_an_executor_cannot_have_the_same_id(bench):
    bench.run(task("t", executor=executor("e")))
    bench.subscribe()
    bench.running(task("c"))
    for info in (task("e"), task("other", executor=executor("c"))):
        effects = bench.run(info)
        (update,) = updates_in(effects)
        assert (update.state, update.reason) == (
            TaskState.TASK_LOST,
            TaskStatus.Reason.REASON_TASK_INVALID,
        )
        assert not of_type(effects, ev.LaunchContainer)
    assert states_in(bench.say(status("t", FINISHED))) == ["TASK_FINISHED"]


def test_an_executor_is_told_to_come_back_in_the_time_that_it_has():
    bench = Bench(executor_reregistration_timeout_s=0.5)
    launched = only(bench.run(task(executor=executor())), ev.LaunchContainer)
    assert launched.environment["MESOS_SUBSCRIPTION_BACKOFF_MAX"] == "500ms"


def test_subscribed_says_who_is_who(bench):
    bench.run(task(executor=executor()))
    event = of_type(bench.subscribe(), ev.SendToExecutor)[0].event
    assert event.subscribed == Event.Subscribed(
        executor_info=executor(framework_id=v1.FrameworkID("F")),
        framework_info=framework(),
        agent_info=bench.agent.state.agent_info,
        container_id=v1.ContainerID(value=container_of(bench)),
    )


def test_a_group_is_handed_over_as_a_group(bench):
    by = executor()
    bench.run_group(task("t1", executor=by), task("t2", executor=by), by=by)
    events = of_type(bench.subscribe(), ev.SendToExecutor)
    assert [event.event.type for event in events] == [Event.Type.SUBSCRIBED, Event.Type.LAUNCH_GROUP]
    assert [one.task_id.value for one in events[1].event.launch_group.task_group.tasks] == ["t1", "t2"]


def test_an_update_is_on_disk_before_anybody_hears_of_it(subscribed):
    effects = subscribed.say(status("t", RUNNING))
    assert [type(effect) for effect in effects] == [ev.Checkpoint, ev.SendToMaster, ev.SendToExecutor]
    assert events_in(effects) == ["ACKNOWLEDGED"]


def test_an_update_is_completed_by_the_agent(subscribed):
    subscribed.say(status("t", RUNNING, message="here", data=b"x"))
    (update,) = updates_in(subscribed.effects)
    assert (update.agent_id, update.timestamp, update.executor_id) == (v1.AgentID(AGENT_ID), 1000.0, None)
    assert (update.message, update.data) == ("here", b"x")
    assert update.container_status.container_id == v1.ContainerID(value=container_of(subscribed))
    assert update.container_status.executor_pid == 42


def test_an_update_sent_twice_is_acknowledged_twice_and_passed_on_once(subscribed):
    subscribed.say(status("t", RUNNING))
    effects = subscribed.say(status("t", RUNNING))
    assert events_in(effects) == ["ACKNOWLEDGED"]
    assert states_in(subscribed.effects) == ["TASK_RUNNING"]


def test_an_update_that_the_scheduler_has_already_is_not_news(subscribed):
    """Its confirmation was lost with the connection, so the executor repeats it."""
    subscribed.say(status("t", TaskState.TASK_STARTING, 1))
    subscribed.say(status("t", RUNNING, 2))
    subscribed.acknowledge_all()
    updates = [
        Call.Update(status("t", TaskState.TASK_STARTING, 1)),
        Call.Update(status("t", RUNNING, 2)),
    ]
    effects = subscribed.subscribe("s2", unacknowledged_updates=updates)
    assert events_in(effects) == ["SUBSCRIBED", "ACKNOWLEDGED", "ACKNOWLEDGED"]
    assert states_in(effects) == []


def test_networks_without_an_address_have_the_agents(subscribed):
    networks = [
        v1.NetworkInfo(name="a"),
        v1.NetworkInfo(ip_addresses=[v1.NetworkInfo.IPAddress(ip_address="10.9.9.9")]),
    ]
    said = status("t", RUNNING, container_status=v1.ContainerStatus(network_infos=networks))
    (update,) = updates_in(subscribed.say(said))
    addresses = [one.ip_addresses[0].ip_address for one in update.container_status.network_infos]
    assert addresses == ["10.0.0.1", "10.9.9.9"]


def test_an_executor_may_say_in_which_of_its_containers_a_task_runs(subscribed):
    outer = container_of(subscribed)
    inner = v1.ContainerID(value="n", parent=v1.ContainerID(value=outer))
    command = v1.CommandInfo(value="true")
    subscribed.tell(ev.ContainerRequested(NestedKind.NESTED, inner, command, None))
    subscribed.started(f"{outer}.n", 77)
    said = status("t", RUNNING, container_status=v1.ContainerStatus(container_id=inner))
    (update,) = updates_in(subscribed.say(said))
    assert (update.container_status.container_id, update.container_status.executor_pid) == (inner, 77)
    assert update.container_status.network_infos[0].ip_addresses[0].ip_address == "10.0.0.1"


def test_an_executor_whose_connection_broke_goes_on_telling(subscribed):
    subscribed.tell(ev.ExecutorStreamClosed("s1"))
    assert states_in(subscribed.say(status("t", RUNNING))) == ["TASK_RUNNING"]
    effects = subscribed.subscribe("s2", unacknowledged_updates=[Call.Update(status("t", RUNNING))])
    assert events_in(effects) == ["SUBSCRIBED", "ACKNOWLEDGED"]
    assert states_in(effects) == []


def test_a_second_terminal_update_is_acknowledged_and_dropped(subscribed):
    subscribed.say(status("t", FINISHED, 1))
    effects = subscribed.say(status("t", TaskState.TASK_FAILED, 2))
    assert events_in(effects) == ["ACKNOWLEDGED"]
    assert [one.state for one in subscribed.acknowledge_all()] == [FINISHED]


def test_a_stranger_is_refused(bench):
    bench.running()
    with pytest.raises(ev.Refused, match="not known") as refused:
        bench.subscribe()
    assert refused.value.status == 400


def test_an_executor_that_has_not_subscribed_may_not_speak(bench):
    bench.run(task(executor=executor()))
    with pytest.raises(ev.Refused) as refused:
        bench.say(status("t", RUNNING))
    assert refused.value.status == 403


def test_messages_go_both_ways(subscribed):
    effects = subscribed.hear(internal.SchedulerMessage(framework_id="F", executor_id="e", data=b"down"))
    assert only(effects, ev.SendToExecutor).event.message == Event.Message(b"down")
    call = subscribed.call(Call.Type.MESSAGE, message=Call.Message(b"up"))
    assert said(subscribed.tell(ev.ExecutorCalled(call))) == [
        internal.ExecutorMessage(framework_id="F", executor_id="e", data=b"up")
    ]


def test_a_kill_is_the_executors_business(subscribed):
    effects = subscribed.kill()
    assert events_in(effects) == ["KILL"]
    assert not of_type(effects, ev.TerminateContainer)


def test_a_task_that_is_killed_while_it_waits_takes_its_executor_with_it(bench):
    bench.run(task(executor=executor()))
    effects = bench.kill()
    assert states_in(effects) == ["TASK_KILLED"]
    assert of_type(effects, ev.DestroyContainer) == [ev.DestroyContainer(container_of(bench))]


def test_an_executor_that_does_not_subscribe_is_destroyed(bench):
    bench.run(task(executor=executor()))
    bench.started(container_of(bench))
    container_id = only(bench.pass_time(60.0), ev.DestroyContainer).container_id
    bench.exited(container_id, 9)
    (update,) = updates_in(bench.effects)
    assert (update.state, update.reason) == (
        TaskState.TASK_FAILED,
        TaskStatus.Reason.REASON_EXECUTOR_REGISTRATION_TIMEOUT,
    )


def test_what_an_executor_leaves_behind_is_reported(subscribed):
    subscribed.run(task("t2", executor=executor()))
    subscribed.say(status("t", FINISHED))
    effects = subscribed.exited(container_of(subscribed), 1 << 8)
    assert said(effects)[-1] == internal.ExecutorExited(framework_id="F", executor_id="e", status=256)
    reported = {one.task_id.value: (one.state, one.reason) for one in subscribed.acknowledge_all()}
    assert reported == {
        "t": (FINISHED, None),
        "t2": (TaskState.TASK_FAILED, TaskStatus.Reason.REASON_EXECUTOR_TERMINATED),
    }
    assert set(subscribed.disk) == {"agent", "frameworks/F"}


def test_a_task_for_an_executor_that_is_leaving_is_dropped(subscribed):
    subscribed.hear(internal.ShutdownExecutor(framework_id="F", executor_id="e"))
    (update,) = updates_in(subscribed.run(task("t2", executor=executor())))
    assert (update.state, update.reason) == (
        TaskState.TASK_LOST,
        TaskStatus.Reason.REASON_EXECUTOR_TERMINATED,
    )


def test_a_master_that_counts_a_new_executor_hears_that_none_is_started(subscribed):
    subscribed.exited(container_of(subscribed), 0)  # the end of its task is not acknowledged yet
    info = task("t2", executor=executor())
    effects = subscribed.hear(internal.RunTask(framework=framework(), task=info, new_executor=True))
    assert internal.ExecutorExited(framework_id="F", executor_id="e", status=-1) in said(effects)
    assert not of_type(effects, ev.LaunchContainer)


def test_no_executor_is_started_that_the_master_does_not_count(subscribed):
    subscribed.exited(container_of(subscribed), 0)
    subscribed.acknowledge_all()
    info = task("t2", executor=executor())
    effects = subscribed.hear(internal.RunTask(framework=framework(), task=info, new_executor=False))
    assert states_in(effects) == ["TASK_LOST"]
    assert not of_type(effects, ev.LaunchContainer)


def test_an_executor_that_does_not_shut_down_in_time_is_destroyed(subscribed):
    effects = subscribed.hear(internal.ShutdownExecutor(framework_id="F", executor_id="e"))
    assert events_in(effects) == ["SHUTDOWN"]
    assert only(subscribed.pass_time(5.0), ev.DestroyContainer).container_id == container_of(subscribed)


def test_a_new_subscription_closes_the_old_one_and_gets_what_waited(subscribed):
    subscribed.tell(ev.ExecutorStreamClosed("s1"))
    subscribed.run(task("t2", executor=executor()))
    subscribed.kill("t")
    effects = subscribed.subscribe("s2", unacknowledged_tasks=[task("t")])
    assert events_in(effects) == ["SUBSCRIBED", "KILL", "LAUNCH"]
    assert only(subscribed.subscribe("s3")[:1], ev.CloseExecutorStream).stream_id == "s2"


def test_a_task_lost_with_the_connection_is_dropped(subscribed):
    """Between the agent and the executor, so that nobody will ever start it."""
    subscribed.run(task("t2", executor=executor()))
    effects = subscribed.subscribe("s2", unacknowledged_tasks=[task("t")])
    (update,) = updates_in(effects)
    assert (update.task_id.value, update.state) == ("t2", TaskState.TASK_LOST)
    assert update.reason is TaskStatus.Reason.REASON_AGENT_RESTARTED


def test_an_executor_whose_connection_is_broken_has_its_grace_to_shut_down(subscribed):
    subscribed.tell(ev.ExecutorStreamClosed("s1"))
    assert subscribed.hear(internal.ShutdownExecutor(framework_id="F", executor_id="e"))[1:] == []
    assert events_in(subscribed.subscribe("s2")) == ["SHUTDOWN"]
    assert only(subscribed.pass_time(5.0), ev.DestroyContainer).container_id == container_of(subscribed)


def test_streams_that_ended_are_forgotten(bench):
    """The stream of an executor that is gone may end long after it."""
    bench.started(only(bench.run(task(executor=executor())), ev.LaunchContainer).container_id)
    bench.subscribe("s1")
    bench.exited(container_of(bench))
    bench.acknowledge_all()
    assert bench.tell(ev.ExecutorStreamClosed("s1")) == []


def test_an_executor_that_cannot_be_launched_fails_its_tasks(bench):
    by = executor(command=v1.CommandInfo(value="x", uris=[v1.CommandInfo.URI(value="hdfs://h/f")]))
    effects = bench.run(task(executor=by))
    (update,) = updates_in(effects)
    assert (update.state, update.reason) == (
        TaskState.TASK_FAILED,
        TaskStatus.Reason.REASON_CONTAINER_LAUNCH_FAILED,
    )


def test_a_kill_that_waited_keeps_its_policy(subscribed):
    subscribed.tell(ev.ExecutorStreamClosed("s1"))
    subscribed.kill("t", policy=grace(30))
    effects = subscribed.subscribe("s2", unacknowledged_tasks=[task("t")])
    (kill,) = [one.event.kill for one in of_type(effects, ev.SendToExecutor) if one.event.kill is not None]
    assert kill.kill_policy == grace(30)


# ── over a restart of the agent ───────────────────────────────────────────────────────────────────
def test_an_executor_that_subscribes_again_goes_on(subscribed):
    subscribed.say(status("t", RUNNING))
    container_id = container_of(subscribed)
    subscribed.start({container_id: ev.FoundContainer(42)})
    assert events_in(subscribed.subscribe("s2")) == ["SUBSCRIBED"]
    assert subscribed.pass_time(2.0) == []
    assert events_in(subscribed.run(task("t2", executor=executor()))) == ["LAUNCH"]


def test_an_executor_that_does_not_subscribe_again_is_destroyed(subscribed):
    subscribed.say(status("t", RUNNING))
    container_id = container_of(subscribed)
    subscribed.start({container_id: ev.FoundContainer(42)})
    assert only(subscribed.pass_time(2.0), ev.DestroyContainer).container_id == container_id
    subscribed.exited(container_id, 9)
    last = subscribed.acknowledge_all()[-1]
    assert (last.state, last.reason) == (
        TaskState.TASK_LOST,
        TaskStatus.Reason.REASON_EXECUTOR_REREGISTRATION_TIMEOUT,
    )


def test_updates_made_while_the_agent_was_away_arrive(subscribed):
    subscribed.start({container_of(subscribed): ev.FoundContainer(42)})
    effects = subscribed.subscribe(
        "s2", unacknowledged_updates=[Call.Update(status("t", FINISHED))], unacknowledged_tasks=[task("t")]
    )
    assert states_in(effects) == ["TASK_FINISHED"]
    assert events_in(effects) == ["SUBSCRIBED", "ACKNOWLEDGED"]


def test_an_executor_that_is_to_shut_down_hears_so_after_a_restart(subscribed):
    subscribed.say(status("t", RUNNING))
    container_id = container_of(subscribed)
    subscribed.hear(internal.ShutdownExecutor(framework_id="F", executor_id="e"))
    subscribed.start({container_id: ev.FoundContainer(42)})
    killed = Call.Update(status("t", TaskState.TASK_KILLED, 2))
    effects = subscribed.subscribe("s2", unacknowledged_updates=[killed])
    assert events_in(effects) == ["ACKNOWLEDGED", "SHUTDOWN"]
    assert only(subscribed.pass_time(5.0), ev.DestroyContainer).container_id == container_id


def test_cleanup_lets_executors_shut_down(subscribed):
    container_id = container_of(subscribed)
    subscribed.config = config(cleanup=True)
    subscribed.start({container_id: ev.FoundContainer(42)}, connected=False)
    assert events_in(subscribed.subscribe("s2")) == ["SHUTDOWN"]
    assert only(subscribed.exited(container_id), ev.Exit).status == 0


def test_a_task_that_never_reached_its_executor_is_dropped(subscribed):
    subscribed.start({container_of(subscribed): ev.FoundContainer(42)})
    (update,) = updates_in(subscribed.subscribe("s2"))
    assert (update.state, update.reason) == (
        TaskState.TASK_LOST,
        TaskStatus.Reason.REASON_AGENT_RESTARTED,
    )


def test_a_kill_reaches_an_executor_that_comes_back_after_a_restart(subscribed):
    subscribed.say(status("t", RUNNING))
    subscribed.tell(ev.ExecutorStreamClosed("s1"))
    subscribed.kill("t", policy=grace(30))
    subscribed.start({container_of(subscribed): ev.FoundContainer(42)})
    effects = subscribed.subscribe("s2")
    assert events_in(effects) == ["SUBSCRIBED", "KILL"]
    told = of_type(effects, ev.SendToExecutor)[-1].event.kill
    assert told == Event.Kill(task_id=v1.TaskID("t"), kill_policy=grace(30))
    subscribed.say(status("t", TaskState.TASK_KILLED, 2))
    subscribed.acknowledge_all()
    assert not [key for key in subscribed.disk if key.startswith("kills/")]


def test_an_executor_found_by_an_agent_that_cleans_up_is_asked_to_end(subscribed):
    subscribed.say(status("t", RUNNING))
    container_id = container_of(subscribed)
    subscribed.config = config(cleanup=True)
    subscribed.start({container_id: ev.FoundContainer(42)})
    assert events_in(subscribed.subscribe("s2")) == ["SHUTDOWN"]
    assert not of_type(subscribed.pass_time(4.9), ev.DestroyContainer)
    assert only(subscribed.pass_time(0.1), ev.DestroyContainer).container_id == container_id
    assert of_type(subscribed.exited(container_id, 9), ev.Exit)


def test_an_executor_that_does_not_hear_that_it_is_to_end_is_destroyed(subscribed):
    subscribed.say(status("t", RUNNING))
    container_id = container_of(subscribed)
    subscribed.hear(internal.ShutdownExecutor(framework_id="F", executor_id="e"))
    subscribed.start({container_id: ev.FoundContainer(42)})
    assert only(subscribed.pass_time(5.0), ev.DestroyContainer).container_id == container_id
