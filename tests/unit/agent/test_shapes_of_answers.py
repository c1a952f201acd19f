"""What the agent answers, compared with the shapes that tools expect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from koinon.mesos import codec, internal, v1
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.agent import Call, Response
from koinon.mesos.v1.executor import Call as ExecutorCall
from tests import shapes
from tests.unit.agent.bench import rich_executor, status, task
from tests.unit.agent.shell import OURS, AgentProcess, FakeMaster, url
from tests.unit.agent.test_executor_api import Executor

LABELS = v1.Labels(labels=[v1.Label(key="k", value="v"), v1.Label(key="empty")])
CLASSIC = [
    "state",
    "containers",
    "monitor/statistics",
    "flags",
    "version",
    "system/stats.json",
    "files/debug",
]
CALLS = [
    "GET_HEALTH",
    "GET_FLAGS",
    "GET_VERSION",
    "GET_METRICS",
    "GET_LOGGING_LEVEL",
    "GET_CONTAINERS",
    "GET_FRAMEWORKS",
    "GET_EXECUTORS",
    "GET_OPERATIONS",
    "GET_TASKS",
    "GET_AGENT",
    "GET_RESOURCE_PROVIDERS",
]


def rich(task_id: str, command: str) -> v1.TaskInfo:
    port = v1.Port(number=80, name="http", protocol="tcp", labels=LABELS)
    port.visibility = v1.DiscoveryInfo.Visibility.CLUSTER
    check = v1.HealthCheck(type=v1.HealthCheck.Type.COMMAND, command=v1.CommandInfo(value="true"))
    mapping = v1.NetworkInfo.PortMapping(host_port=31000, container_port=80)
    network = v1.NetworkInfo(port_mappings=[mapping])
    discovery = v1.DiscoveryInfo(
        visibility=v1.DiscoveryInfo.Visibility.CLUSTER,
        name="n",
        environment="e",
        location="l",
        version="1",
        ports=v1.Ports(ports=[port]),
        labels=LABELS,
    )
    return task(
        task_id,
        command=command,
        labels=LABELS,
        discovery=discovery,
        health_check=check,
        container=v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS, network_infos=[network]),
        kill_policy=v1.KillPolicy(grace_period=v1.DurationInfo(1_000_000)),
    )


@pytest.fixture
async def register(master: FakeMaster, agent: AgentProcess) -> AsyncIterator[internal.Register]:
    """With tasks of all kinds and ends; frameworks that have work here and one that had."""
    register = await master.registered()
    other = msgspec.structs.replace(OURS, id=v1.FrameworkID("G"), hostname="h")
    default = v1.ExecutorInfo(type=v1.ExecutorInfo.Type.DEFAULT, executor_id=v1.ExecutorID("group"))
    group = v1.TaskGroupInfo(tasks=[task("g1", command="sleep 1000"), task("g2", command="sleep 1000")])
    await master.run(task("other", command="true"), of=other)
    await master.run(
        rich("runs", "sleep 1000"),
        task("fails", command="false"),
        rich("ends", "true"),
        task("custom", executor=rich_executor()),
    )
    await master.say(internal.RunTaskGroup(framework=OURS, executor=default, task_group=group))
    for task_id, state in {
        "runs": "RUNNING",
        "g1": "RUNNING",
        "g2": "RUNNING",
        "fails": "FAILED",
        "ends": "FINISHED",
        "other": "FINISHED",
    }.items():
        await master.reaches(task_id, state)
    async with aiohttp.ClientSession() as http:
        program = Executor(http, register, codec.JSON)
        async with program.subscribed():
            await program.event("LAUNCH")
            update = ExecutorCall.Update(status("custom", TaskState.TASK_RUNNING))
            await program.call(ExecutorCall.Type.UPDATE, update=update)
            await master.reaches("custom", "RUNNING")
            yield register


async def test_every_answer_has_its_shape(agent, master, register):
    """One test, because the situation takes long to make; each assertion names its endpoint."""
    problems = {}
    for path in CLASSIC:
        answer = await agent.get(f"/{path}", register)
        problems[path] = shapes.problems(f"agent-{path.replace('/', '-')}", answer)
    latest = "/frameworks/F/executors/runs/runs/latest"
    browsed = await agent.get("/files/browse", register, path=latest)
    assert [Path(one["path"]).name for one in browsed] == ["stderr", "stdout"]
    problems["browse"] = shapes.problems("agent-files-browse", browsed)
    read = await agent.get("/files/read", register, path=f"{latest}/stdout")
    problems["read"] = shapes.problems("agent-files-read", read)
    snapshot = await agent.get("/metrics/snapshot", register)
    problems["metrics"] = shapes.metric_problems("agent-metrics-snapshot", snapshot, with_frameworks=True)
    for call in CALLS:
        fields = {"get_metrics": {}} if call == "GET_METRICS" else {}
        answer = await agent.call(call, register, **fields)
        problems[call] = shapes.problems(f"agent-v1-{call}", answer)
    state = await agent.call("GET_STATE", register)
    problems["GET_STATE"] = shapes.problems("agent-v1-GET_STATE", state)
    for part, content in state["get_state"].items():
        answer = {"type": part.upper(), part: content}
        problems[part] = shapes.problems(f"agent-v1-{part.upper()}", answer)
    listed = await agent.call("LIST_FILES", register, list_files={"path": latest})
    problems["LIST_FILES"] = shapes.problems("agent-v1-LIST_FILES", listed)
    body = {"path": f"{latest}/stdout", "offset": 0}
    problems["READ_FILE"] = shapes.problems(
        "agent-v1-READ_FILE", await agent.call("READ_FILE", register, read_file=body)
    )
    assert {name: found for name, found in problems.items() if found} == {}

    # The same things, by what they say.
    state = await agent.get("/slave(1)/state.json", register)
    (framework,) = state["frameworks"]
    executors = {one["id"]: one for one in framework["executors"]}
    assert set(executors) == {"runs", "e", "group"}
    assert executors["runs"]["name"] == "Command Executor (Task: runs) (Command: sh -c 'sleep 1000')"
    assert [one["state"] for one in executors["runs"]["tasks"]] == ["TASK_RUNNING"]
    assert executors["e"]["resources"]["mem"] == 64
    assert {one["id"] for one in executors["group"]["tasks"]} == {"g1", "g2"}
    done = {one["id"]: one["completed_tasks"][0]["state"] for one in framework["completed_executors"]}
    assert done == {"fails": "TASK_FAILED", "ends": "TASK_FINISHED"}
    assert [one["id"] for one in state["completed_frameworks"]] == ["G"]
    assert snapshot["slave/tasks_running"] == 4
    assert snapshot["slave/tasks_finished"] == 2
    assert snapshot["slave/cpus_used"] == pytest.approx(0.5)
    containers = await agent.get("/containers", register)
    assert len(containers) == 3
    by_id = await agent.get("/containers", register, container_id=containers[0]["container_id"])
    assert [one["executor_id"] for one in by_id] == [containers[0]["executor_id"]]
    nested = await agent.call("GET_CONTAINERS", register, get_containers={"show_nested": True})
    assert len(nested["get_containers"]["containers"]) == 5

    # And in protobuf.
    body = codec.encode(Call(type=Call.Type.GET_STATE), codec.PROTOBUF)
    headers = {"Content-Type": codec.PROTOBUF, "Accept": codec.PROTOBUF}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url(register, "/api/v1"), data=body, headers=headers) as answer,
    ):
        found = codec.decode(Response, await answer.read(), codec.PROTOBUF)
    assert {one.task_id.value for one in found.get_state.get_tasks.launched_tasks} == {
        "runs",
        "custom",
        "g1",
        "g2",
    }


async def test_a_call_without_its_body_is_refused(agent, master):
    async with aiohttp.ClientSession() as http:
        target = url(await master.registered(), "/api/v1")
        async with http.post(target, json={"type": "READ_FILE"}) as answer:
            assert answer.status == 400
