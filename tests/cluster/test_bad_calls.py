"""Calls and requests that are well formed and wrong: each gets its status and one clear line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from koinon.mesos import internal
from tests.cluster.harness import Cluster, eventually
from tests.cluster.raw import (
    EXECUTOR,
    OPERATOR,
    SCHEDULER,
    Answer,
    Framework,
    Stream,
    post,
    request,
    scalars,
    task,
)
from tests.cluster.refusals import goes_on, refused

__all__ = ["goes_on"]

NOBODY = {"framework_id": {"value": "nobody"}, "executor_id": {"value": "nothing"}}


# ── the scheduler API ─────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def framework(cluster: Cluster) -> Iterator[Framework]:
    with Framework(cluster.master_address, failover_timeout=60) as one:
        one.rest()
        yield one
        if one.stream.ended:
            one.subscribe_again()
        one.do("TEARDOWN")


def scheduler(cluster: Cluster, call: dict[str, Any], **headers: str) -> Answer:
    return post(cluster.master_address, SCHEDULER, call, **headers)


@pytest.mark.parametrize(
    "kind", ["REVIVE", "TEARDOWN", "ACCEPT", "DECLINE", "KILL", "ACKNOWLEDGE", "MESSAGE"]
)
def test_calls_without_their_content_are_refused(cluster: Cluster, framework: Framework, kind: str) -> None:
    refused(scheduler(cluster, {"type": kind}), 400)
    if kind not in ("REVIVE", "TEARDOWN"):
        refused(framework.call(kind), 400, kind.lower())
    if kind in ("KILL", "ACKNOWLEDGE", "MESSAGE"):
        refused(framework.call(kind, **{kind.lower(): {}}), 400)


def test_stream_ids_are_looked_at(cluster: Cluster, framework: Framework) -> None:
    call = {"type": "REVIVE", "framework_id": framework.info["id"]}
    refused(scheduler(cluster, call), 400, "Mesos-Stream-Id")
    refused(scheduler(cluster, call, Mesos_Stream_Id="0"), 400, "Mesos-Stream-Id")
    refused(scheduler(cluster, call, Mesos_Stream_Id="\xff"), 400, "Mesos-Stream-Id")
    subscribe = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "u", "name": "n"}}}
    refused(scheduler(cluster, subscribe, Mesos_Stream_Id=framework.stream_id), 400, "Mesos-Stream-Id")
    assert framework.call("SUPPRESS").status == 202


def test_frameworks_that_are_unknown_or_not_subscribed_are_refused(
    cluster: Cluster, framework: Framework
) -> None:
    unknown = {"type": "REVIVE", "framework_id": {"value": "nobody"}}
    refused(scheduler(cluster, unknown, Mesos_Stream_Id=framework.stream_id), 400)
    framework.disconnect()
    eventually(
        lambda: (
            not cluster.master.get("/frameworks", framework_id=framework.id)["frameworks"][0]["connected"]
        ),
        "the master sees the end",
    )
    call = {"type": "REVIVE", "framework_id": framework.info["id"]}
    refused(scheduler(cluster, call, Mesos_Stream_Id=framework.stream_id), 403, "subscribed")


@pytest.mark.parametrize(
    ("subscribe", "ids"),
    [
        ({"framework_info": {"name": "n"}}, {}),
        ({"framework_info": {"user": "u", "name": "n", "id": {"value": "a"}}}, {}),
        ({"framework_info": {"user": "u", "name": "n"}}, {"framework_id": {"value": "a"}}),
        ({"framework_info": {"user": "u", "name": "n", "checkpoint": "perhaps"}}, {}),
        ({"framework_info": {"user": "u", "name": "n", "failover_timeout": "soon"}}, {}),
        ({"framework_info": {"user": "u", "name": "n", "roles": {"a": 1}}}, {}),
        ({}, {}),
    ],
)
def test_malformed_subscriptions_are_refused_before_there_is_a_stream(
    cluster: Cluster, subscribe: dict[str, Any], ids: dict[str, Any]
) -> None:
    refused(scheduler(cluster, {"type": "SUBSCRIBE", "subscribe": subscribe, **ids}), 400)


@pytest.mark.parametrize(
    "info",
    [
        {"roles": ["a"]},
        {"roles": ["/a"], "capabilities": [{"type": "MULTI_ROLE"}]},
        {"roles": ["a", "a"], "capabilities": [{"type": "MULTI_ROLE"}]},
        {"role": "a", "capabilities": [{"type": "MULTI_ROLE"}]},
        {"role": ".."},
        {"failover_timeout": -1},
        {"failover_timeout": 1e300},
    ],
    ids=repr,
)
def test_invalid_frameworks_hear_an_error_on_a_stream_that_ends(
    cluster: Cluster, info: dict[str, Any]
) -> None:
    described = {"user": "root", "name": "bad", **info}
    call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": described}}
    stream = Stream(cluster.master_address, SCHEDULER, call).read()
    stream.wait(lambda: stream.ended, "the stream ends")
    stream.close()
    (event,) = stream.events
    assert event["type"] == "ERROR"
    assert event["error"]["message"]


# ── the executor API ──────────────────────────────────────────────────────────────────────────────
def test_executors_that_are_unknown_or_not_subscribed_are_refused(
    cluster: Cluster, framework: Framework
) -> None:
    agent = cluster.agents[0].address
    status = {"task_id": {"value": "t"}, "state": "TASK_RUNNING", "source": "SOURCE_EXECUTOR"}
    update = {"status": {**status, "uuid": "MDEyMzQ1Njc4OWFiY2RlZg=="}}
    refused(post(agent, EXECUTOR, {"type": "SUBSCRIBE", **NOBODY, "subscribe": {}}), 400, "nobody")
    refused(post(agent, EXECUTOR, {"type": "UPDATE", **NOBODY, "update": update}), 400, "nobody")
    refused(post(agent, EXECUTOR, {"type": "SUBSCRIBE", "subscribe": {}}), 400)
    ids = {"framework_id": framework.info["id"], "executor_id": {"value": "e"}}
    executor = {
        "type": "CUSTOM",
        **ids,
        "command": {"value": "sleep 1000"},
        "resources": scalars(cpus=0.1, mem=32),
    }
    framework.do("REVIVE")
    framework.launch([task("t", executor=executor)])
    wanted = {"type": "UPDATE", **ids, "update": update}
    answer = eventually(
        lambda: (found := post(agent, EXECUTOR, wanted)).status != 400 and found, "the executor is known"
    )
    assert isinstance(answer, Answer)
    refused(answer, 403, "not subscribed")
    other = {**ids, "executor_id": {"value": "other"}}
    refused(post(agent, EXECUTOR, {**wanted, **other}), 400, "other")
    stream = Stream(agent, EXECUTOR, {"type": "SUBSCRIBE", **ids, "subscribe": {}}).read()
    stream.wait(lambda: stream.of("LAUNCH"), "the task")
    for wrong in (
        {"uuid": "AA=="},
        {"uuid": None},
        {"source": "SOURCE_MASTER"},
        {"state": "TASK_STAGING"},
        {"executor_id": {"value": "other"}},
    ):
        refused(post(agent, EXECUTOR, {**wanted, "update": {"status": {**update["status"], **wrong}}}), 400)
    assert post(agent, EXECUTOR, wanted).status == 202
    framework.wait_state("t", "TASK_RUNNING")
    stream.close()


# ── operators and the classic endpoints ───────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("call", "status"),
    [
        ({"type": "TEARDOWN", "teardown": {"framework_id": {"value": "nobody"}}}, 400),
        ({"type": "TEARDOWN"}, 400),
        ({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": "nobody"}}}, 404),
        ({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "a", "weight": 0}]}}, 400),
        ({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "a", "weight": -1}]}}, 400),
        ({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "/", "weight": 1}]}}, 400),
        ({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"weight": 1}]}}, 400),
        ({"type": "READ_FILE", "read_file": {"path": "/nowhere", "offset": 0}}, 404),
        ({"type": "READ_FILE", "read_file": {"path": "/nowhere", "offset": -1}}, 400),
        ({"type": "LIST_FILES", "list_files": {"path": "/../etc"}}, 404),
        ({"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": "a"}}}, 501),
    ],
    ids=lambda value: json.dumps(value)[:70],
)
def test_operator_calls_that_cannot_be_done_are_refused(
    cluster: Cluster, call: dict[str, Any], status: int
) -> None:
    refused(post(cluster.master_address, OPERATOR, call), status)
    if call["type"] in ("READ_FILE", "LIST_FILES"):
        refused(post(cluster.agents[0].address, OPERATOR, call), status)


@pytest.mark.parametrize(
    ("role", "method", "path", "body", "status"),
    [
        ("master", "POST", "/teardown", "", 400),
        ("master", "POST", "/teardown", "frameworkId=nobody", 400),
        ("master", "GET", "/teardown", None, 405),
        ("master", "PUT", "/weights", "{", 400),
        ("master", "PUT", "/weights", '[{"role": "a", "weight": "much"}]', 400),
        ("master", "PUT", "/weights", '[{"role": "a", "weight": 0}]', 400),
        ("master", "GET", "/tasks?limit=some", None, 400),
        ("master", "POST", "/state", "", 405),
        ("master", "GET", "/state?jsonp=alert(1)//", None, 400),
        ("master", "GET", "/why", None, 400),
        ("master", "GET", "/nowhere", None, 404),
        ("master", "GET", "/master", None, 404),
        ("master", "GET", internal.PATH, None, 400),
        ("agent", "GET", "/containers?executor_id=e", None, 400),
        ("agent", "GET", "/nowhere", None, 404),
        ("agent", "GET", "/slave(2)/state", None, 404),
        ("agent", "DELETE", "/monitor/statistics", None, 405),
        *[
            one
            for role in ("master", "agent")
            for one in (
                (role, "GET", "/metrics/snapshot?timeout=soon", None, 400),
                (role, "POST", "/logging/toggle?level=1", None, 400),
                (role, "POST", "/logging/toggle?level=much&duration=1secs", None, 400),
                (role, "POST", "/logging/toggle?level=1&duration=long", None, 400),
                (role, "GET", "/files/browse", None, 400),
                (role, "GET", "/files/read?path=/x&offset=first", None, 400),
                (role, "GET", "/files/read?path=/x&offset=-7", None, 400),
                (role, "GET", "/files/read?path=/nowhere", None, 404),
                (role, "GET", "/files/download?path=/etc/passwd", None, 404),
                (role, "GET", "/files/read?path=/../../../../etc/passwd", None, 403),
                (role, "GET", "/files/browse?path=%2e%2e/%2e%2e/etc", None, 403),
                (role, "GET", "/files/read?path=/x%00y", None, 404),
                (role, "GET", "/files/../../etc/passwd", None, 404),
            )
        ],
    ],
)
def test_classic_endpoints_refuse_what_is_wrong(
    cluster: Cluster, role: str, method: str, path: str, body: str | None, status: int
) -> None:
    address = cluster.master_address if role == "master" else cluster.agents[0].address
    refused(request(address, method, path, body), status)


def test_a_sandbox_cannot_show_what_is_outside_of_it(cluster: Cluster, framework: Framework) -> None:
    framework.do("REVIVE")
    traps = (
        "ln -s /etc/passwd link; ln -s / root; ln -s ../../../../../../../.. up; mkfifo pipe; ln -s loop loop"
    )
    framework.launch([task("traps", f"{traps}; head -c 9 /dev/zero > 'odd \"name'; echo in > inside")])
    assert framework.wait_end("traps")["state"] == "TASK_FINISHED"
    agent = cluster.agents[0]
    latest = f"/frameworks/{framework.id}/executors/traps/runs/latest"
    state = agent.get("/state")
    (shown,) = [
        one for one in state["frameworks"] + state["completed_frameworks"] if one["id"] == framework.id
    ]
    real = (shown["completed_executors"] + shown["executors"])[0]["directory"]
    for base in (latest, real):

        def ask(what: str, name: str, base: str = base) -> Answer:
            return request(agent.address, "GET", f"/files/{what}?path={quote(base + name)}")

        assert json.loads(ask("read", "/inside").body)["offset"] == 3
        for what in ("read", "download"):
            refused(ask(what, "/link"), 403)
            refused(ask(what, "/root/etc/passwd"), 403)
            refused(ask(what, "/up/meta/agent.db"), 403)
            refused(ask(what, "/../../../../../../../../meta/agent.db"), 403)
            refused(ask(what, "/pipe"), 400)
            refused(ask(what, "/loop"), 403)
            refused(ask(what, "/inside/below"), 404)
            refused(ask(what, "/\x00"), 403)
            refused(ask(what, ""), 400, "directory")
        refused(ask("browse", "/root"), 403)
        refused(ask("browse", "/up"), 403)
        assert {one["path"].rpartition("/")[2] for one in json.loads(ask("browse", "").body)} >= {
            "link",
            "pipe",
            "stdout",
        }
        assert ask("download", '/odd "name').body == bytes(9)


# ── agents ────────────────────────────────────────────────────────────────────────────────────────
def refusal(state: str) -> dict[str, Any]:
    return {
        "framework_id": "f",
        "status": {"task_id": {"value": "t"}, "state": state},
        "latest_state": state,
    }


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"agent_info": {"hostname": ""}}, "no hostname"),
        ({"agent_info": {"hostname": "h", "resources": scalars(cpus=-1)}}, "resources are not valid"),
        ({"agent_info": {"hostname": "h", "id": {"value": "../x"}}}, "id is not valid"),
        ({"protocol": 99}, "version 99 of the protocol"),
        ({"frameworks": [{"user": "u", "name": "n"}]}, "framework 'n' without its id"),
        ({"frameworks": [{"user": "u", "name": "n", "id": {"value": "f"}, "role": "/"}]}, "framework f"),
        ({"tasks": [{"state": "TASK_UNKNOWN"}]}, "TASK_UNKNOWN"),
        ({"tasks": [{"state": "TASK_RUNNING"}] * 2}, "reported twice"),
        ({"executors": [{"executor_id": {"value": ""}}]}, "executor ''"),
        ({"refusals": [refusal("TASK_RUNNING")]}, "TASK_RUNNING is no end"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
async def test_agents_that_report_what_cannot_be_are_told_so_and_not_admitted(
    cluster: Cluster, wrong: dict[str, Any], words: str
) -> None:
    info = {**task("t", "true"), "agent_id": {"value": "a"}}
    register: dict[str, Any] = {
        "type": "Register",
        "agent_info": {"hostname": "h", "resources": scalars(cpus=1)},
        "pid": "slave(1)@127.0.0.1:1",
        "version": "1.12.0",
        **wrong,
        "tasks": [{"framework_id": "f", "info": info, **one} for one in wrong.get("tasks", [])],
        "executors": [{"framework_id": "f", "info": one} for one in wrong.get("executors", [])],
    }
    url = f"http://{cluster.master_address}{internal.PATH}"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as channel:
        await channel.send_json([register])
        (refusal,) = json.loads((await channel.receive(10)).data)
        assert refusal["type"] == "Refused"
        assert words in refusal["message"]
        assert (await channel.receive(10)).type is aiohttp.WSMsgType.CLOSE
    assert cluster.registered_agents() == 1
