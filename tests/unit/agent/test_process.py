"""The agent as a process: real programs, real files, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from koinon.coordination.embedded import EmbeddedStore
from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskStatus
from tests.unit.agent.bench import executor, grace, task
from tests.unit.agent.shell import OURS, AgentProcess, FakeMaster, alive, mode, read, touch, until, url

Reason = TaskStatus.Reason


def pid_of(status: TaskStatus) -> int:
    assert status.container_status is not None
    assert status.container_status.executor_pid is not None
    return status.container_status.executor_pid


async def test_a_task_runs_and_its_output_can_be_read(agent, master):
    await master.run(task(command='echo "to $MESOS_FRAMEWORK_ID"; echo oops >&2; exit 3'))
    status = await master.reaches("t", "FAILED")
    assert master.states("t") == ["STARTING", "RUNNING", "FAILED"]
    assert status.message == "Command exited with status 3"
    register = await master.registered()
    state = await agent.get("/state", register)
    (executor,) = state["completed_frameworks"][0]["completed_executors"]
    for path in (executor["directory"], "/frameworks/F/executors/t/runs/latest"):
        found = await agent.get("/files/read", register, path=f"{path}/stdout", offset="0")
        assert found == {"data": "to F\n", "offset": 0}
    sandbox = Path(executor["directory"])
    assert read(sandbox / "stderr") == "oops\n"
    assert mode(sandbox) == 0o750
    assert (agent.work_dir / "slaves" / "latest").is_symlink()


async def test_whom_tasks_run_as_is_no_matter_of_the_agents_environment(master, tmp_path, monkeypatch):
    for name in ("LOGNAME", "USER", "USERNAME", "LNAME"):
        monkeypatch.setenv(name, "nobody")
    agent = AgentProcess(tmp_path / "agent", master.address)
    await agent.start()
    try:
        await master.registered()
        await master.run(task(command=v1.CommandInfo(value="test $(id -un) = nobody", user="nobody")))
        status = await master.reaches("t", "FINISHED", "FAILED", "LOST")
        assert status.state.value == ("TASK_FINISHED" if os.geteuid() == 0 else "TASK_LOST")
    finally:
        await agent.finish()


async def test_what_does_not_checkpoint_dies_with_the_agent(agent, master):
    other = msgspec.structs.replace(OURS, id=v1.FrameworkID("G"), checkpoint=False)
    await master.run(task("lasting", command="sleep 1000"))
    await master.run(task("volatile", command="sleep 1000"), of=other)
    pids = [pid_of(await master.reaches(task_id, "RUNNING")) for task_id in ("lasting", "volatile")]
    await agent.stop(signal.SIGKILL)
    await until(lambda: not alive(pids[1]), "it is gone")
    assert alive(pids[0])
    await agent.start()
    register = await master.registered(2)
    assert [one.info.task_id.value for one in register.tasks] == ["lasting"]
    assert alive(pids[0])


@pytest.mark.parametrize(("ip", "reached"), [("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "")])
async def test_others_are_told_an_address_at_which_the_agent_answers(master, tmp_path, ip, reached):
    agent = AgentProcess(tmp_path / "agent", master.address, ip=ip)
    await agent.start()
    try:
        register = await master.registered()
        told = register.pid.partition("@")[2].partition(":")[0]
        assert told == reached if reached else told != "0.0.0.0"
        assert register.agent_info.hostname == (told if told.startswith("127.") else os.uname().nodename)
        assert await agent.get("/containerizer/debug", register) == {"pending": []}
    finally:
        await agent.finish()


async def test_without_hostname_lookup_the_address_is_the_name(master, tmp_path):
    agent = AgentProcess(tmp_path / "agent", master.address, ip="0.0.0.0", hostname_lookup="false")
    await agent.start()
    try:
        register = await master.registered()
        assert register.pid.startswith(f"slave(1)@{register.agent_info.hostname}:")
        assert register.agent_info.hostname != "0.0.0.0"
    finally:
        await agent.finish()


async def test_the_environment_is_complete_and_nothing_else(agent, master):
    await master.run(task(command=v1.CommandInfo(shell=False, value="/usr/bin/env", arguments=["env"])))
    await master.reaches("t", "FINISHED")
    (output,) = agent.work_dir.glob("slaves/latest/frameworks/F/executors/t/runs/latest/stdout")
    names = {line.partition("=")[0] for line in output.read_text().splitlines()}
    assert names == {
        "LIBPROCESS_IP",
        "LIBPROCESS_PORT",
        "MESOS_AGENT_ENDPOINT",
        "MESOS_ALLOCATION_ROLE",
        "MESOS_CHECKPOINT",
        "MESOS_DIRECTORY",
        "MESOS_EXECUTOR_ID",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
        "MESOS_FRAMEWORK_ID",
        "MESOS_HTTP_COMMAND_EXECUTOR",
        "MESOS_RECOVERY_TIMEOUT",
        "MESOS_SANDBOX",
        "MESOS_SLAVE_ID",
        "MESOS_SLAVE_PID",
        "MESOS_SUBSCRIPTION_BACKOFF_MAX",
        "PATH",
        "PWD",
    }


async def test_a_task_that_ignores_sigterm_is_killed_with_everything_it_started(agent, master):
    command = "trap '' TERM; (trap '' TERM; sleep 1000) & echo $! > child; sleep 1000"
    await master.run(task(command=command))
    main = pid_of(await master.reaches("t", "RUNNING"))
    sandbox = agent.work_dir / "slaves/latest/frameworks/F/executors/t/runs/latest"
    child = int(
        await until(lambda: (sandbox / "child").exists() and (sandbox / "child").read_text(), "a child")
    )
    await master.say(internal.KillTask(framework_id="F", task_id="t", kill_policy=grace(0.2)))
    status = await master.reaches("t", "KILLED")
    assert status.message == "Command terminated with signal Killed"
    assert not alive(main)
    assert not alive(child)


async def test_a_task_of_an_unknown_user_is_lost(agent, master):
    await master.run(task(command=v1.CommandInfo(value="true", user="nobody-knows-me")))
    status = await master.reaches("t", "LOST")
    assert master.states("t") == ["LOST"]
    assert status.reason is Reason.REASON_EXECUTOR_TERMINATED
    assert "no such user" in status.message


async def test_a_group_of_an_unknown_user_is_lost(agent, master):
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    unknown = v1.CommandInfo(value="true", user="nobody-knows-me")
    group = v1.TaskGroupInfo(tasks=[task("a", command=unknown), task("b", command=unknown)])
    await master.say(internal.RunTaskGroup(framework=OURS, executor=by, task_group=group))
    for task_id in ("a", "b"):
        status = await master.reaches(task_id, "LOST")
        assert master.states(task_id) == ["LOST"]
        assert status.reason is Reason.REASON_EXECUTOR_TERMINATED
        assert "no such user" in status.message


async def test_a_program_that_is_not_there_fails_its_task(agent, master):
    await master.run(task(command=v1.CommandInfo(shell=False, value="/no/such/program")))
    status = await master.reaches("t", "FAILED")
    assert (status.source, status.reason) == (v1.TaskStatus.Source.SOURCE_EXECUTOR, None)
    sentence = "cannot execute /no/such/program: No such file or directory"
    assert status.message == f"Command exited with status 1: {sentence}"


async def test_prometheus_sees_what_each_container_uses(agent, master):
    await master.run(task(command="sleep 1000 & sleep 1000"))
    status = await master.reaches("t", "RUNNING")
    page = url(await master.registered(), "/metrics")
    async with aiohttp.ClientSession() as http, http.get(page) as answer:
        families = {one.name: one for one in text_string_to_metric_families(await answer.text())}
    (memory,) = families["koinon_container_mem_rss_bytes"].samples
    assert memory.labels == {
        "framework_id": "F",
        "executor_id": "t",
        "container_id": status.container_status.container_id.value,
    }
    assert memory.value > 0
    assert families["koinon_container_processes"].samples[0].value >= 1
    assert families["koinon_container_cpus_soft_limit"].samples[0].value > 0


async def test_a_task_has_the_resource_limits_that_it_asked_for(agent, master):
    RLimit = v1.RLimitInfo.RLimit
    limits = [
        RLimit(type=RLimit.Type.RLMT_NOFILE, soft=100, hard=200),
        RLimit(type=RLimit.Type.RLMT_CORE),
    ]
    container = v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS, rlimit_info=v1.RLimitInfo(rlimits=limits))
    shell = "echo $(ulimit -Sn) $(ulimit -Hn) $(ulimit -c)"
    await master.run(task(command=shell, container=container))
    await master.reaches("t", "FINISHED")
    stdout = agent.work_dir / "slaves/latest/frameworks/F/executors/t/runs/latest/stdout"
    assert stdout.read_text() == "100 200 unlimited\n"


async def test_many_tasks_at_once_all_finish(agent, master):
    await master.run(*(task(f"t{number}") for number in range(100)))
    for number in range(100):
        await master.reaches(f"t{number}", "FINISHED")


async def test_a_group_shares_its_fate(agent, master):
    by = v1.ExecutorInfo(type=v1.ExecutorInfo.Type.DEFAULT, executor_id=v1.ExecutorID("e"))
    group = v1.TaskGroupInfo(tasks=[task("t1", command="sleep 1000"), task("t2", command="sleep 1; false")])
    await master.say(internal.RunTaskGroup(framework=OURS, executor=by, task_group=group))
    await master.reaches("t2", "FAILED")
    await master.reaches("t1", "KILLED")
    assert (await master.hear(internal.ExecutorExited)).executor_id == "e"
    sandbox = agent.work_dir / "slaves/latest/frameworks/F/executors/e/runs/latest"
    assert (sandbox / "tasks" / "t1" / "stdout").exists()


# ── restarts ──────────────────────────────────────────────────────────────────────────────────────
async def test_tasks_survive_kill_9_of_the_agent_and_tell_how_they_ended(agent, master):
    """Twenty tasks: some end while the agent is away, the others later."""
    gate = agent.work_dir / "gate"
    wait = f"while [ ! -e {gate}-%s ]; do sleep 0.05; done; exit %d"
    tasks = [task(f"early{n}", command=wait % ("early", n)) for n in range(10)]
    tasks += [task(f"late{n}", command=wait % ("late", n)) for n in range(10)]
    await master.run(*tasks)
    pids = {one.task_id.value: pid_of(await master.reaches(one.task_id.value, "RUNNING")) for one in tasks}
    await agent.stop(signal.SIGKILL)
    touch(Path(f"{gate}-early"))
    await until(lambda: not any(alive(pids[f"early{n}"]) for n in range(10)), "the early ones end")
    assert all(alive(pids[f"late{n}"]) for n in range(10))
    await agent.start()
    register = await master.registered(2)
    assert register.agent_info.id == v1.AgentID("M-S0")
    for n in range(10):
        status = await master.reaches(f"early{n}", "FINISHED", "FAILED")
        assert status.message == f"Command exited with status {n}"
    touch(Path(f"{gate}-late"))
    for n in range(10):
        status = await master.reaches(f"late{n}", "FINISHED", "FAILED")
        assert status.message == f"Command exited with status {n}"


async def test_sigterm_leaves_tasks_running(agent, master):
    await master.run(task(command="sleep 1000"))
    main = pid_of(await master.reaches("t", "RUNNING"))
    assert await agent.stop(signal.SIGTERM) == 0
    assert alive(main)
    await agent.start()
    register = await master.registered(2)
    assert [one.state.value for one in register.tasks] == ["TASK_RUNNING"]


async def test_sigusr1_kills_tasks_and_unregisters(agent, master):
    await master.run(task(command="sleep 1000"))
    main = pid_of(await master.reaches("t", "RUNNING"))
    (launcher,) = agent.launcher_pids()
    assert await agent.stop(signal.SIGUSR1) == 0
    assert isinstance(master.heard[-1], internal.Unregister)
    assert not alive(main)
    await until(lambda: not alive(launcher), "the launcher ends")
    await agent.start()
    assert (await master.registered(2)).agent_info.id is None


async def test_an_idle_agent_that_ends_leaves_no_process(agent, master):
    (launcher,) = agent.launcher_pids()
    assert await agent.stop(signal.SIGTERM) == 0
    await until(lambda: not alive(launcher), "the launcher ends")


async def test_tasks_whose_launcher_is_killed_are_ended_and_reported(agent, master):
    await master.run(task(command="sleep 1000"))
    main = pid_of(await master.reaches("t", "RUNNING"))
    (launcher,) = agent.launcher_pids()
    os.kill(launcher, signal.SIGKILL)
    await master.reaches("t", "LOST")
    assert not alive(main)
    await master.run(task("next"))
    await master.reaches("next", "FINISHED")


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────
async def refusal(work_dir: Path, master: FakeMaster, *, in_use: bool = False, **flags: str) -> str:
    """What an agent says that does not start. It leaves nothing behind unless another one is there."""
    other = AgentProcess(work_dir, master.address, **flags)
    await other.start()
    assert await other.end() != 0
    if not in_use:
        await until(lambda: not other.launcher_pids(), "no launcher is left behind")
    return other.stderr.decode()


async def test_a_second_agent_on_a_work_dir_is_refused(agent, master):
    said = await refusal(agent.work_dir, master, in_use=True)
    assert f"{agent.work_dir} belongs to" in said
    assert "Traceback" not in said


async def test_an_agent_whose_resources_changed_is_refused(agent, master):
    await agent.stop(signal.SIGTERM)
    said = await refusal(agent.work_dir, master, resources="cpus:1")
    assert "its resources were" in said
    assert "--reconfiguration_policy=additive" in said


async def test_a_damaged_checkpoint_is_named(agent, master):
    await agent.stop(signal.SIGTERM)
    store = EmbeddedStore(agent.work_dir / "meta" / "agent.db")
    await store.commit([("tasks/F/t", b"{")])
    await store.close()
    said = await refusal(agent.work_dir, master)
    assert "the entry 'tasks/F/t' of the checkpoint cannot be read" in said
    assert "Traceback" not in said


async def test_a_port_in_use_is_named(agent, master, tmp_path):
    port = (await master.registered()).pid.rpartition(":")[2]
    said = await refusal(tmp_path / "other", master, port=port)
    assert f"cannot listen on 127.0.0.1:{port}" in said


@pytest.mark.parametrize(
    "flags",
    [
        {"resources": "cpus:many:x"},
        {"attributes": "rack"},
        {"port": "99999"},
        {"default_container_info": '{"type": "DOCKER"}'},
        {"default_container_info": '{"type": "NONE"}'},
    ],
)
async def test_a_flag_that_cannot_be_read_is_named(master, tmp_path, flags):
    said = await refusal(tmp_path / "agent", master, **flags)
    assert said.startswith("koinon agent: ")
    assert said.count("\n") == 1


async def test_a_master_that_is_no_address_is_refused(tmp_path):
    async with FakeMaster() as master:
        master.address = "zk:/host/mesos"
        said = await refusal(tmp_path / "agent", master)
    assert "'zk:/host/mesos' is no address of a master: give host:port" in said


# ── the master ────────────────────────────────────────────────────────────────────────────────────
async def test_the_agent_finds_the_leader(master, tmp_path):
    async with FakeMaster() as standby:
        standby.redirect = master.address
        agent = AgentProcess(tmp_path / "agent", standby.address)
        await agent.start()
        try:
            await master.registered()
        finally:
            await agent.finish()


async def test_the_agent_answers_pings(agent, master):
    await master.say(internal.Ping())
    await master.hear(internal.Pong)


async def test_the_agent_leaves_a_silent_master(tmp_path):
    async with FakeMaster(silence_timeout_s=0.3) as master:
        agent = AgentProcess(tmp_path / "agent", master.address)
        await agent.start()
        try:
            await master.registered(2)
        finally:
            await agent.finish()


async def test_updates_made_without_a_master_arrive_with_the_next(agent, master):
    await master.run(task(command="sleep 0.5"))
    await master.reaches("t", "RUNNING")
    master.redirect = "127.0.0.1:1"  # nobody there
    await master.hang_up()
    await asyncio.sleep(0.7)
    assert "FINISHED" not in master.states("t")
    master.redirect = None
    await master.reaches("t", "FINISHED")


async def test_garbage_from_the_master_costs_the_connection_only(agent, master):
    assert master._socket is not None
    await master._socket.send_bytes(b"[{]")
    await master.registered(2)
