"""A real agent process with a real launcher, and a master that a test plays."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec
from aiohttp import WSMsgType, web

from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskStatus
from tests.unit.agent.bench import AGENT_ID, framework

PATIENCE_S = 20.0

M = TypeVar("M", bound=internal.AgentMessage)


async def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true answer of `condition`."""
    limit_s = time.monotonic() + PATIENCE_S
    while True:
        if answer := condition():
            return answer
        assert time.monotonic() < limit_s, f"in vain: {what}"
        await asyncio.sleep(0.01)


#: A framework whose tasks run as we do, with every optional field that people set.
OURS = msgspec.structs.replace(
    framework(user=getpass.getuser(), capabilities=["MULTI_ROLE"]),
    roles=["ops"],
    hostname="laptop",
    webui_url="http://laptop",
    labels=v1.Labels(labels=[v1.Label(key="k", value="v")]),
)


class FakeMaster:
    """Takes in one agent and keeps what it says."""

    def __init__(self, *, silence_timeout_s: float = 75.0, acknowledges: bool = True) -> None:
        self.silence_timeout_s = silence_timeout_s
        self.acknowledges = acknowledges
        self.heard: list[internal.AgentMessage] = []
        self.registrations: list[internal.Register] = []
        self.redirect: str | None = None
        self.epoch = 0
        self.return_within_s = 0
        self.awake = asyncio.Event()  #: while this is cleared, only one more frame is read
        self.awake.set()
        self.address = ""
        self._socket: web.WebSocketResponse | None = None
        self._runner: web.ServerRunner

    async def __aenter__(self) -> FakeMaster:
        self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()
        await self._runner.cleanup()

    async def hang_up(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def say(self, *messages: internal.MasterMessage) -> None:
        assert self._socket is not None
        await self._socket.send_bytes(internal.encode(list(messages)))

    async def run(self, *infos: v1.TaskInfo, of: v1.FrameworkInfo = OURS) -> None:
        await self.say(*(internal.RunTask(framework=of, task=info) for info in infos))

    async def run_group(self, *infos: v1.TaskInfo, by: v1.ExecutorInfo) -> None:
        group = v1.TaskGroupInfo(tasks=list(infos))
        await self.say(internal.RunTaskGroup(framework=OURS, executor=by, task_group=group))

    async def kill(self, task_id: str) -> None:
        await self.say(internal.KillTask(framework_id="F", task_id=task_id))

    async def hear(self, kind: type[M], count: int = 1) -> M:
        """The newest message of a kind, once there are `count`."""
        found = await until(
            lambda: (ones := [one for one in self.heard if isinstance(one, kind)])[count - 1 :] and ones,
            f"{count} × {kind.__name__}",
        )
        newest: M = found[-1]
        return newest

    async def registered(self, count: int = 1) -> internal.Register:
        """The newest registration, once there are `count`."""
        await until(lambda: len(self.registrations) >= count, "the agent registers")
        return self.registrations[-1]

    def statuses(self, task_id: str) -> list[TaskStatus]:
        """What was reported of a task, each status once."""
        found: dict[bytes | None, TaskStatus] = {}
        for message in self.heard:
            if isinstance(message, internal.Update) and message.status.task_id.value == task_id:
                found.setdefault(message.status.uuid, message.status)
        return list(found.values())

    def states(self, task_id: str) -> list[str]:
        return [status.state.value.removeprefix("TASK_") for status in self.statuses(task_id)]

    async def reaches(self, task_id: str, *states: str) -> TaskStatus:
        """The status in which the task first has one of the states."""

        def found() -> TaskStatus | None:
            for status in self.statuses(task_id):
                if status.state.value.removeprefix("TASK_") in states:
                    return status
            return None

        status: TaskStatus = await until(found, f"{task_id} reaches {states}")
        return status

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.redirect is not None:
            return web.Response(status=307, headers={"Location": f"//{self.redirect}{request.path}"})
        assert request.path == internal.PATH
        socket = web.WebSocketResponse(max_msg_size=0, timeout=0.2)
        await socket.prepare(request)
        self._socket = socket
        async for frame in socket:
            await self.awake.wait()
            if frame.type is WSMsgType.BINARY:
                for message in internal.decode_from_agent(frame.data):
                    self.heard.append(message)
                    await self._answer(message)
        return socket

    async def _answer(self, message: internal.AgentMessage) -> None:
        match message:
            case internal.Register():
                self.registrations.append(message)
                agent_id = message.agent_info.id.value if message.agent_info.id else AGENT_ID
                registered = internal.Registered(
                    agent_id=agent_id,
                    master_id="M",
                    silence_timeout_s=self.silence_timeout_s,
                    cluster="C",
                    epoch=self.epoch,
                    return_within_s=self.return_within_s,
                )
                await self.say(registered)
            case internal.Update(framework_id=framework_id, status=status) if self.acknowledges:
                assert status.uuid is not None
                await self.say(
                    internal.Acknowledge(
                        framework_id=framework_id, task_id=status.task_id.value, uuid=status.uuid
                    )
                )


class AgentProcess:
    """`koinon agent` in a directory; `launcher` and tasks end with the test."""

    def __init__(self, work_dir: Path, master: str, **flags: str) -> None:
        self.work_dir = work_dir
        self.flags = {
            "master": master,
            "work_dir": str(work_dir),
            "port": "0",
            "resources": "cpus:4;mem:4096;disk:4096;ports:[31000-31009]",
            "attributes": "rack:a;os:debian",
            "registration_backoff_factor": "50ms",
            **flags,
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        argv = [f"--{name}={value}" for name, value in self.flags.items()]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "koinon",
            "agent",
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )

    async def stop(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal, wait for the end, return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return await self.end()

    async def end(self) -> int:
        """Wait for the end, return the exit status."""
        assert self.process is not None
        async with asyncio.timeout(PATIENCE_S):
            _, self.stderr = await self.process.communicate()
        status = self.process.returncode
        self.process = None
        assert status is not None
        return status

    async def finish(self) -> None:
        """End the agent, its tasks and its launcher, whatever state they are in."""
        if self.process is not None:
            await self.stop(signal.SIGKILL)
            print(self.stderr.decode())  # shown when the test fails
        for pid in self.launcher_pids():
            os.kill(pid, signal.SIGTERM)  # a launcher that is told to end kills its containers first

    def launcher_pids(self) -> list[int]:
        """The launcher of this work directory, if it runs."""
        found = [
            pid
            for pid, argv in _processes()
            if str(self.work_dir / "run") in argv and "launcher" in " ".join(argv)
        ]
        return [pid for pid in found if _parent(pid) not in found]  # not what it has just forked

    async def get(self, path: str, register: internal.Register, /, **query: str) -> Any:
        async with aiohttp.ClientSession() as http, http.get(url(register, path), params=query) as answer:
            body = await answer.read()
            assert answer.status == 200, body
            return json.loads(body)

    async def call(self, kind: str, register: internal.Register, **more: Any) -> Any:
        call = {"type": kind, **more}
        async with aiohttp.ClientSession() as http, http.post(url(register, "/api/v1"), json=call) as answer:
            body = await answer.read()
            assert answer.status == 200, body
            return json.loads(body)


def url(register: internal.Register, path: str) -> str:
    return f"http://{register.pid.partition('@')[2]}{path}"


def _processes() -> list[tuple[int, list[str]]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            found.append((int(entry.name), argv))
    return found


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def touch(path: Path) -> None:
    path.touch()


def mode(path: Path) -> int:
    """Permissions of a file."""
    return path.stat().st_mode & 0o7777


def read(path: Path) -> str:
    """What a file holds; nothing if it is not there."""
    return path.read_text() if path.exists() else ""
