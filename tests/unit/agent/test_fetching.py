"""Fetching and the care for sandboxes, with a real agent and real programs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from koinon.cli.client import Client
from koinon.cli.following import Followed
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskStatus
from tests.unit.agent.bench import executor, task
from tests.unit.agent.shell import AgentProcess, FakeMaster, read, until
from tests.unit.fetcher.archives import HONEST, zipped
from tests.unit.fetcher.conftest import URI, Site

Reason = TaskStatus.Reason


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.stop()


def command(value: str, *uris: str | URI) -> v1.CommandInfo:
    return v1.CommandInfo(value=value, uris=[uri if isinstance(uri, URI) else URI(value=uri) for uri in uris])


def sandbox_of(agent: AgentProcess, executor_id: str = "t") -> Path:
    return agent.work_dir / f"slaves/latest/frameworks/F/executors/{executor_id}/runs/latest"


async def stall(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x")
    await asyncio.Event().wait()
    return response


async def test_a_task_finds_what_it_asked_for(agent, master, site):
    site.bodies |= {"/a.tar": HONEST, "/tool": b"#!/bin/sh\necho tool\n"}
    tool = URI(value=site.url("/tool"), executable=True, output_file="bin/tool")
    await master.run(task(command=command("top/run.sh && bin/tool", site.url("/a.tar"), tool)))
    await master.reaches("t", "FINISHED")
    assert master.states("t") == ["STARTING", "RUNNING", "FINISHED"]
    assert read(sandbox_of(agent) / "stdout") == "ran\ntool\n"
    assert "Fetching" in read(sandbox_of(agent) / "stderr")
    numbers = await agent.get("/metrics/snapshot", await master.registered())
    assert numbers["containerizer/fetcher/task_fetches_succeeded"] == 1
    assert numbers["containerizer/fetcher/cache_size_total_bytes"] == 2 << 30


async def test_a_custom_executor_is_fetched(agent, master, site):
    site.bodies["/program"] = b"#!/bin/sh\ntouch was-here; sleep 1000\n"
    by = executor(command=command("./program", URI(value=site.url("/program"), executable=True)))
    await master.run(task(executor=by))
    await until(lambda: (sandbox_of(agent, "e") / "was-here").exists(), "the executor runs")


async def test_a_failure_is_in_the_status_and_in_stderr(agent, master, site):
    await master.run(task(command=command("true", site.url("/none"))))
    status = await master.reaches("t", "FAILED")
    sentence = f"Failed to fetch {site.url('/none')}: the server answered 404 Not Found"
    assert (status.reason, status.message) == (Reason.REASON_CONTAINER_LAUNCH_FAILED, sentence)
    assert master.states("t") == ["FAILED"]
    assert sentence in read(sandbox_of(agent) / "stderr")
    numbers = await agent.get("/metrics/snapshot", await master.registered())
    assert numbers["containerizer/fetcher/task_fetches_failed"] == 1


async def test_a_server_that_stalls_half_way_fails_the_task(master, tmp_path, site):
    site.handlers["/stalls"] = stall
    agent = AgentProcess(tmp_path / "agent", master.address, fetcher_stall_timeout="500ms")
    await agent.start()
    try:
        await master.registered()
        await master.run(task(command=command("touch ran", site.url("/stalls"))))
        status = await master.reaches("t", "FAILED")
        assert status.reason is Reason.REASON_CONTAINER_LAUNCH_FAILED
        assert "no more came for 0.5 seconds, after 1 of 1000 bytes" in status.message
        assert not (sandbox_of(agent) / "ran").exists()
    finally:
        await agent.finish()


async def test_a_zip_that_would_leave_the_sandbox_fails_the_task(agent, master, site):
    site.bodies["/a.zip"] = zipped(("../out", b"x", 0o100644))
    await master.run(task(command=command("touch ran", site.url("/a.zip"))))
    status = await master.reaches("t", "FAILED")
    assert status.reason is Reason.REASON_CONTAINER_LAUNCH_FAILED
    assert "a.zip" in status.message
    assert not (sandbox_of(agent) / "ran").exists()
    assert list(agent.work_dir.rglob("out")) == []


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        (URI(value="ftp://h/f"), "not ftp"),
        (URI(value="s3://h/f"), "not s3"),
        (URI(value="relative"), "--frameworks_home"),
        (URI(value="http://h"), "output_file"),
        (URI(value="/etc/hostname", output_file="../x"), "inside of the sandbox"),
        (URI(value="/etc/hostname", output_file="/x"), "inside of the sandbox"),
    ],
)
async def test_what_cannot_be_fetched_is_refused_before_anything_is(agent, master, uri, word):
    await master.run(task(command=command("true", uri)))
    status = await master.reaches("t", "FAILED")
    assert status.reason is Reason.REASON_CONTAINER_LAUNCH_FAILED
    assert word in (status.message or "")


async def test_a_task_that_is_killed_while_it_is_fetched_for_is_killed(agent, master, site):
    site.handlers["/f"] = stall
    await master.run(task(command=command("true", site.url("/f"))))
    await until(lambda: site.under_way, "the download has begun")
    assert master.states("t") == []
    await master.kill("t")
    status = await master.reaches("t", "KILLED")
    assert (status.reason, status.message) == (
        Reason.REASON_TASK_KILLED_DURING_LAUNCH,
        "Killed before it started",
    )
    await until(lambda: not site.under_way, "the download has ended")
    assert placers(agent) == []


async def test_an_agent_that_dies_takes_its_fetching_along(agent, master, site):
    site.handlers["/f"] = stall
    await master.run(task(command=command("true", site.url("/f"))))
    await until(lambda: site.under_way and placers(agent), "the download has begun")
    await agent.stop()
    await until(lambda: placers(agent) == [], "nothing fetches any more")
    await agent.start()
    status = await master.reaches("t", "LOST")
    assert status.reason is Reason.REASON_AGENT_RESTARTED


async def test_other_tasks_do_not_wait_for_one_that_is_fetched_for(agent, master, site):
    site.handlers["/f"] = stall
    await master.run(task("slow", command=command("true", site.url("/f"))), task("quick"))
    await master.reaches("quick", "FINISHED")
    assert master.states("slow") == []
    await master.kill("slow")
    await master.reaches("slow", "KILLED")


async def test_relative_paths_begin_at_the_frameworks_home(master, tmp_path):
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "sub/file").write_text("found\n")
    agent = AgentProcess(tmp_path / "agent", master.address, frameworks_home=str(home))
    await agent.start()
    try:
        await master.registered()
        await master.run(task(command=command("cat file", "sub/file")))
        await master.reaches("t", "FINISHED")
        assert read(sandbox_of(agent) / "stdout") == "found\n"
    finally:
        await agent.finish()


# ── disk quota ────────────────────────────────────────────────────────────────────────────────────
DISK = Resources.parse("cpus:0.1;mem:32;disk:4").allocated("ops").to_v1()


@pytest.fixture
async def strict(master: FakeMaster, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    """An agent that enforces quotas."""
    agent = AgentProcess(
        tmp_path / "agent",
        master.address,
        container_disk_watch_interval="100ms",
        enforce_container_disk_quota="true",
    )
    await agent.start()
    try:
        await master.registered()
        yield agent
    finally:
        await agent.finish()


WRITE = "head -c 6000000 /dev/urandom > file; sleep 1000"


async def test_a_task_that_takes_more_disk_than_it_has_is_killed(strict, master):
    await master.run(task(command=WRITE, resources=DISK), task("other", command="sleep 1000"))
    status = await master.reaches("t", "FAILED")
    assert status.reason is Reason.REASON_CONTAINER_LIMITATION_DISK
    assert "the sandbox takes 5.7 MB of disk, and may take 4.0 MB" in (status.message or "")
    assert status.limitation is not None
    assert Resources.from_v1(status.limitation.resources).disk == 4
    assert master.states("other") == ["STARTING", "RUNNING"]


async def test_a_custom_executor_that_takes_more_disk_than_it_has_is_killed(strict, master):
    by = executor(command=v1.CommandInfo(value=WRITE), resources=DISK)
    await master.run(task(executor=by))
    status = await master.reaches("t", "FAILED")
    assert status.reason is Reason.REASON_CONTAINER_LIMITATION_DISK
    assert status.limitation is not None


async def test_a_group_that_takes_more_disk_than_it_has_is_killed(strict, master):
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None, resources=DISK)
    await master.run_group(
        task("a", command=WRITE.replace("6000000", "9000000"), resources=DISK),
        task("b", command="sleep 1000"),
        by=by,
    )
    for task_id in "ab":
        status = await master.reaches(task_id, "FAILED")
        assert status.reason is Reason.REASON_CONTAINER_LIMITATION_DISK


async def test_a_fetch_may_not_exceed_the_quota(strict, master, site):
    site.bodies["/f"] = bytes(6 << 20)
    await master.run(task(command=command("true", site.url("/f")), resources=DISK))
    status = await master.reaches("t", "FAILED")
    assert status.message is not None
    assert status.message.endswith("it is larger than the 4.0 MB of disk that the task has")


async def test_the_disk_in_use_is_shown_and_no_more_than_that_without_enforcement(master, tmp_path):
    agent = AgentProcess(tmp_path / "agent", master.address, container_disk_watch_interval="100ms")
    await agent.start()
    try:
        register = await master.registered()
        await master.run(task(command=WRITE, resources=DISK))

        async def used() -> int:
            (one,) = await agent.get("/monitor/statistics", register)
            assert one["statistics"].get("disk_limit_bytes", 4 << 20) == 4 << 20
            found: int = one["statistics"].get("disk_used_bytes", 0)
            return found

        await master.reaches("t", "RUNNING")
        async with asyncio.timeout(20):
            while await used() < 6_000_000:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert master.states("t") == ["STARTING", "RUNNING"]
    finally:
        await agent.finish()


# ── garbage collection ────────────────────────────────────────────────────────────────────────────
async def test_a_sandbox_is_removed_after_its_delay(master, tmp_path):
    agent = AgentProcess(tmp_path / "agent", master.address, gc_delay="200ms", disk_watch_interval="100ms")
    await agent.start()
    try:
        register = await master.registered()
        await master.run(task("live", command="sleep 1000"), task("ended"))
        await master.reaches("ended", "FINISHED")
        numbers = await agent.get("/metrics/snapshot", register)
        async with asyncio.timeout(20):
            while not numbers["gc/path_removals_succeeded"]:
                await asyncio.sleep(0.05)
                numbers = await agent.get("/metrics/snapshot", register)
        assert not sandbox_of(agent, "ended").exists()
        assert sandbox_of(agent, "live").exists()
        assert (numbers["gc/path_removals_pending"], numbers["gc/path_removals_failed"]) == (0, 0)
        assert 0 < numbers["slave/executor_directory_max_allowed_age_secs"] < 0.2
    finally:
        await agent.finish()


def placers(agent: AgentProcess) -> list[int]:
    """Processes that write into sandboxes of the agent."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            argv = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if b"placer" in argv and os.fsencode(agent.work_dir) in argv:
            found.append(int(entry.name))
    return found


# ── log rotation ──────────────────────────────────────────────────────────────────────────────────
async def test_logs_keep_their_bound(master, tmp_path):
    agent = AgentProcess(
        tmp_path / "agent",
        master.address,
        max_stdout_size="64KB",
        max_stderr_size="4KB",
        max_rotated_logs="2",
    )
    await agent.start()
    try:
        await master.registered()
        await master.run(task(command="seq 100000; seq 5000 >&2"))
        await master.reaches("t", "FINISHED")
        sizes = {path.name: path.stat().st_size for path in sandbox_of(agent).iterdir()}
        assert sorted(sizes) == ["stderr", "stderr.4", "stderr.5", "stdout", "stdout.7", "stdout.8"]
        assert max(size for name, size in sizes.items() if name.startswith("stdout")) <= 64 << 10
        assert read(sandbox_of(agent) / "stdout").endswith("\n100000\n")
    finally:
        await agent.finish()


async def test_who_follows_a_log_misses_nothing_when_it_is_renamed(master, tmp_path):
    agent = AgentProcess(tmp_path / "agent", master.address, max_stdout_size="16KB", max_rotated_logs="100")
    await agent.start()
    try:
        register = await master.registered()
        await master.run(task(command="for i in $(seq 1 40); do seq 1 2000; sleep 0.02; done"))
        await master.reaches("t", "RUNNING")
        virtual = "/frameworks/F/executors/t/runs/latest/stdout"
        with Client(register.pid.partition("@")[2], what="agent") as client:
            file, found, ended = Followed(client, virtual), b"", False
            while not ended:
                ended = "FINISHED" in master.states("t")
                more = True
                while more:
                    data, more = await asyncio.to_thread(file.read)
                    found += data
        assert found.split() == [b"%d" % number for number in range(1, 2001)] * 40
        assert not file.lost
        assert (sandbox_of(agent) / "stdout.20").exists()
    finally:
        await agent.finish()
