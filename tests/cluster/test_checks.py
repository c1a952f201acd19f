"""Checks, from the scheduler to the task and back."""

from __future__ import annotations

from typing import Any

from tests.cluster.harness import Cluster, eventually
from tests.cluster.raw import Framework, task

OFTEN = {"delay_seconds": 0, "interval_seconds": 0.1, "grace_period_seconds": 0}


def told(framework: Framework, task_id: str, reason: str) -> list[dict[str, Any]]:
    """The updates of a task that were sent for a reason."""
    return [one for one in framework.updates[task_id] if one.get("reason") == reason]


def test_health_reaches_the_scheduler_the_state_and_who_asks_again(cluster: Cluster) -> None:
    check = {**OFTEN, "type": "COMMAND", "command": {"value": "test -f healthy"}, "consecutive_failures": 3}
    check["grace_period_seconds"] = 60
    with Framework(cluster.master_address) as framework:
        framework.launch([task("t", "touch healthy; exec sleep 1000", health_check=check)])
        reason = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"
        (first,) = framework.wait(lambda: told(framework, "t", reason), "the task is healthy")
        assert (first["state"], first["healthy"], first["source"]) == (
            "TASK_RUNNING",
            True,
            "SOURCE_EXECUTOR",
        )
        statuses = eventually(lambda: cluster.tasks()["t"]["statuses"], "the master shows it")
        assert [one.get("healthy") for one in statuses if one["state"] == "TASK_RUNNING"] == [True]
        framework.do("RECONCILE", reconcile={"tasks": [{"task_id": {"value": "t"}}]})
        (answer,) = framework.wait(lambda: told(framework, "t", "REASON_RECONCILIATION"), "an answer")
        assert answer["healthy"] is True
        framework.kill("t")
        assert "healthy" not in framework.wait_end("t")


def test_an_unhealthy_task_is_killed(cluster: Cluster) -> None:
    check = {**OFTEN, "type": "COMMAND", "command": {"value": "exit 7"}, "consecutive_failures": 2}
    with Framework(cluster.master_address) as framework:
        framework.launch([task("t", "exec sleep 1000", health_check=check)])
        end = framework.wait_end("t")
        assert (end["state"], end["healthy"]) == ("TASK_KILLED", False)
        failures = told(framework, "t", "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED")
        assert [one["message"] for one in failures] == [
            "The health check failed: the command exited with status 7"
        ] * 2


def test_the_result_of_a_check_is_in_every_update(cluster: Cluster) -> None:
    check = {"delay_seconds": 0, "type": "COMMAND", "command": {"command": {"value": "exit 7"}}}
    with Framework(cluster.master_address) as framework:
        framework.launch([task("t", "exec sleep 1000", check=check)])
        framework.wait(lambda: told(framework, "t", "REASON_TASK_CHECK_STATUS_UPDATED"), "the result")
        framework.kill("t")
        framework.wait_end("t")
        empty = {"type": "COMMAND", "command": {}}
        found = {"type": "COMMAND", "command": {"exit_code": 7}}
        assert [one["check_status"] for one in framework.updates["t"]] == [empty, empty, found, empty]
