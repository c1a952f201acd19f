"""A whole Marathon, with a master that says what the test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from koinon.coordination.embedded import EmbeddedStore
from koinon.flags import load
from koinon.marathon.flags import CONVENTIONS, MarathonFlags
from koinon.marathon.server import MarathonProcess
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1.scheduler import Call, Event
from koinon.service.exits import Exit, Fatal
from tests.unit.sdk.conftest import FakeServer, FakeSubscription
from tests.unit.sdk.frameworks import FRAMEWORK_ID, SUBSCRIBED, error

APP = {"id": "/web", "cmd": "sleep 1000", "cpus": 1, "mem": 32}


@asynccontextmanager
async def running(master: FakeServer, work_dir: Path, **more: str) -> AsyncIterator[MarathonProcess]:
    """A process that leads."""
    given = {"master": master.address, "work_dir": str(work_dir), "http_port": "0", **more}
    argv = [f"--{name}={value}" for name, value in given.items()]
    process = MarathonProcess(load(MarathonFlags, argv, environ={}, conventions=CONVENTIONS))
    await process.start()
    try:
        async with asyncio.timeout(10):
            while not process.leadership.leads:
                await process.leadership.change(10)
        yield process
    finally:
        await process.stop()


async def ask(process: MarathonProcess, path: str, method: str = "GET", body: Any = None) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{process.address}{path}", json=body) as answer,
    ):
        assert answer.status < 300, (answer.status, await answer.text())
        return await answer.json(content_type=None)


async def calls(master: FakeServer, kind: Call.Type) -> Call:
    """The next call of that type; others are passed over."""
    while (call := await master.call()).type is not kind:
        pass
    return call


def offer(offer_id: str = "O0") -> Event:
    one = v1.Offer(
        id=v1.OfferID(offer_id),
        framework_id=FRAMEWORK_ID,
        agent_id=v1.AgentID("S0"),
        hostname="host",
        resources=Resources.parse("cpus:4;mem:1024;disk:1024;ports:[31000-31010]").to_v1(),
        allocation_info=v1.Resource.AllocationInfo(role="*"),
    )
    return Event(type=Event.Type.OFFERS, offers=Event.Offers(offers=[one]))


def update(task_id: v1.TaskID, state: v1.TaskState, uuid: bytes = b"0123456789abcdef") -> Event:
    status = v1.TaskStatus(task_id=task_id, state=state, agent_id=v1.AgentID("S0"), uuid=uuid, timestamp=1.0)
    return Event(type=Event.Type.UPDATE, update=Event.Update(status))


async def launched(process: MarathonProcess, master: FakeServer) -> tuple[FakeSubscription, v1.TaskInfo]:
    """An app with one task, which runs."""
    subscription = await master.subscription()
    subscription.send(SUBSCRIBED)
    await ask(process, "/v2/apps", "POST", APP)
    subscription.send(offer())
    accepted = await calls(master, Call.Type.ACCEPT)
    (operation,) = accepted.accept.operations
    (task,) = operation.launch.task_infos
    subscription.send(update(task.task_id, v1.TaskState.TASK_RUNNING))
    await calls(master, Call.Type.ACKNOWLEDGE)
    return subscription, task


async def states(process: MarathonProcess) -> list[str]:
    return [task["state"] for task in (await ask(process, "/v2/tasks"))["tasks"]]


async def test_from_a_definition_to_a_task(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path, framework_name="shop") as process:
        _, task = await launched(process, master)
        assert (task.name, task.command.value) == ("web", "sleep 1000")
        assert await states(process) == ["TASK_RUNNING"]
        metrics = await ask(process, "/metrics")
        assert metrics["gauges"]["marathon.apps.active.gauge"] == {"value": 1}
        info = await ask(process, "/v2/info")
    assert (info["name"], info["frameworkId"], info["elected"]) == ("marathon", "F-0000", True)


async def test_who_we_are_is_told_and_kept(master: FakeServer, tmp_path: Path) -> None:
    flags = {
        "framework_name": "shop",
        "mesos_user": "ann",
        "enable_features": "task_killing",
        "mesos_role": "web",
    }
    async with running(master, tmp_path, **flags) as process:
        first = await master.subscription()
        first.send(SUBSCRIBED)
        address = process.address
        while "frameworkId" not in await ask(process, "/v2/info"):
            pass
        await process.runtime.settled()
    info = first.call.subscribe.framework_info
    kind = v1.FrameworkInfo.Capability.Type
    assert (info.name, info.user, info.roles, info.failover_timeout, info.checkpoint) == (
        "shop",
        "ann",
        ["web"],
        604_800.0,
        True,
    )
    assert info.webui_url == f"http://{address}"
    assert {one.type for one in info.capabilities} == {
        kind.PARTITION_AWARE,
        kind.MULTI_ROLE,
        kind.REGION_AWARE,
        kind.TASK_KILLING_STATE,
    }
    async with running(master, tmp_path, **flags):
        second = await master.subscription()
    assert second.call.framework_id == FRAMEWORK_ID


async def test_a_launch_that_the_master_refuses_is_tried_again(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process:
        subscription = await master.subscription()
        subscription.send(SUBSCRIBED)
        await ask(process, "/v2/apps", "POST", {**APP, "backoffSeconds": 0})
        master.answer = lambda call: (400, "", "no") if call.type is Call.Type.ACCEPT else (202, "", "")
        subscription.send(offer("O0"))
        refused = await calls(master, Call.Type.ACCEPT)
        master.answer = lambda call: (202, "", "")
        await asyncio.sleep(0)
        while (await states(process)) == ["TASK_STAGING"]:
            pass
        subscription.send(offer("O1"))
        accepted = await calls(master, Call.Type.ACCEPT)
        tasks = [call.accept.operations[0].launch.task_infos[0].task_id.value for call in (refused, accepted)]
        assert tasks[0] != tasks[1]


async def test_health_is_looked_at_and_shown(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process:
        subscription = await master.subscription()
        subscription.send(SUBSCRIBED)
        check = {"protocol": "TCP", "port": process.port, "intervalSeconds": 1, "gracePeriodSeconds": 0}
        await ask(process, "/v2/apps", "POST", {**APP, "healthChecks": [check]})
        local = offer()
        local.offers.offers[0].hostname = "127.0.0.1"
        subscription.send(local)
        accepted = await calls(master, Call.Type.ACCEPT)
        task = accepted.accept.operations[0].launch.task_infos[0]
        subscription.send(update(task.task_id, v1.TaskState.TASK_RUNNING))
        async with asyncio.timeout(10):
            while (await ask(process, "/v2/apps/web"))["app"]["tasksHealthy"] != 1:
                pass
        assert len(process.runtime.checkers) == 1
        await ask(process, "/v2/apps/web", "DELETE")
        await calls(master, Call.Type.KILL)
        subscription.send(update(task.task_id, v1.TaskState.TASK_KILLED, b"fedcba9876543210"))
        await calls(master, Call.Type.ACKNOWLEDGE)
        assert len(process.runtime.checkers) == 0


async def test_a_process_that_is_removed_by_the_master_ends(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process:
        (await master.subscription()).send(error("Framework has been removed"))
        with pytest.raises(Fatal) as end:
            async with asyncio.timeout(5):
                await asyncio.shield(process.over)
    assert end.value.status == Exit.FRAMEWORK_REMOVED


async def test_what_ran_and_lost_its_id_is_not_run_anew(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process:
        await launched(process, master)
        await process.runtime.settled()
    store = EmbeddedStore(tmp_path / "store.sqlite")
    await store.commit([("framework", None)])
    await store.close()
    flags = load(
        MarathonFlags,
        [f"--master={master.address}", f"--work_dir={tmp_path}", "--http_port=0"],
        environ={},
        conventions=CONVENTIONS,
    )
    process = MarathonProcess(flags)
    await process.start()
    with pytest.raises(Fatal) as end:
        async with asyncio.timeout(5):
            await asyncio.shield(process.over)
    assert end.value.status == Exit.FRAMEWORK_ID_MISSING
    await process.stop()


async def test_the_level_of_the_log_can_be_moved(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process:
        assert await ask(process, "/logging") == {"ROOT": "INFO"}
        moved = {"logger": "ROOT", "level": "debug", "durationSeconds": 0.05}
        assert await ask(process, "/logging", "POST", moved) == moved
        assert await ask(process, "/logging") == {"ROOT": "DEBUG"}
        async with asyncio.timeout(5):
            while await ask(process, "/logging") != {"ROOT": "INFO"}:
                pass
        assert (await ask(process, "/config"))["master"] == master.address


async def test_a_browser_is_told_what_there_is(master: FakeServer, tmp_path: Path) -> None:
    async with running(master, tmp_path) as process, aiohttp.ClientSession() as session:
        for path in ("/", "/ui", "/help"):
            async with session.get(f"http://{process.address}{path}") as answer:
                assert (answer.status, answer.url.path) == (200, "/ui/")
                assert "/v2/apps" in await answer.text()
        async with session.post(f"http://{process.address}/logging", data="[" * 100_000) as answer:
            assert answer.status == 400
