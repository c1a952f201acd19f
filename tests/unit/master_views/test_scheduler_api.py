"""The scheduler API over HTTP: statuses of refusals, the stream, and who is cut off."""

import asyncio
import json

import aiohttp
import pytest

from koinon.edge.streams import BACKLOG_BYTES_MAX
from koinon.mesos import codec, v1
from koinon.mesos.v1 import scheduler
from tests.unit.master_views import cluster as c

JSON = {"Content-Type": "application/json"}
SUBSCRIBE = {
    "type": "SUBSCRIBE",
    "subscribe": {"framework_info": {"user": "nobody", "name": "x"}},
}
RECONCILE_OPERATIONS = {
    "type": "RECONCILE_OPERATIONS",
    "framework_id": {"value": "nobody"},
    "reconcile_operations": {},
}


async def post(master, body, headers=JSON, path="/api/v1/scheduler"):
    """Status, headers and text of an answer that is no stream."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"http://127.0.0.1:{master.about.port}{path}",
            data=data,
            headers=headers,
            skip_auto_headers=["Content-Type", "Accept"],
        ) as response,
    ):
        return response.status, response.headers, await response.text()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (SUBSCRIBE, {}, 400),
        (SUBSCRIBE, {"Content-Type": "text/plain"}, 415),
        (SUBSCRIBE, {"Content-Type": "application/recordio"}, 415),
        (SUBSCRIBE, {"Content-Type": "application/json; charset=utf-8"}, 415),
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b"\xff\x00", {"Content-Type": "application/x-protobuf"}, 400),
        ({}, JSON, 400),
        ({"type": "NO_SUCH_CALL"}, JSON, 400),
        ({"type": "UNKNOWN"}, JSON, 501),
        ({"type": "SUBSCRIBE"}, JSON, 400),
        (SUBSCRIBE, JSON | {"Accept": "text/html"}, 406),
        (SUBSCRIBE, JSON | {"Mesos-Stream-Id": "x"}, 400),
        # What is wrong with the call counts before what its answer could look like, that before the stream.
        ({"type": "SUBSCRIBE"}, JSON | {"Accept": "text/html"}, 400),
        (SUBSCRIBE, JSON | {"Accept": "text/html", "Mesos-Stream-Id": "x"}, 406),
        (RECONCILE_OPERATIONS, JSON | {"Accept": "text/html"}, 406),
        (RECONCILE_OPERATIONS, JSON, 400),
        ({"type": "RECONCILE_OPERATIONS"}, JSON | {"Accept": "text/html"}, 400),
        ({"type": "DECLINE", "framework_id": {"value": "nobody"}, "decline": {"offer_ids": []}}, JSON, 400),
        ({"type": "REVIVE"}, JSON, 400),
    ],
)
async def test_call_is_refused_in_one_line(master, body, headers, status):
    answered, answer_headers, text = await post(master, body, headers)
    assert answered == status
    assert answer_headers["Content-Type"].startswith("text/plain")
    assert text
    assert len(text.splitlines()) == 1


async def test_get_is_405(master):
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{master.about.port}/api/v1/scheduler") as response,
    ):
        assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("content_type", [codec.JSON, codec.PROTOBUF])
async def test_subscription_gets_its_id_and_a_heartbeat_at_once(master, content_type):
    async with c.framework_of(master, c.plain_framework(), content_type) as framework:
        assert framework.id == f"{master.about.master_id}-0000"
        assert framework.response.headers["Content-Type"] == content_type
        assert framework.response.headers["Transfer-Encoding"] == "chunked"
        await framework.event("HEARTBEAT")
        assert [event.type.value for event in framework.events][:2] == ["SUBSCRIBED", "HEARTBEAT"]
        subscribed = framework.events[0].subscribed
        assert subscribed.heartbeat_interval_seconds == 15.0
        assert subscribed.master_info.pid == f"master@127.0.0.1:{master.about.port}"


async def test_calls_answer_202_and_update_framework_200(master):
    async with c.framework_of(master, c.plain_framework()) as framework:
        assert await framework.call("REVIVE") == (202, "")
        info = c.plain_framework()
        info.id = v1.FrameworkID(framework.id)
        update = scheduler.Call.UpdateFramework(framework_info=info)
        assert await framework.call("UPDATE_FRAMEWORK", update_framework=update) == (200, "")


async def test_call_with_a_wrong_stream_id_is_400(master):
    async with c.framework_of(master, c.plain_framework()) as framework:
        right, framework.stream_id = framework.stream_id, "wrong"
        assert (await framework.call("REVIVE"))[0] == 400
        framework.stream_id = right
        assert (await framework.call("REVIVE"))[0] == 202


async def test_call_after_the_stream_broke_is_403(master):
    info = c.plain_framework()
    info.failover_timeout = 100.0
    async with c.framework_of(master, info) as framework:
        framework.response.close()
        await until(lambda: not master.runtime.streams)
        status, text = await framework.call("REVIVE")
        assert status == 403
        assert "not subscribed" in text


async def test_framework_without_failover_timeout_is_completed_when_its_stream_breaks(master):
    async with c.framework_of(master, c.plain_framework()) as framework:
        framework.response.close()
        await until(lambda: framework.id in master.runtime.core.state.completed_frameworks)


async def test_second_subscription_of_a_framework_ends_the_first(master):
    info = c.plain_framework()
    info.failover_timeout = 100.0
    async with c.framework_of(master, info) as first:
        info.id = v1.FrameworkID(first.id)
        async with c.framework_of(master, info) as second:
            assert (await first.event("ERROR")).error.message
            assert await first.response.content.read() == b""
            assert second.id == first.id
            assert (await second.call("REVIVE"))[0] == 202
            assert (await first.call("REVIVE"))[0] == 400


async def test_teardown_ends_the_stream(master):
    async with c.framework_of(master, c.plain_framework()) as framework:
        assert (await framework.call("TEARDOWN"))[0] == 202
        await framework.response.content.read()
        assert framework.id in master.runtime.core.state.completed_frameworks


async def test_framework_that_does_not_read_is_cut_off_and_others_go_on(master):
    async with (
        c.agent_of(master) as agent,
        c.framework_of(master, c.plain_framework()) as lazy,
        c.framework_of(master, c.plain_framework()) as other,
    ):
        lazy.response.connection.transport.pause_reading()
        stream = master.runtime.streams[lazy.stream_id]
        flood = scheduler.Event(
            type=scheduler.Event.Type.ERROR, error=scheduler.Event.Error(message="x" * 1_000_000)
        )
        for _ in range(200):
            stream.send(flood)
            await asyncio.sleep(0)
        await until(lambda: lazy.stream_id not in master.runtime.streams)
        assert lazy.id in master.runtime.core.state.completed_frameworks
        offers = (await other.event("OFFERS")).offers.offers
        assert offers[0].agent_id.value == agent.id


async def test_same_conversation_in_protobuf_and_json(master):
    seen = []
    for content_type in (codec.JSON, codec.PROTOBUF):
        async with (
            c.agent_of(master) as agent,
            c.framework_of(master, c.plain_framework(), content_type) as framework,
        ):
            (offer,) = (await framework.event("OFFERS")).offers.offers
            await framework.launch(offer, c.task("t", agent.id))
            assert (await agent.hear(object)).task.task_id.value == "t"
            await agent.update(framework.id, "t", v1.TaskState.TASK_RUNNING)
            status = (await framework.event("UPDATE")).update.status
            await framework.acknowledge(status)
            acknowledged = await agent.hear(object)
            assert acknowledged.uuid == status.uuid
            seen.append([event.type for event in framework.events])
    assert seen[0] == seen[1]


async def test_failing_core_stops_the_master_loudly(master, monkeypatch):
    def fail(event, now):
        raise AssertionError("a law was broken")

    monkeypatch.setattr(master.runtime.core, "handle", fail)
    status, _, text = await post(master, SUBSCRIBE)
    assert (status, len(text.splitlines())) == (500, 1)
    assert isinstance(master.failed.exception(), AssertionError)
    status, _, _ = await post(master, SUBSCRIBE)
    assert status == 503


async def until(condition):
    """Wait until the condition holds; what it looks at is not to be awaited from here."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


async def test_who_asks_for_more_tasks_than_fit_is_told_as_it_reads(master):
    count = 95_000  # more than 16 MiB of answers, and what the kernel holds
    asked = [scheduler.Call.Reconcile.Task(task_id=v1.TaskID(f"{n:060}")) for n in range(count)]
    async with c.framework_of(master, c.plain_framework()) as framework:
        for at in range(0, count, 5000):
            body = scheduler.Call.Reconcile(tasks=asked[at : at + 5000])
            status, text = await framework.call("RECONCILE", reconcile=body)
            assert status == 202, text
        stream = master.runtime.streams[framework.stream_id]
        await until(lambda: stream.unread_bytes)  # the kernel holds no more
        assert stream.unread_bytes < BACKLOG_BYTES_MAX / 4
        told = 0
        while told < count:
            event = await framework.event("UPDATE")
            assert event.update.status.task_id.value == f"{told:060}"
            told += 1
