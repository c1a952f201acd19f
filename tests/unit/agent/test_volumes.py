"""Volumes of type SANDBOX_PATH: how tasks of a group share files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from koinon.agent import sandbox
from koinon.agent.core import events as ev
from koinon.mesos import internal, v1
from koinon.mesos.v1 import ContainerInfo, TaskStatus, Volume
from tests.unit.agent.bench import Bench, executor, of_type, only, task
from tests.unit.agent.shell import OURS, FakeMaster, read

SandboxPath = Volume.Source.SandboxPath
BY = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)


def volume(
    path: str, kind: str = "PARENT", *, at: str = "data", mode: Volume.Mode = Volume.Mode.RW
) -> Volume:
    source = Volume.Source(
        type=Volume.Source.Type.SANDBOX_PATH,
        sandbox_path=SandboxPath(type=SandboxPath.Type[kind], path=path),
    )
    return Volume(mode=mode, container_path=at, source=source)


def with_volumes(*volumes: Volume) -> ContainerInfo:
    return ContainerInfo(type=ContainerInfo.Type.MESOS, volumes=list(volumes))


def grouped(bench: Bench, *volumes: Volume) -> ev.LaunchContainer:
    """How a task of a group with these volumes is launched."""
    return only(bench.run_group(task(container=with_volumes(*volumes)), by=BY), ev.LaunchContainer)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_volume_of_the_parent_lies_in_the_sandbox_of_the_executor(bench):
    launched = grouped(bench, volume("common/deep", at="here/data"))
    run = launched.sandbox.partition("/containers/")[0]
    assert launched.shared == ((f"{run}/common/deep", f"{launched.sandbox}/here/data"),)


def test_a_volume_of_its_own_lies_in_the_sandbox_of_the_task(bench):
    launched = grouped(bench, volume("a", "SELF"))
    assert launched.shared == ((f"{launched.sandbox}/a", f"{launched.sandbox}/data"),)


def test_a_relative_host_path_is_one_in_the_own_sandbox(bench):
    old = Volume(mode=Volume.Mode.RW, container_path="data", host_path="a")
    launched = only(bench.run(task(container=with_volumes(old))), ev.LaunchContainer)
    assert launched.shared == ((f"{launched.sandbox}/a", f"{launched.sandbox}/data"),)


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (volume("../x"), "'../x'"),
        (volume("/etc"), "'/etc'"),
        (volume("."), "'.'"),
        (volume("x", at="/mnt/x"), "'/mnt/x'"),
        (volume("x", at="a/../../x"), "'a/../../x'"),
        (volume("x", mode=Volume.Mode.RO), "read-only"),
        (volume("x", "UNKNOWN"), "SELF or PARENT"),
        (Volume(mode=Volume.Mode.RW, container_path="x", host_path="/etc"), "SANDBOX_PATH only"),
    ],
)
def test_what_links_cannot_do_is_refused(bench, asked, word):
    bench.run_group(task(container=with_volumes(asked)), by=BY)
    (status,) = bench.acknowledge_all()
    assert status.reason is TaskStatus.Reason.REASON_CONTAINER_LAUNCH_FAILED
    assert word in status.message


@pytest.mark.parametrize(
    "asked",
    [
        task(container=with_volumes(volume("x"))),
        task(executor=executor(container=with_volumes(volume("x")))),
    ],
)
def test_who_has_no_parent_shares_nothing_with_it(bench, asked):
    assert not of_type(bench.run(asked), ev.LaunchContainer)
    assert "PARENT" in bench.acknowledge_all()[0].message


def test_a_default_executor_has_no_volumes_of_its_own(bench):
    by = executor(
        type=v1.ExecutorInfo.Type.DEFAULT, command=None, container=with_volumes(volume("x", "SELF"))
    )
    assert not of_type(bench.run_group(task(), by=by), ev.LaunchContainer)


# ── on a disk ─────────────────────────────────────────────────────────────────────────────────────
def prepare(run: Path, name: str, source: str, link: str) -> Path:
    box = run / "containers" / name
    shared = [(str(run / source), str(box / link))]
    sandbox.prepare(str(box), str(run / "tasks" / name), None, shared)
    return box


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    return tmp_path / "slaves" / "A" / "frameworks" / "F" / "executors" / "e" / "runs" / "C"


def test_two_sandboxes_see_one_directory(run_directory):
    first = prepare(run_directory, "one", "common", "data")
    second = prepare(run_directory, "two", "common", "deep/er")
    (first / "data" / "file").write_text("hello")
    assert (second / "deep" / "er" / "file").read_text() == "hello"


def test_a_file_may_be_shared_too(run_directory):
    prepare(run_directory, "one", "common", "data")
    (run_directory / "common" / "file").write_text("hello")
    assert (prepare(run_directory, "two", "common/file", "mine") / "mine").read_text() == "hello"


def test_a_link_that_a_task_planted_leads_nowhere(run_directory, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    prepare(run_directory, "one", "common", "data")
    (run_directory / "planted").symlink_to(outside)
    with pytest.raises(sandbox.SandboxError):
        prepare(run_directory, "two", "planted/inside", "data")
    assert list(outside.iterdir()) == []


# ── for real ──────────────────────────────────────────────────────────────────────────────────────
async def test_tasks_of_a_group_share_files(agent, master: FakeMaster):
    def sharing(name: str, command: str, **more: Any) -> v1.TaskInfo:
        return task(name, command=command, container=with_volumes(volume("common", **more)))

    waits = "until test -s there/file; do sleep 0.05; done; cat there/file"
    group = v1.TaskGroupInfo(
        tasks=[sharing("writer", "echo hello > data/file"), sharing("reader", waits, at="there")]
    )
    await master.say(internal.RunTaskGroup(framework=OURS, executor=BY, task_group=group))
    await master.reaches("reader", "FINISHED")
    (output,) = agent.work_dir.glob("slaves/*-S*/frameworks/*/executors/e/runs/*-*/tasks/reader/stdout")
    assert read(output) == "hello\n"
