"""Three real masters and a real ZooKeeper: one leads, the others stand by; whoever may not lead does nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from koinon.mesos import codec, internal, v1
from koinon.mesos.v1 import scheduler
from tests.cluster.harness import IP, Role, eventually
from tests.cluster.masters import SESSION_S, Masters, ask, leads, running_masters
from tests.unit.master_views.cluster import CAPABILITIES, agent_of
from tests.zookeeper import ZooKeeper

#: What is over must be over so soon; the machine may be busy.
WAIT_S = 15.0


@pytest.fixture
def masters(tmp_path: Path, zookeeper: ZooKeeper) -> Iterator[Masters]:
    with running_masters(tmp_path, zookeeper.url("koinon:secret")) as found:
        yield found


def at(master: Role) -> SimpleNamespace:
    """What agents of the unit tests take for a master."""
    return SimpleNamespace(about=SimpleNamespace(port=master.port))


# ── standing by ───────────────────────────────────────────────────────────────────────────────────
def test_standbys_answer_about_themselves_and_redirect_all_else(masters: Masters) -> None:
    leader = masters.leader()
    place = f"//{leader.address}"
    for standby in masters.standbys(leader):
        for path in ("/health", "/version", "/flags", "/metrics/snapshot", "/metrics", "/system/stats.json"):
            for spelling in (path, f"/master{path}"):
                answer = ask(standby, spelling)
                assert answer is not None
                assert (answer.status, answer.location) == (200, None), spelling
        for method, path in (
            ("GET", "/state?jsonp=f"),
            ("GET", "/master/state.json"),
            ("GET", "/tasks?limit=1&offset=2"),
            ("POST", "/api/v1"),
            ("POST", "/master/api/v1/scheduler"),
            ("GET", "/api/v1/scheduler"),  # who leads is asked before how
            ("GET", internal.PATH),
            ("GET", "/redirected"),
            ("GET", "/redirect/state"),
            ("GET", "/state/redirect"),
        ):
            answer = ask(standby, path, method)
            assert answer is not None
            expected = (404, None) if path.startswith("/redirect") else (307, place + path)
            assert (answer.status, answer.location) == expected, path
        for path in ("/redirect", "/master/redirect", "/redirect/"):
            for master in (standby, leader):
                answer = ask(master, path)
                assert answer is not None
                assert (answer.status, answer.location) == (307, place)
        answer = ask(leader, "/master/redirect/state")
        assert answer is not None
        assert answer.status == 404


def test_the_password_is_in_no_flag_and_no_log(masters: Masters) -> None:
    for role in masters.roles:
        answer = ask(role, "/flags")
        assert answer is not None
        assert json.loads(answer.text)["flags"]["zk"].startswith("zk://koinon:***@")
        assert "secret" not in role.log.read_text()


def test_without_zookeeper_nobody_leads_and_it_is_told(
    tmp_path: Path, new_ensemble: Callable[[int], ZooKeeper]
) -> None:
    ensemble = new_ensemble(1)
    with running_masters(tmp_path, ensemble.url(), count=2) as masters:
        leader = masters.leader()
        (standby,) = masters.standbys(leader)
        ensemble.servers[0].kill()
        assert leader.process is not None
        assert leader.process.wait(WAIT_S) == 1
        assert "deposed" in leader.last_words()
        leader.process = None
        leader.start()  # as a supervisor would
        eventually(lambda: ask(leader, "/health"), "it answers")
        answer = ask(leader, "/state")
        assert answer is not None
        assert (answer.status, answer.text) == (503, "No master leads at the moment: try again.\n")
        ensemble.start()
        new = masters.leader()
        masters.wait_ready()
        assert new in (leader, standby)


# ── failing over ──────────────────────────────────────────────────────────────────────────────────
def test_each_new_leader_has_the_registry_and_a_greater_epoch(masters: Masters) -> None:
    epochs, clusters, previous = [], set(), None
    for weight in (2.0, 3.0, 4.0):
        leader = masters.leader(but=previous)
        weights = ask(leader, "/weights")
        assert weights is not None
        assert json.loads(weights.text) == ([{"role": "web", "weight": weight - 1}] if epochs else [])
        put = ask(leader, "/weights", "PUT", json.dumps([{"role": "web", "weight": weight}]))
        assert put is not None
        assert put.status == 200
        registered = asyncio.run(register(leader))
        epochs.append(registered.epoch)
        clusters.add(registered.cluster)
        leader.kill()
        previous = leader
        leader.start()
    assert epochs == sorted(set(epochs))
    assert epochs[0] > 0
    assert len(clusters) == 1


async def register(master: Role) -> internal.Registered:
    """What a master tells an agent that comes."""
    async with channel(master) as socket:
        (registered,) = internal.decode_from_master((await socket.receive(WAIT_S)).data)
        assert isinstance(registered, internal.Registered)
        return registered


@asynccontextmanager
async def channel(master: Role) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """An agent's channel, on which it has asked to be registered."""
    info = v1.AgentInfo(hostname="h", resources=[])
    message = internal.Register(
        agent_info=info, pid="slave(1)@127.0.0.1:1", version="1.11.0", capabilities=CAPABILITIES
    )
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{master.address}{internal.PATH}") as socket,
    ):
        await socket.send_bytes(internal.encode([message]))
        yield socket


def test_a_leader_that_is_told_to_end_hands_over_at_once(masters: Masters) -> None:
    leader = masters.leader()
    begun_s = time.monotonic()
    assert leader.stop(signal.SIGTERM) == 0
    masters.leader(but=leader)
    assert time.monotonic() - begun_s < SESSION_S  # nobody has waited for a session to end


def test_a_leader_that_is_told_to_end_refuses_no_call(masters: Masters) -> None:
    """As one that dies it answers no more: clients such as pymesos give up when they are refused."""
    leader = masters.leader()
    statuses: set[int] = set()
    ended = threading.Event()

    def call_on_and_on(keep: bool, header: str) -> None:
        connection = http.client.HTTPConnection(IP, leader.port, timeout=5)
        while not ended.is_set():
            with suppress(OSError, http.client.HTTPException):
                # Without a type it is refused with 400 by who leads.
                connection.request(
                    "POST", "/api/v1/scheduler", "{}", {"Content-Type": codec.JSON, header: "x"}
                )
                answer = connection.getresponse()
                answer.read()
                statuses.add(answer.status)
                if keep:
                    continue
            connection.close()

    ways = [(keep, header) for keep in (True, False) for header in ("X-Other", "Upgrade")]
    with ThreadPoolExecutor(len(ways)) as threads:
        calling = [threads.submit(call_on_and_on, *way) for way in ways]
        eventually(lambda: statuses, "it answers")
        assert leader.stop(signal.SIGTERM) == 0
        ended.set()
        for one in calling:
            one.result()
    assert statuses == {400}


async def test_agents_and_tasks_of_the_leader_before_are_waited_for(masters: Masters) -> None:
    first = await asyncio.to_thread(masters.leader)
    async with agent_of(at(first)) as agent:  # type: ignore[arg-type]
        agent_id = agent.id
    first.kill()
    second = await asyncio.to_thread(masters.leader, but=first)
    recovered = second.get("/slaves")["recovered_slaves"]
    assert [one["id"] for one in recovered] == [agent_id]


# ── freezing ──────────────────────────────────────────────────────────────────────────────────────
async def test_a_leader_that_was_frozen_says_nothing_when_it_is_woken_and_ends(masters: Masters) -> None:
    old = await asyncio.to_thread(masters.leader)
    async with channel(old) as agent, aiohttp.ClientSession(f"http://{old.address}") as session:
        await agent.receive(WAIT_S)  # Registered
        async with session.post("/api/v1/scheduler", **subscription()) as framework:
            await framework.content.readany()
            assert old.process is not None
            os.kill(old.pid, signal.SIGSTOP)
            new = await asyncio.to_thread(masters.leader, but=old)
            # By now it owes pings, and what comes in meanwhile waits to be answered.
            await agent.send_bytes(internal.encode([internal.Pong(), internal.Unregister()]))
            asking = asyncio.create_task(session.post("/api/v1/scheduler", **subscription()))
            weighing = asyncio.create_task(
                session.put("/weights", data=json.dumps([{"role": "late", "weight": 5.0}]))
            )
            await asyncio.sleep(1.0)
            while framework.content.total_bytes and await _soon(framework.content.readany()):
                pass  # what it said before
            os.kill(old.pid, signal.SIGCONT)
            assert await asyncio.to_thread(old.process.wait, WAIT_S) == 1
            assert not await _soon(framework.content.readany())
            heard = await agent.receive(WAIT_S)
            assert heard.type in (
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.ERROR,
            ), heard
            for request in (asking, weighing):
                with pytest.raises(aiohttp.ClientError):
                    await request
    old.process = None
    assert "deposed" in old.last_words()
    assert leads(new)
    assert "late" not in {weight["role"] for weight in new.get("/weights")}


async def _soon(reading: object) -> bytes:
    """What there is to read; nothing when the stream is over, broken, or silent."""
    try:
        return await asyncio.wait_for(reading, 0.2)  # type: ignore[arg-type]
    except (TimeoutError, aiohttp.ClientError):
        return b""


def subscription() -> dict[str, object]:
    call = scheduler.Call(
        type=scheduler.Call.Type.SUBSCRIBE,
        subscribe=scheduler.Call.Subscribe(framework_info=v1.FrameworkInfo(user="nobody", name="f")),
    )
    return {
        "data": codec.encode(call, codec.JSON),
        "headers": {"Content-Type": codec.JSON, "Accept": codec.JSON},
    }


def test_a_leader_frozen_for_less_than_its_lease_goes_on(masters: Masters) -> None:
    leader = masters.leader()
    for _ in range(3):
        os.kill(leader.pid, signal.SIGSTOP)
        time.sleep(SESSION_S / 4)
        os.kill(leader.pid, signal.SIGCONT)
        eventually(lambda: leads(leader), "it goes on")
        time.sleep(SESSION_S)  # and is heard again
    assert "deposed" not in leader.log.read_text()


# ── starting ──────────────────────────────────────────────────────────────────────────────────────
def test_a_wrong_password_ends_a_master_with_a_sentence(masters: Masters, tmp_path: Path) -> None:
    flags = {**masters.roles[0].flags}
    flags["zk"] = flags["zk"].replace(":secret@", ":guessed@")
    wrong = Role("master", "wrong", tmp_path, flags)
    wrong.start()
    assert wrong.process is not None
    try:
        assert wrong.process.wait(WAIT_S) == 1
        assert "check user and password" in wrong.last_words()
        assert "guessed" not in wrong.last_words()
    finally:
        wrong.kill()


def test_a_registry_in_memory_begins_anew_with_each_leader(tmp_path: Path, zookeeper: ZooKeeper) -> None:
    with running_masters(tmp_path, zookeeper.url(), count=2, registry="in_memory") as masters:
        leader = masters.leader()
        put = ask(leader, "/weights", "PUT", json.dumps([{"role": "web", "weight": 2.0}]))
        assert put is not None
        assert put.status == 200
        leader.kill()
        answer = ask(masters.leader(but=leader), "/weights")
        assert answer is not None
        assert json.loads(answer.text) == []
        for role in masters.roles:
            assert "the registry is in memory" in role.log.read_text()
