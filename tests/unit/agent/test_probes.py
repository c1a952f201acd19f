"""Checks of real tasks: commands that hang, flood and fork, servers that never answer, ports that nobody listens on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from koinon.agent.checks.network import Http, connect
from koinon.mesos import internal, v1
from koinon.mesos.v1 import CheckInfo, HealthCheck, TaskStatus
from tests.unit.agent.bench import task
from tests.unit.agent.shell import AgentProcess, FakeMaster, alive, read, until

OFTEN = {"delay_seconds": 0.0, "interval_seconds": 0.1, "grace_period_seconds": 0.0}


def command(value: str, **more: Any) -> HealthCheck:
    return HealthCheck(
        type=HealthCheck.Type.COMMAND, command=v1.CommandInfo(value=value), **{**OFTEN, **more}
    )


def command_check(value: str, **more: Any) -> CheckInfo:
    return CheckInfo(
        type=CheckInfo.Type.COMMAND,
        command=CheckInfo.Command(v1.CommandInfo(value=value)),
        delay_seconds=0.0,
        interval_seconds=0.1,
        **more,
    )


async def news(master: FakeMaster, holds: Callable[[TaskStatus], bool]) -> TaskStatus:
    """The first status of the task `t` of which it holds."""
    found: TaskStatus = await until(
        lambda: next((one for one in master.statuses("t") if holds(one)), None), "a status"
    )
    return found


def sandbox(status: TaskStatus, work_dir: Path) -> Path:
    """Of a command task."""
    (found,) = work_dir.glob("slaves/*-S*/frameworks/*/executors/t/runs/*-*")
    return found


async def pids_in(path: Path, count: int = 1) -> list[int]:
    """What was written into a file, at least `count` numbers."""
    found: list[int] = await until(
        lambda: (pids := [int(one) for one in read(path).split()])[count - 1 :] and pids, f"pids in {path}"
    )
    return found


async def all_gone(pids: list[int]) -> None:
    await until(lambda: not any(alive(pid) for pid in pids), f"{pids} are gone")


# ── commands ──────────────────────────────────────────────────────────────────────────────────────
async def test_a_command_runs_in_the_sandbox_with_the_environment_of_the_task(agent, master):
    variables = [v1.Environment.Variable(name="WHO", value="task")]
    own = v1.CommandInfo(value="touch ready; sleep 1000", environment=v1.Environment(variables=variables))
    await master.run(task(command=own, health_check=command("test -f ready && test $WHO = task")))
    await news(master, lambda one: one.healthy is True)


async def test_the_exit_status_of_a_command_is_reported_when_it_changes(agent, master):
    await master.run(task(command="sleep 1000", check=command_check("exit $(cat status || echo 5)")))
    first = await news(master, lambda one: one.check_status.command.exit_code == 5)
    (sandbox(first, agent.work_dir) / "status").write_text("7")
    await news(master, lambda one: one.check_status.command.exit_code == 7)
    reasons = [one.reason.value for one in master.statuses("t") if one.reason is not None]
    assert reasons == ["REASON_TASK_CHECK_STATUS_UPDATED"] * 2


async def test_a_command_that_hangs_is_killed_with_everything_it_started(agent, master):
    hangs = "echo $$ >> pids; setsid sh -c 'echo $$ >> pids; trap \"\" TERM; sleep 1001' & sleep 1002 & wait"
    checked = command(hangs, timeout_seconds=0.5, consecutive_failures=100)
    await master.run(task(command="sleep 1000", health_check=checked))
    status = await news(master, lambda one: one.healthy is False)
    assert status.message == "The health check failed: it took longer than 500ms"
    await all_gone((await pids_in(sandbox(status, agent.work_dir) / "pids", 2))[:2])


async def test_a_check_that_hangs_has_no_result(agent, master):
    asked = command_check("test -f hang && sleep 1000; exit 3", timeout_seconds=1.0)
    await master.run(task(command="sleep 1000", check=asked))
    status = await news(master, lambda one: one.check_status.command.exit_code == 3)
    (sandbox(status, agent.work_dir) / "hang").touch()
    await until(lambda: master.statuses("t")[-1].check_status.command.exit_code is None, "an empty result")


async def test_a_command_that_floods_its_output_costs_the_agent_no_memory(agent, master):
    assert agent.process is not None
    await master.run(
        task(command="sleep 1000", health_check=command("yes | head -c 100000000", consecutive_failures=2))
    )
    await news(master, lambda one: one.healthy is True)
    peak = read(Path(f"/proc/{agent.process.pid}/status")).partition("VmHWM:")[2].split()[0]
    assert int(peak) < 120_000  # KiB


async def test_what_a_command_says_is_in_the_stderr_of_the_task_within_its_bounds(master, tmp_path):
    agent = AgentProcess(tmp_path / "agent", master.address, max_stderr_size="64KB")
    await agent.start()
    try:
        await master.registered()
        floods = "echo hello; yes there | head -c 300000 >&2; yes | head -c 300000"
        await master.run(task(command="sleep 1000", health_check=command(floods)))
        status = await news(master, lambda one: one.healthy is True)
        box = sandbox(status, agent.work_dir)
        await until(lambda: len(list(box.glob("stderr.*"))) == 1, "the oldest are gone")
        assert sum(one.stat().st_size for one in box.glob("stderr*")) <= 3 * 64 * 1024
        assert not read(box / "stdout")
    finally:
        await agent.finish()


async def test_an_unhealthy_task_is_killed_and_says_so(agent, master):
    await master.run(task(command="sleep 1000", health_check=command("exit 1", consecutive_failures=2)))
    status = await master.reaches("t", "KILLED")
    assert status.healthy is False
    assert status.message == (
        "Command terminated with signal Terminated: its health check failed 2 times in a row"
    )
    states = [(one.state.value, one.healthy) for one in master.statuses("t")]
    assert states[2:4] == [("TASK_RUNNING", False)] * 2


async def test_what_runs_for_a_check_ends_with_the_task(agent, master):
    asked = command_check("echo $$ >> pids; setsid sleep 1001 & echo $! >> pids; wait", timeout_seconds=0.0)
    await master.run(task(command="sleep 1000", check=asked))
    running = await master.reaches("t", "RUNNING")
    pids = await pids_in(sandbox(running, agent.work_dir) / "pids", 2)
    await master.say(internal.KillTask(framework_id="F", task_id="t"))
    await master.reaches("t", "KILLED")
    await all_gone(pids)


async def test_a_program_that_is_missing_is_a_failure(agent, master):
    asked = HealthCheck(
        type=HealthCheck.Type.COMMAND,
        command=v1.CommandInfo(shell=False, value="/no/such/program", arguments=["x"]),
        **OFTEN,
    )
    await master.run(task(command="sleep 1000", health_check=asked))
    status = await news(master, lambda one: one.healthy is False)
    assert "/no/such/program" in status.message


# ── restarts ──────────────────────────────────────────────────────────────────────────────────────
async def test_checks_go_on_when_the_agent_was_killed_and_no_probe_is_left_from_before(agent, master):
    hangs = "echo $$ >> pids; setsid sleep 1001 & echo $! >> pids; wait"
    await master.run(task(command="sleep 1000", check=command_check(hangs, timeout_seconds=0.0)))
    running = await master.reaches("t", "RUNNING")
    box = sandbox(running, agent.work_dir)
    before = await pids_in(box / "pids", 2)
    await agent.stop(signal.SIGKILL)
    await all_gone(before)
    await agent.start()
    await master.registered(2)
    await pids_in(box / "pids", 4)


async def test_an_agent_that_is_stopped_leaves_tasks_but_no_probes(agent, master):
    hangs = "echo $$ >> pids; setsid sleep 1001 & echo $! >> pids; wait"
    await master.run(task(command="sleep 1000", check=command_check(hangs, timeout_seconds=0.0)))
    running = await master.reaches("t", "RUNNING")
    pids = await pids_in(sandbox(running, agent.work_dir) / "pids", 2)
    await agent.stop(signal.SIGTERM)
    await all_gone(pids)
    assert alive(running.container_status.executor_pid)


async def test_a_task_whose_health_checks_failed_before_the_agent_was_killed_has_less_to_lose(agent, master):
    asked = command("echo >> failures; exit 1", consecutive_failures=4, interval_seconds=1.0)
    await master.run(task(command="sleep 1000", health_check=asked))
    await until(lambda: len([one for one in master.statuses("t") if one.healthy is False]) >= 2, "2 failures")
    await agent.stop(signal.SIGKILL)
    await agent.start()
    killed = await master.reaches("t", "KILLED")
    assert killed.message.endswith("failed 4 times in a row")
    # One more at most: looked at before the agent was killed, and not told.
    assert len(read(sandbox(killed, agent.work_dir) / "failures")) in (4, 5)


async def test_a_killed_launcher_is_no_fault_of_the_task(agent, master):
    """The task is lost with it, as ever, and not unhealthy."""
    asked = command("sleep 1000", timeout_seconds=0.0, consecutive_failures=1)
    await master.run(task(command="sleep 1000", health_check=asked))
    await master.reaches("t", "RUNNING")
    (launcher,) = agent.launcher_pids()
    os.kill(launcher, signal.SIGKILL)
    status = await master.reaches("t", "LOST", "KILLED")
    assert (status.state.value, status.healthy) == ("TASK_LOST", None)


# ── requests and connections ──────────────────────────────────────────────────────────────────────
@asynccontextmanager
async def server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **more: Any
) -> AsyncIterator[int]:
    """The port of a server that does what `handle` does."""
    one = await asyncio.start_server(handle, "127.0.0.1", 0, **more)
    try:
        yield one.sockets[0].getsockname()[1]
    finally:
        one.close()


@asynccontextmanager
async def http() -> AsyncIterator[Http]:
    one = Http()
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def site(
    *answers: tuple[str, web.Response], secure: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """The port of a web server with these answers by path."""
    found = dict(answers)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return found[request.path]

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secure)
    await place.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_a_server_that_answers_keeps_a_real_task_healthy(agent, master):
    async with site(("/ok", web.Response(status=204))) as port:
        asked = HealthCheck(
            type=HealthCheck.Type.HTTP, http=HealthCheck.HTTPCheckInfo(port=port, path="/ok"), **OFTEN
        )
        await master.run(task(command="sleep 1000", health_check=asked))
        await news(master, lambda one: one.healthy is True)
    status = await news(master, lambda one: one.healthy is False)
    assert f"http://127.0.0.1:{port}/ok did not answer" in status.message


async def test_a_server_that_never_answers_is_a_failure(agent, master):
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with server(silence) as port:
        asked = HealthCheck(
            type=HealthCheck.Type.HTTP,
            http=HealthCheck.HTTPCheckInfo(port=port),
            timeout_seconds=0.2,
            consecutive_failures=2,
            **OFTEN,
        )
        await master.run(task(command="sleep 1000", health_check=asked))
        killed = await master.reaches("t", "KILLED")
        assert killed.healthy is False
        assert next(one.message for one in master.statuses("t") if one.healthy is False) == (
            "The health check failed: it took longer than 200ms"
        )


async def test_a_port_is_looked_at_by_connecting(agent, master):
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with server(hang_up) as port:
        asked = CheckInfo(
            type=CheckInfo.Type.TCP, tcp=CheckInfo.Tcp(port), delay_seconds=0.0, interval_seconds=0.1
        )
        await master.run(task(command="sleep 1000", check=asked))
        await news(master, lambda one: one.check_status.tcp.succeeded is True)
    await news(master, lambda one: one.check_status.tcp.succeeded is False)


async def test_redirections_are_followed():
    away = web.Response(status=302, headers={"Location": "/there"})
    async with site(("/", away), ("/there", web.Response(status=418))) as port, http() as asking:
        assert (await asking.get(f"http://127.0.0.1:{port}"))[0] == 418


async def test_redirections_in_a_circle_are_no_answer():
    async with (
        site(("/", web.Response(status=302, headers={"Location": "/"}))) as port,
        http() as asking,
    ):
        assert (await asking.get(f"http://127.0.0.1:{port}"))[0] is None


async def test_an_answer_without_end_is_an_answer():
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async with server(flood) as port, http() as asking, asyncio.timeout(5):
        assert (await asking.get(f"http://127.0.0.1:{port}"))[0] == 200


@pytest.mark.parametrize(
    "said", [b"hello\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", b"\x00" * 100_000]
)
async def test_what_is_no_whole_http_is_no_answer(said):
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with server(speak) as port, http() as asking:
        status, message = await asking.get(f"http://127.0.0.1:{port}/x")
        assert status is None
        assert message.startswith(f"http://127.0.0.1:{port}/x did not answer: ")


async def test_any_certificate_will_do(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = (
        f"req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=elsewhere -keyout {key} -out {certificate}"
    )
    making = await asyncio.create_subprocess_exec(
        "openssl", *request.split(), stderr=asyncio.subprocess.DEVNULL
    )
    assert await making.wait() == 0
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(certificate, key)
    async with site(("/", web.Response()), secure=secure) as port, http() as asking:
        assert (await asking.get(f"https://127.0.0.1:{port}"))[0] == 200
        assert (await asking.get(f"http://127.0.0.1:{port}"))[0] in (None, 400)


@pytest.mark.parametrize("port", [0, 1, 99999])
async def test_a_port_that_nobody_listens_on_has_a_reason(port):
    assert f"port {port}" in await connect("127.0.0.1", port)


async def test_ipv6_is_another_world():
    with socket.socket(socket.AF_INET6) as one:
        try:
            one.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        one.listen()
        port = one.getsockname()[1]
        assert await connect("::1", port) == ""
        assert await connect("127.0.0.1", port) != ""
