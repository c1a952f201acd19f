"""Task groups under the default executor, seen from the scheduler."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.harness import Cluster
from tests.cluster.raw import Framework, scalars, task

WAITS = "exec sleep 1000"


def launch_group(framework: Framework, executor_id: str, *tasks: dict[str, Any], **executor: Any) -> None:
    """On the next offer."""
    offer = framework.take_offer()
    info = {
        "type": "DEFAULT",
        "executor_id": {"value": executor_id},
        "framework_id": {"value": framework.id},
        "resources": scalars(cpus=0.1, mem=32, disk=10),
        **executor,
    }
    group = {"tasks": [{"agent_id": offer["agent_id"], **one} for one in tasks]}
    operation = {"type": "LAUNCH_GROUP", "launch_group": {"executor": info, "task_group": group}}
    accept = {"offer_ids": [offer["id"]], "operations": [operation], "filters": {"refuse_seconds": 0}}
    framework.do("ACCEPT", accept=accept)


def ends(framework: Framework, *task_ids: str) -> dict[str, str]:
    """How each task ended, once all have."""
    return {task_id: framework.wait_end(task_id)["state"] for task_id in task_ids}


def executor_end(framework: Framework, executor_id: str) -> dict[str, Any]:
    """The FAILURE event that tells that an executor is gone."""

    def found() -> dict[str, Any] | None:
        told = (one["failure"] for one in framework.events if one["type"] == "FAILURE")
        return next((one for one in told if one.get("executor_id") == {"value": executor_id}), None)

    failure = framework.wait(found, f"{executor_id} is gone")
    assert failure is not None
    return failure


def test_one_task_that_fails_ends_its_group_and_no_other(cluster: Cluster) -> None:
    with Framework(cluster.master_address) as framework:
        launch_group(framework, "e", task("a1", "sleep 0.3; exit 1"), task("a2", WAITS))
        launch_group(framework, "e", task("b1", WAITS), task("b2", "true"))
        assert ends(framework, "a1", "a2", "b2") == {
            "a1": "TASK_FAILED",
            "a2": "TASK_KILLED",
            "b2": "TASK_FINISHED",
        }
        assert framework.states("b1") == ["TASK_STARTING", "TASK_RUNNING"]
        assert not [one for one in framework.events if one["type"] == "FAILURE"]
        framework.kill("b1")
        assert ends(framework, "b1") == {"b1": "TASK_KILLED"}
        failure = executor_end(framework, "e")
        assert (failure["status"], "agent_id" in failure) == (0, True)


def test_an_executor_may_come_again_when_it_has_ended(cluster: Cluster) -> None:
    with Framework(cluster.master_address) as framework:
        for task_id in ("first", "second"):
            launch_group(framework, "e", task(task_id, "true"))
            framework.wait_end(task_id)
            executor_end(framework, "e")
            framework.events.clear()
        assert ends(framework, "first", "second") == {"first": "TASK_FINISHED", "second": "TASK_FINISHED"}


@pytest.mark.parametrize("grace_s", [1, 60])
def test_an_executor_that_is_shut_down_kills_its_tasks_in_time(cluster: Cluster, grace_s: int) -> None:
    stubborn = task("t", "trap '' TERM; while true; do sleep 0.1; done")
    stubborn["kill_policy"] = {"grace_period": {"nanoseconds": 1_000_000_000 * (61 - grace_s)}}
    with Framework(cluster.master_address) as framework:
        grace = {"nanoseconds": 1_000_000_000 * grace_s}
        launch_group(framework, "e", stubborn, task("t2", WAITS), shutdown_grace_period=grace)
        updates = [framework.wait_state(one, "TASK_RUNNING") for one in ("t", "t2")]
        target = {"executor_id": {"value": "e"}, "agent_id": updates[0]["agent_id"]}
        framework.do("SHUTDOWN", shutdown=target)
        assert ends(framework, "t", "t2") == {"t": "TASK_KILLED", "t2": "TASK_KILLED"}
        executor_end(framework, "e")


def test_tasks_of_a_group_share_what_they_say_they_share(cluster: Cluster) -> None:
    def sharing(task_id: str, command: str) -> dict[str, Any]:
        volume = {
            "mode": "RW",
            "container_path": "here",
            "source": {"type": "SANDBOX_PATH", "sandbox_path": {"type": "PARENT", "path": "common"}},
        }
        return task(task_id, command, container={"type": "MESOS", "volumes": [volume]})

    with Framework(cluster.master_address) as framework:
        waits = "until test -e here/file; do sleep 0.05; done; test ! -e file"
        launch_group(framework, "e", sharing("writes", "touch here/file"), sharing("reads", waits))
        assert ends(framework, "writes", "reads") == {"writes": "TASK_FINISHED", "reads": "TASK_FINISHED"}


def test_an_unhealthy_task_ends_its_group(cluster: Cluster) -> None:
    check = {
        "type": "COMMAND",
        "command": {"value": "false"},
        "delay_seconds": 0,
        "grace_period_seconds": 0,
        "consecutive_failures": 1,
    }
    with Framework(cluster.master_address) as framework:
        launch_group(framework, "e", task("sick", WAITS, health_check=check), task("well", WAITS))
        assert ends(framework, "sick", "well") == {"sick": "TASK_KILLED", "well": "TASK_KILLED"}
        assert [framework.ends(one)[0].get("healthy") for one in ("sick", "well")] == [False, None]
