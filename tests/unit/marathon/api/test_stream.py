"""`/v2/events`, and the bus behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientError, ClientResponse, ClientSession

from koinon.marathon.bus import EventBus, frame_of
from koinon.marathon.model.app import HealthCheck
from tests.unit.marathon.api.conftest import APP, Api

EVENTS = {"Accept": "text/event-stream"}


@asynccontextmanager
async def listening(api: Api, query: str = "", **headers: str) -> AsyncIterator[ClientResponse]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        ClientSession() as session,
        session.get(api.client.make_url(f"/v2/events{query}"), headers={**EVENTS, **named}) as answer,
    ):
        assert answer.status == 200
        yield answer


async def event(answer: ClientResponse) -> dict[str, object]:
    """The next one; its name is that in its data."""
    async with asyncio.timeout(5):
        name = (await answer.content.readline()).decode()
        while name == "\r\n":
            name = (await answer.content.readline()).decode()
        data = (await answer.content.readline()).decode()
        assert await answer.content.readline() == b"\r\n"
    found: dict[str, object] = json.loads(data.removeprefix("data: "))
    assert name == f"event: {found['eventType']}\r\n"
    assert str(found["timestamp"]).endswith("Z")
    return found


async def test_the_first_event_is_that_one_listens(api: Api) -> None:
    async with listening(api, X_Forwarded_For="10.0.0.1, 10.0.0.2") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        first = await event(answer)
        assert (first["eventType"], first["remoteAddress"]) == ("event_stream_attached", "10.0.0.1")


async def test_what_happens_is_told_in_its_order(api: Api) -> None:
    async with listening(api) as answer:
        await event(answer)
        await api.post("/v2/apps", {**APP, "instances": 0})
        posted = await event(answer)
        assert (posted["eventType"], posted["uri"]) == ("api_post_event", "/v2/apps")
        assert posted["clientIp"] == "127.0.0.1"
        definition = posted["appDefinition"]
        assert isinstance(definition, dict)
        assert (definition["id"], "container" in definition) == ("/app", False)
        names = [(await event(answer))["eventType"] for _ in range(2)]
        assert names[:2] == ["group_change_success", "deployment_info"]


async def test_only_the_types_that_are_named_are_told(api: Api) -> None:
    async with listening(api, "?event_type=group_change_success&event_type=deployment_success") as answer:
        await api.create(instances=0)
        assert (await event(answer))["eventType"] == "group_change_success"
        success = await event(answer)
        assert (success["eventType"], set(success)) == (
            "deployment_success",
            {"eventType", "timestamp", "id", "plan"},
        )
        assert {"id", "version", "steps"} <= set(success["plan"])  # type: ignore[call-overload]


async def test_scheduler_events_are_for_who_asks_for_them(api: Api) -> None:
    async with listening(api) as all_, listening(api, "?event_type=scheduler_disconnected_event") as asked:
        await event(all_)
        await event(all_)
        api.world.disconnect()
        assert (await event(asked))["eventType"] == "scheduler_disconnected_event"
        api.runtime.bus.publish("x", {}, 0)
        assert (await event(all_))["eventType"] == "x"


async def test_others_hear_when_one_leaves(api: Api) -> None:
    async with listening(api, "?event_type=event_stream_detached") as answer:
        async with listening(api) as other:
            await event(other)
        assert (await event(answer))["eventType"] == "event_stream_detached"
        assert len(api.runtime.bus) == 1


async def test_it_ends_when_this_process_leads_no_more(api: Api) -> None:
    async with listening(api) as answer:
        await event(answer)
        api.runtime.bus.close()
        async with asyncio.timeout(5):
            assert await answer.content.read() == b""


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
async def test_who_does_not_ask_for_events_is_refused(api: Api, accept: str) -> None:
    assert (await api.get("/v2/events", Accept=accept)).status == 405


def test_what_is_not_set_is_left_out_as_in_answers() -> None:
    frame = frame_of("add_health_check_event", {"healthCheck": HealthCheck(path="/")}, 0.0)
    check = json.loads(frame.partition(b"data: ")[2])["healthCheck"]
    assert check["path"] == "/"
    assert None not in check.values()


async def test_a_listener_that_falls_behind_is_cut_off() -> None:
    bus = EventBus(outstanding_max=3)
    slow, quick = bus.listen(), bus.listen(["b"])
    for number in range(3):
        bus.publish("a", {"number": number}, 0)
    assert not slow.is_cut_off
    assert (await slow.frames(0)).count(b"data: ") == 3
    for number in range(4):
        bus.publish("a", {"number": number}, 0)
    bus.publish("b", {}, 0)
    assert slow.is_cut_off
    assert not quick.is_cut_off
    assert (await quick.frames(0)).startswith(b"event: b\r\n")
    assert await quick.frames(0.001) == b""


async def test_a_reader_that_falls_behind_is_disconnected(api: Api) -> None:
    async with listening(api) as answer:
        await event(answer)
        for _ in range(30):  # more than the kernel takes for one that does not read
            api.runtime.bus.publish("a", {"text": "x" * 1_000_000}, 0)
            await asyncio.sleep(0.01)
        for number in range(21):
            api.runtime.bus.publish("a", {"number": number}, 0)
        with pytest.raises(ClientError):
            async with asyncio.timeout(5):
                await answer.content.read()
    assert len(api.runtime.bus) == 0
