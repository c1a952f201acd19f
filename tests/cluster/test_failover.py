"""The leading master is killed: commands, frameworks and agents go on with the next one. Nothing is lost, nothing twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call
from koinon.sdk import (
    TERMINAL_STATES,
    CallError,
    Resources,
    Scheduler,
    framework_info,
    task_info,
)
from tests.cluster.harness import AGENT_FLAGS, Role, eventually, launchers_below, wait_ended
from tests.cluster.masters import Masters
from tests.zookeeper import ZooKeeper

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
#: What follows a failover must have happened by then; the machine may be busy.
WAIT_S = 30.0
EACH = Resources.parse("cpus:1;mem:32")


class Cluster:
    """Three masters in ZooKeeper and two agents of four CPUs each."""

    def __init__(self, directory: Path, zk: str) -> None:
        self.zk = zk
        self.directory = directory
        self.masters = Masters(directory, zk)
        self.agents = [Role("agent", f"agent-{n}", directory, {**AGENT_FLAGS, "master": zk}) for n in (1, 2)]

    def start(self) -> None:
        self.masters.start()
        for agent in self.agents:
            agent.start()
        self.wait_agents()
        for agent in self.agents:
            eventually(agent.has_kept_its_id, f"{agent.name} has its id on disk", WAIT_S)

    def wait_agents(self) -> None:
        """Returns when the leader has both agents."""

        def all_back() -> bool:
            slaves = self.masters.leader().get("/slaves")["slaves"]
            return sum(agent["active"] for agent in slaves) == len(self.agents)

        eventually(all_back, "the agents are registered", WAIT_S)

    def fail_over(self) -> Role:
        """Kill the leader with -9; returns the next one, once it leads."""
        leader = self.masters.leader()
        leader.kill()
        return self.masters.leader(but=leader)

    def agent_ids(self) -> set[str]:
        slaves = self.masters.leader().get("/slaves")
        return {agent["id"] for agent in (*slaves["slaves"], *slaves["recovered_slaves"])}

    def command(self, *arguments: str, program: str = "koinon") -> list[str]:
        if program == "koinon":
            return [sys.executable, "-m", "koinon", *arguments]
        return [str(Path(sys.executable).with_name(program)), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KOINON_MASTER": self.zk}

    def run(self, *arguments: str, program: str = "koinon") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments, program=program),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def running(
        self, *arguments: str, program: str = "koinon", stdout: Any = subprocess.PIPE
    ) -> Iterator[subprocess.Popen[str]]:
        """A command in the background."""
        with subprocess.Popen(
            self.command(*arguments, program=program),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def stop(self) -> None:
        for agent in self.agents:
            agent.kill()
        self.masters.stop()
        for pid in launchers_below(self.directory):
            os.kill(pid, 15)
            wait_ended(pid, f"launcher {pid}")


@pytest.fixture
def cluster(
    tmp_path_factory: pytest.TempPathFactory, zookeeper: ZooKeeper, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    one = Cluster(tmp_path_factory.mktemp("failover"), zookeeper.url("me:secret"))
    try:
        one.start()
        yield one
    finally:
        one.stop()
        for role in (*one.masters.roles, *one.agents):  # shown when the test fails
            print(f"── {role.name} ──\n{role.last_words()}")
            assert "secret" not in role.log.read_text()
    shutil.rmtree(one.directory, ignore_errors=True)


# ── commands ──────────────────────────────────────────────────────────────────────────────────────
def test_a_run_goes_on_through_two_failovers(cluster: Cluster, tmp_path: Path) -> None:
    """Eight instances fit at a time: some run, some wait, some are placed by the next master."""
    tally = tmp_path / "tally"
    tally.touch()
    work = f'echo "$KOINON_INDEX begins" >> {tally}; sleep 1.5; echo "$KOINON_INDEX ends" >> {tally}; echo "$KOINON_INDEX says"'
    with cluster.running("run", work, "--instances", "30", "--cpus", "1") as run:
        eventually(lambda: tally.read_text().count("begins") >= 3, "some instances run", WAIT_S)
        cluster.fail_over()
        seen = tally.read_text().count("begins")
        eventually(lambda: tally.read_text().count("begins") >= min(seen + 4, 29), "others begin", WAIT_S)
        cluster.masters.start()
        cluster.fail_over()
        out, err = run.communicate(timeout=90)
    assert run.returncode == 0, err
    assert sorted(out.splitlines()) == sorted(f"{index} says" for index in range(30))
    assert Counter(tally.read_text().splitlines()) == Counter(
        f"{index} {what}" for index in range(30) for what in ("begins", "ends")
    )
    assert "has taken the run over" in err
    assert "secret" not in err


def test_a_run_is_interrupted_though_its_master_is_gone(cluster: Cluster, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    work = f"while :; do date +%s.%N > {alive}; sleep 0.2; done"
    with cluster.running("run", work) as run:
        eventually(alive.exists, "the task runs", WAIT_S)
        cluster.masters.leader().kill()
        time.sleep(0.3)
        run.terminate()
        _, err = run.communicate(timeout=60)
    assert run.returncode == 128 + 15, err
    last = alive.read_text()
    time.sleep(0.6)
    assert alive.read_text() == last


def test_logs_are_followed_through_a_failover(cluster: Cluster, tmp_path: Path) -> None:
    said = tmp_path / "said"
    work = "for i in $(seq 60); do echo $i; sleep 0.1; done"
    with cluster.running("run", "--name", "counter", "--no-follow", work) as run:
        eventually(lambda: "counter" in cluster.run("ps").stdout, "the task runs", WAIT_S)
        with said.open("w") as out, cluster.running("logs", "-f", "counter", stdout=out) as logs:
            eventually(lambda: len(said.read_text().split()) >= 5, "something is said", WAIT_S)
            cluster.fail_over()
            _, err = logs.communicate(timeout=60)
        assert logs.returncode == 0, err
        assert said.read_text().split() == [str(number) for number in range(1, 61)]
        assert run.wait(30) == 0


def test_mesos_execute_hears_the_end_from_the_next_leader(cluster: Cluster, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    flags = (f"--master={cluster.zk}", "--name=one", f"--command=touch {begun}; sleep 3; exit 0")
    with cluster.running(*flags, program="mesos-execute") as execute:
        eventually(begun.exists, "the task runs", WAIT_S)
        cluster.fail_over()
        out, err = execute.communicate(timeout=60)
    assert execute.returncode == 0, out + err
    assert out.count("Subscribed with ID") == 2
    assert "Received status update TASK_FINISHED for task 'one'" in out


def test_every_command_finds_the_leader(cluster: Cluster) -> None:
    leader = cluster.masters.leader()
    assert cluster.run("run", "exit 3").returncode == 3
    assert len(cluster.run("agents").stdout.splitlines()) == 3
    for program in ("mesos-ps", "mesos-resolve"):
        assert cluster.run(f"--master={cluster.zk}", program=program).returncode == 0
    assert cluster.run(cluster.zk, program="mesos-resolve").stdout == f"{leader.address}\n"
    several = ",".join(role.address for role in cluster.masters.roles)
    assert cluster.run(several, program="mesos-resolve").stdout == f"{leader.address}\n"
    executed = cluster.run(
        f"--master={cluster.zk}", "--name=one", "--command=true", "--resources=cpus:1;mem:32",
        program="mesos-execute",
    )  # fmt: skip
    assert executed.returncode == 0, executed.stderr
    following = cluster.fail_over()
    assert cluster.run(several, program="mesos-resolve").stdout == f"{following.address}\n"
    assert cluster.run("run", "--master", several, "exit 4").returncode == 4


def test_a_command_waits_for_the_next_leader(cluster: Cluster) -> None:
    """ZooKeeper names the one that was killed until its session ends."""
    cluster.masters.leader().kill()
    assert cluster.run("run", "exit 5").returncode == 5


def test_without_a_leader_it_is_said_who_was_asked_and_for_how_long(cluster: Cluster) -> None:
    for role in cluster.masters.roles:
        role.kill()
    shown = cluster.zk.replace("secret", "***")

    def told() -> str:
        return cluster.run(f"--master={cluster.zk}", "--timeout=1secs", program="mesos-resolve").stderr

    sentence = f"koinon: no master leads: none stands for election under {shown} (waited 1 s)\n"
    eventually(lambda: told() == sentence, "nobody leads", WAIT_S)
    several = ",".join(role.address for role in cluster.masters.roles)
    refused = "; ".join(f"{role.address} refuses connections" for role in cluster.masters.roles)
    begun_s = time.monotonic()
    assert cluster.run("ps", "--master", several).stderr == f"koinon: no master answers: {refused}\n"
    assert time.monotonic() - begun_s < 10


# ── agents ────────────────────────────────────────────────────────────────────────────────────────
def test_agents_keep_their_ids_and_tasks_while_there_is_no_master_at_all(
    cluster: Cluster, tmp_path: Path
) -> None:
    ids = cluster.agent_ids()
    done = tmp_path / "done"
    with cluster.running("run", "--json", f"sleep 3; touch {done}; exit 7") as run:
        eventually(lambda: cluster.masters.leader().get("/tasks")["tasks"], "the task is launched", WAIT_S)
        eventually(
            lambda: cluster.masters.leader().get("/tasks")["tasks"][0]["state"] == "TASK_RUNNING",
            "the task runs",
            WAIT_S,
        )
        for role in cluster.masters.roles:
            role.kill()
        eventually(done.exists, "the task ends without anybody to hear of it", WAIT_S)
        cluster.masters.start()
        out, err = run.communicate(timeout=60)
    assert run.returncode == 7, out + err
    assert '"exit_status": 7' in out
    cluster.wait_agents()
    assert cluster.agent_ids() == ids


# ── frameworks ────────────────────────────────────────────────────────────────────────────────────
def test_the_framework_of_the_documentation_gets_its_work_done(cluster: Cluster, tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    tally.touch()
    argv = [
        sys.executable,
        str(EXAMPLES / "failover.py"),
        cluster.zk,
        f"echo $WHICH >> {tally}; sleep 1",
        "24",
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as framework:
        eventually(lambda: len(tally.read_text().split()) >= 3, "some tasks run", WAIT_S)
        cluster.fail_over()
        eventually(lambda: len(tally.read_text().split()) >= 14, "more tasks run", WAIT_S)
        cluster.masters.start()
        cluster.fail_over()
        out, err = framework.communicate(timeout=90)
    assert framework.returncode == 0, err
    assert Counter(tally.read_text().split()) == Counter(map(str, range(24)))
    assert out.splitlines()[-1] == "all 24 done"


class Slow(Scheduler):
    """Runs tasks that end while nobody leads, and acknowledges nothing until it is told to."""

    def __init__(self, master: str, count: int, command: str) -> None:
        info = framework_info("slow", failover_timeout_s=600, checkpoint=True)
        super().__init__(master, info, auto_acknowledge=False)
        self._waiting = [f"slow-{number}" for number in range(count)]
        self._command = command
        self.statuses: list[v1.TaskStatus] = []
        self.refused: list[Call] = []
        self.acknowledges = False

    def offers(self, offers: list[v1.Offer]) -> None:
        for offer in offers:
            names, self._waiting = self._waiting[:3], self._waiting[3:]
            self.launch(offer, [task_info(name, offer, EACH, command=self._command) for name in names])

    def update(self, status: v1.TaskStatus) -> None:
        self.statuses.append(status)
        if self.acknowledges:
            self.acknowledge(status)

    def call_refused(self, call: Call, error: CallError) -> None:
        self.refused.append(call)

    def ended(self) -> Counter[str]:
        """How often each task was told to have ended, by different updates."""
        ends = {(one.task_id.value, one.uuid) for one in self.statuses if one.state in TERMINAL_STATES}
        return Counter(task_id for task_id, _ in ends)


async def until(condition: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_updates_that_nobody_acknowledged_arrive_again_at_the_new_leader(cluster: Cluster) -> None:
    framework = Slow(cluster.zk, 4, "sleep 1")
    async with framework:
        await until(lambda: len({one.task_id.value for one in framework.statuses}) == 4, "first updates")
        heard = {one.uuid for one in framework.statuses}
        await asyncio.to_thread(cluster.fail_over)
        framework.statuses.clear()
        framework.acknowledges = True
        await until(lambda: heard <= {one.uuid for one in framework.statuses}, "the same updates again")
        await until(lambda: len(framework.ended()) == 4, "all ends")
        assert set(framework.ended().values()) == {1}
        assert {one.state for one in framework.statuses} <= {
            v1.TaskState.TASK_STARTING, v1.TaskState.TASK_RUNNING, v1.TaskState.TASK_FINISHED,
        }  # fmt: skip


async def test_a_kill_without_a_leader_is_carried_out_by_the_next(cluster: Cluster) -> None:
    framework = Slow(cluster.zk, 2, "sleep 600")
    framework.acknowledges = True
    async with framework:
        await until(
            lambda: [one.state for one in framework.statuses].count(v1.TaskState.TASK_RUNNING) == 2,
            "both run",
        )
        leader = cluster.masters.leader()
        leader.kill()
        await until(lambda: not framework._subscribed.is_set(), "it is noticed")
        framework.kill("slow-0")
        framework.decline([])
        framework.reconcile({"slow-1": None}, until_answered=True)
        before = len(framework.statuses)
        await until(lambda: len(framework.statuses) > before, "the new leader knows of slow-1")
        framework.kill("slow-0")  # a new master may not have known it when it heard of the kill
        await until(lambda: "slow-0" in framework.ended(), "slow-0 is killed")
        assert [call.type for call in framework.refused] == [Call.Type.DECLINE]
        assert framework.ended() == {"slow-0": 1}


async def test_agents_and_frameworks_follow_a_list_of_masters_too(
    tmp_path_factory: pytest.TempPathFactory, zookeeper: ZooKeeper
) -> None:
    one = Cluster(tmp_path_factory.mktemp("failover"), zookeeper.url())
    several = ",".join(role.address for role in one.masters.roles)
    for agent in one.agents:
        agent.flags["master"] = several
    try:
        await asyncio.to_thread(one.start)
        framework = Slow(several, 4, "sleep 2")
        framework.acknowledges = True
        async with framework:
            await until(lambda: len({status.task_id.value for status in framework.statuses}) == 4, "updates")
            await asyncio.to_thread(one.fail_over)
            await until(lambda: len(framework.ended()) == 4, "all ends")
            assert set(framework.ended().values()) == {1}
        await asyncio.to_thread(one.wait_agents)
    finally:
        await asyncio.to_thread(one.stop)
