"""Real masters on one work directory, without ZooKeeper: one leads, and the next one when it has ended."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import AGENT_FLAGS, Role, eventually, launchers_below, wait_ended
from tests.cluster.masters import Masters, ask, leads
from tests.cluster.test_masters import register

WAIT_S = 20.0


class Cluster:
    """Two masters on one work directory, and an agent that knows the addresses of both."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.masters = Masters(directory, None, count=2)
        self.agent = Role("agent", "agent", directory, {**AGENT_FLAGS, "master": self.addresses})

    @property
    def addresses(self) -> str:
        return ",".join(role.address for role in self.masters.roles)

    def start(self) -> None:
        self.masters.start()
        self.agent.start()
        eventually(lambda: self.agents(active=True), "the agent is registered", WAIT_S)
        eventually(self.agent.has_kept_its_id, "the agent has its id on disk", WAIT_S)

    def agents(self, *, active: bool) -> list[str]:
        """Ids of agents that the leader knows."""
        return [
            one["id"] for one in self.masters.leader().get("/slaves")["slaves"] if one["active"] is active
        ]

    def koinon(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "koinon", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KOINON_MASTER": self.addresses}

    def stop(self) -> None:
        self.agent.kill()
        self.masters.stop()
        for pid in launchers_below(self.directory):
            os.kill(pid, signal.SIGTERM)
            wait_ended(pid, f"launcher {pid}")

    def logs(self) -> str:
        return f"{self.masters.logs()}\n── agent ──\n{self.agent.last_words()}"


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    one = Cluster(tmp_path_factory.mktemp("here"))
    try:
        one.start()
        yield one
    finally:
        one.stop()
    shutil.rmtree(one.directory, ignore_errors=True)


def test_a_run_goes_on_under_the_other_master(cluster: Cluster, tmp_path: Path) -> None:
    """The other one finds the registry; agent, task and command come to it."""
    (agent_id,) = cluster.agents(active=True)
    begun, end = tmp_path / "begun", tmp_path / "end"
    leader = cluster.masters.leader()
    (standby,) = cluster.masters.standbys(leader)
    work = f"echo once >> {begun}; until [ -e {end} ]; do sleep 0.05; done; exit 3"
    with subprocess.Popen(
        cluster.koinon("run", work), env=cluster.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as run:
        eventually(begun.exists, "the task runs", WAIT_S)
        leader.kill()
        assert cluster.masters.leader(but=leader) is standby
        eventually(lambda: cluster.agents(active=True) == [agent_id], "the agent is back", WAIT_S)
        leader.start()  # which stands by now, and takes over again
        cluster.masters.wait_ready()
        assert not leads(leader)
        standby.kill()
        assert cluster.masters.leader(but=standby) is leader
        eventually(lambda: cluster.agents(active=True) == [agent_id], "the agent is back again", WAIT_S)
        end.touch()
        assert run.wait(60) == 3
        assert run.stderr is not None
        run.stderr.close()
    assert begun.read_text() == "once\n"


def test_who_is_frozen_goes_on_leading(cluster: Cluster) -> None:
    """Nobody takes a lock of the kernel from it; agents and commands wait."""
    leader = cluster.masters.leader()
    (standby,) = cluster.masters.standbys(leader)
    os.kill(leader.pid, signal.SIGSTOP)
    begun_s = time.monotonic()
    while time.monotonic() < begun_s + 2.0:
        answer = ask(standby, "/state")
        assert answer is not None
        assert (answer.status, answer.location) == (307, f"//{leader.address}/state")
        time.sleep(0.1)
    os.kill(leader.pid, signal.SIGCONT)
    eventually(lambda: leads(leader), "it leads as before", WAIT_S)
    eventually(lambda: cluster.agents(active=True), "the agent is registered", WAIT_S)


def test_agents_are_told_of_no_epoch(cluster: Cluster) -> None:
    """So they follow whoever leads on this directory, though it was put back from a copy."""
    for _ in range(2):
        leader = cluster.masters.leader()
        assert asyncio.run(register(leader)).epoch == 0
        leader.kill()
        cluster.masters.leader(but=leader)
        leader.start()
    copy = cluster.directory / "copy"
    for role in cluster.masters.roles:
        role.stop()
    place = Path(cluster.masters.roles[0].flags["work_dir"])
    shutil.copytree(place, copy, ignore=shutil.ignore_patterns("master.*"))
    shutil.rmtree(place)
    copy.rename(place)
    cluster.masters.start()
    eventually(lambda: cluster.agents(active=True), "the agent is registered", WAIT_S)


def test_of_many_that_are_started_and_killed_never_two_lead(tmp_path: Path) -> None:
    masters = Masters(tmp_path, None, count=5)
    try:
        for role in masters.roles:
            role.start()
        while len(masters.roles) > 1:
            leader = masters.leader()
            masters.wait_ready()
            assert [role for role in masters.roles if leads(role)] == [leader]
            leader.kill()
            masters.roles.remove(leader)
        masters.leader()
    finally:
        masters.stop()
