"""Real agents started again: to clean up, after a reboot, configured otherwise."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from koinon.agent.core import records
from koinon.coordination.embedded import EmbeddedStore
from koinon.mesos import internal, v1
from tests.unit.agent.bench import executor, framework, task
from tests.unit.agent.shell import OURS, AgentProcess, FakeMaster, alive, until

BY = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)


async def pid_of(master: FakeMaster, task_id: str = "t") -> int:
    """Once it runs."""
    status = await master.reaches(task_id, "RUNNING")
    assert status.container_status is not None
    assert status.container_status.executor_pid is not None
    return status.container_status.executor_pid


async def checkpoint_of(agent: AgentProcess) -> tuple[EmbeddedStore, dict[str, bytes]]:
    store = EmbeddedStore(agent.work_dir / "meta" / "agent.db")
    return store, store.load()


# ── cleaning up ───────────────────────────────────────────────────────────────────────────────────
async def test_cleanup_kills_what_is_left_and_the_next_agent_is_a_new_one(agent, master):
    await master.run(task(command="trap '' TERM; sleep 1001 & sleep 1000"))
    group = v1.TaskGroupInfo(tasks=[task("g", command="exec sleep 1000")])
    await master.say(internal.RunTaskGroup(framework=OURS, executor=BY, task_group=group))
    pids = [await pid_of(master), await pid_of(master, "g")]
    (launcher,) = agent.launcher_pids()
    await agent.stop(signal.SIGKILL)
    agent.flags["recover"] = "cleanup"
    await agent.start()
    assert await agent.end() == 0
    assert not any(alive(pid) for pid in (*pids, launcher))
    del agent.flags["recover"]
    await agent.start()
    assert (await master.registered(len(master.registrations) + 1)).agent_info.id is None


async def test_cleanup_works_without_a_master(agent, master):
    await master.run(task(command="exec sleep 1000"))
    pid = await pid_of(master)
    await agent.stop(signal.SIGKILL)
    agent.flags.update(recover="cleanup", master="127.0.0.1:1")
    await agent.start()
    assert await agent.end() == 0
    assert not alive(pid)


async def test_cleanup_of_nothing_ends_at_once(master, tmp_path):
    agent = AgentProcess(tmp_path / "agent", master.address, recover="cleanup")
    await agent.start()
    assert await agent.end() == 0
    assert not agent.launcher_pids()


# ── away for too long ─────────────────────────────────────────────────────────────────────────────
async def test_tasks_end_when_there_was_no_agent_for_too_long(master, tmp_path):
    agent = AgentProcess(tmp_path / "agent", master.address, recovery_timeout="3secs")
    await agent.start()
    try:
        await master.registered()
        await master.run(task(command="trap '' TERM; sleep 1001 & sleep 1000"))
        await master.run_group(task("g", command="exec sleep 1000"), by=BY)
        pids = [await pid_of(master), await pid_of(master, "g")]
        await agent.stop(signal.SIGKILL)
        await agent.start()
        await master.registered(2)
        assert all(alive(pid) for pid in pids)
        await agent.stop(signal.SIGTERM)
        await until(lambda: not any(alive(pid) for pid in pids), "they end without an agent")
        await agent.start()
        for task_id in ("t", "g"):
            status = await master.reaches(task_id, "LOST")
            assert "there was no agent for 3 s" in status.message
    finally:
        await agent.finish()


# ── reboots ───────────────────────────────────────────────────────────────────────────────────────
async def test_after_a_reboot_tasks_are_lost_and_nothing_of_them_runs(agent, master):
    """As far as can be told from the boot id, which is all that says so."""
    await master.run(task(command="exec sleep 1000"), of=partition_aware())
    pid = await pid_of(master)
    await agent.stop(signal.SIGKILL)
    store, entries = await checkpoint_of(agent)
    stored = msgspec.json.decode(entries[records.AGENT], type=records.StoredAgent)
    stored.boot_id = "another"
    await store.commit([(records.AGENT, records.encode(stored))])
    await store.close()
    await agent.start()
    status = await master.reaches("t", "GONE")
    assert status.reason is v1.TaskStatus.Reason.REASON_AGENT_RESTARTED
    assert (await master.registered(2)).agent_info.id == v1.AgentID("M-S0")
    await until(lambda: not alive(pid), "the stranger is destroyed")
    await master.run(task("next"), of=partition_aware())
    await master.reaches("next", "FINISHED")


def partition_aware() -> v1.FrameworkInfo:
    return framework(user=OURS.user or "", capabilities=["PARTITION_AWARE"])


# ── configured otherwise ──────────────────────────────────────────────────────────────────────────
async def start_again(agent: AgentProcess, **flags: str) -> None:
    await agent.stop(signal.SIGTERM)
    agent.flags.update(flags)
    await agent.start()


async def test_an_agent_may_have_more_than_before_when_it_is_said(agent, master):
    await master.run(task(command="exec sleep 1000"))
    pid = await pid_of(master)
    more = "cpus:8;mem:4096;disk:4096;ports:[31000-31009]"
    await start_again(
        agent, reconfiguration_policy="additive", resources=more, attributes="rack:a;os:debian;new:yes"
    )
    register = await master.registered(2)
    assert register.agent_info.id == v1.AgentID("M-S0")
    assert [one.scalar.value for one in register.agent_info.resources if one.name == "cpus"] == [8.0]
    assert [one.name for one in register.agent_info.attributes] == ["rack", "os", "new"]
    assert [one.state.value for one in register.tasks] == ["TASK_RUNNING"]
    assert alive(pid)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"resources": "cpus:8;mem:4096;disk:4096;ports:[31000-31009]"}, "resources"),
        ({"attributes": "rack:b;os:debian"}, "attributes"),
        ({"hostname": "other"}, "hostname"),
        (
            {
                "reconfiguration_policy": "additive",
                "resources": "cpus:4;mem:4096;disk:4096;ports:[31000-31008]",
            },
            "resources",
        ),
        ({"reconfiguration_policy": "additive", "attributes": "rack:a"}, "attributes"),
    ],
)
async def test_an_agent_that_is_another_than_before_does_not_start_and_harms_nothing(
    agent: AgentProcess, master: FakeMaster, flags: dict[str, Any], word: str
) -> None:
    await master.run(task(command="exec sleep 1000"))
    pid = await pid_of(master)
    before = dict(agent.flags)
    await start_again(agent, **flags)
    assert await agent.end() == 1
    said = agent.stderr.decode()
    assert word in said
    assert "Traceback" not in said
    assert alive(pid)
    agent.flags = before
    await agent.start()
    assert [one.state.value for one in (await master.registered(2)).tasks] == ["TASK_RUNNING"]


async def test_an_agent_may_have_less_than_before_when_it_is_said_and_enough_for_what_runs(agent, master):
    await master.run(task(command="exec sleep 1000"))
    pid = await pid_of(master)
    await start_again(agent, reconfiguration_policy="any", resources="cpus:0.1;mem:64", attributes="os:bsd")
    register = await master.registered(2)
    assert register.agent_info.id == v1.AgentID("M-S0")
    assert [one.scalar.value for one in register.agent_info.resources if one.name == "cpus"] == [0.1]
    assert [one.state.value for one in register.tasks] == ["TASK_RUNNING"]
    await start_again(agent, resources="cpus:0.1;mem:16")
    assert await agent.end() == 1
    assert "what still runs has" in agent.stderr.decode()
    assert alive(pid)


async def test_after_a_reboot_an_agent_that_is_another_is_a_new_one(agent, master):
    await master.run(task(command="exec sleep 1000"))
    pid = await pid_of(master)
    await agent.stop(signal.SIGKILL)
    store, entries = await checkpoint_of(agent)
    stored = msgspec.json.decode(entries[records.AGENT], type=records.StoredAgent)
    stored.boot_id = "another"
    await store.commit([(records.AGENT, records.encode(stored))])
    await store.close()
    agent.flags["attributes"] = "os:bsd"
    await agent.start()
    assert (await master.registered(2)).agent_info.id is None
    await until(lambda: not alive(pid), "the stranger is destroyed")
    await master.run(task("next"))
    await master.reaches("next", "FINISHED")


async def test_without_strict_what_can_be_read_goes_on(agent, master):
    await master.run(task("bad", command="exec sleep 1000"), task("good", command="exec sleep 1000"))
    bad, good = await pid_of(master, "bad"), await pid_of(master, "good")
    await agent.stop(signal.SIGKILL)
    store, _ = await checkpoint_of(agent)
    await store.commit([("tasks/F/bad", b"{")])
    await store.close()
    await agent.start()
    assert await agent.end() == 1
    assert "'tasks/F/bad' of the checkpoint cannot be read" in agent.stderr.decode()
    assert alive(bad)
    agent.flags["strict"] = "false"
    await agent.start()
    assert [one.info.task_id.value for one in (await master.registered(2)).tasks] == ["good"]
    await until(lambda: not alive(bad), "what nobody knows is destroyed")
    assert alive(good)


def sandboxes(work_dir: Path) -> list[str]:
    return sorted(str(one) for one in work_dir.glob("slaves/*/frameworks/*/executors/*/runs/*"))


async def test_sandboxes_are_where_they_were(agent, master):
    await master.run(task(command="echo hello; exec sleep 1000"))
    await pid_of(master)
    before = sandboxes(agent.work_dir)
    await agent.stop(signal.SIGKILL)
    await agent.start()
    await master.registered(2)
    assert sandboxes(agent.work_dir) == before
