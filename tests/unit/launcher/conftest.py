"""A real launcher in a directory of its own, with a client that collects what it tells."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from koinon.agent.launching import Exit, LauncherClient, LaunchSpec

#: How long anything may take before a test gives up on it.
PATIENCE_S = 30.0


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition of the system outside."""
    limit_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < limit_s, f"in vain: {what}"
        await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def marked(mark: str) -> list[int]:
    """The running processes that have `mark` in their environment: nobody inherits it by accident."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in environment and alive(int(name)):
            found.append(int(name))
    return found


class Bench:
    """A client under test and the place its containers run in."""

    _numbers = itertools.count()

    def __init__(self, home: Path) -> None:
        self.home = home
        self.sandbox = home / "sandbox"
        self.sandbox.mkdir(exist_ok=True)
        self.exits: dict[str, Exit] = {}
        self.told: list[Exit] = []
        self.troubles: list[str] = []
        self.mark = f"KOINON_TEST_MARK={os.getpid()}.{next(self._numbers)}"
        self.client = self.new_client()

    def new_client(self) -> LauncherClient:
        def on_exit(exit: Exit) -> None:
            self.exits[exit.container_id] = exit
            self.told.append(exit)

        return LauncherClient(self.home / "launcher", on_exit=on_exit, on_trouble=self.troubles.append)

    def spec(self, id: str, *argv: str, **changes: object) -> LaunchSpec:
        name, _, value = self.mark.partition("=")
        fields = {
            "container_id": id,
            "argv": list(argv),
            "env": {"PATH": os.environ["PATH"], name: value, "SANDBOX": f"/x/{id}/"},
            "cwd": str(self.sandbox),
            "stdout": str(self.sandbox / "stdout"),
            "stderr": str(self.sandbox / "stderr"),
        }
        return LaunchSpec(**(fields | changes))  # type: ignore[arg-type]

    async def launch(self, id: str, *argv: str, **changes: object) -> int:
        return await self.client.launch(self.spec(id, *argv, **changes))

    async def sh(self, id: str, script: str, **changes: object) -> int:
        return await self.launch(id, "/bin/sh", "-c", script, **changes)

    async def py(self, id: str, script: str, **changes: object) -> int:
        return await self.launch(id, sys.executable, "-I", "-S", "-c", script, **changes)

    async def exit(self, id: str) -> Exit:
        await until(lambda: id in self.exits, f"the exit of {id}")
        return self.exits[id]

    async def exit_code(self, id: str) -> int:
        status = (await self.exit(id)).status
        assert status is not None
        return os.waitstatus_to_exitcode(status)

    async def output(self, expected: str) -> None:
        """Wait for a text in stdout."""
        await until(lambda: expected in self.stdout(), f"{expected!r} in stdout")

    def stdout(self) -> str:
        path = self.sandbox / "stdout"
        return path.read_text() if path.exists() else ""

    def processes(self) -> list[int]:
        """Whatever the containers of this test have running anywhere."""
        return marked(self.mark)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.client.start()
    yield bench
    await bench.client.stop()
    pid = bench.client.pid
    await until(lambda: not alive(pid), "the end of the launcher")
    assert bench.processes() == []


def zombies(parent: int) -> list[int]:
    """The dead children that `parent` has not waited for."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if not alive(int(pid))]


def kill_9(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
