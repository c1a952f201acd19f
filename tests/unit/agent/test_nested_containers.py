"""The agent's operator API for nested and standalone containers, against a real agent and real processes."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from koinon.mesos import internal, recordio, v1
from tests.unit.agent.bench import executor, task
from tests.unit.agent.shell import OURS, AgentProcess, alive, mode, until, url

JSON, RECORDIO = "application/json", "application/recordio"
_ids = (f"n{number}" for number in itertools.count())


class Api:
    """One agent's API, and the container of one task."""

    def __init__(self, agent: AgentProcess, master: Any, register: internal.Register) -> None:
        self.agent = agent
        self.master = master
        self.url = url(register, "/api/v1")
        self.http = aiohttp.ClientSession()

    async def run(self, command: str = "sleep 1000", task_id: str = "t", **more: Any) -> dict[str, Any]:
        """Run a task; returns the id of its container."""
        await self.master.run(task(task_id, command=command, **more))
        return await self.container_of(task_id)

    async def container_of(self, task_id: str) -> dict[str, Any]:
        status = await self.master.reaches(task_id, "RUNNING")
        found = status.container_status.container_id
        outer = {"parent": {"value": found.parent.value}} if found.parent is not None else {}
        return {"value": found.value, **outer}

    async def call(self, kind: str, _headers: dict[str, str] | None = None, **fields: Any) -> tuple[int, Any]:
        body = {"type": kind, **({kind.lower(): fields} if fields else {})}
        async with self.http.post(self.url, json=body, headers=_headers) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text and answer.status == 200 else text.decode()

    async def ok(self, kind: str, **fields: Any) -> Any:
        status, found = await self.call(kind, **fields)
        assert status == 200, found
        return found

    async def wait(self, container_id: dict[str, Any]) -> int:
        """The exit code of a container."""
        found = await self.ok("WAIT_CONTAINER", container_id=container_id)
        return os.waitstatus_to_exitcode(found["wait_container"]["exit_status"])

    async def containers(self, **shown: bool) -> dict[str, dict[str, Any]]:
        found = await self.ok("GET_CONTAINERS", **shown)
        return {one["container_id"]["value"]: one for one in found["get_containers"].get("containers", [])}

    @asynccontextmanager
    async def session(self, parent: dict[str, Any], command: Any, tty: Any = None) -> AsyncIterator[Session]:
        container_id = {"value": next(_ids), "parent": parent}
        if isinstance(command, str):
            command = {"value": command}
        wanted = {"container_id": container_id, "command": command}
        if tty is not None:
            wanted["container"] = {"type": "MESOS", "tty_info": tty}
        call = {"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session": wanted}
        headers = {"Content-Type": JSON, "Accept": RECORDIO, "Message-Accept": JSON}
        async with self.http.post(self.url, json=call, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.headers["Content-Type"] == RECORDIO
            assert answer.headers["Message-Content-Type"] == JSON
            yield Session(self, container_id, answer)

    @asynccontextmanager
    async def output(self, container_id: dict[str, Any]) -> AsyncIterator[Session]:
        call = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": container_id}}
        headers = {"Content-Type": JSON, "Accept": RECORDIO, "Message-Accept": JSON}
        async with self.http.post(self.url, json=call, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            yield Session(self, container_id, answer)


class Session:
    """The output of a container, and a way to give it input."""

    def __init__(self, api: Api, container_id: dict[str, Any], answer: aiohttp.ClientResponse) -> None:
        self.api = api
        self.container_id = container_id
        self.answer = answer
        self.heartbeats = 0
        self._decoder = recordio.RecordDecoder()
        self._pending: list[dict[str, Any]] = []

    async def record(self) -> dict[str, Any] | None:
        while not self._pending:
            async with asyncio.timeout(20):
                data = await self.answer.content.readany()
            if not data:
                return None
            self._pending = [json.loads(one) for one in self._decoder.feed(data)]
        return self._pending.pop(0)

    async def data(self, kind: str) -> bytes | None:
        while (record := await self.record()) is not None:
            if record["type"] == "CONTROL":
                self.heartbeats += 1
            elif record["data"]["type"] == kind:
                return base64.b64decode(record["data"]["data"])
        return None

    async def all(self, kind: str = "STDOUT") -> bytes:
        found = []
        while (data := await self.data(kind)) is not None:
            found.append(data)
        return b"".join(found)

    async def until(self, expected: bytes, kind: str = "STDOUT") -> bytes:
        found = b""
        while expected not in found:
            data = await self.data(kind)
            assert data is not None, found
            found += data
        return found

    def attach(self, *records: Any) -> Input:
        return Input(self)


def stdin(data: bytes) -> dict[str, Any]:
    return {"type": "DATA", "data": {"type": "STDIN", "data": base64.b64encode(data).decode()}}


def window(rows: int, columns: int) -> dict[str, Any]:
    size = {"window_size": {"rows": rows, "columns": columns}}
    return {"type": "CONTROL", "control": {"type": "TTY_INFO", "tty_info": size}}


HEARTBEAT = {
    "type": "CONTROL",
    "control": {"type": "HEARTBEAT", "heartbeat": {"interval": {"nanoseconds": 30_000_000_000}}},
}


class Input:
    """A request that gives a container input, as the Apache command line does."""

    def __init__(self, session: Session) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._session = session

    async def __aenter__(self) -> Input:
        self._put({"type": "CONTAINER_ID", "container_id": self._session.container_id})
        headers = {"Content-Type": RECORDIO, "Message-Content-Type": JSON, "Accept": JSON}
        self._posting = asyncio.create_task(self._post(headers))
        return self

    async def _post(self, headers: dict[str, str]) -> int:
        async with self._session.api.http.post(
            self._session.api.url, data=self._chunks(), headers=headers
        ) as answer:
            return answer.status

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._queue.get()) is not None:
            yield chunk

    def _put(self, given: dict[str, Any]) -> None:
        call = {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": given}
        self._queue.put_nowait(recordio.frame(json.dumps(call).encode()))

    def give(self, io: dict[str, Any]) -> None:
        self._put({"type": "PROCESS_IO", "process_io": io})

    async def end(self) -> int:
        self._queue.put_nowait(None)
        async with asyncio.timeout(20):
            return await self._posting

    async def __aexit__(self, *_: object) -> None:
        self._queue.put_nowait(None)
        self._posting.cancel()


@pytest.fixture
async def api(agent, master) -> AsyncIterator[Api]:
    api = Api(agent, master, await master.registered())
    yield api
    await api.http.close()


def sandbox(agent: AgentProcess, task_id: str = "t") -> Path:
    return agent.work_dir / f"slaves/latest/frameworks/F/executors/{task_id}/runs/latest"


# ── sessions ──────────────────────────────────────────────────────────────────────────────────────
async def test_a_session_runs_in_its_task_and_tells_what_it_says_and_how_it_ends(agent, api):
    variables = [v1.Environment.Variable(name="FROM_TASK", value="a")]
    command = v1.CommandInfo(value="touch here; sleep 1000", environment=v1.Environment(variables=variables))
    parent = await api.run(command)
    await until(lambda: (sandbox(agent) / "here").exists(), "the task's file")
    script = "ls; echo $FROM_TASK$OWN$MESOS_EXECUTOR_ID; echo oops >&2; exit 3"
    own = {"variables": [{"name": "OWN", "value": "b"}]}
    async with api.session(parent, {"value": script, "environment": own}) as session:
        assert (await session.all()).decode().split() == ["here", "stderr", "stdout", "abt"]
        assert await api.wait(session.container_id) == 3
    async with api.session(parent, "echo oops >&2") as session:
        assert await session.all("STDERR") == b"oops\n"
    assert (sandbox(agent) / "stdout").read_text() == ""


async def test_input_reaches_a_session_up_to_its_end(api):
    parent = await api.run()
    async with api.session(parent, "cat; echo end") as session:
        async with session.attach() as given:
            given.give(HEARTBEAT)
            given.give(stdin(b"one\n"))
            await session.until(b"one\n")
            given.give(stdin(b"two\n"))
            given.give(stdin(b""))
            assert await session.all() == b"two\nend\n"
            assert await given.end() == 200
        assert await api.wait(session.container_id) == 0


async def test_input_can_be_attached_again_but_not_twice_at_once(api):
    parent = await api.run()
    async with api.session(parent, "cat") as session:
        for text in (b"one\n", b"two\n"):
            async with session.attach() as given:
                given.give(stdin(text))
                await session.until(text)
                async with session.attach() as second:
                    assert await second.end() == 409
                assert await given.end() == 200


async def test_a_session_with_a_terminal_knows_its_size_and_is_interrupted(api):
    parent = await api.run()
    script = (
        "trap 'stty size' WINCH; trap 'exit 9' INT; tty; stty size; echo $TERM; while :; do sleep 0.05; done"
    )
    tty = {"window_size": {"rows": 30, "columns": 100}}
    async with api.session(parent, script, tty) as session, session.attach() as given:
        shown = await session.until(b"xterm")
        assert b"/dev/pts/" in shown
        assert b"30 100" in shown
        given.give(window(50, 132))
        await session.until(b"50 132")
        given.give(stdin(b"\x03"))
        await session.all()
        assert await api.wait(session.container_id) == 9
        assert await given._posting == 200  # input that nobody takes any more is answered


async def test_a_session_ends_with_the_connection_that_asked_for_it(agent, api):
    parent = await api.run()
    script = "trap '' TERM HUP INT PIPE; echo $$; (setsid sleep 1000 & echo $!); while :; do sleep 0.1; done"
    async with api.session(parent, script) as session:
        main = int(await session.until(b"\n"))
        async with api.output(session.container_id):
            pass  # somebody who only looked on goes, and nothing happens
        assert alive(main)
        waiting = asyncio.create_task(api.wait(session.container_id))
        await asyncio.sleep(0)
        session.answer.close()
    async with asyncio.timeout(20):
        assert await waiting == -signal.SIGKILL
    assert not alive(main)


async def test_a_session_ends_with_its_task(api, master):
    parent = await api.run()
    async with api.session(parent, "echo up; sleep 1000") as session:
        await session.until(b"up")
        await master.say(internal.KillTask(framework_id="F", task_id="t"))
        await master.reaches("t", "KILLED")
        assert await session.all() == b""
    status, text = await api.call("WAIT_CONTAINER", container_id=session.container_id)
    assert status == 404, text


async def test_a_session_ends_with_the_agent_and_the_task_goes_on(agent, api, master):
    parent = await api.run("sleep 1000")
    main = (await master.reaches("t", "RUNNING")).container_status.executor_pid
    script = "trap '' TERM HUP INT PIPE; echo $$; while :; do sleep 0.1; done"
    async with api.session(parent, script) as session:
        pid = int(await session.until(b"\n"))
        await agent.stop(signal.SIGKILL)
    await until(lambda: not alive(pid), "the end of the session")
    assert alive(main)


async def test_many_megabytes_flow_through_a_session(api):
    parent = await api.run()
    began = time.monotonic()
    async with api.session(parent, "head -c 30000000 /dev/zero") as session:
        assert len(await session.all()) == 30_000_000
    assert time.monotonic() - began < 15
    async with api.session(parent, "wc -c") as session, session.attach() as given:
        for _ in range(20):
            given.give(stdin(bytes(500_000)))
        given.give(stdin(b""))
        assert int(await session.all()) == 10_000_000


async def test_a_client_that_does_not_read_does_not_make_the_agent_grow(agent, api):
    parent = await api.run()
    assert agent.process is not None

    def memory() -> int:
        return int(Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1]) * 4096

    async with api.session(parent, "cat /dev/zero") as session:
        await session.record()
        before = memory()
        reached = await until_still(memory)
        assert reached - before < 30_000_000
        assert (await api.ok("GET_HEALTH"))["get_health"]["healthy"]


async def until_still(measure: Any) -> int:
    """What is measured when it has not changed by much for a while."""
    value = measure()
    for _ in range(200):
        await asyncio.sleep(0.3)
        last, value = value, measure()
        if abs(value - last) < 100_000:
            return int(value)
    return int(value)


async def test_a_key_is_answered_at_once(api):
    parent = await api.run()
    async with api.session(parent, "cat", {}) as session, session.attach() as given:
        given.give(stdin(b"x"))
        await session.until(b"x")
        delays = []
        for _ in range(20):
            began = time.monotonic()
            given.give(stdin(b"y"))
            await session.until(b"y")
            delays.append(time.monotonic() - began)
        assert sorted(delays)[10] < 0.05


async def test_signs_of_life_come_on_quiet_streams(master, tmp_path):
    agent = AgentProcess(tmp_path / "agent", master.address, http_heartbeat_interval="50ms")
    await agent.start()
    api = Api(agent, master, await master.registered())
    try:
        async with api.session(await api.run(), "sleep 1000") as session:
            record = await session.record()
            assert record is not None
            control = record["control"]
            assert control == {"type": "HEARTBEAT", "heartbeat": {"interval": {"nanoseconds": 50_000_000}}}
    finally:
        await api.http.close()
        await agent.finish()


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────
async def test_what_cannot_be_launched_is_refused_with_a_sentence(api):
    parent = await api.run()
    below = {"value": "x", "parent": parent}
    command = {"value": "true"}
    nowhere = {"value": "x", "parent": {"value": "nowhere"}}
    kind = "LAUNCH_NESTED_CONTAINER_SESSION"
    for expected, fields in (
        (404, {"container_id": nowhere, "command": command}),
        (400, {"container_id": {"value": "x"}, "command": command}),
        (400, {"container_id": {"value": "x.y", "parent": parent}, "command": command}),
        (400, {"container_id": {"value": "../x", "parent": parent}, "command": command}),
        (400, {"container_id": {"value": "x" * 243, "parent": parent}, "command": command}),
        (400, {"container_id": below}),
        (400, {"container_id": below, "command": {"value": "/no/such/program", "shell": False}}),
        (400, {"container_id": below, "command": {**command, "uris": [{"value": "http://x/y"}]}}),
        (400, {"container_id": below, "command": {**command, "user": "nobody-of-that-name"}}),
        (
            400,
            {
                "container_id": below,
                "command": command,
                "container": {"type": "MESOS", "linux_info": {"share_cgroups": False}},
            },
        ),
    ):
        status, text = await api.call(kind, **fields)
        assert (status, text.count("\n")) == (expected, 1), (fields, text)
    assert list(await api.containers(show_nested=True)) == [parent["value"]]


async def test_content_types_are_negotiated_as_the_api_says(api):
    parent = await api.run()
    record = {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": {"type": "CONTAINER_ID"}}
    output = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": parent}}
    health = {"type": "GET_HEALTH"}

    async def status(body: Any, framed: bool = False, **headers: str) -> int:
        data = json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if framed:
            data = recordio.frame(data)
        async with api.http.post(api.url, data=data, headers={"Content-Type": JSON, **given}) as answer:
            return answer.status

    assert await status(health, Message_Content_Type=JSON) == 415
    assert await status(health, Message_Accept=JSON) == 406
    assert await status(health, Accept=RECORDIO) == 406
    assert await status(health, Accept=f"{RECORDIO}, {JSON}") == 200
    assert await status(health, framed=True, Content_Type=RECORDIO, Message_Content_Type=JSON) == 415
    assert await status(record) == 415
    assert await status(record, framed=True, Content_Type=RECORDIO) == 400
    assert await status(record, framed=True, Content_Type=RECORDIO, Message_Content_Type="text/plain") == 415
    assert await status(record, framed=True, Content_Type=RECORDIO, Message_Content_Type=JSON) == 400
    assert await status(output, Accept=RECORDIO, Message_Accept="text/plain") == 406
    assert await status(output, Accept=JSON, Message_Accept=JSON) == 406
    assert await status(output, Accept=RECORDIO) == 400  # the task has no terminal
    nowhere = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": {"value": "x"}}}
    assert await status(nowhere, Accept=RECORDIO, Message_Accept=JSON) == 404


async def test_broken_input_is_refused_and_leaves_the_session_alone(api):
    parent = await api.run()
    headers = {"Content-Type": RECORDIO, "Message-Content-Type": JSON}
    async with api.session(parent, "cat") as session:
        first = {
            "type": "ATTACH_CONTAINER_INPUT",
            "attach_container_input": {"type": "CONTAINER_ID", "container_id": session.container_id},
        }
        begin = recordio.frame(json.dumps(first).encode())
        for rubbish in (b"x\n", b"99999999999\n", recordio.frame(b"{"), recordio.frame(b"{}"), begin):
            async with api.http.post(api.url, data=begin + rubbish, headers=headers) as answer:
                assert 400 <= answer.status < 500, rubbish
        async with session.attach() as given:
            given.give(stdin(b"still here\n"))
            await session.until(b"still here")


# ── nested containers ─────────────────────────────────────────────────────────────────────────────
async def test_a_nested_container_has_a_sandbox_of_its_own_and_can_be_waited_for_and_removed(agent, api):
    parent = await api.run()
    container_id = {"value": "inner", "parent": parent}
    command = {"value": "echo $MESOS_SANDBOX; env > env; exit 5"}
    await api.ok("LAUNCH_NESTED_CONTAINER", container_id=container_id, command=command)
    status, _ = await api.call("LAUNCH_NESTED_CONTAINER", container_id=container_id, command=command)
    assert status == 202
    found = await api.ok("WAIT_NESTED_CONTAINER", container_id=container_id)
    assert found == {"type": "WAIT_NESTED_CONTAINER", "wait_nested_container": {"exit_status": 5 << 8}}
    assert await api.wait(container_id) == 5
    inner = sandbox(agent) / "containers" / "inner"
    assert mode(inner) == 0o750
    assert (inner / "stdout").read_text() == f"{inner.resolve()}\n"
    names = {line.partition("=")[0] for line in (inner / "env").read_text().splitlines()}
    assert names == {"MESOS_CONTAINER_IP", "MESOS_SANDBOX", "PATH", "PWD"}
    await api.ok("REMOVE_NESTED_CONTAINER", container_id=container_id)
    await until(lambda: not inner.exists(), "the sandbox is removed")
    status, _ = await api.call("WAIT_NESTED_CONTAINER", container_id=container_id)
    assert status == 404
    await api.ok("REMOVE_NESTED_CONTAINER", container_id=container_id)


async def test_nested_containers_are_signalled_killed_and_end_with_their_parents(api, master):
    parent = await api.run()
    outer = {"value": "outer", "parent": parent}
    inner = {"value": "inner", "parent": outer}
    gentle = {"value": "trap 'exit 4' USR1; touch up; while :; do sleep 0.05; done"}
    for container_id in (outer, inner):
        await api.ok("LAUNCH_CONTAINER", container_id=container_id, command=gentle)
    up = sandbox(api.agent) / "containers/outer/containers/inner/up"
    await until(up.exists, "the inner one is up")
    status, _ = await api.call("REMOVE_CONTAINER", container_id=inner)
    assert status == 500
    await api.ok("KILL_NESTED_CONTAINER", container_id=inner, signal=int(signal.SIGUSR1))
    assert await api.wait(inner) == 4
    second = {"value": "second", "parent": outer}
    await api.ok("LAUNCH_CONTAINER", container_id=second, command={"value": "sleep 1000"})
    waiting = asyncio.create_task(api.wait(second))
    await api.ok("KILL_CONTAINER", container_id=outer)
    assert await api.wait(outer) == -signal.SIGKILL
    assert await waiting == -signal.SIGKILL
    status, _ = await api.call("KILL_CONTAINER", container_id=outer)
    assert status == 404
    shown = await api.containers(show_nested=True)
    assert list(shown) == [parent["value"]]


async def test_statistics_of_nested_containers_are_shown_and_count_for_the_executor(api):
    parent = await api.run()
    inner = {"value": "inner", "parent": parent}
    await api.ok("LAUNCH_CONTAINER", container_id=inner, command={"value": "sleep 1000 & sleep 1000"})
    assert list(await api.containers()) == [parent["value"]]

    async def settled() -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                shown = await api.containers(show_nested=True)
                if shown["inner"]["resource_statistics"]["processes"] == 3:
                    return shown

    shown = await settled()
    assert shown["inner"]["container_id"] == inner
    assert shown["inner"]["executor_id"] == {"value": "t"}
    assert shown["inner"]["container_status"]["executor_pid"] > 0
    assert shown["inner"]["resource_statistics"]["mem_rss_bytes"] > 0
    assert shown[parent["value"]]["resource_statistics"]["processes"] >= 4


async def test_containers_below_a_task_of_a_group_and_below_its_executor(api, master):
    by = executor("e", type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    group = v1.TaskGroupInfo(tasks=[task("a", command="touch x; sleep 1000")])
    await master.say(internal.RunTaskGroup(framework=OURS, executor=by, task_group=group))
    inner = await api.container_of("a")
    async with api.session(inner, "while ! ls x; do sleep 0.05; done 2>/dev/null") as session:
        assert await session.all() == b"x\n"
    async with api.session(inner["parent"], "ls") as session:
        assert (await session.all()).split() == [b"containers", b"tasks"]
    waiting = asyncio.create_task(api.wait(inner["parent"]))
    await api.ok("KILL_CONTAINER", container_id=inner["parent"])
    await master.reaches("a", "FAILED")
    assert await waiting == 0


async def test_a_task_of_its_own_can_be_waited_for_and_killed(api, master):
    parent = await api.run()
    waiting = asyncio.create_task(api.wait(parent))
    await asyncio.sleep(0)
    await api.ok("KILL_CONTAINER", container_id=parent, signal=int(signal.SIGTERM))
    assert await waiting == -signal.SIGTERM
    await master.reaches("t", "FAILED")


async def test_nested_and_standalone_containers_go_on_over_a_restart_of_the_agent(agent, api, master):
    parent = await api.run("sleep 1000")
    inner, ended = {"value": "inner", "parent": parent}, {"value": "ended", "parent": parent}
    alone = {"value": "alone"}
    await api.ok("LAUNCH_CONTAINER", container_id=inner, command={"value": "sleep 1000"})
    await api.ok("LAUNCH_CONTAINER", container_id=ended, command={"value": "exit 7"})
    await api.ok("LAUNCH_CONTAINER", container_id=alone, command={"value": "sleep 1000"})
    assert await api.wait(ended) == 7
    pids = {
        name: one["container_status"]["executor_pid"]
        for name, one in (await api.containers(show_nested=True, show_standalone=True)).items()
    }
    await agent.stop(signal.SIGKILL)
    await agent.start()
    await master.registered(2)
    shown = await api.containers(show_nested=True, show_standalone=True)
    assert {name: one["container_status"]["executor_pid"] for name, one in shown.items()} == pids
    assert await api.wait(ended) == 7
    await api.ok("KILL_CONTAINER", container_id=inner)
    assert await api.wait(inner) == -signal.SIGKILL
    await master.say(internal.KillTask(framework_id="F", task_id="t"))
    await master.reaches("t", "KILLED")
    status, _ = await api.call("WAIT_CONTAINER", container_id=inner)
    assert status == 404
    assert list(await api.containers(show_nested=True, show_standalone=True)) == ["alone"]


# ── standalone containers ─────────────────────────────────────────────────────────────────────────
async def test_a_standalone_container_belongs_to_nobody(agent, api):
    alone = {"value": "alone"}
    resources = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}}]
    await api.ok(
        "LAUNCH_CONTAINER", container_id=alone, command={"value": "echo hi; sleep 1000"}, resources=resources
    )
    assert (await api.call("LAUNCH_CONTAINER", container_id=alone, command={"value": "x"}))[0] == 202
    assert await api.containers() == {}
    shown = (await api.containers(show_standalone=True))["alone"]
    assert "framework_id" not in shown
    assert shown["resource_statistics"]["cpus_soft_limit"] == 0.5
    home = agent.work_dir / "containers" / "alone"
    await until(lambda: (home / "stdout").read_text() == "hi\n", "its output")
    read = await api.ok("READ_FILE", path=f"{home}/stdout", offset=0)
    assert base64.b64decode(read["read_file"]["data"]) == b"hi\n"
    async with api.session(alone, "pwd") as session:
        assert await session.all() == f"{home}\n".encode()
    await api.ok("KILL_CONTAINER", container_id=alone)
    assert await api.wait(alone) == -signal.SIGKILL
    await api.ok("REMOVE_CONTAINER", container_id=alone)
    await until(lambda: not home.exists(), "the sandbox is removed")
    assert (await api.call("REMOVE_CONTAINER", container_id=alone))[0] == 404


async def test_a_standalone_container_has_plain_resources(api):
    reserved = {
        "name": "cpus",
        "type": "SCALAR",
        "scalar": {"value": 1},
        "reservations": [{"type": "DYNAMIC", "role": "ads"}],
    }
    revocable = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "revocable": {}}
    volume = {"name": "disk", "type": "SCALAR", "scalar": {"value": 1}, "disk": {"persistence": {"id": "x"}}}
    limits = {"limits": {"cpus": {"value": 1}}}
    command = {"value": "true"}
    wrong: tuple[dict[str, Any], ...] = (
        {"resources": [reserved]},
        {"resources": [revocable]},
        {"resources": [volume]},
        limits,
    )
    for fields in wrong:
        status, text = await api.call(
            "LAUNCH_CONTAINER", container_id={"value": "a"}, command=command, **fields
        )
        assert status == 400, (fields, text)


# ── tasks with a terminal ─────────────────────────────────────────────────────────────────────────
async def test_a_task_with_a_terminal_can_be_attached_and_goes_on_without_the_agent(agent, api, master):
    size = v1.TTYInfo.WindowSize(rows=30, columns=90)
    container = v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS, tty_info=v1.TTYInfo(window_size=size))
    script = "stty size; while read line; do echo got $line; done"
    parent = await api.run(script, container=container)
    out = sandbox(agent) / "stdout"
    await until(lambda: "30 90" in out.read_text(), "the size")
    async with api.output(parent) as attached, attached.attach() as given:
        given.give(stdin(b"one\r"))
        await attached.until(b"got one")
    assert "got one" in out.read_text()
    await agent.stop(signal.SIGKILL)
    await agent.start()
    await master.registered(2)
    async with api.output(parent) as attached, attached.attach() as given:
        given.give(stdin(b"two\r"))
        await attached.until(b"got two")
        given.give(stdin(b"\x04"))
        await attached.all()
    await master.reaches("t", "FINISHED")
    assert "got two" in out.read_text()
    status, _ = await api.call("ATTACH_CONTAINER_OUTPUT", container_id=parent)
    assert status == 404


# ── the rest of the calls ─────────────────────────────────────────────────────────────────────────
async def test_calls_for_what_this_agent_does_not_have(api):
    assert await api.ok("GET_OPERATIONS") == {"type": "GET_OPERATIONS", "get_operations": {}}
    await api.ok("PRUNE_IMAGES")
    info = {"info": {"type": "a.b", "name": "c"}}
    for kind, fields in (
        ("ADD_RESOURCE_PROVIDER_CONFIG", info),
        ("UPDATE_RESOURCE_PROVIDER_CONFIG", info),
        ("REMOVE_RESOURCE_PROVIDER_CONFIG", info["info"]),
        ("MARK_RESOURCE_PROVIDER_GONE", {"resource_provider_id": {"value": "x"}}),
    ):
        status, text = await api.call(kind, **fields)
        assert (status, text) == (400, "This agent has no resource providers.\n")
    status, _ = await api.call("UNKNOWN")
    assert status == 501
    duration = {"nanoseconds": 10**10}
    await api.ok("SET_LOGGING_LEVEL", level=1, duration=duration)
    assert (await api.ok("GET_LOGGING_LEVEL"))["get_logging_level"] == {"level": 1}
