"""A whole Chronos, with a master that says what the test wants, and an agent that shows files."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from koinon.chronos.core import State
from koinon.chronos.flags import CONVENTIONS, ChronosFlags
from koinon.chronos.history import Output
from koinon.chronos.model import Job, Run, ids
from koinon.chronos.sandboxes import Sandboxes
from koinon.chronos.server import ChronosProcess
from koinon.coordination.embedded import EmbeddedStore
from koinon.flags import load
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1.scheduler import Call, Event
from koinon.service.exits import Exit, Fatal
from koinon.timestamps import seconds, stamp
from tests.unit.sdk.conftest import FakeServer, FakeSubscription
from tests.unit.sdk.frameworks import FRAMEWORK_ID, SUBSCRIBED, error

JOB = {"name": "report", "command": "make report", "schedule": "R1//P", "mem": 32, "disk": 1}
STATES = v1.TaskState


class Agent:
    """Shows what tasks have written."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.refuses = 0
        self.port = 0

    async def read(self, request: web.Request) -> web.Response:
        path = request.query["path"]
        self.asked.append(path)
        if self.refuses:
            self.refuses -= 1
            return web.Response(status=503)
        data = next((data for end, data in self.files.items() if path.endswith(end)), None)
        if data is None:
            return web.Response(status=404)
        offset, length = int(request.query["offset"]), int(request.query.get("length", "0"))
        if offset < 0:
            return web.json_response({"offset": len(data), "data": ""})
        part = data[offset : offset + min(length, 65536)]
        return web.json_response({"offset": offset, "data": part.decode()})


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    found = Agent()
    app = web.Application()
    app.router.add_get("/files/read", found.read)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


@asynccontextmanager
async def running(master: FakeServer, work_dir: Path, **more: str) -> AsyncIterator[ChronosProcess]:
    """A process that leads."""
    given = {"master": master.address, "work_dir": str(work_dir), "http_port": "0", **more}
    argv = [f"--{name}={value}" for name, value in given.items()]
    process = ChronosProcess(load(ChronosFlags, argv, environ={}, conventions=CONVENTIONS))
    await process.start()
    try:
        async with asyncio.timeout(10):
            while not process.leadership.leads:
                await process.leadership.change(10)
        yield process
    finally:
        await process.stop()


async def ask(process: ChronosProcess, path: str, method: str = "GET", body: Any = None) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{process.address}{path}", json=body) as answer,
    ):
        assert answer.status < 300, (answer.status, await answer.text())
        return await answer.json(content_type=None) if answer.status != 204 else None


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(1000):
        if found := await look():
            return found
        await asyncio.sleep(0.01)
    raise TimeoutError


async def refused(agent: Agent) -> bool:
    """Whether it has been asked in vain."""
    return agent.refuses == 0


async def is_recorded(process: ChronosProcess) -> bool:
    """Whether the store has forgotten all runs that have ended."""
    return not process.runtime.core.state.ended


async def calls(master: FakeServer, kind: Call.Type) -> Call:
    """The next call of that type; others are passed over."""
    while (call := await master.call()).type is not kind:
        pass
    return call


def offer(agent: Agent | None = None, offer_id: str = "O0") -> Event:
    port = agent.port if agent is not None else 1
    one = v1.Offer(
        id=v1.OfferID(offer_id),
        framework_id=FRAMEWORK_ID,
        agent_id=v1.AgentID("S0"),
        hostname="host",
        url=v1.URL(scheme="http", address=v1.Address(ip="127.0.0.1", port=port)),
        resources=Resources.parse("cpus:4;mem:1024;disk:1024").to_v1(),
        allocation_info=v1.Resource.AllocationInfo(role="*"),
    )
    return Event(type=Event.Type.OFFERS, offers=Event.Offers(offers=[one]))


def update(task_id: v1.TaskID, state: v1.TaskState, uuid: bytes = b"0123456789abcdef") -> Event:
    status = v1.TaskStatus(task_id=task_id, state=state, agent_id=v1.AgentID("S0"), uuid=uuid, timestamp=1.0)
    return Event(type=Event.Type.UPDATE, update=Event.Update(status))


async def launched(
    process: ChronosProcess, master: FakeServer, agent: Agent | None = None, **fields: Any
) -> tuple[FakeSubscription, v1.TaskInfo]:
    """A job whose run has started."""
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    await ask(process, "/v1/scheduler/iso8601", "POST", {**JOB, **fields})
    subscription.send(offer(agent))
    accepted = await calls(master, Call.Type.ACCEPT)
    (operation,) = accepted.accept.operations
    (task,) = operation.launch.task_infos
    subscription.send(update(task.task_id, STATES.TASK_RUNNING))
    await calls(master, Call.Type.ACKNOWLEDGE)
    return subscription, task


async def end(
    master: FakeServer, subscription: FakeSubscription, task: v1.TaskInfo, state: v1.TaskState
) -> None:
    subscription.send(update(task.task_id, state, b"fedcba9876543210"))
    await calls(master, Call.Type.ACKNOWLEDGE)


async def test_from_a_definition_to_the_history(master: FakeServer, agent: Agent, tmp_path: Path) -> None:
    long = b"".join(b"%07d\n" % number for number in range(20_000))  # 160 kB
    agent.files = {"/stdout": long, "/stderr": b"oops\n"}
    async with running(master, tmp_path) as process:
        subscription, task = await launched(process, master, agent)
        assert task.command is not None
        assert task.command.value == "make report"
        await end(master, subscription, task, STATES.TASK_FINISHED)
        path = f"/v1/history/runs/{task.task_id.value}"
        await eventually(lambda: is_recorded(process))
        found = await ask(process, f"{path}/output")
        assert (found["stdoutSize"], found["stderr"]) == (len(long), "oops\n")
        assert found["stdout"].encode() == long[-64 * 1024 :]
        assert (await ask(process, path))["state"] == "succeeded"
        (shown,) = await ask(process, "/v1/scheduler/jobs")
        assert (shown["successCount"], shown["disabled"]) == (1, True)
        metrics = await ask(process, "/metrics")
        assert metrics["gauges"]["chronos.jobs.active.gauge"] == {"value": 1}
        assert metrics["counters"]["chronos.runs.succeeded.counter"] == {"count": 1}
    folder = f"/frameworks/{FRAMEWORK_ID.value}/executors/{task.task_id.value}/runs/latest"
    assert set(agent.asked) == {f"{folder}/stdout", f"{folder}/stderr"}


@pytest.mark.timeout(20)
async def test_what_is_due_goes_by_the_clock_on_the_wall(
    master: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is set while nothing else happens: that is noticed before long."""
    right = time.time
    async with running(master, tmp_path) as process:
        subscription = await master.subscription()
        subscription.send(SUBSCRIBED)
        tomorrow = stamp(time.time() + 86_400)
        await ask(process, "/v1/scheduler/iso8601", "POST", {**JOB, "schedule": f"R/{tomorrow}/P1D"})
        await process.runtime.settled()
        monkeypatch.setattr(time, "time", lambda: right() + 86_400)
        await calls(master, Call.Type.REVIVE)
        subscription.send(offer())
        (operation,) = (await calls(master, Call.Type.ACCEPT)).accept.operations
        (task,) = operation.launch.task_infos
        assert ids.parse_task(task.task_id.value).due_ms == ids.milliseconds(seconds(tomorrow))


async def test_a_run_whose_agent_is_away_is_recorded_without_its_output_and_later_with_it(
    master: FakeServer, agent: Agent, tmp_path: Path
) -> None:
    agent.files = {"/stdout": b"hello", "/stderr": b""}
    agent.refuses = 1
    async with running(master, tmp_path) as process:
        subscription, task = await launched(process, master, agent)
        await end(master, subscription, task, STATES.TASK_FINISHED)
        path = f"/v1/history/runs/{task.task_id.value}"
        await eventually(lambda: ask(process, path))
        await eventually(lambda: refused(agent))
        # Now it is asked again, as the offers say where it is; its address is the master's business else.
        process.runtime._sandboxes.note(offer(agent).offers.offers)
        await eventually(lambda: is_recorded(process))
        assert (await ask(process, f"{path}/output"))["stdout"] == "hello"


async def test_runs_of_an_executor_have_what_that_has_written(agent: Agent) -> None:
    """Its files are those of all of them."""
    agent.files = {"/executors/a/runs/c/stdout": b"hello", "/executors/a/runs/c/stderr": b""}
    state = State(framework_id="f", jobs={"a": Job("a", executor="./executor")})
    sandboxes = Sandboxes(lambda: state, tail_bytes=100)
    found = offer(agent).offers
    assert found is not None
    sandboxes.note(found.offers)
    run = Run("a", 1, state="failed", agent_id="S0", mesos_state="TASK_FAILED", container_id="c")
    try:
        assert await sandboxes.output(run) == Output(b"hello", b"", 5, 0)
    finally:
        await sandboxes.close()


async def test_who_takes_over_goes_on(master: FakeServer, agent: Agent, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process:
        _, task = await launched(process, master, agent)
        await process.runtime.settled()
    async with running(master, tmp_path) as process:
        subscription = await master.subscription()
        assert subscription.call.framework_id == FRAMEWORK_ID
        subscription.send(SUBSCRIBED)
        asked = await calls(master, Call.Type.RECONCILE)
        assert [one.task_id for one in asked.reconcile.tasks] == [task.task_id]
        await end(master, subscription, task, STATES.TASK_FINISHED)
        (shown,) = await ask(process, "/v1/scheduler/jobs")
        assert shown["successCount"] == 1


async def test_a_launch_that_the_master_refuses_is_tried_again(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process:
        subscription = await master.subscription()
        subscription.send(SUBSCRIBED)
        await ask(process, "/v1/scheduler/iso8601", "POST", JOB)
        master.answer = lambda call: (400, "", "no") if call.type is Call.Type.ACCEPT else (202, "", "")
        subscription.send(offer(offer_id="O0"))
        refused = await calls(master, Call.Type.ACCEPT)
        master.answer = lambda call: (202, "", "")
        subscription.send(offer(offer_id="O1"))
        accepted = await calls(master, Call.Type.ACCEPT)
        first, second = (
            call.accept.operations[0].launch.task_infos[0].task_id.value.split(":")
            for call in (refused, accepted)
        )
        assert (first[1], first[2], second[1], second[2]) == (first[1], "0", first[1], "1")


async def test_notices_are_sent(master: FakeServer, tmp_path: Path) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        heard.put_nowait(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        async with running(master, tmp_path, http_notification_url=hook) as process:
            subscription, task = await launched(process, master, retries=0)
            await end(master, subscription, task, STATES.TASK_FAILED)
            async with asyncio.timeout(5):
                told = await heard.get()
            assert told["job"] == "report"
            assert "failed" in told["subject"]
            assert (await ask(process, "/v1/scheduler/jobs"))[0]["errorCount"] == 1
    finally:
        await runner.cleanup()


async def test_who_we_are_is_told(master: FakeServer, tmp_path: Path) -> None:
    more = {"mesos_framework_name": "cron", "mesos_role": "batch", "user": "ann", "gpu_resources": "true"}
    async with running(master, tmp_path, **more) as process:
        first = await master.subscription()
        address = process.address
    info = first.call.subscribe.framework_info
    kind = v1.FrameworkInfo.Capability.Type
    assert (info.name, info.user, info.roles) == ("cron", "ann", ["batch"])
    assert (info.failover_timeout, info.checkpoint, info.webui_url) == (604_800.0, True, f"http://{address}")
    assert {one.type for one in info.capabilities} == {
        kind.PARTITION_AWARE,
        kind.MULTI_ROLE,
        kind.GPU_RESOURCES,
    }


async def test_a_process_that_is_removed_by_the_master_ends(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process:
        (await master.subscription()).send(error("Framework has been removed"))
        with pytest.raises(Fatal) as ended:
            async with asyncio.timeout(5):
                await asyncio.shield(process.over)
    assert ended.value.status == Exit.FRAMEWORK_REMOVED


async def fails_to_lead(master: FakeServer, tmp_path: Path, *more: str) -> Fatal:
    argv = [f"--master={master.address}", f"--work_dir={tmp_path}", "--http_port=0", *more]
    process = ChronosProcess(load(ChronosFlags, argv, environ={}, conventions=CONVENTIONS))
    await process.start()
    with pytest.raises(Fatal) as ended:
        async with asyncio.timeout(5):
            await asyncio.shield(process.over)
    await process.stop()
    return ended.value


async def test_what_ran_and_lost_its_id_is_not_run_anew(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process:
        await launched(process, master)
        await process.runtime.settled()
    store = EmbeddedStore(tmp_path / "store.sqlite")
    await store.commit([("framework", None)])
    await store.close()
    assert (await fails_to_lead(master, tmp_path)).status == Exit.FRAMEWORK_ID_MISSING


@pytest.mark.parametrize("history", ["oracle://h/d", "text"])
async def test_a_history_that_cannot_be_is_told(master: FakeServer, tmp_path: Path, history: str) -> None:
    (tmp_path / "text").write_text("This is no database. " * 100)
    url = history if "://" in history else str(tmp_path / history)
    ended = await fails_to_lead(master, tmp_path, f"--history={url}")
    assert ended.status == Exit.WRONG_FLAGS
    assert str(ended).startswith("--history: ")


async def test_a_browser_is_told_what_there_is(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process, aiohttp.ClientSession() as session:
        for path in ("/", "/ui"):
            async with session.get(f"http://{process.address}{path}") as answer:
                assert (answer.status, answer.url.path) == (200, "/ui/")
                assert "/v1/scheduler/jobs" in await answer.text()
        async with session.get(f"http://{process.address}/metrics/prometheus") as answer:
            assert "# TYPE chronos_jobs_run_success_total counter" in await answer.text()
        assert (await ask(process, "/metrics"))["histograms"] == {}
        assert (await ask(process, "/config"))["master"] == master.address
        assert await ask(process, "/logging") == {"ROOT": "INFO"}
        # Any page may read, and none may change anything.
        headers = {"Origin": "http://elsewhere"}
        async with session.get(f"http://{process.address}/v1/scheduler/jobs", headers=headers) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        url = f"http://{process.address}/v1/scheduler/iso8601"
        async with session.post(url, json=JOB, headers=headers) as answer:
            assert answer.status == 403
