"""The SDK's scheduler as services drive it."""

import asyncio

import pytest

from koinon.coordination.detection import Masters
from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call
from koinon.sdk import framework_info
from koinon.service.driver import Driver
from koinon.service.exits import Exit, Fatal
from tests.unit.sdk.frameworks import FRAMEWORK_ID, SUBSCRIBED, error


class Service(Driver):
    """Revives as soon as it is subscribed; leads until told otherwise."""

    def __init__(self, master):
        self.leads = True
        self.failed: asyncio.Queue[Fatal] = asyncio.Queue()
        super().__init__(
            Masters.parse(master.address),
            framework_info("service", failover_timeout_s=1000),
            may_act=lambda: self.leads,
            failed=self.failed.put_nowait,
            credential=("me", "secret"),
        )

    def subscribed(self, framework_id):
        self.revive()


async def test_its_end_lets_tasks_run_on(master):
    service = Service(master)
    service.begin()
    (await master.subscription()).send(SUBSCRIBED)
    assert (await master.call()).type is Call.Type.REVIVE
    await service.end()
    assert master.calls.empty()  # no TEARDOWN


async def test_who_leads_no_more_says_nothing(master):
    service = Service(master)
    service.begin()
    (await master.subscription()).send(SUBSCRIBED)
    await master.call()
    service.leads = False
    service.suppress()
    service.leads = True
    service.revive()
    assert (await master.call()).type is Call.Type.REVIVE
    await service.end()


async def test_a_master_that_has_removed_us_ends_the_process(master):
    service = Service(master)
    service.begin()
    (await master.subscription()).send(error("Framework has been removed"))
    assert (await service.failed.get()).status == Exit.FRAMEWORK_REMOVED
    await service.end()


async def test_so_does_one_that_refuses_us(master):
    master.subscribe_answers.append((401, "", "who are you?\n"))
    service = Service(master)
    service.begin()
    assert (await service.failed.get()).status == Exit.DRIVER_FAILED
    await service.end()


async def test_roles_are_told_to_the_master_that_we_have_and_to_the_next(master):
    service = Service(master)
    service.use_roles({"b", "a"}, suppressed_roles={"a"})
    service.begin()
    subscription = await master.subscription()
    assert subscription.call.subscribe.framework_info.roles == ["a", "b"]
    assert subscription.call.subscribe.suppressed_roles == ["a"]
    subscription.send(SUBSCRIBED)
    await master.call()
    service.use_roles({"c"})
    call = await master.call()
    assert (call.type, call.framework_id) == (Call.Type.UPDATE_FRAMEWORK, FRAMEWORK_ID)
    assert call.update_framework.framework_info.roles == ["c"]
    assert call.update_framework.suppressed_roles == []
    await service.end()


async def test_one_that_never_found_a_master_ends_as_well(master):
    await master.close()
    service = Service(master)
    service.begin()
    async with asyncio.timeout(5):
        await service.end()


class Launcher(Service):
    """Launches one task as soon as it is subscribed, and hears of tasks."""

    def __init__(self, master):
        super().__init__(master)
        self.updates: asyncio.Queue[v1.TaskStatus] = asyncio.Queue()
        self.begun = False
        self.again = asyncio.Event()

    def subscribed(self, framework_id):
        if self.begun:
            self.again.set()
        else:
            self.begun = True
            task = v1.TaskInfo(name="t", task_id=v1.TaskID("T0"), agent_id=v1.AgentID("S0"))
            launch = v1.Offer.Operation.Launch(task_infos=[task])
            operation = v1.Offer.Operation(type=v1.Offer.Operation.Type.LAUNCH, launch=launch)
            self.accept([v1.OfferID("O0")], [operation])

    def update(self, status):
        self.updates.put_nowait(status)


@pytest.mark.parametrize("status", [400, 403, 503])
async def test_a_launch_that_is_refused_is_told_as_dropped(master, status):
    master.answer = lambda call: (status, "", "no")
    service = Launcher(master)
    service.begin()
    (await master.subscription()).send(SUBSCRIBED)
    async with asyncio.timeout(5):
        told = await service.updates.get()
    assert (told.task_id.value, told.state, told.uuid) == ("T0", v1.TaskState.TASK_DROPPED, None)
    await service.end()


@pytest.mark.parametrize("status", [100, 500, None], ids=["no answer", "fails inside", "cut off"])
async def test_of_a_launch_that_may_have_been_done_nothing_is_told(master, status):
    master.answer = lambda call: None if status is None else (status, "", "")
    service = Launcher(master)
    service.begin()
    first = await master.subscription()
    first.send(SUBSCRIBED)
    assert (await master.call()).type is Call.Type.ACCEPT
    master.answer = lambda call: (202, "", "")
    if status is not None:
        first.drop()
    (await master.subscription()).send(SUBSCRIBED)
    async with asyncio.timeout(5):
        await service.again.wait()
    assert service.updates.empty()
    await service.end()
