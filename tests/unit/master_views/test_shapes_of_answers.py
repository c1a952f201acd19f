"""Every answer of the master has the keys and types that tools index without looking."""

import asyncio
import json

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from koinon.mesos import codec, v1
from koinon.mesos.recordio import RecordDecoder
from koinon.mesos.v1.master import Event, Response
from tests import shapes
from tests.unit.master_views import cluster as c

RUNNING, FINISHED, FAILED = v1.TaskState.TASK_RUNNING, v1.TaskState.TASK_FINISHED, v1.TaskState.TASK_FAILED

FULL_LABELS = v1.Labels(labels=[v1.Label(key="k", value="v")])


@pytest.fixture
async def situation(master):
    """Frameworks rich and plain, offers, tasks running and ended, a framework that was torn down."""
    async with (
        c.agent_of(master) as agent,
        c.framework_of(master, c.rich_framework()) as rich,
    ):
        offers = (await rich.event("OFFERS")).offers.offers
        first = offers[0]
        executor = v1.ExecutorInfo(
            executor_id=v1.ExecutorID("e"),
            type=v1.ExecutorInfo.Type.CUSTOM,
            framework_id=v1.FrameworkID(rich.id),
            command=v1.CommandInfo(value="./run"),
            name="own",
            labels=c.labels(),
            resources=c.task("x", "y", "cpus:0.1;mem:32").resources,
        )
        await rich.call("SUPPRESS")  # leaves the rest to the others
        await rich.launch(
            first,
            c.rich_task("running", agent.id),
            c.task("finished", agent.id),
            c.task("failed", agent.id, labels=c.labels()),
            c.task("custom", agent.id, executor=executor, command=None),
        )
        for task_id, states in [
            ("running", [RUNNING]),
            ("finished", [RUNNING, FINISHED]),
            ("failed", [FAILED]),
            ("custom", [RUNNING]),
        ]:
            for state in states:
                await agent.update(rich.id, task_id, state, healthy=True, labels=FULL_LABELS)
                status = (await rich.event("UPDATE")).update.status
                assert (status.task_id.value, status.state) == (task_id, state)
                await rich.acknowledge(status)
        async with c.framework_of(master, c.rich_framework()) as torn_down:
            await torn_down.event("OFFERS")
            await torn_down.call("TEARDOWN")
        async with c.framework_of(master, c.plain_framework()) as plain:
            offers = (await plain.event("OFFERS")).offers.offers
            await plain.launch(offers[0], c.task("plain", agent.id))
            await agent.update(plain.id, "plain", RUNNING)
            await plain.event("UPDATE")
            yield agent, rich, plain


@pytest.mark.parametrize(
    "endpoint",
    [
        "state",
        "state-summary",
        "slaves",
        "frameworks",
        "tasks",
        "roles",
        "flags",
        "version",
        "weights",
        "quota",
        "maintenance/status",
        "maintenance/schedule",
        "system/stats.json",
    ],
)
async def test_classic_endpoint_has_its_shape(master, situation, endpoint):
    answer = await c.get(master, f"/master/{endpoint}")
    assert shapes.problems(f"master-{endpoint.replace('/', '-')}", answer) == []


async def test_state_shows_the_situation(master, situation):
    agent, rich, plain = situation
    state = await c.get(master, "/state")
    frameworks = {one["id"]: one for one in state["frameworks"]}
    assert set(frameworks) == {rich.id, plain.id}
    assert {t["id"]: t["state"] for t in frameworks[rich.id]["tasks"]} == {
        "running": "TASK_RUNNING",
        "custom": "TASK_RUNNING",
    }
    assert {t["id"]: t["state"] for t in frameworks[rich.id]["completed_tasks"]} == {
        "finished": "TASK_FINISHED",
        "failed": "TASK_FAILED",
    }
    assert frameworks[rich.id]["roles"] == ["ads", "web"]
    assert frameworks[plain.id]["role"] == "*"
    assert len(state["completed_frameworks"]) == 1
    (shown,) = state["slaves"]
    assert shown["id"] == agent.id
    assert shown["attributes"] == {"rack": "r1"}
    assert shown["resources"]["ports"] == "[31000-32000]"
    assert shown["reserved_resources"]["ads"]["cpus"] == 2.0
    assert shown["used_resources"]["cpus"] == pytest.approx(1.6)
    assert state["activated_slaves"] == 1


async def test_state_follows_what_changes(master, situation):
    agent, rich, _ = situation
    before = await c.get(master, "/state")
    await agent.update(rich.id, "running", FINISHED)
    await rich.acknowledge((await rich.event("UPDATE")).update.status)
    after = await c.get(master, "/state")

    def used(state):
        return state["slaves"][0]["used_resources"]["cpus"]

    assert used(after) == pytest.approx(used(before) - 0.5)
    tasks = {t["id"]: t for t in after["frameworks"][0]["completed_tasks"]}
    assert tasks["running"]["state"] == "TASK_FINISHED"
    assert [status["state"] for status in tasks["running"]["statuses"]] == ["TASK_RUNNING", "TASK_FINISHED"]


CALLS = [
    ("GET_HEALTH", {}),
    ("GET_FLAGS", {}),
    ("GET_VERSION", {}),
    ("GET_METRICS", {"get_metrics": {}}),
    ("GET_LOGGING_LEVEL", {}),
    ("GET_AGENTS", {}),
    ("GET_FRAMEWORKS", {}),
    ("GET_EXECUTORS", {}),
    ("GET_TASKS", {}),
    ("GET_OPERATIONS", {}),
    ("GET_ROLES", {}),
    ("GET_WEIGHTS", {}),
    ("GET_MASTER", {}),
    ("GET_QUOTA", {}),
    ("GET_MAINTENANCE_STATUS", {}),
    ("GET_MAINTENANCE_SCHEDULE", {}),
]


@pytest.mark.parametrize(("call", "body"), CALLS)
async def test_operator_call_has_its_shape(master, situation, call, body):
    status, answer = await c.operate(master, call, **body)
    assert status == 200
    assert shapes.problems(f"master-v1-{call}", json.loads(answer)) == []


async def test_get_state_has_the_shapes_of_its_parts(master, situation):
    _, answer = await c.operate(master, "GET_STATE")
    assert shapes.state_problems(json.loads(answer)) == []


@pytest.mark.parametrize(("call", "body"), [*CALLS, ("GET_STATE", {})])
async def test_protobuf_tells_the_same_as_json(master, situation, call, body):
    _, as_json = await c.operate(master, call, **body)
    _, as_protobuf = await c.operate(master, call, codec.PROTOBUF, **body)
    told_json = codec.decode(Response, as_json)
    told_protobuf = codec.decode(Response, as_protobuf, codec.PROTOBUF)
    if call == "GET_METRICS":  # time goes on
        names = [[metric.name for metric in told.get_metrics.metrics] for told in (told_json, told_protobuf)]
        assert names[0] == names[1]
    else:
        assert codec.encode(told_json) == codec.encode(told_protobuf)


async def test_metrics_have_their_names(master, situation):
    snapshot = await c.get(master, "/metrics/snapshot")
    assert shapes.metric_problems("master-metrics-snapshot", snapshot, with_frameworks=True) == []
    _, rich, _ = situation
    assert snapshot[f"master/frameworks/rich%20one/{rich.id}/tasks/active/task_running"] == 2
    assert snapshot[f"master/frameworks/rich%20one/{rich.id}/calls/acknowledge"] == 5
    assert snapshot["master/tasks_running"] == 3
    assert snapshot["master/slaves_active"] == 1
    assert snapshot["master/cpus_total"] == 10
    assert snapshot["master/cpus_used"] == pytest.approx(1.6)


async def test_prometheus_has_a_label_per_framework(master, situation):
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{master.about.port}/metrics") as response,
    ):
        families = {one.name: one for one in text_string_to_metric_families(await response.text())}
    _, rich, _ = situation
    samples = families["koinon_master_framework_calls_acknowledge"].samples
    assert {sample.labels["framework_id"]: sample.value for sample in samples}[rich.id] == 5


async def test_scheduler_events_have_their_shapes(master, situation):
    _, rich, plain = situation
    for framework in (rich, plain):
        events = [json.loads(codec.encode(event)) for event in framework.events]
        assert shapes.event_problems("scheduler-events", events) == []


async def test_operator_events_have_their_shapes(master, situation):
    agent, _, plain = situation
    async with Watcher(master) as watcher:
        await watcher.event("SUBSCRIBED")
        await watcher.event("HEARTBEAT")
        await agent.update(plain.id, "plain", FINISHED)
        updated = (await watcher.event("TASK_UPDATED"))["task_updated"]
        assert (updated["state"], updated["status"]["task_id"]) == ("TASK_FINISHED", {"value": "plain"})
        async with (
            c.framework_of(master, c.plain_framework()) as third,
            c.agent_of(master, "host-2") as second,
        ):
            assert (await watcher.event("FRAMEWORK_ADDED"))["framework_added"]["framework"]["connected"]
            added = (await watcher.event("AGENT_ADDED"))["agent_added"]["agent"]
            assert added["agent_info"]["id"] == {"value": second.id}
            offers = (await third.event("OFFERS")).offers.offers
            await third.launch(offers[0], c.task("added", second.id))
            assert (await watcher.event("TASK_ADDED"))["task_added"]["task"]["task_id"] == {"value": "added"}
            await third.call("TEARDOWN")
            removed = (await watcher.event("FRAMEWORK_REMOVED"))["framework_removed"]
            assert removed["framework_info"]["id"] == {"value": third.id}
        assert shapes.event_problems("operator-events", watcher.events) == []


async def test_operator_events_come_in_protobuf_too(master, situation):
    agent, _, plain = situation
    async with Watcher(master, codec.PROTOBUF) as watcher:
        subscribed = await watcher.event("SUBSCRIBED")
        tasks = subscribed["subscribed"]["get_state"]["get_tasks"]
        assert {t["task_id"]["value"] for t in tasks["tasks"]} == {"running", "custom", "plain"}
        await agent.update(plain.id, "plain", FINISHED)
        assert (await watcher.event("TASK_UPDATED"))["task_updated"]["state"] == "TASK_FINISHED"


class Watcher:
    """A subscriber of the operators' event stream; events as JSON."""

    def __init__(self, master, content_type=codec.JSON):
        self._url = f"http://127.0.0.1:{master.about.port}/api/v1"
        self._content_type = content_type
        self._waiting = []
        self.events = []

    async def __aenter__(self):
        self._decoder = RecordDecoder()
        self._session = aiohttp.ClientSession()
        self.response = await self._session.post(
            self._url,
            data=b'{"type":"SUBSCRIBE"}',
            headers={"Content-Type": codec.JSON, "Accept": self._content_type},
        )
        assert self.response.status == 200
        return self

    async def __aexit__(self, *_):
        self.response.close()
        await self._session.close()

    async def event(self, kind):
        while True:
            while self._waiting:
                event = self._waiting.pop(0)
                if event["type"] == kind:
                    return event
            data = await asyncio.wait_for(self.response.content.readany(), c.WAIT_S)
            assert data, f"the stream ended before {kind}"
            for record in self._decoder.feed(data):
                if self._content_type == codec.PROTOBUF:
                    record = codec.encode(codec.decode(Event, record, codec.PROTOBUF))
                self.events.append(json.loads(record))
                self._waiting.append(self.events[-1])
