"""A scheduler speaks: calls, new subscriptions, and leaving."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call, Event
from koinon.sdk import ApiError, Scheduler, Undelivered, framework_info
from koinon.sdk.client import BACKOFF_MAX_S, backoff_s
from tests.unit.sdk.frameworks import (
    FRAMEWORK_ID,
    SUBSCRIBED,
    Recorder,
    offer,
    offers,
    update,
)


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
    scheduler.decline(offer())
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
    scheduler.send_message("S0", "E0", b"data")
    assert (await master.call()).kill.task_id.value == "T0"  # and the connection breaks
    name, kind, error = await scheduler.next()
    assert (name, kind) == ("refused", "MESSAGE")
    assert isinstance(error, Undelivered)
    while (call := await master.call()).type is Call.Type.MESSAGE:  # it may have been read, or not
        pass
    assert call.kill.task_id.value == "T0"


async def test_an_answer_to_an_offer_that_got_lost_ends_the_subscription(master, start):
    master.answer = lambda call: None
    scheduler = Recorder(master)
    await start(scheduler, master)
    scheduler.launch(offer(), [])
    again = await master.subscription()  # the master would keep the offer for us
    assert again.call.framework_id.value == "F-0000"
    name, kind, error = await scheduler.next()
    assert (name, kind) == ("refused", "ACCEPT")
    assert isinstance(error, Undelivered)


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
