"""The SDK and its examples against real masters and agents."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from koinon.mesos import codec, v1
from koinon.sdk import (
    TERMINAL_STATES,
    ApiError,
    FrameworkError,
    Resources,
    Scheduler,
    framework_info,
    task_info,
)
from tests.cluster.harness import Cluster, NewCluster

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
EACH = Resources.parse("cpus:0.1;mem:32")


def example(name: str, cluster: Cluster) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(EXAMPLES / name), cluster.master_address]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)


def test_the_first_framework_of_the_documentation_runs_its_ten_commands(cluster: Cluster) -> None:
    states = [line.split()[:2] for line in example("scheduler.py", cluster).stdout.splitlines()]
    finished = {task_id for task_id, state in states if state == "TASK_FINISHED"}
    assert finished == {f"hello-{number}" for number in range(10)}
    assert len((EXAMPLES / "scheduler.py").read_text().splitlines()) <= 30


def test_the_executor_of_the_documentation_digests_a_hundred_numbers(cluster: Cluster) -> None:
    *said, summary = example("executor.py", cluster).stdout.splitlines()
    assert [line.partition(": ")[2] for line in said] == ["you said hello"]
    assert summary.startswith("100 digests, the last one 8c1f1046219ddd21")  # sha256 of 99


class Work(Scheduler):
    """Launches given commands, or tasks of an executor, and can wait for the states they reach."""

    def __init__(
        self,
        cluster: Cluster,
        commands: dict[str, str],
        *,
        framework: v1.FrameworkInfo | None = None,
        executor: str | None = None,
        content_type: str = codec.JSON,
    ) -> None:
        info = framework or framework_info("work", failover_timeout_s=60, checkpoint=True)
        super().__init__(cluster.master_address, info, content_type=content_type)
        self._waiting = dict(commands)
        self._executor = executor
        self._changed = asyncio.Condition()
        self.states: dict[str, str] = {}
        self.messages: dict[str, str | None] = {}
        self.subscriptions = 0

    async def subscribed(self, framework_id: str) -> None:
        async with self._changed:
            self.subscriptions += 1
            self._changed.notify_all()

    def offers(self, offers: list[v1.Offer]) -> None:
        for offer in offers:
            tasks = [self._task(task_id, command, offer) for task_id, command in self._waiting.items()]
            self._waiting.clear()
            self.launch(offer, tasks)

    def _task(self, task_id: str, command: str, offer: v1.Offer) -> v1.TaskInfo:
        if self._executor is None:
            return task_info(task_id, offer, EACH, command=command)
        executor = v1.ExecutorInfo(
            type=v1.ExecutorInfo.Type.CUSTOM,
            executor_id=v1.ExecutorID("own"),
            framework_id=self.framework.id,
            command=v1.CommandInfo(value=self._executor),
            resources=EACH.to_v1(),
        )
        return task_info(task_id, offer, EACH, executor=executor, data=command.encode())

    async def update(self, status: v1.TaskStatus) -> None:
        async with self._changed:
            self.states[status.task_id.value] = status.state.name
            self.messages[status.task_id.value] = status.message
            self._changed.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        async with self._changed, asyncio.timeout(30):
            await self._changed.wait_for(true)

    async def all_are(self, state: v1.TaskState, count: int) -> None:
        await self.until(lambda: list(self.states.values()) == [state.name] * count)


@pytest.mark.parametrize("content_type", [codec.JSON, codec.PROTOBUF])
async def test_tasks_end_as_their_commands_do_in_either_content_type(
    cluster: Cluster, content_type: str
) -> None:
    commands = {"good": "true", "bad": "exit 3", "killed": "sleep 1000"}
    async with Work(cluster, commands, content_type=content_type) as work:
        await work.until(lambda: work.states.get("killed") == "TASK_RUNNING")
        work.kill("killed")
        ended = {state.name for state in TERMINAL_STATES}
        await work.until(lambda: len(work.states) == 3 and ended >= {*work.states.values()})
    assert work.states == {"good": "TASK_FINISHED", "bad": "TASK_FAILED", "killed": "TASK_KILLED"}
    assert work.messages["bad"] == "Command exited with status 3"


async def test_a_refused_call_is_told_to_its_author(cluster: Cluster) -> None:
    async with Scheduler(cluster.master_address, framework_info("a")) as scheduler:
        with pytest.raises(ApiError, match="400"):
            await scheduler.update_framework(framework_info("a", roles=["/"]))


async def test_the_older_of_two_instances_is_told_that_it_was_replaced(cluster: Cluster) -> None:
    old = Work(cluster, {"it": "sleep 1000"})
    running = asyncio.create_task(old.run())
    await old.all_are(v1.TaskState.TASK_RUNNING, 1)
    async with Work(cluster, {}, framework=old.framework) as new:
        with pytest.raises(FrameworkError, match="failed over"):
            await running
        new.reconcile()
        await new.all_are(v1.TaskState.TASK_RUNNING, 1)


async def test_tasks_and_framework_outlive_a_master_that_is_killed(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    async with Work(cluster, {str(number): "sleep 1000" for number in range(5)}) as work:
        await work.all_are(v1.TaskState.TASK_RUNNING, 5)
        framework_id = work.framework.id
        await asyncio.to_thread(cluster.master.kill)
        work.states.clear()
        cluster.master.start()
        await work.until(lambda: work.subscriptions == 2)
        await asyncio.to_thread(cluster.wait_ready)
        work.reconcile()
        await work.all_are(v1.TaskState.TASK_RUNNING, 5)
        assert work.framework.id == framework_id
        for number in range(5):
            work.kill(str(number))
        await work.all_are(v1.TaskState.TASK_KILLED, 5)


async def test_an_executor_outlives_its_agent_and_reports_what_happened_meanwhile(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    cluster = new_cluster()
    gate = tmp_path / "gate"
    program = tmp_path / "executor.py"
    program.write_text(
        textwrap.dedent(
            """
            import asyncio, os, pathlib
            from koinon.mesos.v1 import TaskState
            from koinon.sdk import Executor

            class Own(Executor):
                async def launch(self, task):
                    self.update(task, TaskState.TASK_RUNNING)
                    while not os.path.exists(task.data.decode()):
                        await asyncio.sleep(0.02)
                    self.update(task, TaskState.TASK_FINISHED)

            asyncio.run(Own().run())
            """
        )
    )
    executor = f"exec {sys.executable} {program}"
    async with Work(cluster, {str(number): str(gate) for number in range(5)}, executor=executor) as work:
        await work.all_are(v1.TaskState.TASK_RUNNING, 5)
        await asyncio.to_thread(cluster.agents[0].kill)
        gate.touch()
        cluster.agents[0].start()
        await work.all_are(v1.TaskState.TASK_FINISHED, 5)
