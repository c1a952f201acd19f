"""The same conversation in JSON and in protobuf has the same outcome.

The protobuf half is spoken by the protobuf runtime and classes compiled here from `proto/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.harness import Cluster, NewCluster, eventually
from tests.cluster.protobuf_coding import ProtobufCoding, compile_protos
from tests.cluster.raw import (
    EXECUTOR,
    JSON,
    OPERATOR,
    SCHEDULER,
    Coding,
    Framework,
    Stream,
    post,
    scalars,
    task,
)

UUID = b"0123456789abcdef"
UUID_TEXT = "MDEyMzQ1Njc4OWFiY2RlZg=="

#: Ids that the cluster makes: of master, framework, agent, offer, container.
_MADE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-[SO]?\d+)?")
#: Fields whose values are of the moment.
_MOMENTARY = frozenset(
    [
        "timestamp",
        "nanoseconds",
        "executor_pid",
        "port",
        "pid",
        "uuid",
        "status_update_uuid",
        "elected_time",
        "start_time",
        "path",
    ]
)


@pytest.fixture(scope="module")
def protobuf(tmp_path_factory: pytest.TempPathFactory) -> ProtobufCoding:
    return ProtobufCoding(compile_protos(tmp_path_factory.mktemp("compiled")))


@pytest.fixture(scope="module")
def agent_protobuf(protobuf: ProtobufCoding) -> ProtobufCoding:
    return ProtobufCoding(protobuf._modules, operator="agent")


def erased(message: Any, seen: dict[str, str]) -> Any:
    """The message with made ids numbered in the order of their appearance, and without what is of the moment."""
    if isinstance(message, dict):
        return {
            name: "…" if name in _MOMENTARY and not isinstance(value, dict) else erased(value, seen)
            for name, value in message.items()
        }
    if isinstance(message, list):
        return [erased(one, seen) for one in message]
    if isinstance(message, str):
        return _MADE_ID.sub(lambda found: seen.setdefault(found[0], f"<{len(seen)}>"), message)
    return message


class Conversation:
    """One framework and its executor, from SUBSCRIBE to TEARDOWN, in one coding."""

    def __init__(self, cluster: Cluster, coding: Coding, protobuf: ProtobufCoding) -> None:
        self._cluster, self._coding, self._protobuf = cluster, coding, protobuf
        least = {"quantities": {"cpus": {"value": 0.05}, "mem": {"value": 8.0}}}
        self._framework = Framework(
            cluster.master_address,
            coding=coding,
            acknowledges=False,
            checkpoint=True,
            failover_timeout=60.5,
            name="talker",
            capabilities=[{"type": kind} for kind in ("MULTI_ROLE", "PARTITION_AWARE", "TASK_KILLING_STATE")],
            roles=["talk"],
            labels={"labels": [{"key": "k", "value": "v"}, {"key": "lonely"}]},
            offer_filters={"talk": {"min_allocatable_resources": {"quantities": [least]}}},
        )
        self.statuses: list[int] = []
        self.executor_events: list[dict[str, Any]] = []

    def hold(self) -> None:
        with self._framework:
            self._say_all()

    def _say_all(self) -> None:
        framework = self._framework
        framework.decline(framework.take_offer(), 0)
        self._launch(task("ends", "true", labels={"labels": [{"key": "a", "value": "b"}]}))
        self._hear("ends", "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED")
        self._launch(task("fails", "exit 3", data=UUID_TEXT))
        self._hear("fails", "TASK_STARTING", "TASK_RUNNING", "TASK_FAILED")
        self._launch(task("invalid"))
        self._hear("invalid", "TASK_ERROR")
        self._launch(task("runs", "sleep 1000"))
        self._hear("runs", "TASK_STARTING", "TASK_RUNNING")
        self._reconcile("runs", "unknown")
        framework.do("RECONCILE", reconcile={})
        framework.wait(lambda: len(framework.updates["runs"]) == 4, "all are reconciled")
        framework.kill("runs", kill_policy={"grace_period": {"nanoseconds": 10_000_000_000}})
        self._hear("runs", "TASK_KILLING", "TASK_KILLED", known=4)
        self._with_executor()
        for kind, body in (
            ("SUPPRESS", {}),
            ("REVIVE", {"revive": {"roles": ["talk"]}}),
            ("REQUEST", {"request": {"requests": [{"resources": scalars(cpus=1)}]}}),
            ("SUPPRESS", {"suppress": {"roles": ["talk"]}}),
            ("SUPPRESS", {"suppress": {"roles": ["other"]}}),
            ("RECONCILE_OPERATIONS", {"reconcile_operations": {}}),
            (
                "ACKNOWLEDGE",
                {"acknowledge": {"agent_id": {"value": "a"}, "task_id": {"value": "t"}, "uuid": "AA=="}},
            ),
            (
                "UPDATE_FRAMEWORK",
                {"update_framework": {"framework_info": {**framework.info, "name": "renamed"}}},
            ),
        ):
            self.statuses.append(framework.call(kind, **body).status)
        self.statuses.append(framework.call("TEARDOWN").status)
        framework.wait(lambda: framework.stream.ended, "the stream ends")

    def _launch(self, one: dict[str, Any]) -> None:
        framework = self._framework
        with framework.changed:
            first = framework.take_offer()
            offers = [first, *framework.offers.values()]
            framework.offers.clear()
        framework.accept(offers, [one])

    def _hear(self, task_id: str, *states: str, known: int = 0) -> None:
        """The updates come one by one, each after the one before was acknowledged."""
        framework = self._framework
        for number, state in enumerate(states, known + 1):
            framework.wait(lambda n=number: len(framework.updates[task_id]) >= n, f"{task_id} is {state}")
            assert framework.states(task_id)[known:] == list(states[: number - known])
            if "uuid" in (status := framework.updates[task_id][-1]):
                framework.acknowledge(status)

    def _reconcile(self, *task_ids: str) -> None:
        known = {task_id: len(self._framework.updates[task_id]) for task_id in task_ids}
        for task_id in task_ids:
            self._framework.do("RECONCILE", reconcile={"tasks": [{"task_id": {"value": task_id}}]})
            self._framework.wait(
                lambda of=task_id: len(self._framework.updates[of]) > known[of], f"{task_id} is reconciled"
            )

    def _with_executor(self) -> None:
        """A task of an own executor, whose part we play."""
        framework, agent = self._framework, self._cluster.agents[0].address
        ids = {"framework_id": {"value": framework.id}, "executor_id": {"value": "own"}}
        executor = {
            "type": "CUSTOM",
            **ids,
            "command": {"value": "sleep 1000", "environment": {"variables": [{"name": "A", "value": "B"}]}},
            "resources": scalars(cpus=0.1, mem=32),
            "data": UUID_TEXT,
            "shutdown_grace_period": {"nanoseconds": 1_000_000},
        }
        self._launch(task("custom", executor=executor))
        eventually(self._executor_runs, "the executor runs")
        stream = Stream(agent, EXECUTOR, {"type": "SUBSCRIBE", **ids, "subscribe": {}}, self._coding).read()
        stream.wait(lambda: stream.of("LAUNCH"), "the executor is given its task")
        agent_id = stream.of("LAUNCH")[0]["launch"]["task"]["agent_id"]

        def call_agent(kind: str, **body: Any) -> None:
            answer = post(agent, EXECUTOR, {"type": kind, **ids, **body}, self._coding)
            self.statuses.append(answer.status)

        def update(state: str, **more: Any) -> None:
            status = {"task_id": {"value": "custom"}, "state": state, "source": "SOURCE_EXECUTOR", **more}
            call_agent("UPDATE", update={"status": status})

        update("TASK_RUNNING", uuid=UUID_TEXT, healthy=True, data=UUID_TEXT, message="ready")
        self._hear("custom", "TASK_RUNNING")
        update("TASK_RUNNING", uuid="AA==")
        call_agent("HEARTBEAT")
        call_agent("MESSAGE", message={"data": UUID_TEXT})
        framework.wait(lambda: framework.stream.of("MESSAGE"), "the executor's message")
        target = {"agent_id": agent_id, "executor_id": {"value": "own"}}
        framework.do("MESSAGE", message={**target, "data": UUID_TEXT})
        stream.wait(lambda: stream.of("MESSAGE"), "the scheduler's message")
        framework.kill("custom")
        stream.wait(lambda: stream.of("KILL"), "the kill")
        update("TASK_KILLED", uuid="QTEyMzQ1Njc4OWFiY2RlZg==")
        self._hear("custom", "TASK_KILLED", known=1)
        framework.do("SHUTDOWN", shutdown=target)
        stream.wait(lambda: stream.ended, "the executor is shut down")
        framework.wait(lambda: framework.stream.of("FAILURE"), "the scheduler hears of it")
        self.executor_events = stream.events
        stream.close()

    def _executor_runs(self) -> bool:
        found = self._cluster.agents[0].get("/containers")
        return any(one["executor_id"] == "own" and "executor_pid" in one["status"] for one in found)

    # ── what came of it ───────────────────────────────────────────────────────────────────────────
    def outcome(self) -> dict[str, Any]:
        """All that was heard, by type and task, comparable between codings. Offers depend on timing but for the first."""
        seen: dict[str, str] = {}
        found: dict[str, Any] = {"statuses": self.statuses}
        events = self._normal(SCHEDULER, self._framework.events)
        found["SUBSCRIBED"], found["first offers"] = (
            erased(next(one for one in events if one["type"] == kind), seen)
            for kind in ("SUBSCRIBED", "OFFERS")
        )
        for event in events:
            if event["type"] == "UPDATE":
                key = f"UPDATE of {event['update']['status']['task_id']['value']}"
                found.setdefault(key, []).append(erased(event, {**seen}))
            elif event["type"] in ("MESSAGE", "FAILURE", "ERROR"):
                found.setdefault(event["type"], []).append(erased(event, {**seen}))
        found["executor"] = [erased(one, {**seen}) for one in self._normal(EXECUTOR, self.executor_events)]
        return found

    def _normal(self, path: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if isinstance(self._coding, ProtobufCoding):
            return events
        return [self._protobuf.normal(path, event) for event in events]


@pytest.mark.slow
def test_a_conversation_has_the_same_outcome_in_json_and_protobuf(
    new_cluster: NewCluster, protobuf: ProtobufCoding
) -> None:
    outcomes = []
    for coding in (JSON, protobuf):
        conversation = Conversation(new_cluster(), coding, protobuf)
        conversation.hold()
        outcomes.append(conversation.outcome())
    in_json, in_protobuf = outcomes
    assert in_json.keys() == in_protobuf.keys()
    for part in in_json:
        assert in_json[part] == in_protobuf[part], part
    assert in_json["statuses"] == [202, 400, 202, 202, 202, 202, 202, 202, 202, 202, 202, 400, 200, 202]
    assert len(in_json["UPDATE of runs"]) == 6
    told = [event["type"] for event in in_json["executor"]]
    assert told == ["SUBSCRIBED", "LAUNCH", "ACKNOWLEDGED", "MESSAGE", "KILL", "ACKNOWLEDGED", "SHUTDOWN"]


# ── operators ─────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def busy(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with a task that runs, one that ended, a framework that was torn down, a weight."""
    weights = {
        "type": "UPDATE_WEIGHTS",
        "update_weights": {"weight_infos": [{"role": "talk", "weight": 2.5}]},
    }
    assert post(cluster.master_address, OPERATOR, weights).status == 200
    with Framework(cluster.master_address) as gone:
        gone.do("TEARDOWN")
    with Framework(cluster.master_address, failover_timeout=60) as framework:
        framework.launch([task("runs", "sleep 1000"), task("ends", "echo said")])
        framework.wait_state("runs", "TASK_RUNNING")
        framework.wait_end("ends")
        framework.rest()
        eventually(lambda: cluster.tasks()["ends"]["state"] == "TASK_FINISHED", "the master knows")
        yield cluster
        framework.do("TEARDOWN")


MASTER_CALLS = [
    "GET_HEALTH",
    "GET_FLAGS",
    "GET_VERSION",
    "GET_LOGGING_LEVEL",
    "GET_STATE",
    "GET_AGENTS",
    "GET_FRAMEWORKS",
    "GET_EXECUTORS",
    "GET_OPERATIONS",
    "GET_TASKS",
    "GET_ROLES",
    "GET_WEIGHTS",
    "GET_MASTER",
    "GET_QUOTA",
    "GET_MAINTENANCE_STATUS",
    "GET_MAINTENANCE_SCHEDULE",
]
AGENT_CALLS = [
    "GET_HEALTH",
    "GET_FLAGS",
    "GET_VERSION",
    "GET_LOGGING_LEVEL",
    "GET_STATE",
    "GET_FRAMEWORKS",
    "GET_EXECUTORS",
    "GET_OPERATIONS",
    "GET_TASKS",
    "GET_AGENT",
    "GET_RESOURCE_PROVIDERS",
]


def both(address: str, call: dict[str, Any], protobuf: ProtobufCoding) -> tuple[Any, Any]:
    """The answers in JSON and in protobuf, made comparable."""
    in_json, in_protobuf = post(address, OPERATOR, call), post(address, OPERATOR, call, protobuf)
    assert (in_json.status, in_protobuf.status) == (200, 200), (in_json.text, in_protobuf.body)
    assert in_json.headers["Content-Type"] == JSON.content_type
    assert in_protobuf.headers["Content-Type"] == protobuf.content_type
    told = protobuf.normal(OPERATOR, JSON.decode(OPERATOR, in_json.body), "Response")
    return told, protobuf.decode(OPERATOR, in_protobuf.body, "Response")


@pytest.mark.parametrize("kind", MASTER_CALLS)
def test_master_tells_operators_the_same_in_both_codings(
    busy: Cluster, protobuf: ProtobufCoding, kind: str
) -> None:
    in_json, in_protobuf = both(busy.master_address, {"type": kind}, protobuf)
    assert in_json == in_protobuf


@pytest.mark.parametrize("kind", AGENT_CALLS)
def test_agent_tells_operators_the_same_in_both_codings(
    busy: Cluster, agent_protobuf: ProtobufCoding, kind: str
) -> None:
    in_json, in_protobuf = both(busy.agents[0].address, {"type": kind}, agent_protobuf)
    assert in_json == in_protobuf


def test_files_metrics_and_containers_are_told_in_both_codings(
    busy: Cluster, agent_protobuf: ProtobufCoding, protobuf: ProtobufCoding
) -> None:
    address = busy.agents[0].address
    (framework,) = busy.agents[0].get("/state")["frameworks"]
    (ended,) = [one for one in framework["completed_executors"] if one["id"] == "ends"]
    path = f"{ended['directory']}/stdout"
    for call in (
        {"type": "READ_FILE", "read_file": {"path": path, "offset": 0, "length": 100}},
        {"type": "LIST_FILES", "list_files": {"path": ended["directory"]}},
    ):
        in_json, in_protobuf = both(address, call, agent_protobuf)
        assert in_json == in_protobuf
    in_json, in_protobuf = both(address, {"type": "GET_CONTAINERS"}, agent_protobuf)
    for told in (in_json, in_protobuf):
        for container in told["get_containers"]["containers"]:
            assert container.pop("resource_statistics")["timestamp"] > 0  # usage goes on
    assert in_json == in_protobuf
    for where, coding in ((address, agent_protobuf), (busy.master_address, protobuf)):
        told_both = both(where, {"type": "GET_METRICS", "get_metrics": {}}, coding)
        names = [[one["name"] for one in told["get_metrics"]["metrics"]] for told in told_both]
        assert names[0] == names[1]


def test_operators_hear_the_same_events_in_both_codings(busy: Cluster, protobuf: ProtobufCoding) -> None:
    streams = [
        Stream(busy.master_address, OPERATOR, {"type": "SUBSCRIBE"}, coding).read()
        for coding in (JSON, protobuf)
    ]
    with Framework(busy.master_address) as framework:
        framework.launch([task("short", "true")])
        framework.wait_end("short")
        framework.do("TEARDOWN")
    for stream in streams:
        stream.wait(lambda of=stream: of.of("FRAMEWORK_REMOVED"), "the end")
        stream.close()
    in_json = [protobuf.normal(OPERATOR, event) for event in streams[0].events]
    assert in_json == streams[1].events
    told = [event["type"] for event in in_json if event["type"] not in ("HEARTBEAT", "FRAMEWORK_UPDATED")]
    assert told == ["SUBSCRIBED", "FRAMEWORK_ADDED", "TASK_ADDED", *["TASK_UPDATED"] * 3, "FRAMEWORK_REMOVED"]
