"""An operator declares an agent gone: it ends, and its tasks with it, wherever it is at that moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.harness import Cluster, NewCluster, eventually, has_ended
from tests.cluster.raw import PARTITION_AWARE, Framework, task


@pytest.fixture
def cluster(new_cluster: NewCluster) -> Cluster:
    return new_cluster()


def run_task(framework: Framework, place: Path) -> int:
    """A task that would run for long; the pid of its process."""
    framework.launch([task("t", f"echo $$ > {place}; exec sleep 1000")])
    framework.wait_state("t", "TASK_RUNNING")
    return int(eventually(lambda: place.exists() and place.read_text().strip(), "the task runs"))


def declare_gone(cluster: Cluster) -> str:
    """Its id."""
    (agent,) = cluster.master.get("/slaves")["slaves"]
    cluster.master.call({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": agent["id"]}}})
    return str(agent["id"])


@pytest.mark.parametrize("away", [False, True], ids=["here", "away"])
def test_tasks_of_an_agent_declared_gone_end(cluster: Cluster, tmp_path: Path, away: bool) -> None:
    (agent,) = cluster.agents
    info = {"checkpoint": True, "failover_timeout": 60.0, **PARTITION_AWARE}
    with Framework(cluster.master_address, **info) as framework:
        pid = run_task(framework, tmp_path / "pid")
        if away:
            agent.kill()  # the launcher and the task go on
        gone = declare_gone(cluster)
        update = framework.wait_state("t", "TASK_GONE_BY_OPERATOR")
        assert update["reason"] == "REASON_AGENT_REMOVED_BY_OPERATOR"
        if away:
            assert not has_ended(pid)
            agent.start()
        assert agent.process is not None
        agent.process.wait(20)
        eventually(lambda: has_ended(pid), "the task has ended")
        assert framework.states("t")[-1] == "TASK_GONE_BY_OPERATOR"
        again = {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": gone}}}
        assert cluster.master.call(again) is None  # it stays gone
        agent.start()  # as a new one
        cluster.wait_ready()
        (fresh,) = cluster.master.get("/slaves")["slaves"]
        assert fresh["id"] != gone
        entries = cluster.master.get("/registrar(1)/registry")
        assert [one["id"]["value"] for one in entries["gone"]["slaves"]] == [gone]
