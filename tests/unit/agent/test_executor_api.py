"""Custom executors over HTTP, in JSON and in protobuf."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from koinon.coordination.embedded import EmbeddedStore
from koinon.mesos import codec, internal, v1
from koinon.mesos.recordio import RecordDecoder
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.executor import Call, Event
from tests import shapes
from tests.unit.agent.bench import executor, rich_executor, status, task
from tests.unit.agent.shell import AgentProcess, FakeMaster, until, url

PATH = "/api/v1/executor"
BY = executor(command=v1.CommandInfo(value="sleep 1000"))


class Executor:
    """What the program of an executor does, done by the test."""

    def __init__(self, http: aiohttp.ClientSession, register: internal.Register, content_type: str) -> None:
        self._http = http
        self._url = url(register, PATH)
        self._type = content_type
        self.events: list[Event] = []
        self.raw: list[bytes] = []

    async def call(self, kind: Call.Type, **more: object) -> tuple[int, str]:
        call = Call(framework_id=v1.FrameworkID("F"), executor_id=v1.ExecutorID("e"), type=kind, **more)
        return await self.post(codec.encode(call, self._type), self._type)

    async def post(self, body: bytes, content_type: str) -> tuple[int, str]:
        async with self._http.post(self._url, data=body, headers={"Content-Type": content_type}) as answer:
            return answer.status, await answer.text()

    @asynccontextmanager
    async def subscribed(self) -> AsyncIterator[aiohttp.ClientResponse]:
        call = Call(
            framework_id=v1.FrameworkID("F"),
            executor_id=v1.ExecutorID("e"),
            type=Call.Type.SUBSCRIBE,
            subscribe=Call.Subscribe(),
        )
        headers = {"Content-Type": self._type, "Accept": self._type}
        body = codec.encode(call, self._type)
        async with self._http.post(self._url, data=body, headers=headers) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == self._type
            self._decoder = RecordDecoder()
            self._answer = answer
            yield answer

    async def event(self, kind: str) -> Event:
        """The next event of that type."""
        while True:
            for index, event in enumerate(self.events):
                if event.type is not None and event.type.value == kind:
                    return self.events.pop(index)
            for record in self._decoder.feed(await self._answer.content.readany()):
                self.raw.append(record)
                self.events.append(codec.decode(Event, record, self._type))


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


@pytest.mark.parametrize("content_type", [codec.JSON, codec.PROTOBUF])
async def test_an_executor_runs_tasks(agent, master, http, content_type):
    register = await master.registered()
    await master.run(task("t1", executor=rich_executor()))
    program = Executor(http, register, content_type)
    async with program.subscribed():
        subscribed = (await program.event("SUBSCRIBED")).subscribed
        assert subscribed.executor_info.executor_id == v1.ExecutorID("e")
        assert subscribed.agent_info.id == v1.AgentID("M-S0")
        launched = (await program.event("LAUNCH")).launch.task
        assert launched.task_id == v1.TaskID("t1")
        update = Call.Update(status("t1", TaskState.TASK_RUNNING, data=b"\0\xff"))
        assert (await program.call(Call.Type.UPDATE, update=update))[0] == 202
        assert (await program.event("ACKNOWLEDGED")).acknowledged.uuid == update.status.uuid
        assert (await master.reaches("t1", "RUNNING")).data == b"\0\xff"
        await master.say(internal.SchedulerMessage(framework_id="F", executor_id="e", data=b"down"))
        assert (await program.event("MESSAGE")).message.data == b"down"
        assert (await program.call(Call.Type.MESSAGE, message=Call.Message(b"up")))[0] == 202
        assert (await master.hear(internal.ExecutorMessage)).data == b"up"
        assert (await program.call(Call.Type.HEARTBEAT))[0] == 202
        await master.say(internal.KillTask(framework_id="F", task_id="t1"))
        await program.event("KILL")
        if content_type == codec.JSON:
            events = [json.loads(record) for record in program.raw]
            assert shapes.event_problems("executor-events", events) == []
        await master.say(internal.ShutdownFramework(framework_id="F"))
        await program.event("SHUTDOWN")


async def test_a_new_subscription_ends_the_old_one(agent, master, http):
    register = await master.registered()
    await master.run(task("t1", executor=BY))
    first, second = Executor(http, register, codec.JSON), Executor(http, register, codec.JSON)
    async with first.subscribed() as stream:
        await first.event("SUBSCRIBED")
        async with second.subscribed():
            await second.event("SUBSCRIBED")
            await stream.content.read()  # to its end


async def test_an_update_that_was_answered_is_not_lost_with_the_agent(agent, master, http):
    register = await master.registered()
    tasks = [task(f"t{number}", executor=BY) for number in range(10)]
    for one in tasks:
        await master.run(one)
    program = Executor(http, register, codec.JSON)
    async with program.subscribed():
        for _ in tasks:
            await program.event("LAUNCH")
        updates = [Call.Update(status(one.task_id.value, TaskState.TASK_RUNNING, 1)) for one in tasks]
        for update in updates:
            assert (await program.call(Call.Type.UPDATE, update=update))[0] == 202
        await agent.stop(signal.SIGKILL)
    store = EmbeddedStore(agent.work_dir / "meta" / "agent.db")
    found = store.load("updates/")
    await store.close()
    assert found.keys() == {f"updates/F/{one.task_id.value}/0" for one in tasks}


async def test_what_is_wrong_is_refused(agent, master, http):
    register = await master.registered()
    await master.run(task("t1", executor=BY))
    program = Executor(http, register, codec.JSON)
    assert (await program.post(b"{", codec.JSON))[0] == 400
    assert (await program.post(b"{}", "text/plain"))[0] == 415
    assert (await program.post(b"\xff\xff", codec.PROTOBUF))[0] == 400
    assert (await program.call(Call.Type.UNKNOWN))[0] == 501
    code, text = await program.call(Call.Type.UPDATE)
    assert (code, text) == (400, "A call of type UPDATE must have the field update.\n")
    update = Call.Update(status("t1", TaskState.TASK_RUNNING))
    code, text = await program.call(Call.Type.UPDATE, update=update)
    assert code == 403
    async with http.get(url(register, PATH)) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    async with program.subscribed():
        await program.event("SUBSCRIBED")
        update.status.uuid = b"short"
        code, text = await program.call(Call.Type.UPDATE, update=update)
        assert code == 400
        assert "uuid" in text


@pytest.mark.parametrize("subscribing", [False, True])
async def test_wrong_updates_are_refused_before_anybody_looks_who_sends_them(
    agent, master, http, subscribing
):
    program = Executor(http, await master.registered(), codec.JSON)
    check = v1.CheckStatusInfo(type=v1.CheckInfo.Type.TCP, http=v1.CheckStatusInfo.Http(status_code=200))
    wrong: dict[str, dict[str, object]] = {
        "uuid": {"uuid": None},
        "uuid of 16": {"uuid": b"short"},
        "source": {"source": v1.TaskStatus.Source.SOURCE_AGENT},
        "TASK_STAGING": {"state": TaskState.TASK_STAGING},
        "executor": {"executor_id": v1.ExecutorID("other")},
        "check_status": {"check_status": check},
        "check_status of": {"check_status": v1.CheckStatusInfo()},
        "The check_status": {"check_status": v1.CheckStatusInfo(type=v1.CheckInfo.Type.TCP)},
    }
    for word, changes in wrong.items():
        update = Call.Update(status("t1", TaskState.TASK_RUNNING))
        for name, value in changes.items():
            setattr(update.status, name, value)
        if subscribing:
            body = Call.Subscribe(unacknowledged_updates=[update])
            code, text = await program.call(Call.Type.SUBSCRIBE, subscribe=body)
        else:
            code, text = await program.call(Call.Type.UPDATE, update=update)
        assert (code, word in text) == (400, True), text


async def test_the_program_of_an_executor_gets_what_it_needs(agent, master):
    await master.run(task("t1", executor=executor(command=v1.CommandInfo(value="env; exit 1"))))
    await master.reaches("t1", "FAILED")
    (output,) = agent.work_dir.glob("slaves/latest/frameworks/F/executors/e/runs/latest/stdout")
    given = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert given["MESOS_EXECUTOR_ID"] == "e"
    assert given["MESOS_SLAVE_PID"] == (await master.registered()).pid
    assert given["MESOS_DIRECTORY"] == given["PWD"] == given["MESOS_SANDBOX"]


async def test_the_executor_of_a_task_survives_kill_9_of_the_agent(master, tmp_path, http):
    agent = AgentProcess(tmp_path / "agent", master.address, executor_reregistration_timeout="15secs")
    await agent.start()
    try:
        await run_over_restart(agent, master, http)
    finally:
        await agent.finish()


async def run_over_restart(agent: AgentProcess, master: FakeMaster, http: aiohttp.ClientSession) -> None:
    first = await master.registered()
    await master.run(task("t1", executor=BY))
    program = Executor(http, first, codec.JSON)
    async with program.subscribed():
        await program.event("LAUNCH")
        running = Call.Update(status("t1", TaskState.TASK_RUNNING, 1))
        await program.call(Call.Type.UPDATE, update=running)
        await master.reaches("t1", "RUNNING")
    journal = agent.work_dir / "run" / "journal"
    await until(lambda: '"launched"' in journal.read_text(), "we are not ahead of our program")
    await agent.stop()
    await agent.start()
    register = await master.registered(2)
    assert register.pid == first.pid, "executors know only the port of before"
    assert [one.info.executor_id.value for one in register.executors] == ["e"]
    async with program.subscribed():
        await program.event("SUBSCRIBED")
        finished = Call.Update(status("t1", TaskState.TASK_FINISHED, 2))
        assert (await program.call(Call.Type.UPDATE, update=finished))[0] == 202
        await master.reaches("t1", "FINISHED")
