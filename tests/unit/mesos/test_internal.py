"""The frames between agent and master."""

import math
import typing

import msgspec
import pytest

from koinon.mesos import internal, v1

TASK = v1.TaskInfo(
    name="t",
    task_id=v1.TaskID("t"),
    agent_id=v1.AgentID("s"),
    command=v1.CommandInfo(value="true"),
    limits={"cpus": v1.Value.Scalar(math.inf)},
)
STATUS = v1.TaskStatus(task_id=v1.TaskID("t"), state=v1.TaskState.TASK_RUNNING, uuid=b"\0\xff")
FRAMEWORK = v1.FrameworkInfo(id=v1.FrameworkID("f"), user="u", name="n")
EXECUTOR = v1.ExecutorInfo(executor_id=v1.ExecutorID("e"))

FROM_AGENT = [
    internal.Register(
        agent_info=v1.AgentInfo(hostname="h"),
        pid="slave(1)@127.0.0.1:5051",
        version="1",
        frameworks=[FRAMEWORK],
        tasks=[
            internal.ReportedTask(
                framework_id="f",
                info=TASK,
                state=v1.TaskState.TASK_RUNNING,
                statuses=[STATUS],
                unacknowledged_uuid=b"\1",
            )
        ],
        executors=[internal.ReportedExecutor(framework_id="f", info=EXECUTOR)],
    ),
    internal.Update(framework_id="f", status=STATUS, latest_state=v1.TaskState.TASK_FINISHED),
    internal.ExecutorMessage(framework_id="f", executor_id="e", data=b"\0"),
    internal.ExecutorExited(framework_id="f", executor_id="e", status=256),
    internal.Pong(),
    internal.Unregister(),
]

FROM_MASTER = [
    internal.Registered(agent_id="s", master_id="m", silence_timeout_s=75.0),
    internal.Refused(message="no"),
    internal.RunTask(framework=FRAMEWORK, task=TASK),
    internal.RunTaskGroup(framework=FRAMEWORK, executor=EXECUTOR, task_group=v1.TaskGroupInfo(tasks=[TASK])),
    internal.KillTask(
        framework_id="f", task_id="t", kill_policy=v1.KillPolicy(grace_period=v1.DurationInfo(1))
    ),
    internal.Acknowledge(framework_id="f", task_id="t", uuid=b"\1"),
    internal.SchedulerMessage(framework_id="f", executor_id="e", data=b"\1"),
    internal.ShutdownExecutor(framework_id="f", executor_id="e"),
    internal.ShutdownFramework(framework_id="f"),
    internal.UpdateFramework(framework=FRAMEWORK),
    internal.Ping(),
    internal.Shutdown(message="bye"),
]


def test_the_examples_here_are_all_the_messages_there_are():
    assert {type(message) for message in FROM_AGENT} == set(typing.get_args(internal.AgentMessage))
    assert {type(message) for message in FROM_MASTER} == set(typing.get_args(internal.MasterMessage))


def test_a_frame_is_read_as_it_was_written():
    assert internal.decode_from_agent(internal.encode(FROM_AGENT)) == FROM_AGENT
    assert internal.decode_from_master(internal.encode(FROM_MASTER)) == FROM_MASTER


def test_fields_unknown_to_this_version_are_ignored():
    assert internal.decode_from_agent(b'[{"type":"Pong","load":1}]') == [internal.Pong()]


@pytest.mark.parametrize(
    "frame", [b"", b"{}", b'[{"type":"Ping"}]', b'[{"type":"Nonsense"}]', b"[{}]", b"[1]", b"\xff"]
)
def test_what_no_agent_says_is_refused(frame):
    with pytest.raises(msgspec.DecodeError):
        internal.decode_from_agent(frame)
