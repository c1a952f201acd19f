"""Agents and masters that are killed, stopped and lost while work runs on them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster, NewCluster, Role, eventually
from tests.cluster.raw import PARTITION_AWARE, TERMINAL, Framework, task

#: How a task may be told to end, with what must be reported then.
ENDINGS = {
    "exit 0": ("TASK_FINISHED", "Command exited with status 0"),
    "exit 3": ("TASK_FAILED", "Command exited with status 3"),
    "exit 77": ("TASK_FAILED", "Command exited with status 77"),
    "kill -TERM $$": ("TASK_FAILED", "Command terminated with signal Terminated"),
    "kill -KILL $$": ("TASK_FAILED", "Command terminated with signal Killed"),
    "kill -SEGV $$": ("TASK_FAILED", "Command terminated with signal Segmentation fault"),
}


class Puppets:
    """Tasks that run, without using the processor, until they are told how to end."""

    def __init__(self, directory: Path, count: int, prefix: str = "puppet") -> None:
        self._directory = directory
        self.ids = [f"{prefix}-{number}" for number in range(count)]
        for task_id in self.ids:
            os.mkfifo(directory / task_id)

    def tasks(self) -> list[dict[str, Any]]:
        """Each leaves its pid as a footprint, then waits for its ending."""
        return [task(task_id, self._command(task_id)) for task_id in self.ids]

    def _command(self, task_id: str) -> str:
        where = self._directory / task_id
        return f'echo $$ >> {where}.pids; read ending < {where}; eval "$ending"'

    def tell(self, task_id: str, ending: str) -> None:
        (self._directory / task_id).write_text(ending + "\n")

    def pids(self) -> dict[str, tuple[int, str]]:
        """Pid and time of birth of each, from /proc; fails if one ran twice or does not run."""
        found = {}
        for task_id in self.ids:
            footprints = self._directory / f"{task_id}.pids"
            (pid,) = eventually(lambda of=footprints: of.exists() and of.read_text().split(), "it runs")
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            assert stat[0] != "Z", f"{task_id} has ended"
            found[task_id] = int(pid), stat[19]
        return found


@pytest.fixture
def puppets(tmp_path: Path) -> Puppets:
    return Puppets(tmp_path, 20)


@pytest.fixture
def durable(new_cluster: NewCluster) -> Iterator[tuple[Cluster, Framework]]:
    """A cluster of one agent, and a framework that checkpoints."""
    cluster = new_cluster()
    with framework_of(cluster, checkpoint=True) as framework:
        yield cluster, framework


def framework_of(cluster: Cluster, **info: Any) -> Framework:
    return Framework(cluster.master_address, failover_timeout=60, **{**PARTITION_AWARE, **info})


def run(framework: Framework, puppets: Puppets) -> dict[str, tuple[int, str]]:
    """Launch all; returns once they run."""
    framework.launch(puppets.tasks())
    for task_id in puppets.ids:
        framework.wait_state(task_id, "TASK_RUNNING")
    return puppets.pids()


def running(role: Role) -> set[str]:
    """Ids of the tasks that a master or agent shows as running."""
    found = set()
    for framework in role.get("/state")["frameworks"]:
        lists = [framework] if role.kind == "master" else framework["executors"]
        found |= {one["id"] for part in lists for one in part["tasks"] if one["state"] == "TASK_RUNNING"}
    return found


def end_some(puppets: Puppets) -> dict[str, tuple[str, str]]:
    """Let one task end in each way; returns what must be reported, when their processes are gone."""
    before = puppets.pids()
    chosen = dict(zip(puppets.ids, ENDINGS, strict=False))
    for task_id, ending in chosen.items():
        puppets.tell(task_id, ending)
    for task_id in chosen:
        eventually(lambda pid=before[task_id][0]: not Path(f"/proc/{pid}").exists(), f"{task_id} is gone")
    puppets.ids = puppets.ids[len(chosen) :]
    return {task_id: ENDINGS[ending] for task_id, ending in chosen.items()}


def assert_ended(framework: Framework, expected: dict[str, tuple[str, str]]) -> None:
    """Each task reported its true end, once."""
    for task_id in expected:
        framework.wait_end(task_id)
    ends = {task_id: framework.ends(task_id) for task_id in expected}
    assert {task_id: [(one["state"], one["message"]) for one in told] for task_id, told in ends.items()} == {
        task_id: [end] for task_id, end in expected.items()
    }


# ── the agent ─────────────────────────────────────────────────────────────────────────────────────
def test_tasks_do_not_notice_that_their_agent_is_killed(
    durable: tuple[Cluster, Framework], puppets: Puppets
) -> None:
    cluster, framework = durable
    before, agent_id = run(framework, puppets), cluster.master.get("/slaves")["slaves"][0]["id"]
    cluster.agents[0].kill()
    assert puppets.pids() == before
    cluster.agents[0].start()
    cluster.wait_ready()
    assert puppets.pids() == before
    assert running(cluster.agents[0]) == running(cluster.master) == set(puppets.ids)
    assert [one["id"] for one in cluster.master.get("/slaves")["slaves"]] == [agent_id]
    assert {state for task_id in puppets.ids for state in framework.states(task_id)} == {
        "TASK_STARTING",
        "TASK_RUNNING",
    }


def test_tasks_that_end_while_their_agent_is_away_report_their_true_ends(
    durable: tuple[Cluster, Framework], puppets: Puppets
) -> None:
    cluster, framework = durable
    run(framework, puppets)
    cluster.agents[0].kill()
    expected = end_some(puppets)
    cluster.agents[0].start()
    assert_ended(framework, expected)
    cluster.wait_ready()
    assert running(cluster.agents[0]) == set(puppets.ids)
    for task_id in puppets.ids:
        framework.kill(task_id)
    assert_ended(framework, dict.fromkeys(puppets.ids, ("TASK_KILLED", ENDINGS["kill -TERM $$"][1])))


def test_tasks_of_a_framework_without_checkpoints_are_lost_with_their_agent(
    new_cluster: NewCluster, puppets: Puppets
) -> None:
    cluster = new_cluster()
    with framework_of(cluster) as framework:
        before = run(framework, puppets)
        cluster.agents[0].kill()
        for task_id in puppets.ids:
            end = framework.wait_end(task_id)
            assert (end["state"], end["reason"], end["source"]) == (
                "TASK_LOST",
                "REASON_AGENT_DISCONNECTED",
                "SOURCE_MASTER",
            )
        cluster.agents[0].start()
        for pid, _ in before.values():
            eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "the processes are ended")
        cluster.wait_ready()
        assert running(cluster.agents[0]) == running(cluster.master) == set()
        assert all(len(framework.ends(task_id)) == 1 for task_id in puppets.ids)


@pytest.mark.slow
def test_an_agent_killed_ten_times_under_load_runs_every_task_once(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    cluster, rng = new_cluster(), random.Random(2)
    footprints = tmp_path / "footprints"
    waiting = [
        task(
            f"t{n}", f"echo $MESOS_EXECUTOR_ID >> {footprints}; sleep {rng.uniform(0, 1.5):.2f}; exit {n % 3}"
        )
        for n in range(100)
    ]
    ids = [one["task_id"]["value"] for one in waiting]
    with framework_of(cluster, checkpoint=True) as framework:
        for _ in range(10):
            batch, waiting = waiting[:10], waiting[10:]
            framework.launch(batch)
            time.sleep(rng.uniform(0, 0.3))  # anywhere in the life of the ten
            cluster.agents[0].kill()
            cluster.agents[0].start()
        for task_id in ids:
            framework.wait_end(task_id, 40)
        cluster.wait_ready()
        ran = Counter(footprints.read_text().split())
        assert max(ran.values()) == 1
        for n, task_id in enumerate(ids):
            (end,) = framework.ends(task_id)
            if end["state"] == "TASK_DROPPED":  # never begun, and said so
                assert task_id not in ran, end
            else:
                code = n % 3
                assert end["state"] == ("TASK_FAILED" if code else "TASK_FINISHED"), end
                assert end["message"] == f"Command exited with status {code}"
                assert ran[task_id] == 1
        eventually(lambda: not running(cluster.agents[0]), "nothing runs")
        # The agent may have gone before the master had the launch, which then is no task at all.
        refused = {one for one in ids if framework.ends(one)[0].get("reason") == "REASON_INVALID_OFFERS"}
        assert cluster.tasks().keys() == set(ids) - refused
        assert all(one["state"] in TERMINAL for one in cluster.tasks().values())


# ── the master ────────────────────────────────────────────────────────────────────────────────────
def test_a_killed_master_comes_back_with_all_its_work(
    durable: tuple[Cluster, Framework], puppets: Puppets
) -> None:
    cluster, framework = durable
    before, framework_id = run(framework, puppets), framework.id
    agent_id = cluster.master.get("/slaves")["slaves"][0]["id"]
    cluster.master.kill()
    expected = end_some(puppets)
    cluster.master.start()
    framework.subscribe_again()
    assert_ended(framework, expected)
    cluster.wait_ready()
    assert framework.id == framework_id
    assert [one["id"] for one in cluster.master.get("/slaves")["slaves"]] == [agent_id]
    assert running(cluster.master) == set(puppets.ids)
    assert puppets.pids() == {task_id: before[task_id] for task_id in puppets.ids}
    framework.updates.clear()
    framework.do("RECONCILE", reconcile={"tasks": []})
    framework.wait(lambda: set(puppets.ids) <= framework.updates.keys(), "all are reconciled")
    told = [status for task_id in puppets.ids for status in framework.updates[task_id]]
    assert {(one["state"], one["reason"]) for one in told} == {("TASK_RUNNING", "REASON_RECONCILIATION")}


def test_work_survives_when_master_and_agent_are_killed_together(
    durable: tuple[Cluster, Framework], puppets: Puppets
) -> None:
    cluster, framework = durable
    before, framework_id = run(framework, puppets), framework.id
    agent_id = cluster.master.get("/slaves")["slaves"][0]["id"]
    for role in cluster.roles:
        assert role.process is not None
        role.process.kill()
    for role in cluster.roles:
        role.kill()
    expected = end_some(puppets)
    for role in cluster.roles:
        role.start()
    framework.subscribe_again()
    assert_ended(framework, expected)
    cluster.wait_ready()
    assert framework.id == framework_id
    assert [one["id"] for one in cluster.master.get("/slaves")["slaves"]] == [agent_id]
    assert running(cluster.master) == running(cluster.agents[0]) == set(puppets.ids)
    assert puppets.pids() == {task_id: before[task_id] for task_id in puppets.ids}


def test_a_framework_that_does_not_return_is_shown_as_recovered(
    durable: tuple[Cluster, Framework], puppets: Puppets
) -> None:
    cluster, framework = durable
    run(framework, puppets)
    cluster.master.kill()
    cluster.master.start()
    cluster.wait_ready()
    (shown,) = cluster.master.get("/frameworks")["frameworks"]
    assert (shown["id"], shown["recovered"], shown["active"]) == (framework.id, True, False)
    assert running(cluster.master) == set(puppets.ids)
    framework.subscribe_again()
    (shown,) = cluster.master.get("/frameworks")["frameworks"]
    assert (shown["recovered"], shown["active"]) == (False, True)


# ── agents that are only slow, or gone for good ───────────────────────────────────────────────────
@pytest.mark.slow
def test_a_stopped_agent_is_unreachable_and_comes_back_with_its_tasks(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    cluster = new_cluster()
    agent_id = cluster.master.get("/slaves")["slaves"][0]["id"]
    puppets = Puppets(tmp_path, 3, "aware"), Puppets(tmp_path, 3, "plain")
    with (
        framework_of(cluster, checkpoint=True) as aware,
        framework_of(cluster, checkpoint=True, capabilities=[]) as plain,
    ):
        frameworks = dict(zip((aware, plain), puppets, strict=True))
        before = {}
        for framework, mine in frameworks.items():
            before |= run(framework, mine)
            framework.do("SUPPRESS")
        os.kill(cluster.agents[0].pid, signal.SIGSTOP)
        for framework, mine in frameworks.items():
            state = "TASK_UNREACHABLE" if framework is aware else "TASK_LOST"
            for task_id in mine.ids:
                update = framework.wait_state(task_id, state)
                assert (update["reason"], update["source"]) == ("REASON_AGENT_REMOVED", "SOURCE_MASTER")
                assert update["unreachable_time"]["nanoseconds"] > 0
            framework.wait(
                lambda of=framework: any(
                    event["type"] == "FAILURE" and event["failure"] == {"agent_id": {"value": agent_id}}
                    for event in of.events
                ),
                "the failure is told",
            )
        state = cluster.master.get("/state")
        assert (state["activated_slaves"], state["unreachable_slaves"]) == (0, 1)
        unreachable = {
            one["id"] for framework in state["frameworks"] for one in framework["unreachable_tasks"]
        }
        assert unreachable == {*puppets[0].ids, *puppets[1].ids}
        os.kill(cluster.agents[0].pid, signal.SIGCONT)
        for framework, mine in frameworks.items():
            for task_id in mine.ids:
                update = framework.wait(
                    lambda of=framework, task_id=task_id: next(
                        (
                            one
                            for one in of.updates[task_id]
                            if one.get("reason") == "REASON_AGENT_REREGISTERED"
                        ),
                        None,
                    ),
                    f"{task_id} is back",
                )
                assert update is not None
                assert update["state"] == "TASK_RUNNING"
        cluster.wait_ready()
        assert [one["id"] for one in cluster.master.get("/slaves")["slaves"]] == [agent_id]
        assert running(cluster.master) == running(cluster.agents[0]) == {*puppets[0].ids, *puppets[1].ids}
        assert puppets[0].pids() | puppets[1].pids() == before


@pytest.mark.slow
@pytest.mark.parametrize("returns", [True, False])
def test_tasks_launched_on_an_agent_that_vanishes_are_given_up(
    durable: tuple[Cluster, Framework], tmp_path: Path, returns: bool
) -> None:
    cluster, framework = durable
    offer = framework.take_offer()
    os.kill(cluster.agents[0].pid, signal.SIGSTOP)
    framework.accept([offer], [task("never", f"touch {tmp_path}/ran")])
    eventually(lambda: cluster.tasks()["never"]["state"] == "TASK_STAGING", "the launch is on its way")
    cluster.agents[0].kill()
    if returns:
        cluster.agents[0].start()
        end = framework.wait_end("never")
        assert (end["state"], end["source"]) == ("TASK_DROPPED", "SOURCE_MASTER")
        cluster.wait_ready()
        framework.launch([task("next", "true")])
        assert framework.wait_end("next")["state"] == "TASK_FINISHED"
    else:
        update = framework.wait_state("never", "TASK_UNREACHABLE")
        assert update["reason"] == "REASON_AGENT_REMOVED"
    assert not (tmp_path / "ran").exists()
