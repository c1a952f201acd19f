"""Classic endpoints and the operator API: what can be asked for, and what is refused."""

import asyncio
import json

import aiohttp
import pytest

from koinon.master.flags import MasterFlags
from koinon.master.server import MasterProcess
from koinon.mesos import codec, internal, v1
from koinon.mesos.v1.master import Response
from tests.unit.master_views import cluster as c

RUNNING, FINISHED = v1.TaskState.TASK_RUNNING, v1.TaskState.TASK_FINISHED


async def request(master, method, path, **options):
    """Status, headers, text."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, f"http://127.0.0.1:{master.about.port}{path}", allow_redirects=False, **options
        ) as response,
    ):
        return response.status, response.headers, await response.text()


async def test_redirect_leads_to_the_leader(master):
    status, headers, _ = await request(master, "GET", "/redirect")
    assert (status, headers["Location"]) == (307, f"//127.0.0.1:{master.about.port}")


@pytest.mark.parametrize("path", ["/registrar(1)/registry", "/registrar%281%29/registry"])
async def test_registry_is_shown_by_its_path_in_mesos(master, path):
    async with c.agent_of(master) as agent:
        status, _, text = await request(master, "GET", path)
    assert status == 200
    (admitted,) = json.loads(text)["slaves"]["slaves"]
    assert admitted["info"]["id"]["value"] == agent.id


async def test_teardown_by_form(master):
    async with c.framework_of(master, c.plain_framework()) as framework:
        status, _, _ = await request(master, "POST", "/master/teardown", data={"frameworkId": framework.id})
        assert status == 200
        await framework.response.content.read()
    for form in ({"frameworkId": "nobody"}, {}):
        status, _, text = await request(master, "POST", "/master/teardown", data=form)
        assert (status, len(text.splitlines())) == (400, 1)


async def test_teardown_by_call(master):
    async with c.framework_of(master, c.plain_framework()) as framework:
        status, body = await c.operate(master, "TEARDOWN", teardown={"framework_id": {"value": framework.id}})
        assert (status, body) == (200, b"")
        await framework.response.content.read()
    status, _ = await c.operate(master, "TEARDOWN", teardown={"framework_id": {"value": "nobody"}})
    assert status == 400


async def test_weights_are_set_and_shown(master):
    assert await c.get(master, "/weights") == []
    status, _, _ = await request(master, "PUT", "/weights", data='[{"role": "ads", "weight": 2.5}]')
    assert status == 200
    assert await c.get(master, "/weights") == [{"role": "ads", "weight": 2.5}]
    status, _ = await c.operate(
        master, "UPDATE_WEIGHTS", update_weights={"weight_infos": [{"role": "web", "weight": 3}]}
    )
    assert status == 200
    _, answer = await c.operate(master, "GET_WEIGHTS")
    assert codec.decode(Response, answer).get_weights.weight_infos == [
        v1.WeightInfo(weight=2.5, role="ads"),
        v1.WeightInfo(weight=3.0, role="web"),
    ]
    roles = {role["name"]: role["weight"] for role in (await c.get(master, "/roles"))["roles"]}
    assert roles["ads"] == 2.5
    for body in ('[{"role": "ads", "weight": -1}]', "{", '{"role": "x"}', ""):
        status, _, text = await request(master, "PUT", "/weights", data=body)
        assert (status, len(text.splitlines())) == (400, 1)


async def test_weights_flag_is_for_the_first_start():
    async with c.running_master(weights="ads=2,web=3") as master:
        assert {w["role"]: w["weight"] for w in await c.get(master, "/weights")} == {"ads": 2, "web": 3}


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ({}, 400),
        ({"type": "NO_SUCH"}, 400),
        ({"type": "UNKNOWN"}, 501),
        ({"type": "GET_METRICS"}, 400),
        ({"type": "READ_FILE"}, 400),
        ({"type": "READ_FILE", "read_file": {"path": "/no", "offset": 0}}, 404),
        ({"type": "LIST_FILES", "list_files": {"path": "/no"}}, 404),
        ({"type": "UPDATE_QUOTA"}, 400),
        ({"type": "UPDATE_QUOTA", "update_quota": {}}, 501),
        ({"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": "x"}}}, 501),
        ({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": "x"}}}, 404),
    ],
)
async def test_operator_call_is_refused_in_one_line(master, call, status):
    answered, headers, text = await request(
        master, "POST", "/api/v1", data=json.dumps(call), headers={"Content-Type": "application/json"}
    )
    assert (answered, len(text.splitlines())) == (status, 1)
    assert headers["Content-Type"].startswith("text/plain")


async def test_operator_call_that_accepts_nothing_we_have_is_406(master):
    status, _, _ = await request(
        master,
        "POST",
        "/api/v1",
        data='{"type": "GET_HEALTH"}',
        headers={"Content-Type": "application/json", "Accept": "text/html"},
    )
    assert status == 406


async def test_logging_level_is_set_by_call(master):
    duration = {"nanoseconds": 10_000_000_000}
    status, _ = await c.operate(
        master, "SET_LOGGING_LEVEL", set_logging_level={"level": 1, "duration": duration}
    )
    assert status == 200
    _, answer = await c.operate(master, "GET_LOGGING_LEVEL")
    assert codec.decode(Response, answer).get_logging_level.level == 1
    await c.operate(master, "SET_LOGGING_LEVEL", set_logging_level={"level": 0, "duration": duration})


async def test_tasks_are_chosen_ordered_and_cut(master):
    async with c.agent_of(master) as agent, c.framework_of(master, c.plain_framework()) as framework:
        (offer,) = (await framework.event("OFFERS")).offers.offers
        names = [f"t{number}" for number in range(5)]
        await framework.launch(offer, *(c.task(name, agent.id) for name in names))
        for at, name in enumerate(names):
            status = v1.TaskStatus(
                task_id=v1.TaskID(name),
                agent_id=v1.AgentID(agent.id),
                state=RUNNING,
                uuid=bytes(15) + bytes([at]),
                timestamp=1000.0 + at,
            )
            await agent.say(internal.Update(framework_id=framework.id, status=status, latest_state=RUNNING))
            await framework.event("UPDATE")

        async def ids(query):
            return [task["id"] for task in (await c.get(master, f"/tasks?{query}"))["tasks"]]

        assert await ids("order=asc") == names
        assert await ids("") == names[::-1]
        assert await ids("order=asc&limit=2&offset=1") == names[1:3]
        assert await ids("order=asc&limit=-1&offset=3") == names[3:]
        assert await ids("task_id=t3") == ["t3"]
        assert await ids("framework_id=nobody") == []
        status, _, _ = await request(master, "GET", "/tasks?limit=many")
        assert status == 400

        summary = await c.get(master, "/state-summary")
        assert summary["frameworks"][0]["TASK_RUNNING"] == 5
        assert summary["frameworks"][0]["slave_ids"] == [agent.id]
        assert summary["slaves"][0]["TASK_RUNNING"] == 5
        assert summary["slaves"][0]["framework_ids"] == [framework.id]


async def test_slaves_and_frameworks_are_chosen_by_id(master):
    async with (
        c.agent_of(master) as one,
        c.agent_of(master, "host-2"),
        c.framework_of(master, c.plain_framework()) as framework,
    ):
        assert len((await c.get(master, "/slaves"))["slaves"]) == 2
        (shown,) = (await c.get(master, f"/slaves?slave_id={one.id}"))["slaves"]
        assert shown["id"] == one.id
        assert (await c.get(master, "/frameworks?framework_id=nobody"))["frameworks"] == []
        (found,) = (await c.get(master, f"/frameworks?framework_id={framework.id}"))["frameworks"]
        assert found["connected"] is True


async def test_why_tells_the_decisions_about_a_framework(master):
    async with c.framework_of(master, c.plain_framework()) as framework:
        answer = await c.get(master, f"/why?framework_id={framework.id}")
        assert isinstance(answer["decisions"], list)
        status, _, _ = await request(master, "GET", "/why")
        assert status == 400


async def test_agent_that_speaks_no_message_is_shown_the_door(master):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{master.about.port}{internal.PATH}") as socket,
    ):
        await socket.send_bytes(b"hello")
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    status, _, _ = await request(master, "GET", internal.PATH)
    assert status == 400
    assert not master.runtime.channels


async def test_agent_that_unregisters_is_gone_from_the_state(master):
    async with c.agent_of(master) as agent:
        await agent.say(internal.Unregister())
        await asyncio.wait_for(agent.ended.wait(), c.WAIT_S)
        assert (await c.get(master, "/slaves"))["slaves"] == []


async def test_too_many_watchers_cut_off_the_oldest():
    async with c.running_master(max_operator_event_stream_subscribers=2) as master:
        url = f"http://127.0.0.1:{master.about.port}/api/v1"
        async with aiohttp.ClientSession() as session:
            responses = [
                await session.post(
                    url, data=b'{"type":"SUBSCRIBE"}', headers={"Content-Type": "application/json"}
                )
                for _ in range(3)
            ]
            await asyncio.wait_for(responses[0].content.read(), c.WAIT_S)
            assert (await c.get(master, "/metrics/snapshot"))["master/operator_event_stream_subscribers"] == 2
            for response in responses:
                response.close()


async def test_restarted_master_knows_its_agents(tmp_path):
    flags = MasterFlags(port=0, work_dir=tmp_path)
    first = MasterProcess(flags)
    await first.start()
    async with c.agent_of(first) as agent:
        agent_id = agent.id
    await first.stop()
    second = MasterProcess(flags)
    await second.start()
    try:
        state = await c.get(second, "/state")
        assert [one["id"] for one in state["recovered_slaves"]] == [agent_id]
        _, answer = await c.operate(second, "GET_AGENTS")
        assert codec.decode(Response, answer).get_agents.recovered_agents[0].id.value == agent_id
    finally:
        await second.stop()


async def test_whitelist_keeps_offers_from_other_hosts(tmp_path):
    whitelist = tmp_path / "whitelist"
    whitelist.write_text("host-2\n")
    async with (
        c.running_master(whitelist=whitelist) as master,
        c.agent_of(master, "host-1"),
        c.agent_of(master, "host-2") as allowed,
        c.framework_of(master, c.plain_framework()) as framework,
    ):
        offers = (await framework.event("OFFERS")).offers.offers
        assert [offer.agent_id.value for offer in offers] == [allowed.id]
