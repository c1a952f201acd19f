"""An executor against an agent that says what it is told to."""

import asyncio
import contextlib

import pytest

from koinon.mesos import codec, v1
from koinon.mesos.v1.executor import Call, Event
from koinon.sdk import ApiError, Executor, FrameworkError

State = v1.TaskState

SUBSCRIBED = Event(
    type=Event.Type.SUBSCRIBED,
    subscribed=Event.Subscribed(
        executor_info=v1.ExecutorInfo(executor_id=v1.ExecutorID("E0")),
        framework_info=v1.FrameworkInfo(user="u", name="f", id=v1.FrameworkID("F0")),
        agent_info=v1.AgentInfo(hostname="a", id=v1.AgentID("S0")),
    ),
)


def task(task_id="T0"):
    return v1.TaskInfo(name="t", task_id=v1.TaskID(task_id), agent_id=v1.AgentID("S0"))


def launch(task_id="T0"):
    return Event(type=Event.Type.LAUNCH, launch=Event.Launch(task(task_id)))


def kill(task_id="T0", policy=None):
    return Event(type=Event.Type.KILL, kill=Event.Kill(task_id=v1.TaskID(task_id), kill_policy=policy))


def acknowledged(update):
    body = Event.Acknowledged(task_id=update.status.task_id, uuid=update.status.uuid)
    return Event(type=Event.Type.ACKNOWLEDGED, acknowledged=body)


SHUTDOWN = Event(type=Event.Type.SHUTDOWN)


class Sleeper(Executor):
    """Its tasks run until they are killed."""

    async def launch(self, task):
        self.update(task, State.TASK_RUNNING)
        await asyncio.Event().wait()


def environment(agent, **more):
    return {
        "MESOS_FRAMEWORK_ID": "F0",
        "MESOS_EXECUTOR_ID": "E0",
        "MESOS_AGENT_ENDPOINT": agent.address,
        "MESOS_CHECKPOINT": "1",
        "MESOS_RECOVERY_TIMEOUT": "15mins",
        "MESOS_SUBSCRIPTION_BACKOFF_MAX": "10ms",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
        **more,
    }


@pytest.fixture
def start(agent, running):
    """Runs an executor and subscribes it; gives it, its task and its subscription."""

    async def start(kind, content_type=codec.JSON, **variables):
        executor = kind(environment(agent, **variables), content_type=content_type)
        run = running(executor)
        subscription = await agent.subscription()
        subscription.send(SUBSCRIBED)
        return executor, run, subscription

    return start


@pytest.fixture
def next_update(agent):
    """The next update the agent gets."""

    async def next_update():
        call = await agent.call()
        assert call.type is Call.Type.UPDATE
        return call.update

    return next_update


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("content_type", [codec.JSON, codec.PROTOBUF])
async def test_an_update_carries_all_that_the_agent_demands(agent, start, next_update, content_type):
    _, _, subscription = await start(Sleeper, content_type)
    assert subscription.call.executor_id == v1.ExecutorID("E0")
    assert subscription.call.framework_id == v1.FrameworkID("F0")
    subscription.send(launch())
    status = (await next_update()).status
    assert (status.task_id, status.state) == (v1.TaskID("T0"), State.TASK_RUNNING)
    assert status.source is v1.TaskStatus.Source.SOURCE_EXECUTOR
    assert status.executor_id == v1.ExecutorID("E0")
    assert len(status.uuid) == 16
    assert status.timestamp > 1.7e9


async def test_tasks_run_side_by_side_and_a_kill_ends_the_one_it_means(start, next_update):
    _, _, subscription = await start(Sleeper)
    subscription.send(launch("T0"))
    subscription.send(launch("T1"))
    assert [(await next_update()).status.task_id.value for _ in range(2)] == ["T0", "T1"]
    subscription.send(kill("T1"))
    status = (await next_update()).status
    assert (status.task_id.value, status.state) == ("T1", State.TASK_KILLED)


async def test_work_may_say_itself_how_it_ended_when_it_is_killed(start, next_update):
    class Tidy(Executor):
        async def launch(self, task):
            try:
                self.update(task, State.TASK_RUNNING)
                await asyncio.Event().wait()
            finally:
                self.update(task, State.TASK_FINISHED, message="tidied up")

    _, _, subscription = await start(Tidy)
    subscription.send(launch())
    await next_update()
    subscription.send(kill())
    assert (await next_update()).status.message == "tidied up"
    subscription.send(launch("T1"))
    assert (await next_update()).status.task_id.value == "T1"


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_launch_that_raises_fails_its_task_and_no_other(start, next_update, is_async):
    class Flaky(Executor):
        def launch(self, task):
            return self.work(task) if is_async else self.start(task)

        def start(self, task):
            if task.task_id.value == "bad":
                raise ValueError("no such thing")
            self.update(task, State.TASK_FINISHED)

        async def work(self, task):
            self.start(task)

    _, _, subscription = await start(Flaky)
    subscription.send(launch("bad"))
    failed = (await next_update()).status
    subscription.send(launch("good"))
    finished = (await next_update()).status
    assert (failed.state, failed.message) == (State.TASK_FAILED, "ValueError: no such thing")
    assert (finished.task_id.value, finished.state) == ("good", State.TASK_FINISHED)


async def test_a_group_is_launched_task_by_task(start, next_update):
    _, _, subscription = await start(Sleeper)
    group = v1.TaskGroupInfo(tasks=[task("T0"), task("T1")])
    subscription.send(Event(type=Event.Type.LAUNCH_GROUP, launch_group=Event.LaunchGroup(group)))
    assert [(await next_update()).status.task_id.value for _ in range(2)] == ["T0", "T1"]


async def test_a_kill_brings_its_grace_period_in_seconds(start):
    told = asyncio.Queue()

    class Plain(Executor):
        def kill(self, task_id, grace_s):
            told.put_nowait((task_id, grace_s))

    _, _, subscription = await start(Plain)
    subscription.send(kill("T0"))
    subscription.send(kill("T1", v1.KillPolicy(grace_period=v1.DurationInfo(1_500_000_000))))
    assert [await told.get(), await told.get()] == [("T0", None), ("T1", 1.5)]


async def test_messages_go_both_ways(agent, start):
    class Echo(Executor):
        async def message(self, data):
            self.send_message(data[::-1])

    _, _, subscription = await start(Echo)
    subscription.send(Event(type=Event.Type.MESSAGE, message=Event.Message(b"\0abc")))
    assert (await agent.call()).message == Call.Message(b"cba\0")


async def test_the_agents_token_goes_with_every_request(agent, start):
    executor, _, subscription = await start(Sleeper, MESOS_EXECUTOR_AUTHENTICATION_TOKEN="j.w.t")
    subscription.send(launch())
    headers, _ = await agent.calls.get()
    assert subscription.headers["authorization"] == headers["authorization"] == "Bearer j.w.t"
    assert executor.agent.id == v1.AgentID("S0")
    assert executor.framework.name == "f"


def test_outside_of_an_agent_the_missing_variable_is_named():
    with pytest.raises(KeyError, match="MESOS_FRAMEWORK_ID"):
        Executor({})


async def test_an_update_whose_connections_break_is_sent_until_one_holds(agent, start, next_update, caplog):
    cuts = iter([None] * 5)
    agent.answer = lambda call: next(cuts, (202, "", ""))
    _, _, subscription = await start(Sleeper, MESOS_CHECKPOINT="0")
    subscription.send(launch())
    first, *others = [await next_update() for _ in range(6)]
    assert others == [first] * 5
    assert not subscription.closed.is_set()
    assert not caplog.messages


# ── the agent goes away ───────────────────────────────────────────────────────────────────────────
async def test_what_is_unacknowledged_is_told_to_the_agent_that_returns(agent, start, next_update):
    _, _, subscription = await start(Sleeper)
    for task_id in ("T0", "T1"):
        subscription.send(launch(task_id))
    first, second = await next_update(), await next_update()
    subscription.send(acknowledged(first))
    subscription.send(kill("T1"))  # comes after the acknowledgement: its update proves that was read
    third = await next_update()
    subscription.drop()
    again = (await agent.subscription()).call.subscribe
    assert again.unacknowledged_updates == [second, third]
    assert [one.task_id.value for one in again.unacknowledged_tasks] == ["T1"]


async def test_an_update_made_while_the_agent_is_away_comes_with_the_subscription(agent, start):
    class Late(Executor):
        def launch(self, task):
            return None

        def disconnected(self):
            self.update("T0", State.TASK_FINISHED)

    _, _, subscription = await start(Late)
    subscription.send(launch())
    subscription.send(Event(type=Event.Type.HEARTBEAT))
    subscription.drop()
    (update,) = (await agent.subscription()).call.subscribe.unacknowledged_updates
    assert update.status.state is State.TASK_FINISHED
    assert agent.calls.empty()


async def test_an_update_made_while_the_subscription_is_under_way_follows_it(
    agent, start, next_update, monkeypatch
):
    executor, _, subscription = await start(Sleeper)
    subscription.send(launch())
    running = await next_update()
    subscribed = agent.subscriptions.put_nowait

    def before_the_answer(subscription):
        executor.update("T0", State.TASK_FINISHED)
        subscribed(subscription)

    monkeypatch.setattr(agent.subscriptions, "put_nowait", before_the_answer)
    subscription.drop()
    assert (await agent.subscription()).call.subscribe.unacknowledged_updates == [running]
    assert (await next_update()).status.state is State.TASK_FINISHED


async def test_an_agent_that_is_still_recovering_is_asked_again(agent, start):
    agent.subscribe_answers += [(503, "", "recovering"), None]
    await start(Sleeper)
    assert not agent.subscribe_answers


async def test_an_agent_that_will_not_have_the_executor_ends_run(agent, running):
    agent.subscribe_answers.append((400, "", "executor unknown"))
    with pytest.raises(ApiError, match="executor unknown"):
        await running(Sleeper(environment(agent)))


class Closing(Sleeper):
    closed = False

    async def shutdown(self):
        self.closed = True


async def test_without_checkpointing_the_executor_ends_with_its_agent(start):
    executor, run, subscription = await start(Closing, MESOS_CHECKPOINT="0")
    subscription.drop()
    await asyncio.wait_for(run, 5)
    assert executor.closed


async def test_an_executor_waits_for_its_agent_no_longer_than_the_recovery_timeout(agent, start):
    executor, run, subscription = await start(Closing, MESOS_RECOVERY_TIMEOUT="50ms")
    agent.subscribe_answers += [(503, "", "recovering")] * 1000
    subscription.drop()
    await asyncio.wait_for(run, 5)
    assert executor.closed
    assert len(agent.subscribe_answers) < 1000


# ── shutting down ─────────────────────────────────────────────────────────────────────────────────
async def test_shutdown_kills_live_tasks_and_waits_for_the_agent_to_know(start, next_update):
    executor, run, subscription = await start(Closing)
    subscription.send(launch("T0"))
    running = await next_update()
    subscription.send(acknowledged(running))
    subscription.send(SHUTDOWN)
    killed = await next_update()
    assert (killed.status.task_id.value, killed.status.state) == ("T0", State.TASK_KILLED)
    assert executor.closed
    assert not run.done()
    subscription.send(acknowledged(killed))
    await asyncio.wait_for(run, 5)


async def test_shutdown_ends_with_the_grace_period_at_the_latest(start):
    class Stubborn(Sleeper):
        async def launch(self, task):
            self.update(task, State.TASK_RUNNING)
            while not self.over:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)

        over = False

    executor, run, subscription = await start(Stubborn, MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD="50ms")
    subscription.send(launch())
    subscription.send(SHUTDOWN)
    await asyncio.wait_for(run, 5)
    executor.over = True


async def test_an_agent_lost_during_shutdown_is_not_waited_for(start, next_update):
    _, run, subscription = await start(Closing, MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD="1hrs")
    subscription.send(launch())
    await next_update()
    subscription.send(SHUTDOWN)
    await next_update()
    subscription.drop()
    await asyncio.wait_for(run, 5)


async def test_an_executor_may_end_itself_once_its_updates_are_known(start, next_update):
    class Once(Executor):
        def launch(self, task):
            self.update(task, State.TASK_FINISHED)
            self.stop()

    _, run, subscription = await start(Once)
    subscription.send(launch())
    finished = await next_update()
    assert not run.done()
    subscription.send(acknowledged(finished))
    await asyncio.wait_for(run, 5)


async def test_a_shutdown_that_raises_ends_run_with_its_error(start):
    class Broken(Executor):
        def shutdown(self):
            raise ZeroDivisionError

    _, run, subscription = await start(Broken)
    subscription.send(SHUTDOWN)
    with pytest.raises(ZeroDivisionError):
        await run


async def test_an_error_event_ends_run_with_its_message(start):
    _, run, subscription = await start(Sleeper)
    subscription.send(Event(type=Event.Type.ERROR, error=Event.Error("go away")))
    with pytest.raises(FrameworkError, match="go away"):
        await run
