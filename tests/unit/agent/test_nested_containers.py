"""Nested and standalone containers over the agent's operator API, against a real agent and real processes."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from typing import Any

import pytest

from koinon.mesos import internal, v1
from tests.unit.agent.bench import executor, task
from tests.unit.agent.shell import OURS, mode, read, until
from tests.unit.agent.streams import sandbox, stdin


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
    async with api.waiting(second) as exit_code:
        await api.ok("KILL_CONTAINER", container_id=outer)
        assert await api.wait(outer) == -signal.SIGKILL
        assert await exit_code() == -signal.SIGKILL
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
    below = {"value": "below", "parent": inner}
    await api.ok("LAUNCH_CONTAINER", container_id=below, command={"value": "echo $MESOS_SANDBOX; pwd"})
    assert await api.wait(below) == 0
    home = sandbox(api.agent, "e") / "containers" / inner["value"] / "containers" / "below"
    assert read(home / "stdout") == f"{home.resolve()}\n" * 2
    async with api.session(inner["parent"], "ls") as session:
        assert (await session.all()).split() == [b"containers", b"tasks"]
    async with api.waiting(inner["parent"]) as exit_code:
        await api.ok("KILL_CONTAINER", container_id=inner["parent"])
        await master.reaches("a", "FAILED")
        assert await exit_code() == 0


async def test_a_task_of_its_own_can_be_waited_for_and_killed(api, master):
    parent = await api.run()
    async with api.waiting(parent) as exit_code:
        await api.ok("KILL_CONTAINER", container_id=parent, signal=int(signal.SIGTERM))
        assert await exit_code() == -signal.SIGTERM
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


async def test_nested_containers_have_files_fetched_and_share_directories(api, tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho $1 > data/said\n")
    parent = await api.run()
    path = {"type": "PARENT", "path": "common"}
    source = {"type": "SANDBOX_PATH", "sandbox_path": path}
    shares = {"type": "MESOS", "volumes": [{"mode": "RW", "container_path": "data", "source": source}]}
    fetched = {"value": "./tool hello", "uris": [{"value": str(tool), "executable": True}]}
    writer, reader = ({"value": name, "parent": parent} for name in ("writer", "reader"))
    await api.ok("LAUNCH_CONTAINER", container_id=writer, command=fetched, container=shares)
    assert await api.wait(writer) == 0
    command = {"value": "cat data/said"}
    await api.ok("LAUNCH_NESTED_CONTAINER", container_id=reader, command=command, container=shares)
    assert await api.wait(reader) == 0
    home = sandbox(api.agent)
    assert read(home / "containers/reader/stdout") == read(home / "common/said") == "hello\n"
    missing = {"value": "true", "uris": [{"value": f"{tmp_path}/none"}]}
    none = {"value": "none", "parent": parent}
    status, text = await api.call("LAUNCH_CONTAINER", container_id=none, command=missing)
    assert status == 400
    assert f"Failed to fetch {tmp_path}/none" in text
    assert (await api.call("WAIT_CONTAINER", container_id=none))[0] == 404


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run tasks as others")
async def test_a_nested_container_runs_as_the_user_of_its_task(api, tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("id -un\n")
    for folder in (tool, *list(tool.parents)[:-2]):
        folder.chmod(0o755)
    parent = await api.run(command=v1.CommandInfo(value="sleep 1000", user="nobody"))
    inner = {"value": "inner", "parent": parent}
    command = {"value": "sh tool; stat -c %U . tool", "uris": [{"value": str(tool)}]}
    await api.ok("LAUNCH_CONTAINER", container_id=inner, command=command)
    assert await api.wait(inner) == 0
    assert read(sandbox(api.agent) / "containers/inner/stdout") == "nobody\n" * 3


async def test_a_nested_container_that_is_fetched_for_can_be_killed(api, stalling_url):
    parent = await api.run()
    slow = {"value": "slow", "parent": parent}
    command = {"value": "true", "uris": [{"value": stalling_url}]}
    launch = asyncio.create_task(api.call("LAUNCH_CONTAINER", container_id=slow, command=command))
    stderr = sandbox(api.agent) / "containers/slow/stderr"
    await until(lambda: stderr.exists() and "Fetching" in stderr.read_text(), "it is fetched for")
    waiting = asyncio.create_task(api.ok("WAIT_CONTAINER", container_id=slow))
    await api.ok("GET_HEALTH")
    await api.ok("KILL_CONTAINER", container_id=slow)
    assert (await launch)[0] == 400
    found = (await waiting)["wait_container"]
    assert (found["state"], found["reason"]) == ("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED")
    assert "exit_status" not in found
    assert list(await api.containers(show_nested=True)) == [parent["value"]]


@pytest.fixture
async def stalling_url():
    """Of a file that never comes whole."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        await reader.read()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(stall, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/file"
    server.close()


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


async def test_sandboxes_inside_of_others_are_collected_if_it_is_wanted(agent, api, master):
    """Those of the time before it was wanted, too."""
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    await master.run_group(task("ended"), task("live", command="sleep 1000"), by=by)
    group = await api.container_of("live")
    run = sandbox(agent, "e")
    parent = await api.run()
    ended, alone = {"value": "ended", "parent": parent}, {"value": "alone"}
    for container_id in (ended, alone):
        await api.ok("LAUNCH_CONTAINER", container_id=container_id, command={"value": "true"})
        assert await api.wait(container_id) == 0
    await master.reaches("ended", "FINISHED")
    gone = [
        (run / "tasks/ended").resolve(),
        sandbox(agent) / "containers/ended",
        agent.work_dir / "containers/alone",
    ]
    own = sandbox(agent) / "containers/own"
    own.mkdir()  # the task's, not ours
    assert all(one.is_dir() for one in gone)
    await agent.stop(signal.SIGTERM)
    agent.flags.update(
        gc_non_executor_container_sandboxes="true", gc_delay="200ms", disk_watch_interval="100ms"
    )
    await agent.start()
    await master.registered(2)
    await until(lambda: not any(one.exists() for one in gone), "what had ended is removed")
    again = {"value": "again", "parent": group}
    await api.ok("LAUNCH_CONTAINER", container_id=again, command={"value": "true"})
    assert await api.wait(again) == 0
    await until(lambda: not (run / "tasks/live/containers/again").exists(), "what ends now is removed")
    assert (run / "tasks/live/stdout").exists()
    assert own.is_dir()


async def test_containers_nested_in_a_standalone_one_lie_in_its_sandbox(agent, api, tmp_path):
    alone = {"value": "alone"}
    await api.ok("LAUNCH_CONTAINER", container_id=alone, command={"value": "sleep 1000"})
    home = agent.work_dir / "containers" / "alone"
    inner = {"value": "inner", "parent": alone}
    await api.ok("LAUNCH_CONTAINER", container_id=inner, command={"value": "pwd"})
    assert await api.wait(inner) == 0
    assert read(home / "containers/inner/stdout") == f"{home}/containers/inner\n"
    await api.ok("REMOVE_CONTAINER", container_id=inner)
    await until(lambda: not (home / "containers/inner").exists(), "the sandbox is removed")
    (tmp_path / "outside/inner").mkdir(parents=True)
    await api.ok("LAUNCH_CONTAINER", container_id=inner, command={"value": "true"})
    assert await api.wait(inner) == 0
    (home / "containers").rename(home / "gone")
    (home / "containers").symlink_to(tmp_path / "outside")  # as a task may
    await api.ok("REMOVE_CONTAINER", container_id=inner)
    assert (await api.call("WAIT_CONTAINER", container_id=inner))[0] == 404
    late = {"value": "late", "parent": alone}
    assert (await api.call("LAUNCH_CONTAINER", container_id=late, command={"value": "pwd"}))[0] == 400
    assert [one.name for one in (tmp_path / "outside").iterdir()] == ["inner"]


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
    await until(lambda: "got one" in out.read_text(), "the log")
    await agent.stop(signal.SIGKILL)
    await agent.start()
    await master.registered(2)
    async with api.output(parent) as attached, attached.attach() as given:
        given.give(stdin(b"two\r"))
        await attached.until(b"got two")
        given.give(stdin(b"\x04"))
        await attached.all()
    await master.reaches("t", "FINISHED")
    await until(lambda: "got two" in out.read_text(), "the log")
    status, _ = await api.call("ATTACH_CONTAINER_OUTPUT", container_id=parent)
    assert status == 404


async def test_nested_containers_have_terminals_too(agent, api, master):
    inner = {"value": "inner", "parent": await api.run()}
    container = {"type": "MESOS", "tty_info": {}}
    command = {"value": "echo $TERM; while read line; do echo got $line; done"}
    await api.ok("LAUNCH_CONTAINER", container_id=inner, command=command, container=container)
    out = sandbox(agent) / "containers/inner/stdout"
    await until(lambda: out.exists() and "xterm" in out.read_text(), "it is up")
    await agent.stop(signal.SIGKILL)
    await agent.start()
    await master.registered(2)
    async with api.output(inner) as attached, attached.attach() as given:
        given.give(stdin(b"one\r"))
        await attached.until(b"got one")
        given.give(stdin(b"\x04"))
        await attached.all()
    assert await api.wait(inner) == 0
    await until(lambda: "got one" in out.read_text(), "the log")


async def test_ids_that_cannot_be_are_refused_by_every_call(api):
    for container_id in ({"value": "a b"}, {"value": "x", "parent": {"value": "a.b"}}, {"value": "../x"}):
        for kind in (
            "LAUNCH_CONTAINER",
            "WAIT_CONTAINER",
            "KILL_CONTAINER",
            "REMOVE_CONTAINER",
            "ATTACH_CONTAINER_OUTPUT",
        ):
            more = {"command": {"value": "true"}} if kind == "LAUNCH_CONTAINER" else {}
            status, text = await api.call(kind, container_id=container_id, **more)
            assert (status, "container_id is not valid" in text) == (400, True), (kind, text)


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
