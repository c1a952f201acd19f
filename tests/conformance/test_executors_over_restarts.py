"""Custom executors, of a third party and our own, serve their tasks through a `kill -9` of the agent."""

import base64
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.harness import eventually
from tests.cluster.raw import PARTITION_AWARE, Framework, scalars, task

HERE = Path(__file__).parent
PATIENCE_S = 60.0
LIFE = ["TASK_RUNNING", "TASK_FINISHED"]


@pytest.mark.slow
@pytest.mark.parametrize("program", ["pymesos_napper.py", "sdk_napper.py"])
def test_a_hundred_tasks_of_one_executor_outlive_their_agent(program, new_cluster, tmp_path):
    cluster = new_cluster(
        master_flags={"max_agent_ping_timeouts": "60"},  # the agent is not given up, however slow the naps
        agent_flags={"executor_reregistration_timeout": "15secs"},
    )
    (agent,) = cluster.agents
    footprints, rng = tmp_path / "footprints", random.Random(3)
    ids = [f"nap-{number}" for number in range(100)]
    executor = {
        "type": "CUSTOM",
        "executor_id": {"value": "napper"},
        "command": {"value": f"exec {sys.executable} {HERE / program} {footprints}"},
        "resources": scalars(cpus=0.1, mem=64),
    }

    def naps(task_ids):
        data = [base64.b64encode(f"{rng.uniform(0.2, 5):.2f}".encode()).decode() for _ in task_ids]
        return [
            task(task_id, resources=scalars(cpus=0.01, mem=1), executor=executor, data=nap)
            for task_id, nap in zip(task_ids, data, strict=True)
        ]

    def ended():
        lines = footprints.read_text().splitlines() if footprints.exists() else []
        return [line.split()[1] for line in lines if line.startswith("end")]

    with Framework(cluster.master_address, checkpoint=True, **PARTITION_AWARE) as framework:
        executor["framework_id"] = {"value": framework.id}
        framework.launch(naps(ids[:70]))
        eventually(lambda: len(ended()) >= 20, "some naps are over", PATIENCE_S)
        agent.kill()
        eventually(lambda: len(ended()) >= 40, "others end while the agent is away", PATIENCE_S)
        agent.start()
        cluster.wait_ready()
        framework.launch(naps(ids[70:]))
        ends = {task_id: framework.wait_end(task_id, PATIENCE_S) for task_id in ids}
        assert Counter(end["state"] for end in ends.values()) == {"TASK_FINISHED": 100}
        lives = {task_id: framework.states(task_id) for task_id in ids}
        assert {task_id: life for task_id, life in lives.items() if life != LIFE} == {}
        left = Counter(footprints.read_text().splitlines())
        assert left == Counter(f"{word} {task_id}" for task_id in ids for word in ("start", "end"))
        assert not [event for event in framework.events if event["type"] == "FAILURE"]
        framework.do("TEARDOWN")
