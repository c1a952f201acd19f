"""A scheduler goes where the leader is, and takes along what the next one must hear."""

import asyncio

import pytest

from koinon.coordination import DetectionError, Leader
from koinon.mesos.v1.scheduler import Call
from koinon.sdk import Undelivered
from tests.leaders import Word, at, leading
from tests.unit.sdk.frameworks import FRAMEWORK_ID, SUBSCRIBED, Recorder, error, offer, offers, update


async def moved(word, scheduler, other):
    """The scheduler has heard that `other` leads, and is subscribed there."""
    word.say(at(other.address, 2))
    assert await scheduler.next() == ("disconnected",)
    subscription = await other.subscription()
    subscription.send(SUBSCRIBED)
    assert await scheduler.next() == ("subscribed", "F-0000")
    return subscription


# ── where the leader is ───────────────────────────────────────────────────────────────────────────
async def test_when_another_master_leads_the_old_one_is_left_though_it_goes_on(master, other_master, start):
    word = Word(at(master.address))
    scheduler = Recorder(word)
    old = await start(scheduler, master)
    word.say(at(other_master.address, 2))
    again = await other_master.subscription()
    assert again.call.framework_id == again.call.subscribe.framework_info.id == FRAMEWORK_ID
    await asyncio.wait_for(old.closed.wait(), 5)


async def test_a_master_that_does_not_answer_is_left_for_the_new_leader(other_master, running):
    over, asked = asyncio.Event(), asyncio.Event()

    async def hang(reader, writer):
        asked.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        word = Word(Leader("127.0.0.1", server.sockets[0].getsockname()[1], 1))
        running(Recorder(word))
        await asked.wait()
        word.say(at(other_master.address, 2))
        await other_master.subscription()
        over.set()


async def test_when_nobody_leads_the_scheduler_waits_until_somebody_does(master, other_master, start):
    word = Word(at(master.address))
    scheduler = Recorder(word)
    old = await start(scheduler, master)
    word.say(None)
    assert await scheduler.next() == ("disconnected",)
    await asyncio.wait_for(old.closed.wait(), 5)
    word.say(at(other_master.address, 2))
    await other_master.subscription()


async def test_news_of_the_master_that_it_is_with_change_nothing(master, other_master, start):
    master.subscribe_answers.append((307, f"Location: //{other_master.address}/api/v1/scheduler\r\n", ""))
    word = Word(at(master.address))
    scheduler = Recorder(word)
    subscription = await start(scheduler, other_master)
    word.say(at(other_master.address, 2))
    word.say(at(other_master.address, 3))
    await asyncio.sleep(0.05)
    subscription.send(offers("O0"))
    assert await scheduler.next() == ("offers", ["O0"])


async def test_of_a_list_of_masters_any_that_answers_will_do(master, other_master, start):
    master.subscribe_answers.append((503, "", "No master leads at the moment: try again."))
    await start(Recorder(f"127.0.0.1:1,{master.address},{other_master.address}"), other_master)


async def test_what_arrived_from_the_old_leader_is_told_but_offers_of_it_cannot_be_used(
    master, other_master, running
):
    go = asyncio.Event()

    class Slow(Recorder):
        async def subscribed(self, framework_id):
            super().subscribed(framework_id)
            await go.wait()

        def offers(self, offers):
            super().offers(offers)
            self.launch(offers, [])

    word = Word(at(master.address))
    scheduler = Slow(word)
    running(scheduler)
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    assert (await scheduler.next())[0] == "subscribed"
    subscription.send(offers("O0"))
    await asyncio.sleep(0.05)
    word.say(at(other_master.address, 2))
    await asyncio.wait_for(subscription.closed.wait(), 5)
    go.set()
    assert [(await scheduler.next())[0] for _ in range(3)] == ["offers", "refused", "disconnected"]
    assert master.calls.empty()


async def test_a_detector_that_gives_up_ends_run_with_its_reason(running):
    with pytest.raises(DetectionError, match="may not be read"):
        await running(Recorder(Word(DetectionError("zk://h/p may not be read by us"))))


async def test_the_leader_is_found_and_followed_in_zookeeper(zookeeper, master, other_master, running):
    place = zookeeper.url("me:secret")
    scheduler = Recorder(place)
    running(scheduler)
    async with leading(place, master.address):
        (await master.subscription()).send(SUBSCRIBED)
        assert await scheduler.next() == ("subscribed", "F-0000")
    assert await scheduler.next() == ("disconnected",)
    async with leading(place, other_master.address):
        await other_master.subscription()


# ── what the next one must hear ───────────────────────────────────────────────────────────────────
async def test_calls_made_without_master_wait_unless_they_ended_with_it(master, running):
    word = Word()
    scheduler = Recorder(word)
    running(scheduler)
    scheduler.kill("T0", "S0")
    scheduler.decline(offer())
    scheduler.launch(offer(), [])
    scheduler.send_message("S0", "E0", b"hi")
    scheduler.acknowledge(update().update.status)
    scheduler.shutdown_executor("S0", "E0")
    scheduler.reconcile({"T1": None})
    refused = [await scheduler.next() for _ in range(4)]
    assert [kind for _, kind, _ in refused] == ["DECLINE", "ACCEPT", "MESSAGE", "ACKNOWLEDGE"]
    assert all(isinstance(reason, Undelivered) for _, _, reason in refused)
    word.say(at(master.address))
    (await master.subscription()).send(SUBSCRIBED)
    calls = [await master.call() for _ in range(3)]
    assert [call.type.name for call in calls] == ["KILL", "SHUTDOWN", "RECONCILE"]
    assert all(call.framework_id == FRAMEWORK_ID for call in calls)


async def test_what_a_dying_master_did_not_answer_is_said_to_the_next(master, other_master, start):
    word = Word(at(master.address))
    scheduler = Recorder(word)
    await start(scheduler, master)
    master.answer = lambda call: (202, "", "") if call.type is Call.Type.REVIVE else None
    scheduler.revive()
    assert (await master.call()).type is Call.Type.REVIVE
    await master.close()
    scheduler.kill("T0")
    await moved(word, scheduler, other_master)
    assert (await other_master.call()).kill.task_id.value == "T0"


async def test_a_subscription_whose_calls_find_no_way_is_replaced(master, other_master, running):
    """The stream may well live on when new connections are not accepted any more."""
    word = Word(at(master.address))
    scheduler = Recorder(word)
    running(scheduler)
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    assert (await scheduler.next())[0] == "subscribed"
    master._server.close()
    scheduler.kill("T0")
    await moved(word, scheduler, other_master)
    assert (await other_master.call()).kill.task_id.value == "T0"


async def test_roles_that_were_suppressed_are_so_for_later_masters(master, other_master, start):
    word = Word(at(master.address))
    scheduler = Recorder(word)
    await start(scheduler, master)
    scheduler.suppress()
    assert (await master.call()).type is Call.Type.SUPPRESS
    subscription = await moved(word, scheduler, other_master)
    assert subscription.call.subscribe.suppressed_roles == ["*"]
    word.say(None)
    assert await scheduler.next() == ("disconnected",)
    scheduler.revive()
    word.say(at(other_master.address, 3))
    assert (await other_master.subscription()).call.subscribe.suppressed_roles == []


async def test_tasks_are_asked_for_until_they_are_told_of_at_every_master(master, other_master, start):
    def asked(call):
        return [task.task_id.value for task in call.reconcile.tasks]

    word = Word(at(master.address))
    scheduler = Recorder(word)
    subscription = await start(scheduler, master)
    scheduler.reconcile({"T0": "S0", "T1": None}, until_answered=True)
    assert asked(await master.call()) == ["T0", "T1"]
    subscription.send(update("T1", uuid=None))
    assert (await scheduler.next())[0] == "update"
    assert asked(await master.call()) == ["T0"]  # after a pause
    subscription = await moved(word, scheduler, other_master)
    assert asked(await other_master.call()) == ["T0"]  # at once
    subscription.send(update("T0", uuid=None))
    assert (await scheduler.next())[0] == "update"
    scheduler.kill("T2")
    assert (await other_master.call()).type is Call.Type.KILL


# ── leaving ───────────────────────────────────────────────────────────────────────────────────────
async def test_a_teardown_that_a_dying_master_did_not_confirm_is_said_to_the_next(
    master, other_master, running
):
    word = Word(at(master.address))
    scheduler = Recorder(word, failover_timeout_s=60.0)
    task = running(scheduler)
    (await master.subscription()).send(SUBSCRIBED)
    assert (await scheduler.next())[0] == "subscribed"
    master.answer = lambda call: None
    scheduler.stop()
    assert (await master.call()).type is Call.Type.TEARDOWN
    word.say(at(other_master.address, 2))
    (await other_master.subscription()).send(SUBSCRIBED)
    assert (await other_master.call()).type is Call.Type.TEARDOWN
    await task


async def test_a_framework_that_turns_out_to_be_removed_already_has_left(master, running):
    scheduler = Recorder(master, failover_timeout_s=60.0)
    task = running(scheduler)
    (await master.subscription()).send(SUBSCRIBED)
    assert (await scheduler.next())[0] == "subscribed"
    master.answer = lambda call: None  # it has done it, and its answer got lost
    scheduler.stop()
    (await master.subscription()).send(error("Framework has been removed"))
    await task


async def test_calls_that_no_master_will_hear_are_told_of_at_the_end(running):
    scheduler = Recorder(Word())
    task = running(scheduler)
    scheduler.kill("T0")
    scheduler.stop()
    await task
    name, kind, reason = await scheduler.next()
    assert (name, kind) == ("refused", "KILL")
    assert isinstance(reason, Undelivered)
