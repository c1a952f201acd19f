"""A cluster on which everything happens that can happen by now, and every answer and event compared with its shape."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import shapes
from tests.cluster.harness import Cluster, Role, eventually
from tests.cluster.raw import EXECUTOR, OPERATOR, Framework, Stream, post, request, scalars, task

LABELS = {"labels": [{"key": "k", "value": "v"}, {"key": "lonely"}]}
#: In statuses no label without value was ever seen.
FULL_LABELS = {"labels": LABELS["labels"][:1]}
UUID = "MDEyMzQ1Njc4OWFiY2RlZg=="
RICH = {
    "name": "rich one",
    "roles": ["ads", "web"],
    "hostname": "h",
    "webui_url": "http://h/",
    "failover_timeout": 100.0,
    "checkpoint": True,
    "principal": "someone",
    "labels": LABELS,
    "capabilities": [{"type": "MULTI_ROLE"}, {"type": "TASK_KILLING_STATE"}],
}
CUSTOM = {
    "type": "CUSTOM",
    "executor_id": {"value": "own"},
    "name": "own",
    "source": "source",
    "data": UUID,
    "labels": LABELS,
    "command": {
        "value": "sleep 1000",
        "environment": {"variables": [{"name": "A", "value": "B", "type": "VALUE"}]},
    },
    "resources": scalars(cpus=0.1, mem=32, disk=32),
    "shutdown_grace_period": {"nanoseconds": 1_000_000_000},
}


def rich_task(task_id: str, command: str, port: int) -> dict[str, Any]:
    """Labels, discovery, ports, health check, container, kill policy."""
    described = {"number": port, "name": "http", "protocol": "tcp", "visibility": "CLUSTER", "labels": LABELS}
    ports = {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": port, "end": port + 1}]}}
    return task(
        task_id,
        command,
        resources=[*scalars(cpus=0.2, mem=32), ports],
        labels=LABELS,
        discovery={
            "visibility": "CLUSTER",
            "name": "n",
            "environment": "e",
            "location": "l",
            "version": "1",
            "ports": {"ports": [described]},
            "labels": LABELS,
        },
        health_check={"type": "COMMAND", "command": {"value": "true"}},
        container={
            "type": "MESOS",
            "network_infos": [{"port_mappings": [{"host_port": 1, "container_port": 2}]}],
        },
        kill_policy={"grace_period": {"nanoseconds": 1_000_000_000}},
    )


class Scene(NamedTuple):
    """What has happened, and who heard of it."""

    cluster: Cluster
    rich: Framework
    plain: Framework
    scheduler_events: list[list[dict[str, Any]]]
    operator: Stream
    executor: Stream

    @property
    def master(self) -> Role:
        return self.cluster.master

    @property
    def agent(self) -> Role:
        return self.cluster.agents[0]


def run_all_kinds(rich: Framework, agent: Role, stack: ExitStack) -> Stream:
    """Tasks of all kinds and ends; returns the stream of the custom executor, whose part we play."""
    ids = {"framework_id": rich.info["id"]}
    custom = {**CUSTOM, **ids}
    rich.launch(
        [
            rich_task("runs", "sleep 1000", 31000),
            rich_task("finished", "true", 31010),
            task("failed", "exit 3", labels=LABELS),
            task("killed", "sleep 1000"),
            task("invalid", "true", resources=scalars(cpus=1000)),
            task("custom", executor=custom, data=UUID, labels=LABELS),
        ],
        cpus=3,
    )
    rich.wait_state("killed", "TASK_RUNNING")
    rich.kill("killed")
    for task_id, state in (
        ("failed", "FAILED"),
        ("killed", "KILLED"),
        ("invalid", "ERROR"),
        ("finished", "FINISHED"),
    ):
        assert rich.wait_end(task_id)["state"] == f"TASK_{state}"
    default = {
        "type": "DEFAULT",
        "executor_id": {"value": "group"},
        "resources": scalars(cpus=0.1, mem=32, disk=32),
    }
    launch_group(rich, default, ["g1", "g2"], command="sleep 1000")
    rich.wait_state("g1", "TASK_RUNNING")
    called = {**ids, "executor_id": {"value": "own"}}
    eventually(
        lambda: any(
            one["executor_id"] == "own" and "executor_pid" in one["status"]
            for one in agent.get("/containers")
        ),
        "the executor runs",
    )
    executor = Stream(agent.address, EXECUTOR, {"type": "SUBSCRIBE", **called, "subscribe": {}}).read()
    stack.callback(executor.close)
    executor.wait(lambda: executor.of("LAUNCH"), "the executor has its task")

    def say(kind: str, **body: Any) -> None:
        assert post(agent.address, EXECUTOR, {"type": kind, **called, **body}).status == 202

    def update(task_id: str, state: str, uuid: str) -> None:
        status = {"task_id": {"value": task_id}, "state": state, "source": "SOURCE_EXECUTOR", "uuid": uuid}
        say("UPDATE", update={"status": {**status, "healthy": True, "labels": FULL_LABELS, "message": "m"}})
        rich.wait_state(task_id, state)

    update("custom", "TASK_RUNNING", UUID)
    launch_group(rich, custom, ["c1", "c2"])
    executor.wait(lambda: executor.of("LAUNCH_GROUP"), "the executor has its group")
    update("c1", "TASK_RUNNING", UUID)
    agent_id = rich.updates["custom"][0]["agent_id"]
    rich.do("MESSAGE", message={"agent_id": agent_id, "executor_id": {"value": "own"}, "data": UUID})
    say("MESSAGE", message={"data": UUID})
    rich.wait(lambda: rich.stream.of("MESSAGE"), "the executor's message")
    rich.kill("c1")
    executor.wait(lambda: executor.of("KILL") and executor.of("MESSAGE"), "the executor hears its scheduler")
    update("c1", "TASK_KILLED", "QTEyMzQ1Njc4OWFiY2RlZg==")
    return executor


def launch_group(
    rich: Framework, executor: dict[str, Any], task_ids: list[str], command: str | None = None
) -> None:
    offer = rich.take_offer(cpus=3)
    described = {**executor, "framework_id": rich.info["id"]}
    tasks = [{**task(task_id, command), "agent_id": offer["agent_id"]} for task_id in task_ids]
    launch = {"executor": described, "task_group": {"tasks": tasks}}
    rich.do(
        "ACCEPT",
        accept={
            "offer_ids": [offer["id"]],
            "operations": [{"type": "LAUNCH_GROUP", "launch_group": launch}],
            "filters": {"refuse_seconds": 0},
        },
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("scene")
    cluster = Cluster(
        directory,
        agent_flags={
            "resources": "cpus:6;mem:4096;disk:4096;cpus(ads):1;mem(ads):64;ports:[31000-32000]",
            "attributes": "rack:r1;os:debian",
        },
    )
    try:
        cluster.start()
        yield from act(cluster)
    finally:
        cluster.stop()
    shutil.rmtree(directory, ignore_errors=True)


def act(cluster: Cluster) -> Iterator[Scene]:
    master = cluster.master_address
    weights = {"weight_infos": [{"role": "ads", "weight": 2.5}]}
    assert post(master, OPERATOR, {"type": "UPDATE_WEIGHTS", "update_weights": weights}).status == 200
    with ExitStack() as stack:
        operator = Stream(master, OPERATOR, {"type": "SUBSCRIBE"}).read()
        stack.callback(operator.close)
        operator.wait(lambda: operator.of("SUBSCRIBED"), "operators hear")
        with Framework(master, **{**RICH, "name": "gone"}) as gone:
            gone.launch([rich_task("gone", "true", 31000)], cpus=3)
            gone.wait_end("gone")
            gone.launch([task("torn", "sleep 1000")], cpus=3)
            gone.wait_state("torn", "TASK_RUNNING")
            gone.do("TEARDOWN")
        rich = Framework(master, **RICH)
        rich.subscribe(suppressed_roles=["ads"])  # what is reserved for it would come alone
        stack.callback(rich.disconnect)
        executor = run_all_kinds(rich, cluster.agents[0], stack)
        rich.do(
            "UPDATE_FRAMEWORK",
            update_framework={"framework_info": {**rich.info, "webui_url": "http://other/"}},
        )
        rich.rest()
        plain = stack.enter_context(Framework(master, name="plain", failover_timeout=60))
        plain.launch([task("plain", "sleep 1000"), task("ended", "echo said")])
        plain.wait_state("plain", "TASK_RUNNING")
        plain.wait_end("ended")
        passing = cluster.add_agent()
        passing.start()
        cluster.wait_ready()
        passing.stop(signal.SIGUSR1)  # takes leave
        plain.wait(lambda: plain.stream.of("FAILURE"), "the agent's end is told")
        heir = stack.enter_context(Framework(master, **plain.info))
        plain.wait(lambda: plain.stream.ended, "it is replaced")
        heir.take_offer()
        eventually(lambda: cluster.tasks()["ended"]["state"] == "TASK_FINISHED", "the master knows")
        yield Scene(cluster, rich, heir, [rich.events, plain.events, heir.events], operator, executor)


# ── what is compared ──────────────────────────────────────────────────────────────────────────────
MASTER_PATHS = [
    *("state", "state-summary", "slaves", "frameworks", "tasks", "roles", "flags", "version", "weights"),
    *("system/stats.json", "quota", "maintenance/status", "maintenance/schedule"),
]
AGENT_PATHS = [
    "state",
    "containers",
    "monitor/statistics",
    "flags",
    "version",
    "system/stats.json",
    "files/debug",
]
SHARED_CALLS = [
    *("GET_HEALTH", "GET_FLAGS", "GET_VERSION", "GET_METRICS", "GET_LOGGING_LEVEL", "GET_FRAMEWORKS"),
    *("GET_EXECUTORS", "GET_OPERATIONS", "GET_TASKS", "GET_STATE"),
]
MASTER_CALLS = [
    *SHARED_CALLS,
    *("GET_AGENTS", "GET_ROLES", "GET_WEIGHTS", "GET_MASTER"),
    *("GET_QUOTA", "GET_MAINTENANCE_STATUS", "GET_MAINTENANCE_SCHEDULE"),
]
AGENT_CALLS = [*SHARED_CALLS, "GET_CONTAINERS", "GET_AGENT", "GET_RESOURCE_PROVIDERS"]
OTHERS = [
    *("master-health", "agent-health", "master-metrics-snapshot", "agent-metrics-snapshot"),
    *("agent-files-browse", "agent-files-read", "agent-v1-LIST_FILES", "agent-v1-READ_FILE"),
    *("scheduler-events", "operator-events", "executor-events"),
]
#: The master shows no files: it keeps no log of its own.
ASIDE = {"master-files-read", "master-v1-READ_FILE"}
#: Compared as they are when there is nothing to tell: quota, maintenance and operations cannot be had yet.
EMPTY = {
    *("master-quota", "master-maintenance-status", "master-maintenance-schedule", "master-v1-GET_QUOTA"),
    *("master-v1-GET_MAINTENANCE_STATUS", "master-v1-GET_MAINTENANCE_SCHEDULE"),
    *("master-v1-GET_OPERATIONS", "agent-v1-GET_OPERATIONS"),
}


def test_every_shape_is_compared_or_named() -> None:
    compared = {
        *(f"master-{path.replace('/', '-')}" for path in MASTER_PATHS),
        *(f"agent-{path.replace('/', '-')}" for path in AGENT_PATHS),
        *(f"master-v1-{call}" for call in MASTER_CALLS),
        *(f"agent-v1-{call}" for call in AGENT_CALLS),
        *OTHERS,
    }
    files = {path.stem for path in Path(shapes.__file__).parent.glob("*.json")}
    assert files == compared | ASIDE
    assert compared >= EMPTY


@pytest.mark.parametrize("path", MASTER_PATHS)
@pytest.mark.parametrize("prefix", ["", "/master"])
def test_master_endpoint(scene: Scene, path: str, prefix: str) -> None:
    answer = scene.master.get(f"{prefix}/{path}")
    assert shapes.problems(f"master-{path.replace('/', '-')}", answer) == []


@pytest.mark.parametrize("path", AGENT_PATHS)
@pytest.mark.parametrize("prefix", ["", "/slave(1)"])
def test_agent_endpoint(scene: Scene, path: str, prefix: str) -> None:
    answer = scene.agent.get(f"{prefix}/{path}")
    assert shapes.problems(f"agent-{path.replace('/', '-')}", answer) == []


@pytest.mark.parametrize("call", MASTER_CALLS)
def test_master_call(scene: Scene, call: str) -> None:
    body = {"get_metrics": {}} if call == "GET_METRICS" else {}
    answer = scene.master.call({"type": call, **body})
    assert shapes.problems(f"master-v1-{call}", answer) == []
    if call == "GET_STATE":
        assert shapes.state_problems(answer) == []


@pytest.mark.parametrize("call", AGENT_CALLS)
def test_agent_call(scene: Scene, call: str) -> None:
    body = {"get_metrics": {}} if call == "GET_METRICS" else {}
    answer = scene.agent.call({"type": call, **body})
    assert shapes.problems(f"agent-v1-{call}", answer) == []
    for part, content in answer.get("get_state", {}).items():
        told = {"type": part.upper(), part: content}
        assert shapes.problems(f"agent-v1-{part.upper()}", told) == []


@pytest.mark.parametrize("kind", ["master", "agent"])
def test_health_and_metrics(scene: Scene, kind: str) -> None:
    role = scene.master if kind == "master" else scene.agent
    answer = request(role.address, "GET", "/health")
    assert (answer.status, answer.body) == (200, b"")
    snapshot = role.get("/metrics/snapshot")
    assert shapes.metric_problems(f"{kind}-metrics-snapshot", snapshot, with_frameworks=True) == []


def test_files(scene: Scene) -> None:
    sandbox = f"/frameworks/{scene.plain.id}/executors/ended/runs/latest"
    browsed = scene.agent.get("/files/browse", path=sandbox)
    assert [one["path"].rpartition("/")[2] for one in browsed] == ["stderr", "stdout"]
    assert shapes.problems("agent-files-browse", browsed) == []
    read = scene.agent.get("/files/read", path=f"{sandbox}/stdout", offset=0)
    assert (read, shapes.problems("agent-files-read", read)) == ({"offset": 0, "data": "said\n"}, [])
    listed = scene.agent.call({"type": "LIST_FILES", "list_files": {"path": sandbox}})
    assert shapes.problems("agent-v1-LIST_FILES", listed) == []
    wanted = {"path": f"{sandbox}/stdout", "offset": 0}
    read = scene.agent.call({"type": "READ_FILE", "read_file": wanted})
    assert shapes.problems("agent-v1-READ_FILE", read) == []


def test_scheduler_events(scene: Scene) -> None:
    for events in scene.scheduler_events:
        assert shapes.event_problems("scheduler-events", events) == []
    told = {event["type"] for events in scene.scheduler_events for event in events}
    assert told >= {"SUBSCRIBED", "HEARTBEAT", "OFFERS", "UPDATE", "MESSAGE", "FAILURE", "ERROR"}


def test_operator_events(scene: Scene) -> None:
    # Only rich frameworks were seen to change: a plain one lacks what it lacks.
    events = [
        event
        for event in scene.operator.events
        if event["type"] != "FRAMEWORK_UPDATED"
        or event["framework_updated"]["framework"]["framework_info"]["name"] != "plain"
    ]
    assert shapes.event_problems("operator-events", events) == []
    told = {event["type"] for event in scene.operator.events}
    assert told == {
        *("SUBSCRIBED", "HEARTBEAT", "FRAMEWORK_ADDED", "FRAMEWORK_UPDATED", "FRAMEWORK_REMOVED"),
        *("TASK_ADDED", "TASK_UPDATED", "AGENT_ADDED", "AGENT_REMOVED"),
    }
    late = Stream(scene.master.address, OPERATOR, {"type": "SUBSCRIBE"}).read()
    late.wait(lambda: late.of("HEARTBEAT"), "the beginning")
    late.close()
    (subscribed,) = late.of("SUBSCRIBED")
    assert len(subscribed["subscribed"]["get_state"]["get_tasks"]["tasks"]) >= 6
    assert shapes.event_problems("operator-events", late.events) == []


def test_executor_events(scene: Scene) -> None:
    assert shapes.event_problems("executor-events", scene.executor.events) == []
    told = {event["type"] for event in scene.executor.events}
    assert told >= {"SUBSCRIBED", "LAUNCH", "LAUNCH_GROUP", "ACKNOWLEDGED", "MESSAGE", "KILL"}


def test_the_scene_is_as_rich_as_it_claims(scene: Scene) -> None:
    states = {one["id"]: one["state"] for one in scene.cluster.tasks().values()}
    assert states == {
        **dict.fromkeys(["runs", "custom", "g1", "g2", "plain"], "TASK_RUNNING"),
        **dict.fromkeys(["finished", "ended", "gone"], "TASK_FINISHED"),
        **dict.fromkeys(["killed", "c1", "torn"], "TASK_KILLED"),
        "failed": "TASK_FAILED",
        "c2": "TASK_STAGING",
    }  # what was invalid never became a task
    prometheus = request(scene.master.address, "GET", "/metrics").text
    assert "koinon_master_tasks_running" in prometheus
    assert (
        json.loads(request(scene.master.address, "GET", "/master/state.json").body)["activated_slaves"] == 1
    )
