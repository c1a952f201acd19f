"""A scheduler against a server that says what it is told to."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.mesos import codec, recordio, v1
from koinon.mesos.v1.scheduler import Call, Event
from koinon.sdk import ApiError, FrameworkError, Scheduler, Undelivered, framework_info
from koinon.sdk.client import BACKOFF_MAX_S, backoff_s

FRAMEWORK_ID = v1.FrameworkID("F-0000")
SUBSCRIBED = Event(
    type=Event.Type.SUBSCRIBED,
    subscribed=Event.Subscribed(framework_id=FRAMEWORK_ID, heartbeat_interval_seconds=15.0),
)
HEARTBEAT = Event(type=Event.Type.HEARTBEAT)


def offer(offer_id="O0"):
    return v1.Offer(
        id=v1.OfferID(offer_id), framework_id=FRAMEWORK_ID, agent_id=v1.AgentID("S0"), hostname="a"
    )


def offers(*offer_ids):
    return Event(type=Event.Type.OFFERS, offers=Event.Offers(offers=[offer(one) for one in offer_ids]))


def update(task_id="T0", uuid=b"0123456789abcdef", state=v1.TaskState.TASK_RUNNING):
    status = v1.TaskStatus(
        task_id=v1.TaskID(task_id), state=state, agent_id=v1.AgentID("S0"), uuid=uuid, timestamp=1.0
    )
    return Event(type=Event.Type.UPDATE, update=Event.Update(status))


def error(message):
    return Event(type=Event.Type.ERROR, error=Event.Error(message))


class Recorder(Scheduler):
    """Notes everything it is told."""

    def __init__(self, master, *, failover_timeout_s=0.0, **options):
        info = framework_info("recorder", failover_timeout_s=failover_timeout_s)
        super().__init__(master.address if hasattr(master, "address") else master, info, **options)
        self.told = asyncio.Queue()

    async def next(self):
        return await asyncio.wait_for(self.told.get(), 5)

    def subscribed(self, framework_id):
        self.told.put_nowait(("subscribed", framework_id))

    def disconnected(self):
        self.told.put_nowait(("disconnected",))

    def offers(self, offers):
        self.told.put_nowait(("offers", [one.id.value for one in offers]))

    def rescinded(self, offer_id):
        self.told.put_nowait(("rescinded", offer_id.value))

    def update(self, status):
        self.told.put_nowait(("update", status.task_id.value, status.state.name))

    def message(self, agent_id, executor_id, data):
        self.told.put_nowait(("message", agent_id.value, executor_id.value, data))

    def failure(self, agent_id, executor_id, status):
        self.told.put_nowait(("failure", agent_id.value, executor_id and executor_id.value, status))

    def call_refused(self, call, error):
        self.told.put_nowait(("refused", call.type.name, error))


@pytest.fixture
def start(running):
    """Runs a scheduler and brings it to the point where it is subscribed."""

    async def start(scheduler, master):
        running(scheduler)
        subscription = await master.subscription()
        subscription.send(SUBSCRIBED)
        assert await scheduler.next() == ("subscribed", "F-0000")
        return subscription

    return start


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
    assert len(caplog.messages) == 1


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────
async def test_helpers_write_the_calls_they_stand_for(master, start):
    scheduler = Recorder(master)
    await start(scheduler, master)
    task = v1.TaskInfo(name="t", task_id=v1.TaskID("T0"), agent_id=v1.AgentID("S0"))
    executor = v1.ExecutorInfo(executor_id=v1.ExecutorID("E0"))
    scheduler.launch(offer(), [task], refuse_s=1.5)
    scheduler.launch_group([offer("O1")], executor, [task])
    scheduler.decline([offer("O2"), offer("O3")], refuse_s=60.0)
    scheduler.kill("T0", "S0", grace_s=2.5)
    scheduler.kill(v1.TaskID("T1"))
    scheduler.suppress("a", "b")
    scheduler.reconcile()
    scheduler.reconcile({"T0": "S0", "T1": None})
    scheduler.send_message("S0", "E0", b"hi")
    scheduler.shutdown_executor("S0", v1.ExecutorID("E0"))
    calls = {index: await master.call() for index in range(10)}
    operation = v1.Offer.Operation
    assert calls[0].accept == Call.Accept(
        offer_ids=[v1.OfferID("O0")],
        operations=[operation(type=operation.Type.LAUNCH, launch=operation.Launch(task_infos=[task]))],
        filters=v1.Filters(refuse_seconds=1.5),
    )
    assert calls[1].accept.operations[0].launch_group == operation.LaunchGroup(
        executor=executor, task_group=v1.TaskGroupInfo(tasks=[task])
    )
    assert calls[2].decline == Call.Decline(
        offer_ids=[v1.OfferID("O2"), v1.OfferID("O3")], filters=v1.Filters(refuse_seconds=60.0)
    )
    assert calls[3].kill == Call.Kill(
        task_id=v1.TaskID("T0"),
        agent_id=v1.AgentID("S0"),
        kill_policy=v1.KillPolicy(grace_period=v1.DurationInfo(2_500_000_000)),
    )
    assert calls[4].kill == Call.Kill(task_id=v1.TaskID("T1"))
    assert calls[5].suppress == Call.Suppress(roles=["a", "b"])
    assert calls[6].reconcile == Call.Reconcile()
    assert calls[7].reconcile == Call.Reconcile(
        tasks=[
            Call.Reconcile.Task(task_id=v1.TaskID("T0"), agent_id=v1.AgentID("S0")),
            Call.Reconcile.Task(task_id=v1.TaskID("T1")),
        ]
    )
    assert calls[8].message == Call.Message(
        agent_id=v1.AgentID("S0"), executor_id=v1.ExecutorID("E0"), data=b"hi"
    )
    assert calls[9].shutdown == Call.Shutdown(agent_id=v1.AgentID("S0"), executor_id=v1.ExecutorID("E0"))


async def test_offers_nobody_looks_at_are_declined(master, running):
    running(Scheduler(master.address, framework_info("idle")))
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    subscription.send(offers("O0"))
    assert (await master.call()).decline == Call.Decline(offer_ids=[v1.OfferID("O0")])


async def test_a_thousand_calls_arrive_in_order_over_one_connection(master, start):
    scheduler = Recorder(master)
    await start(scheduler, master)
    for index in range(1000):
        scheduler.kill(f"T{index}")
    killed = [(await master.call()).kill.task_id.value for _ in range(1000)]
    assert killed == [f"T{index}" for index in range(1000)]
    assert len(master.connections) == 2  # one more for the stream


async def test_a_refused_call_comes_back_with_status_and_sentence(master, start):
    master.answer = lambda call: (
        (400, "", "no such role\n") if call.type is Call.Type.REVIVE else (202, "", "")
    )
    scheduler = Recorder(master)
    await start(scheduler, master)
    scheduler.suppress()
    scheduler.revive("x")
    scheduler.suppress()
    name, kind, error = await scheduler.next()
    assert (name, kind, error.status, error.message) == ("refused", "REVIVE", 400, "no such role")


async def test_an_awaited_call_raises_its_refusal(master, start):
    master.answer = lambda call: (403, "", "not authorized")
    scheduler = Recorder(master)
    await start(scheduler, master)
    with pytest.raises(ApiError, match="403: not authorized"):
        await scheduler.update_framework(framework_info("renamed"))
    assert scheduler.framework.name == "recorder"


async def test_an_updated_framework_subscribes_as_such_later(master, start):
    master.answer = lambda call: (200, "", "")
    scheduler = Recorder(master)
    subscription = await start(scheduler, master)
    await scheduler.update_framework(framework_info("renamed", roles=["a", "b"]), suppressed_roles=["b"])
    sent = (await master.call()).update_framework
    assert sent.framework_info.id == FRAMEWORK_ID
    subscription.drop()
    subscribe = (await master.subscription()).call.subscribe
    assert (subscribe.framework_info.name, subscribe.suppressed_roles) == ("renamed", ["b"])


async def test_a_call_without_subscription_is_undelivered(master, running):
    scheduler = Recorder(master)
    scheduler.revive()
    with pytest.raises(Undelivered):
        await scheduler.call(Call(type=Call.Type.REVIVE))
    running(scheduler)
    (await master.subscription()).send(SUBSCRIBED)
    told = [await scheduler.next() for _ in range(2)]
    (refused,) = [one for one in told if one[0] == "refused"]
    assert isinstance(refused[2], Undelivered)


async def test_calls_cut_off_are_repeated_unless_that_could_do_harm(master, start):
    cuts = iter([None])
    master.answer = lambda call: next(cuts, (202, "", ""))
    scheduler = Recorder(master)
    await start(scheduler, master)
    scheduler.kill("T0")
    scheduler.launch(offer(), [])
    assert (await master.call()).kill.task_id.value == "T0"  # and the connection breaks
    name, kind, error = await scheduler.next()
    assert (name, kind) == ("refused", "ACCEPT")
    assert isinstance(error, Undelivered)
    while (call := await master.call()).type is Call.Type.ACCEPT:  # it may have been read, or not
        pass
    assert call.kill.task_id.value == "T0"


async def test_a_call_that_breaks_every_connection_is_given_up(master, start):
    master.answer = lambda call: None
    scheduler = Recorder(master)
    await start(scheduler, master)
    scheduler.kill("T0")
    name, kind, error = await scheduler.next()
    assert (name, kind) == ("refused", "KILL")
    assert isinstance(error, Undelivered)


# ── reconnecting ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("how", ["drop", "end"])
async def test_a_lost_stream_is_replaced_under_the_same_id(master, start, how):
    scheduler = Recorder(master)
    subscription = await start(scheduler, master)
    master.stream_id = "stream-2"
    getattr(subscription, how)()
    assert await scheduler.next() == ("disconnected",)
    again = await master.subscription()
    assert again.call.framework_id == again.call.subscribe.framework_info.id == FRAMEWORK_ID
    again.send(SUBSCRIBED)
    assert await scheduler.next() == ("subscribed", "F-0000")
    scheduler.revive()
    headers, _ = await master.calls.get()
    assert headers["mesos-stream-id"] == "stream-2"


async def test_five_missed_heartbeats_lead_to_a_new_subscription(master, running):
    scheduler = Recorder(master)
    running(scheduler)
    subscribed = Event.Subscribed(framework_id=FRAMEWORK_ID, heartbeat_interval_seconds=0.02)
    (await master.subscription()).send(Event(type=Event.Type.SUBSCRIBED, subscribed=subscribed))
    assert (await scheduler.next())[0] == "subscribed"
    assert await scheduler.next() == ("disconnected",)
    await master.subscription()


@pytest.mark.parametrize(
    "answer",
    [(403, "", "Framework is not subscribed"), (503, "", "no leader"), (307, "Location: //x:1\r\n", "")],
)
async def test_a_call_that_finds_us_unsubscribed_leads_to_a_new_subscription(master, start, answer):
    master.answer = lambda call: answer
    scheduler = Recorder(master)
    await start(scheduler, master)
    scheduler.revive()
    name, kind, error = await scheduler.next()
    assert (name, kind, error.status) == ("refused", "REVIVE", answer[0])
    assert await scheduler.next() == ("disconnected",)
    await master.subscription()


async def test_a_call_that_is_merely_forbidden_leaves_the_subscription_alone(master, start):
    master.answer = lambda call: (403, "", "Not authorized to revive")
    scheduler = Recorder(master)
    subscription = await start(scheduler, master)
    scheduler.revive()
    assert (await scheduler.next())[0] == "refused"
    subscription.send(offers("O0"))
    assert (await scheduler.next())[0] == "offers"


@given(attempt=st.integers(1, 10_000))
def test_the_wait_between_attempts_grows_to_fifteen_seconds(attempt):
    assert 0 <= backoff_s(attempt) <= min(BACKOFF_MAX_S, 0.1 * 2 ** min(attempt, 20))
    assert BACKOFF_MAX_S == 15


# ── leaving ───────────────────────────────────────────────────────────────────────────────────────
async def test_stop_delivers_earlier_calls_and_tears_down(master, running):
    class OneUpdate(Recorder):
        def update(self, status):
            self.stop()

    task = running(OneUpdate(master))
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    subscription.send(update())
    await task
    assert [(await master.call()).type.name for _ in range(2)] == ["ACKNOWLEDGE", "TEARDOWN"]
    await asyncio.wait_for(subscription.closed.wait(), 5)


async def test_stop_for_failover_delivers_earlier_calls_and_just_leaves(master, running):
    scheduler = Recorder(master)
    task = running(scheduler)
    (await master.subscription()).send(SUBSCRIBED)
    await scheduler.next()
    scheduler.suppress()
    scheduler.stop(failover=True)
    await task
    assert (await master.call()).type is Call.Type.SUPPRESS
    assert master.calls.empty()


async def test_stop_while_away_from_the_master_waits_only_if_there_is_something_to_end(master, running):
    for timeout_s, waits in ((0.0, False), (60.0, True)):
        scheduler = Recorder(master, failover_timeout_s=timeout_s)
        task = running(scheduler)
        subscription = await master.subscription()
        subscription.send(SUBSCRIBED)
        await scheduler.next()
        if not waits:
            master.subscribe_answers += [(503, "", "")] * 1000
        subscription.drop()
        assert await scheduler.next() == ("disconnected",)
        scheduler.stop()
        if waits:
            (await master.subscription()).send(SUBSCRIBED)
            assert (await master.call()).type is Call.Type.TEARDOWN
        await asyncio.wait_for(task, 5)
        master.subscribe_answers.clear()


async def test_a_teardown_that_is_refused_is_not_hidden(master, running):
    master.answer = lambda call: (403, "", "not authorized")
    scheduler = Recorder(master)
    task = running(scheduler)
    (await master.subscription()).send(SUBSCRIBED)
    await scheduler.next()
    scheduler.stop()
    with pytest.raises(ApiError, match="not authorized"):
        await task


async def test_as_a_context_it_is_subscribed_inside_and_torn_down_after(master):
    async def serve():
        (await master.subscription()).send(SUBSCRIBED)

    serving = asyncio.create_task(serve())
    async with Recorder(master) as scheduler:
        assert scheduler.framework.id == FRAMEWORK_ID
        assert master.calls.empty()
    assert (await master.call()).type is Call.Type.TEARDOWN
    await serving


async def test_as_a_context_it_raises_when_refused(master):
    master.subscribe_answers.append((401, "", "who are you?"))
    with pytest.raises(ApiError):
        async with Recorder(master):
            pass
