"""GPUs: devices for tasks, each for one only, and the same after a restart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from koinon.agent import detection
from koinon.agent.core import events as ev
from koinon.agent.core.events import FoundContainer
from koinon.agent.core.state import NestedKind
from koinon.mesos import v1
from koinon.mesos.resources import ResourceError, Resources
from tests.unit.agent.bench import Bench, executor, only, states_in, task, updates_in
from tests.unit.agent.shell import AgentProcess, read

DEVICES = ("A", "B", "C")


def gpus(count: int) -> list[v1.Resource]:
    return Resources.parse(f"cpus:0.1;mem:32;gpus:{count}").allocated("ops").to_v1()


@pytest.fixture
def bench():
    return Bench(gpus=DEVICES)


def devices(effects) -> str:
    environment = only(effects, ev.LaunchContainer).environment
    shown = environment["CUDA_VISIBLE_DEVICES"]
    assert environment["NVIDIA_VISIBLE_DEVICES"] == (shown or "void")
    return shown


def test_each_task_has_devices_of_its_own_and_others_have_none(bench):
    assert devices(bench.run(task("a", resources=gpus(2)))) == "A,B"
    assert devices(bench.run(task("b", resources=gpus(1)))) == "C"
    assert devices(bench.run(task("c"))) == ""


def test_devices_are_free_again_when_their_task_has_ended(bench):
    launched = only(bench.run(task("a", resources=gpus(1))), ev.LaunchContainer)
    bench.started(launched.container_id)
    assert devices(bench.run(task("b", resources=gpus(1)))) == "B"
    bench.exited(launched.container_id)
    assert devices(bench.run(task("c", resources=gpus(1)))) == "A"


def test_a_task_that_there_are_no_devices_for_is_dropped(bench):
    bench.run(task("a", resources=gpus(2)))
    effects = bench.run(task("b", resources=gpus(2)))
    assert states_in(effects) == ["TASK_LOST"]
    assert updates_in(effects)[0].message == "This agent has 1 free GPUs, and 2 are wanted"
    assert devices(bench.run(task("c", resources=gpus(1)))) == "C"


def test_devices_are_the_same_after_a_restart(bench):
    first = only(bench.run(task("a", resources=gpus(1))), ev.LaunchContainer)
    second = only(bench.run(task("b", resources=gpus(1))), ev.LaunchContainer)
    for launched in (first, second):
        bench.started(launched.container_id)
    bench.exited(first.container_id)
    bench.acknowledge_all()
    bench.start({second.container_id: FoundContainer(42)})
    assert devices(bench.run(task("c", resources=gpus(2)))) == "A,C"


def test_tasks_of_a_group_have_devices_each(bench):
    by = executor("e", type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    effects = bench.run_group(task("a", resources=gpus(1)), task("b", resources=gpus(2)), by=by)
    shown = [
        one.environment["CUDA_VISIBLE_DEVICES"] for one in effects if isinstance(one, ev.LaunchContainer)
    ]
    assert shown == ["A", "B,C"]


def test_a_custom_executor_knows_its_devices_and_its_tasks_keep_to_them(bench):
    by = executor(resources=gpus(1))
    assert devices(bench.run(task("a", executor=by, resources=gpus(1)))) == "A,B"
    bench.subscribe()
    bench.run(task("other", resources=gpus(1)))
    (custom,) = [
        one for one in bench.agent.state.frameworks["F"].executors.values() if one.executor_id == "e"
    ]
    assert custom.tasks["a"].gpus == ("B",)
    assert bench.agent.state.frameworks["F"].tasks["other"].gpus == ("C",)


def test_a_custom_executor_is_told_of_the_devices_of_tasks_that_come_later(bench):
    bench.run(task("a", executor=executor()))
    bench.subscribe()
    mine = v1.Labels(labels=[v1.Label(key="k", value="v")])
    effects = bench.run(task("b", executor=executor(), resources=gpus(2), labels=mine))
    told = only(effects, ev.SendToExecutor).event.launch.task
    shown = [(label.key, label.value) for label in told.labels.labels]
    assert shown == [("k", "v"), ("NVIDIA_VISIBLE_DEVICES", "A,B")]
    group = bench.run_group(task("c", executor=executor(), resources=gpus(1)), by=executor())
    (told,) = only(group, ev.SendToExecutor).event.launch_group.task_group.tasks
    assert [label.value for label in told.labels.labels] == ["C"]


def test_what_is_nested_in_a_task_has_its_devices_and_a_standalone_container_has_none(bench):
    outer = bench.running(task(resources=gpus(2)))
    for container_id, expected in (
        (v1.ContainerID(value="n", parent=v1.ContainerID(value=outer)), "A,B"),
        (v1.ContainerID(value="alone"), ""),
    ):
        kind = NestedKind.NESTED if container_id.parent is not None else NestedKind.STANDALONE
        command = v1.CommandInfo(value="true")
        assert devices(bench.tell(ev.ContainerRequested(kind, container_id, command, None))) == expected


def test_an_agent_without_gpus_says_nothing_of_them():
    environment = only(Bench().run(task()), ev.LaunchContainer).environment
    assert "CUDA_VISIBLE_DEVICES" not in environment


# ── what the machine has ──────────────────────────────────────────────────────────────────────────
@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with three devices, or rather their tool."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0, GPU-a\\n1, GPU-b\\n2, GPU-c\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def found(resources: str | None, chosen: str | None = None) -> tuple[str, ...]:
    here = detection.find_gpus(chosen)
    all_ = detection.find_resources(resources, Path("/"), "*", gpus=len(here))
    return detection.assign_gpus(here, all_, chosen=chosen is not None)


@pytest.mark.usefixtures("machine")
def test_devices_are_found_and_chosen():
    assert found(None) == ("GPU-a", "GPU-b", "GPU-c")
    assert found("gpus:2") == ("GPU-a", "GPU-b")
    assert found("gpus:0") == ()
    assert found(None, "2,0") == ("GPU-c", "GPU-a")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("resources", "chosen"),
    [("gpus:4", None), ("gpus:1", "0,1"), (None, "7"), (None, "1,1"), ("gpus:0.5", None)],
)
def test_devices_that_do_not_fit_are_refused(resources, chosen):
    with pytest.raises(ResourceError):
        found(resources, chosen)


def test_devices_can_be_made_up_where_there_are_none(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    assert found("gpus:2") == ("0", "1")
    assert found(None) == ()


async def test_a_real_task_finds_its_devices(master, tmp_path):
    agent = AgentProcess(tmp_path / "agent", master.address, resources="cpus:4;mem:4096;disk:4096;gpus:2")
    await agent.start()
    try:
        register = await master.registered()
        assert Resources.from_v1(register.agent_info.resources).gpus == 2
        await master.run(
            task(command="echo $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES", resources=gpus(2))
        )
        await master.reaches("t", "FINISHED")
        sandbox = agent.work_dir / "slaves/latest/frameworks/F/executors/t/runs/latest"
        assert read(sandbox / "stdout") == "0,1 0,1\n"
    finally:
        await agent.finish()
