"""An agent that is killed at any of its durable writes, and started again, has lost nothing and doubled nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from koinon.coordination.embedded import EmbeddedStore
from koinon.mesos import internal, v1
from koinon.mesos.v1 import HealthCheck, TaskStatus
from tests.unit.agent.bench import executor, grace, task
from tests.unit.agent.mortal import Nursery, end, ended
from tests.unit.agent.shell import OURS, FakeMaster, read

Reason = TaskStatus.Reason
BY = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)

#: About as many as one life of the scenario makes.
WRITES = 13

#: How a task that ran must end: state, health, beginning of the message.
ENDS = {
    "quick": ("TASK_FAILED", None, "Command exited with status 3"),
    "long": ("TASK_KILLED", None, "Command terminated with signal Terminated"),
    "sick": ("TASK_KILLED", False, "Command terminated with signal Terminated: its health check failed"),
    "g1": ("TASK_FAILED", None, "Command exited with status 1"),
    "g2": ("TASK_KILLED", None, "Command terminated with signal Terminated"),
}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


class Scenario:
    """Tasks of all kinds on one agent after the other in one work directory, and a master that does its part."""

    def __init__(self, nursery: Nursery, master: FakeMaster, directory: Path) -> None:
        self.nursery = nursery
        self.master = master
        self.footprints = directory / "footprints"
        self.footprints.mkdir()
        self.work_dir = directory / "agent"
        self.pid = 0
        self.deaths = 0
        #: Tasks that the agent did not hear of; what it says of them is the master's to tell.
        self.never: set[str] = set()

    async def start(self, **mortal: object) -> None:
        flags = {
            "master": self.master.address,
            "work_dir": str(self.work_dir),
            "port": "0",
            "resources": "cpus:4;mem:4096;disk:4096",
            "registration_backoff_factor": "10ms",
        }
        self.pid = self.nursery.start(flags, **mortal)  # type: ignore[arg-type]

    def task(self, name: str, command: str, **more: object) -> v1.TaskInfo:
        return task(name, command=f"echo $$ >> {self.footprints}/{name}; {command}", **more)

    def launches(self) -> list[tuple[tuple[str, ...], internal.MasterMessage]]:
        """What the master has to say, and which tasks that is about."""
        sick = HealthCheck(
            type=HealthCheck.Type.COMMAND,
            command=v1.CommandInfo(value="false"),
            delay_seconds=0.0,
            interval_seconds=0.1,
            grace_period_seconds=0.0,
            consecutive_failures=2,
        )
        group = v1.TaskGroupInfo(
            tasks=[self.task("g1", "sleep 0.2; exit 1"), self.task("g2", "exec sleep 1000")]
        )
        tasks = [
            self.task("quick", "exit 3"),
            self.task("long", "exec sleep 1000", kill_policy=grace(10)),
            self.task("sick", "exec sleep 1000", health_check=sick),
        ]
        return [
            *(((one.task_id.value,), internal.RunTask(framework=OURS, task=one)) for one in tasks),
            (("g1", "g2"), internal.RunTaskGroup(framework=OURS, executor=BY, task_group=group)),
        ]

    def over(self, name: str) -> list[TaskStatus]:
        """The terminal statuses of a task."""
        states = ("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING")
        return [one for one in self.master.statuses(name) if one.state.value not in states]

    async def run(self) -> None:
        """Until all is over: start the agent again when it died, and say again what was not heard."""
        waiting, told, kills = (
            self.launches(),
            set[str](),
            [internal.KillTask(framework_id="F", task_id="long")],
        )
        registrations, limit_s = 1, time.monotonic() + 30.0
        await self.master.registered()
        while waiting or not all(self.over(name) or name in self.never for name in ENDS):
            assert time.monotonic() < limit_s, {name: self.master.states(name) for name in ENDS}
            if ended(self.pid):
                self.deaths += 1
                assert self.deaths == 1, "the second agent ended by itself"
                await self.start()
                registrations += 1
                register = await self.master.registered(registrations)
                known = {one.info.task_id.value for one in register.tasks}
                self.never = {name for name in told if name not in known and not self.over(name)}
                kills = [internal.KillTask(framework_id="F", task_id="long")]
            with contextlib.suppress(ConnectionError):  # it has just died
                for names, message in list(waiting):
                    await self.master.say(message)
                    told.update(names)
                    waiting.remove((names, message))
                if kills and "RUNNING" in self.master.states("long") and not self.over("long"):
                    await self.master.say(kills.pop())
            await asyncio.sleep(0.01)

    def assert_nothing_lost_or_doubled(self) -> None:
        for name, (state, healthy, message) in ENDS.items():
            starts = len(read(self.footprints / name).split())
            assert starts <= 1, f"{name} ran {starts} times"
            if name in self.never:
                assert starts == 0, f"{name} ran and is not known"
                continue
            (last,) = self.over(name)
            if last.reason in (Reason.REASON_AGENT_RESTARTED, Reason.REASON_TASK_KILLED_DURING_LAUNCH):
                assert starts == 0, f"{name} ran and is told not to have"
            elif starts or name != "g2":  # which is not even started when g1 is not
                assert (last.state.value, last.healthy) == (state, healthy), name
                assert last.message is not None
                assert last.message.startswith(message), name

    async def finish(self) -> None:
        """End the agent: nothing runs any more, and nothing is left on its disk that it need not know."""
        if not await self.is_done() or not await self.ends_well():
            await self.start()  # it died at its very last write
            await self.master.registered(len(self.master.registrations) + 1)
            assert await self.is_done()
            assert await self.ends_well()
        for name in ENDS:
            for pid in read(self.footprints / name).split():
                assert ended(int(pid)), f"{name} still runs"
        store = EmbeddedStore(self.work_dir / "meta" / "agent.db")
        try:
            assert set(store.load()) <= {"agent", "frameworks/F"}
        finally:
            await store.close()

    async def is_done(self) -> bool:
        """Waits until the last acknowledgement has arrived; False if the agent dies of it."""
        limit_s = time.monotonic() + 30.0
        port = self.master.registrations[-1].agent_info.port
        while not ended(self.pid):
            with contextlib.suppress(OSError):
                if not (await asyncio.to_thread(state_of, port))["frameworks"]:
                    return True
            assert time.monotonic() < limit_s, "the agent still knows a framework"
            await asyncio.sleep(0.01)
        return False

    async def ends_well(self) -> bool:
        """Whether the agent ends its launcher when it is told to end."""
        await end(self.pid, signal.SIGTERM)
        limit_s = time.monotonic() + 1.0
        while self.launchers() and time.monotonic() < limit_s:  # noqa: ASYNC110 - another's child
            await asyncio.sleep(0.01)
        return not self.launchers()

    def launchers(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    argv = (entry / "cmdline").read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if str(self.work_dir) in argv and "launcher" in argv:
                    found.append(int(entry.name))
        return found

    def end_everything(self) -> None:
        if not ended(self.pid):
            os.kill(self.pid, signal.SIGKILL)
        for pid in self.launchers():
            os.kill(pid, signal.SIGTERM)


def state_of(port: int | None) -> dict[str, object]:
    """What the agent that listens there says of itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/state", timeout=10) as answer:
        state: dict[str, object] = json.load(answer)
    return state


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("dies", range(1, WRITES + 1))
async def test_an_agent_killed_at_a_write_loses_and_doubles_nothing(dies, when, nursery, master, tmp_path):
    scenario = Scenario(nursery, master, tmp_path)
    await scenario.start(dies=dies, when=when)
    try:
        await scenario.run()
        scenario.assert_nothing_lost_or_doubled()
        await scenario.finish()
    finally:
        scenario.end_everything()
