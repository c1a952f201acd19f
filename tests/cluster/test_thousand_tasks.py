"""A thousand tasks at once on one agent: what they cost, and how soon they are gone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import NewCluster, eventually, launchers_below
from tests.cluster.raw import PARTITION_AWARE, Framework, scalars, task

COUNT = 1000
#: Per running command task, in the agent and its launcher together.
BYTES_MAX = 60_000
IDLE_S = 4.0
IDLE_CPU_MAX = 0.02
KILLED_S = 5.0
PATIENCE_S = 60.0

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def sleepers(prefix: str, count: int) -> list[dict[str, Any]]:
    return [
        task(f"{prefix}-{number}", "exec sleep 1000", resources=scalars(cpus=0.01, mem=4))
        for number in range(count)
    ]


def launch(framework: Framework, tasks: list[dict[str, Any]]) -> list[str]:
    """Returns their ids when they run."""
    framework.launch(tasks)
    ids = [one["task_id"]["value"] for one in tasks]
    for task_id in ids:
        framework.wait_state(task_id, "TASK_RUNNING", PATIENCE_S)
    return ids


@pytest.mark.slow
@pytest.mark.alone
def test_a_thousand_sleeping_tasks_cost_little_and_are_killed_at_once(new_cluster: NewCluster) -> None:
    cluster = new_cluster(agent_flags={"resources": "cpus:32;mem:32768;disk:32768"})
    (agent,) = cluster.agents
    with Framework(cluster.master_address, checkpoint=True, **PARTITION_AWARE) as framework:
        before = launch(framework, sleepers("before", 20))  # what the first ones cost is the agent's own
        (launcher,) = launchers_below(cluster.directory)
        pids = {"agent": agent.pid, "launcher": launcher}
        memory = {name: resident_bytes(pid) for name, pid in pids.items()}
        began_s = time.monotonic()
        ids = launch(framework, sleepers("task", COUNT))
        launched_s = time.monotonic() - began_s
        each = {name: (resident_bytes(pid) - memory[name]) / COUNT for name, pid in pids.items()}

        # Until the last updates are acknowledged and written; then nothing is to do.
        def quiet() -> bool:
            used = sum(cpu_s(pid) for pid in pids.values())
            time.sleep(1.0)
            return sum(cpu_s(pid) for pid in pids.values()) - used <= 0.02

        eventually(quiet, "the agent has nothing to do", PATIENCE_S)
        used = {name: cpu_s(pid) for name, pid in pids.items()}
        time.sleep(IDLE_S)
        idle = {name: (cpu_s(pid) - used[name]) / IDLE_S for name, pid in pids.items()}

        asked_s, ids = {}, [*before, *ids]
        for task_id in ids:
            asked_s[task_id] = time.time()
            framework.kill(task_id)
        ends = {task_id: framework.wait_end(task_id, PATIENCE_S) for task_id in ids}
        slowest_s = max(end["timestamp"] - asked_s[task_id] for task_id, end in ends.items())
        all_s = max(end["timestamp"] for end in ends.values()) - min(asked_s.values())

    figures = (
        f"{COUNT} launched in {launched_s:.1f} s; per task agent {each['agent'] / 1000:.1f} kB,"
        f" launcher {each['launcher'] / 1000:.1f} kB; idle CPU agent {idle['agent']:.2%},"
        f" launcher {idle['launcher']:.2%}; all killed within {all_s:.2f} s, each within {slowest_s:.2f} s"
    )
    print(figures)
    assert {end["state"] for end in ends.values()} == {"TASK_KILLED"}
    assert sum(each.values()) < BYTES_MAX, figures
    assert sum(idle.values()) < IDLE_CPU_MAX, figures
    assert slowest_s < KILLED_S, figures
