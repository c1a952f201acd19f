"""A scheduler hears: subscriptions and events, from a server that says what it is told to."""

import asyncio

import pytest

from koinon.mesos import codec, recordio, v1
from koinon.mesos.v1.scheduler import Call, Event
from koinon.sdk import ApiError, FrameworkError, Scheduler, framework_info
from tests.unit.sdk.frameworks import (
    FRAMEWORK_ID,
    HEARTBEAT,
    SUBSCRIBED,
    Recorder,
    error,
    offers,
    update,
)


# ── subscribing ───────────────────────────────────────────────────────────────────────────────────
async def test_a_new_framework_subscribes_without_an_id(master, running):
    running(Recorder(master))
    subscription = await master.subscription()
    assert subscription.call.framework_id is None
    assert subscription.call.subscribe.framework_info.name == "recorder"
    assert "mesos-stream-id" not in subscription.headers


async def test_calls_carry_the_framework_id_and_the_stream_id(master, start):
    scheduler = Recorder(master)
    await start(scheduler, master)
    scheduler.revive()
    headers, call = await master.calls.get()
    assert call == Call(framework_id=FRAMEWORK_ID, type=Call.Type.REVIVE)
    assert headers["mesos-stream-id"] == "stream-1"


async def test_credentials_go_into_the_basic_authorization_of_every_request(master, start):
    scheduler = Recorder(master, credential=("me", "secret"))
    subscription = await start(scheduler, master)
    scheduler.revive()
    headers, _ = await master.calls.get()
    assert subscription.headers["authorization"] == headers["authorization"] == "Basic bWU6c2VjcmV0"


async def test_a_redirect_is_followed_and_calls_go_to_where_it_led(master, other_master, start):
    master.subscribe_answers.append((307, f"Location: //{other_master.address}/api/v1/scheduler\r\n", ""))
    scheduler = Recorder(master)
    await start(scheduler, other_master)
    scheduler.suppress()
    assert (await other_master.call()).type is Call.Type.SUPPRESS


async def test_a_master_that_is_not_ready_is_asked_again(master, start):
    master.subscribe_answers += [(503, "", "recovering"), None, (500, "", "oops")]
    await start(Recorder(master), master)
    assert not master.subscribe_answers


async def test_masters_that_redirect_in_circles_are_asked_again_later(master, start):
    here = (307, f"Location: //{master.address}\r\n", "")
    master.subscribe_answers += [here] * 7
    await start(Recorder(master), master)


async def test_a_refused_subscription_ends_run_with_the_reason(master, running):
    master.subscribe_answers.append((401, "", "who are you?\n"))
    with pytest.raises(ApiError, match=r"^401: who are you\?$"):
        await running(Recorder(master))


async def test_a_master_that_does_not_speak_http_is_asked_again(running):
    greeted = asyncio.Queue()

    async def greet(reader, writer):
        greeted.put_nowait(True)
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        task = running(Recorder(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        for _ in range(2):
            await asyncio.wait_for(greeted.get(), 5)
        task.cancel()
        await asyncio.wait([task])


# ── events ────────────────────────────────────────────────────────────────────────────────────────
async def test_events_reach_the_methods_in_their_order(master, start):
    scheduler = Recorder(master)
    subscription = await start(scheduler, master)
    agent_id, executor_id = v1.AgentID("S0"), v1.ExecutorID("E0")
    subscription.send(HEARTBEAT)
    subscription.send(offers("O0", "O1"))
    subscription.send(Event(type=Event.Type.RESCIND, rescind=Event.Rescind(v1.OfferID("O1"))))
    subscription.send(update())
    message = Event.Message(agent_id=agent_id, executor_id=executor_id, data=b"\0\xff")
    subscription.send(Event(type=Event.Type.MESSAGE, message=message))
    failure = Event.Failure(agent_id=agent_id, executor_id=executor_id, status=9)
    subscription.send(Event(type=Event.Type.FAILURE, failure=failure))
    assert [await scheduler.next() for _ in range(5)] == [
        ("offers", ["O0", "O1"]),
        ("rescinded", "O1"),
        ("update", "T0", "TASK_RUNNING"),
        ("message", "S0", "E0", b"\0\xff"),
        ("failure", "S0", "E0", 9),
    ]


async def test_an_event_that_arrives_byte_by_byte_is_one_event(master, start):
    scheduler = Recorder(master)
    subscription = await start(scheduler, master)
    for byte in recordio.frame(codec.encode(offers("O0"))):
        subscription.send_bytes(bytes([byte]))
    assert await scheduler.next() == ("offers", ["O0"])


async def test_an_event_of_a_kind_from_the_future_is_skipped(master, start):
    scheduler = Recorder(master)
    subscription = await start(scheduler, master)
    subscription.send_bytes(recordio.frame(b'{"type":"TELEPATHY","telepathy":{"thought":1}}'))
    subscription.send(offers("O0"))
    assert await scheduler.next() == ("offers", ["O0"])


@pytest.mark.parametrize("garbage", [b"not a length\n{}", b'8\n{"type":', recordio.frame(b"{]")])
async def test_a_stream_that_cannot_be_read_is_left_for_a_new_one(master, start, garbage):
    scheduler = Recorder(master)
    subscription = await start(scheduler, master)
    subscription.send_bytes(garbage)
    subscription.end()
    assert await scheduler.next() == ("disconnected",)
    await master.subscription()


async def test_the_same_conversation_in_protobuf(master, start):
    scheduler = Recorder(master, content_type=codec.PROTOBUF)
    subscription = await start(scheduler, master)
    assert subscription.headers["content-type"] == codec.PROTOBUF
    subscription.send(update())
    assert await scheduler.next() == ("update", "T0", "TASK_RUNNING")
    assert (await master.call()).acknowledge.uuid == b"0123456789abcdef"


async def test_the_next_event_waits_for_an_async_method(master, running):
    go = asyncio.Event()

    class Slow(Recorder):
        async def offers(self, offers):
            await go.wait()
            super().offers(offers)

    scheduler = Slow(master)
    running(scheduler)
    subscription = await master.subscription()
    for event in (SUBSCRIBED, offers("O0"), update()):
        subscription.send(event)
    await scheduler.next()
    go.set()
    assert (await scheduler.next())[0] == "offers"
    assert (await scheduler.next())[0] == "update"


async def test_a_slow_framework_lets_events_wait_at_the_master_and_misses_none(master, running):
    go = asyncio.Event()

    class Slow(Recorder):
        async def subscribed(self, framework_id):
            await go.wait()

        def message(self, agent_id, executor_id, data):
            super().message(agent_id, executor_id, data[:2])

    scheduler = Slow(master)
    running(scheduler)
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    for index in range(64):  # 32 MB: more than sockets hold
        message = Event.Message(
            agent_id=v1.AgentID("S"), executor_id=v1.ExecutorID("E"), data=b"%02d" % index + bytes(384 * 1024)
        )
        subscription.send(Event(type=Event.Type.MESSAGE, message=message))
    unsent_bytes = -1
    while subscription.unsent_bytes != unsent_bytes:  # until nothing moves any more
        unsent_bytes = subscription.unsent_bytes
        await asyncio.sleep(0.05)
    assert unsent_bytes > 8 * 2**20
    go.set()
    assert [(await scheduler.next())[3] for _ in range(64)] == [b"%02d" % index for index in range(64)]


async def test_an_exception_in_a_method_ends_run(master, running):
    class Broken(Recorder):
        def offers(self, offers):
            raise ZeroDivisionError

    task = running(Broken(master))
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    subscription.send(offers("O0"))
    with pytest.raises(ZeroDivisionError):
        await task
    await asyncio.wait_for(subscription.closed.wait(), 5)


async def test_an_error_event_ends_run_with_its_message(master, running):
    task = running(Recorder(master))
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    subscription.send(error("Framework failed over"))
    with pytest.raises(FrameworkError, match="failed over"):
        await task
    assert master.calls.empty()


async def test_an_error_event_that_the_author_handles_just_ends_run(master, running):
    class Calm(Recorder):
        def error(self, message):
            self.told.put_nowait(("error", message))

    scheduler = Calm(master)
    task = running(scheduler)
    (await master.subscription()).send(error("Framework has been removed"))
    await task
    assert await scheduler.next() == ("error", "Framework has been removed")


# ── acknowledging ─────────────────────────────────────────────────────────────────────────────────
async def test_an_update_is_acknowledged_after_the_method_has_returned(master, running):
    go = asyncio.Event()

    class Slow(Recorder):
        async def update(self, status):
            self.revive()
            await go.wait()
            self.suppress()

    running(Slow(master))
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    subscription.send(update("T7"))
    assert (await master.call()).type is Call.Type.REVIVE
    go.set()
    assert (await master.call()).type is Call.Type.SUPPRESS
    acknowledge = (await master.call()).acknowledge
    assert acknowledge == Call.Acknowledge(
        agent_id=v1.AgentID("S0"), task_id=v1.TaskID("T7"), uuid=b"0123456789abcdef"
    )


async def test_an_update_without_uuid_is_not_acknowledged(master, start):
    scheduler = Recorder(master)
    subscription = await start(scheduler, master)
    subscription.send(update(uuid=None))
    assert (await scheduler.next())[0] == "update"
    scheduler.revive()
    assert (await master.call()).type is Call.Type.REVIVE


async def test_authors_may_acknowledge_themselves(master, start):
    scheduler = Recorder(master, auto_acknowledge=False)
    subscription = await start(scheduler, master)
    subscription.send(update())
    assert (await scheduler.next())[0] == "update"
    scheduler.revive()
    scheduler.acknowledge(update().update.status)
    assert [(await master.call()).type.name for _ in range(2)] == ["REVIVE", "ACKNOWLEDGE"]


async def test_a_lost_acknowledgement_is_no_cause_for_a_warning(master, running, caplog):
    lost = asyncio.Queue()

    class Plain(Scheduler):
        def call_refused(self, call, error):
            super().call_refused(call, error)
            lost.put_nowait(call.type.name)

    master.answer = lambda call: None
    running(Plain(master.address, framework_info("plain")))
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    subscription.send(update())
    assert await lost.get() == "ACKNOWLEDGE"
    assert not caplog.messages
    subscription.send(offers("O0"))
    assert await lost.get() == "DECLINE"
    assert "DECLINE" in caplog.text
