"""Sessions and attached streams over the agent's operator API, against a real agent and real processes."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path
from typing import Any

from koinon.mesos import codec, internal, recordio, v1
from koinon.mesos.v1.agent import Call, ProcessIO
from tests.unit.agent.shell import AgentProcess, alive, until
from tests.unit.agent.streams import HEARTBEAT, JSON, RECORDIO, Api, sandbox, stdin, window


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
        main = int((await session.until(b"\n")).split()[0])
        async with api.output(session.container_id):
            pass  # somebody who only looked on goes, and nothing happens
        assert alive(main)
        async with api.waiting(session.container_id) as exit_code:
            session.answer.close()
            assert await exit_code() == -signal.SIGKILL
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


async def test_sessions_speak_protobuf_too(api):
    parent = await api.run()
    outer = v1.ContainerID(value=parent["value"])
    container_id = v1.ContainerID(value="proto", parent=outer)
    wanted = Call.LaunchNestedContainerSession(container_id=container_id, command=v1.CommandInfo(value="cat"))
    call = Call(type=Call.Type.LAUNCH_NESTED_CONTAINER_SESSION, launch_nested_container_session=wanted)
    headers = {"Content-Type": codec.PROTOBUF, "Accept": codec.PROTOBUF}
    Input = Call.AttachContainerInput
    data = ProcessIO.Data(type=ProcessIO.Data.Type.STDIN, data=b"hello")
    end = ProcessIO.Data(type=ProcessIO.Data.Type.STDIN, data=b"")
    records = [
        Input(type=Input.Type.CONTAINER_ID, container_id=container_id),
        *(
            Input(type=Input.Type.PROCESS_IO, process_io=ProcessIO(type=ProcessIO.Type.DATA, data=one))
            for one in (data, end)
        ),
    ]
    async with api.http.post(api.url, data=codec.encode(call, codec.PROTOBUF), headers=headers) as answer:
        assert answer.status == 200
        body = b"".join(
            recordio.frame(
                codec.encode(
                    Call(type=Call.Type.ATTACH_CONTAINER_INPUT, attach_container_input=one), codec.PROTOBUF
                )
            )
            for one in records
        )
        given = {"Content-Type": RECORDIO, "Message-Content-Type": codec.PROTOBUF}
        async with api.http.post(api.url, data=body, headers=given) as attached:
            assert attached.status == 200
        (record,) = recordio.RecordDecoder().feed(await answer.read())
    found = codec.decode(ProcessIO, record, codec.PROTOBUF)
    assert found.data is not None
    assert (found.data.type, found.data.data) == (ProcessIO.Data.Type.STDOUT, b"hello")
