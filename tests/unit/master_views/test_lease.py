"""A master whose lease is over: it takes nothing in, and nothing leaves any more, not even what it had decided before."""

import asyncio

import pytest

from koinon.coordination import Leader
from koinon.master.core import Refused, events
from koinon.master.standby import OPEN_PATHS, Standby
from koinon.mesos import internal, v1
from koinon.mesos.v1.scheduler import Call
from tests.unit.edge.conftest import client, server
from tests.unit.master_views.cluster import (
    agent_of,
    framework_of,
    operate,
    plain_framework,
    running_master,
    task,
)

__all__ = ["client", "server"]  # fixtures

SILENCE_S = 0.2


class Lease:
    """As long as the test says."""

    def __init__(self, master):
        self.held = True
        master.runtime._lease = lambda: self.held


@pytest.fixture
async def master():
    async with running_master(agent_ping_timeout=1.0) as made:
        yield made


@pytest.fixture
def lease(master):
    return Lease(master)


async def nothing_comes(agent, framework):
    """Neither of them hears anything, for a while."""
    reading = asyncio.create_task(framework.response.content.readany())
    hearing = asyncio.create_task(agent.received.get())
    done, waiting = await asyncio.wait((reading, hearing), timeout=SILENCE_S)
    for one in waiting:
        one.cancel()
    assert [one.result() for one in done] == []


async def test_what_comes_after_the_lease_is_refused_and_changes_nothing(master, lease):
    async with agent_of(master) as agent, framework_of(master, plain_framework()) as framework:
        offers = (await framework.event("OFFERS")).offers
        await framework.launch(offers.offers[0], task("t1", agent.id))
        await agent.hear(internal.RunTask)
        await framework.event("OFFERS")  # what is left; after that there is nothing to say
        lease.held = False
        state = master.runtime.core.state.frameworks[framework.id].tasks["t1"].state
        await agent.update(framework.id, "t1", v1.TaskState.TASK_RUNNING)
        assert (await framework.call("REVIVE"))[0] == 503
        assert (await framework.call("TEARDOWN"))[0] == 503
        status, text = await operate(
            master, "UPDATE_WEIGHTS", update_weights={"weight_infos": [{"role": "a", "weight": 2}]}
        )
        assert status == 503, text
        with pytest.raises(Refused):
            master.runtime.feed(events.ClockTicked())
        master.runtime.tell(events.ClockTicked())  # a fact, which nobody waits to be answered
        await nothing_comes(agent, framework)
        assert master.runtime.core.state.frameworks[framework.id].tasks["t1"].state is state
        assert master.runtime.core.state.weights == {}


async def test_what_was_decided_just_before_the_end_of_the_lease_does_not_leave(master, lease):
    async with agent_of(master) as agent, framework_of(master, plain_framework()) as framework:
        offers = (await framework.event("OFFERS")).offers
        await framework.launch(offers.offers[0], task("t1", agent.id))
        await agent.hear(internal.RunTask)
        await framework.event("OFFERS")  # what is left; after that there is nothing to say
        (channel,) = master.runtime.channels.values()
        (stream,) = master.runtime.streams.values()
        # What these lead to is queued, and leaves at the end of this turn of the event loop.
        for kind, body in (
            ("KILL", {"kill": Call.Kill(task_id=v1.TaskID("t1"))}),
            ("RECONCILE", {"reconcile": Call.Reconcile()}),
        ):
            call = Call(type=Call.Type[kind], framework_id=v1.FrameworkID(framework.id), **body)
            master.runtime.feed(events.SchedulerCalled(framework.stream_id, call))
        assert channel._queued
        assert stream._queued
        lease.held = False
        await nothing_comes(agent, framework)


async def test_time_stands_still_without_a_lease(master, lease):
    """Pings are due each second; nobody is pinged, and no agent is given up."""
    async with agent_of(master) as agent:
        lease.held = False
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(agent.received.get(), 1.5)
        assert master.runtime.core.state.agents[agent.id].active


# ── standing by ───────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
async def standby(server):
    """What guards `server`, which has a route of each kind."""

    async def handler(request):
        raise AssertionError("it does not lead")

    made = Standby()
    server.route("/state", handler)
    server.route("/redirect", handler)
    server.guard(made.guard, OPEN_PATHS)
    return made


@pytest.mark.parametrize(
    ("leader", "place"),
    [
        (Leader("10.0.0.1", 5050, 1, b'{"id":"m","ip":1,"hostname":"m1"}'), "//m1:5050"),
        (Leader("10.0.0.1", 5051, 1, b'{"id":"m","ip":1}'), "//10.0.0.1:5051"),
        (Leader("::1", 5050, 1, b"{}"), "//[::1]:5050"),
    ],
)
async def test_a_redirection_names_the_leader_as_it_names_itself(standby, client, leader, place):
    standby.leader = leader
    async with client.get("/state?a=1&b=%20", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, f"{place}/state?a=1&b=%20")
    async with client.get("/redirect/", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, place)


async def test_without_a_leader_one_is_told_to_try_again(standby, client):
    async with client.get("/state", allow_redirects=False) as answer:
        assert (answer.status, await answer.text()) == (503, "No master leads at the moment: try again.\n")
    standby.elected = True
    async with client.get("/redirect", allow_redirects=False) as answer:
        assert (answer.status, "Location" in answer.headers) == (503, False)
        assert "reads the registry" in await answer.text()
