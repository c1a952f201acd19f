"""Tasks that do their worst: the agent keeps its bounds, answers all the while, and is rid of them when they are killed."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.harness import NewCluster, Role, eventually
from tests.cluster.leftovers import MARKER, of_tasks
from tests.cluster.raw import PARTITION_AWARE, Framework, request, scalars, task

ANSWER_S = 0.1
#: As many as leave the machine enough process ids.
CHILDREN = min(10_000, int(Path("/proc/sys/kernel/pid_max").read_text()) // 3)
#: Every tenth is the child of a child, in a session of its own; none hears SIGTERM.
MULTIPLY = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in range(int(sys.argv[1])):
    if os.fork() == 0:
        if number % 10 == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
        while True:
            signal.pause()
open("all", "w").close()
while True:
    signal.pause()
"""


def sandbox_of(agent: Role, task_id: str) -> Path:
    (framework,) = agent.get("/state")["frameworks"]
    (directory,) = [one["directory"] for one in framework["executors"] if one["id"] == task_id]
    return Path(directory)


def answer_times_s(agent: Role, count: int) -> list[float]:
    """How long the agent takes to say that it is well."""
    times = []
    for _ in range(count):
        began_s = time.monotonic()
        assert request(agent.address, "GET", "/health").status == 200
        times.append(time.monotonic() - began_s)
    return times


def count_above(least: int, mark: str, agent: Role) -> int:
    """How many processes of tasks run if they are more than so many, else 0."""
    count = len(of_tasks(mark, agent.work_dir))
    return count if count > least else 0


@pytest.mark.slow
@pytest.mark.alone
def test_a_task_that_fills_its_stdout_at_full_speed_keeps_the_bound_and_the_agent_answers(
    new_cluster: NewCluster,
) -> None:
    bound, kept = 1 << 20, 2
    cluster = new_cluster(agent_flags={"max_stdout_size": "1MB", "max_rotated_logs": str(kept)})
    (agent,) = cluster.agents
    with Framework(cluster.master_address, checkpoint=True, **PARTITION_AWARE) as framework:
        framework.launch([task("loud", "exec yes")])
        framework.wait_state("loud", "TASK_RUNNING")
        sandbox = sandbox_of(agent, "loud")

        def number() -> int:
            """Of the file renamed last."""
            return max((int(path.suffix[1:]) for path in sandbox.glob("stdout.*")), default=0)

        took_s: list[float] = []
        while number() < 100 or len(took_s) < 50:
            took_s += answer_times_s(agent, 5)
            sizes = []
            for path in sandbox.glob("stdout*"):
                try:
                    sizes.append(path.stat().st_size)
                except FileNotFoundError:  # removed meanwhile
                    continue
            assert max(sizes) <= bound, sizes
        framework.kill("loud")
        assert framework.wait_end("loud")["state"] == "TASK_KILLED"
        left = sorted(path.stat().st_size for path in sandbox.glob("stdout*"))
        assert len(left) <= kept + 1
        assert max(left) <= bound
    median_s = statistics.median(took_s)
    print(f"{number()} MB; /health median {median_s * 1000:.1f} ms, worst {max(took_s) * 1000:.1f} ms")
    assert median_s < ANSWER_S


@pytest.mark.slow
@pytest.mark.alone
def test_thousands_of_children_are_killed_with_their_task(new_cluster: NewCluster, tmp_path: Path) -> None:
    program, mark = tmp_path / "multiply.py", f"{tmp_path}"
    program.write_text(MULTIPLY)
    cluster = new_cluster()
    (agent,) = cluster.agents
    command = {
        "value": f"exec {sys.executable} -I -S {program} {CHILDREN}",
        "environment": {"variables": [{"name": MARKER, "value": mark}]},
    }
    grace = {"grace_period": {"nanoseconds": 500_000_000}}
    many = {**task("many", resources=scalars(cpus=1, mem=1024), kill_policy=grace), "command": command}
    with Framework(cluster.master_address, checkpoint=True, **PARTITION_AWARE) as framework:
        framework.launch([many, task("neighbour", "exec sleep 1000")])
        framework.wait_state("many", "TASK_RUNNING")
        ready = sandbox_of(agent, "many") / "all"
        eventually(ready.exists, f"{CHILDREN} children are born", 90)
        alive = eventually(lambda: count_above(CHILDREN, mark, agent), "all of them run", 30)
        took_s = answer_times_s(agent, 10)
        began_s = time.monotonic()
        framework.kill("many")
        end = framework.wait_end("many", 60)
        killed_s = time.monotonic() - began_s
        assert (end["state"], end["message"]) == ("TASK_KILLED", "Command terminated with signal Killed")
        left = of_tasks(mark, agent.work_dir)
        assert [line for line in left.values() if "multiply" in line] == []
        assert framework.states("neighbour") == ["TASK_STARTING", "TASK_RUNNING"]
    print(f"{alive} processes killed in {killed_s:.1f} s; /health {statistics.median(took_s) * 1000:.1f} ms")
