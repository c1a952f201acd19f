"""Launches on their way from the core to the containerizer."""

from __future__ import annotations

import asyncio
from pathlib import Path

from koinon.agent.containerizer.base import Container, LaunchSpec
from koinon.agent.containers import Containers
from koinon.agent.core.events import ContainerNotStarted, ContainerStarted, Event, LaunchContainer
from koinon.agent.fetcher import Fetcher
from koinon.agent.views.containers import pending
from koinon.mesos.v1 import ResourceStatistics
from tests.unit.agent.shell import until


class SlowContainerizer:
    """Launches when the test says so."""

    def __init__(self) -> None:
        self.specs: list[LaunchSpec] = []
        self.go = asyncio.Event()
        self.destroyed: list[str] = []

    async def launch(self, spec: LaunchSpec) -> int:
        self.specs.append(spec)
        await self.go.wait()
        return 42

    async def recover(self) -> list[Container]:
        raise NotImplementedError

    async def signal(self, container_id: str, signum: int) -> bool:
        raise NotImplementedError

    async def destroy(self, container_id: str) -> bool:
        self.destroyed.append(container_id)
        return True

    async def terminal(self, container_id: str) -> tuple[int, ...]:
        raise NotImplementedError

    def forget(self, container_id: str) -> None:
        raise NotImplementedError

    async def usage(self) -> dict[str, ResourceStatistics]:
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def launch(work_dir: Path, container_id: str, user: str | None = None) -> LaunchContainer:
    run = f"{work_dir}/slaves/A/frameworks/F/executors/e/runs"
    return LaunchContainer(
        container_id, "/bin/ls", ("ls", "-l"), {}, f"{run}/{container_id}", f"{run}/latest", user
    )


async def test_what_is_being_launched_is_pending_until_it_runs_or_fails(tmp_path):
    heard: list[Event] = []
    fetcher = Fetcher(tmp_path / "cache", cache_size_bytes=0, stall_timeout_s=60)
    containers = Containers(heard.append, fetcher, (0, 0, 0))
    containers.containerizer = slow = SlowContainerizer()
    containers.launch(launch(tmp_path, "c1"))
    containers.launch(launch(tmp_path, "c2", user="no-such-user"))
    assert [one["args"]["container_id"] for one in pending(containers.launching)] == ["c1", "c2"]
    await until(lambda: slow.specs and heard, "one is with the containerizer, one failed")
    assert isinstance(heard[0], ContainerNotStarted)
    assert pending(containers.launching) == [{"operation": "launch", "args": {"container_id": "c1"}}]
    assert (slow.specs[0].program, slow.specs[0].argv) == ("/bin/ls", ["ls", "-l"])
    slow.go.set()
    await until(lambda: heard[1:], "it runs")
    assert heard[1] == ContainerStarted("c1", 42)
    assert pending(containers.launching) == []
    await containers.close()
    await fetcher.close()


async def test_a_bug_of_ours_is_a_failed_launch_and_no_silence(tmp_path, monkeypatch):
    heard: list[Event] = []
    fetcher = Fetcher(tmp_path / "cache", cache_size_bytes=0, stall_timeout_s=60)
    containers = Containers(heard.append, fetcher, (0, 0, 0))
    containers.containerizer = SlowContainerizer()

    async def broken(spec: LaunchSpec) -> int:
        raise KeyError("bug")

    monkeypatch.setattr(containers.containerizer, "launch", broken)
    containers.launch(launch(tmp_path, "c1"))
    await until(lambda: bool(heard), "it is told")
    (told,) = heard
    assert isinstance(told, ContainerNotStarted)
    assert "KeyError('bug')" in told.message
    assert containers.containerizer.destroyed == ["c1"]
    assert pending(containers.launching) == []
    await containers.close()
    await fetcher.close()
