"""`koinon up --masters`: several masters on one machine, and the ZooKeeper that they need."""

import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from koinon.cli.client import Client
from koinon.cli.errors import Failure
from tests.cluster.harness import eventually
from tests.cluster.test_up import SERVICES, Up, argv_of, processes_below, running
from tests.zookeeper import ZooKeeper


def leader(up: Up) -> str | None:
    """The name of the master that leads."""
    for name, address in up.addresses.items():
        if name.startswith("master"):
            try:
                with Client(address, timeout_s=1) as master:
                    if master.get("/metrics/snapshot")["master/elected"]:
                        return name
            except Failure:
                continue
    return None


def command_lines(up: Up) -> dict[int, str]:
    """Of the processes that it has started."""
    pid = up.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in children}


def pid_of(up: Up, name: str) -> int:
    port = up.addresses[name].rpartition(":")[2]
    return next((pid for pid, line in command_lines(up).items() if f"--port={port}\0" in line), 0)


@pytest.mark.slow
def test_whichever_leader_is_killed_or_frozen_another_one_leads_and_it_is_started_again(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "work", "--masters", "3", services=SERVICES) as up:
        names = ["zookeeper", "master-1", "master-2", "master-3", "agent-1", "marathon", "chronos"]
        assert list(up.addresses) == names
        before = up.agent_ids()
        first = leader(up)
        assert first is not None
        killed = pid_of(up, first)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: leader(up) not in (None, first), "another one leads", 30)
        eventually(lambda: pid_of(up, first) not in (0, killed), "the killed one runs again")
        done = up.koinon("run", "echo it works", "--timeout", "30secs")
        assert (done.returncode, done.stdout) == (0, "it works\n"), done.stderr
        eventually(lambda: up.agent_ids() == before, "the agent is the same")

        second = leader(up)
        assert second is not None
        frozen = pid_of(up, second)
        os.kill(frozen, signal.SIGSTOP)
        eventually(lambda: leader(up) not in (None, second), "another one leads", 30)
        os.kill(frozen, signal.SIGCONT)
        eventually(lambda: pid_of(up, second) not in (0, frozen), "the deposed one is started again")
    assert up.process.returncode == 0
    assert not processes_below(tmp_path)


@pytest.mark.slow
def test_the_next_up_goes_on_with_the_same_registry(tmp_path: Path) -> None:
    with running(tmp_path / "work", "--masters", "2") as up:
        before, addresses = up.agent_ids(), up.addresses
    with running(tmp_path / "work", "--masters", "2") as up:
        assert (up.agent_ids(), up.addresses) == (before, addresses)


@pytest.mark.slow
def test_a_zookeeper_that_dies_is_started_again_and_the_leader_goes_on(tmp_path: Path) -> None:
    def server() -> int:
        return next((pid for pid, line in command_lines(up).items() if "QuorumPeerMain" in line), 0)

    with running(tmp_path / "work", "--masters", "2") as up:
        before, killed = leader(up), server()
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: server() not in (0, killed), "it runs again")
        done = up.koinon("run", "echo it works", "--timeout", "30secs")  # which asks it who leads
        assert (done.returncode, done.stdout) == (0, "it works\n"), done.stderr
        assert leader(up) == before


@pytest.mark.slow
def test_nobody_else_learns_the_password(tmp_path: Path) -> None:
    with running(tmp_path / "work", "--masters", "2", "--agents", "0", services=SERVICES) as up:
        path = tmp_path / "work" / "zookeeper" / "password"
        password = path.read_text()
        assert len(password) > 20
        assert not any(password in line for line in command_lines(up).values())
        logs = (tmp_path / "work" / "logs").iterdir()
        assert not any(password in log.read_text() for log in logs)
        for secret in (path, tmp_path / "work" / "zk"):
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        with Client(up.addresses["master-1"]) as master:
            assert password not in str(master.get("/flags"))


@pytest.mark.slow
def test_an_up_that_follows_one_that_was_killed_waits_for_its_processes_and_goes_on(tmp_path: Path) -> None:
    """Their ports are not free at once, nor their directories."""
    with running(tmp_path / "work", "--masters", "2") as up:
        environment = {**os.environ, "KOINON_MASTER": up.addresses["zookeeper"]}
        argv = [sys.executable, "-m", "koinon", "run", "sleep 5; echo survived"]
        with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as run:
            eventually(lambda: "RUNNING" in up.koinon("ps").stdout, "the task runs")
            addresses, ids = up.addresses, up.agent_ids()
            up.process.kill()
            up.process.communicate()
            with running(tmp_path / "work", "--masters", "2") as next_up:
                assert (next_up.addresses, next_up.agent_ids()) == (addresses, ids)
                output, _ = run.communicate(timeout=60)
        assert (run.returncode, output) == (0, "survived\n")


@pytest.mark.slow
def test_its_zookeeper_serves_as_many_as_come(tmp_path: Path) -> None:
    """All are on one machine, which a server takes for one client that it should be careful with."""
    with running(tmp_path / "work", "--masters", "2", "--agents", "0") as up, ExitStack() as connections:
        place = ("127.0.0.1", int(up.addresses["zookeeper"].partition("/koinon")[0].rpartition(":")[2]))
        for _ in range(100):
            last = connections.enter_context(socket.create_connection(place, timeout=10))
        last.sendall(b"srvr")
        assert last.recv(100)


def test_servers_that_run_already_are_used(tmp_path: Path, zookeeper: ZooKeeper) -> None:
    url = zookeeper.url("koinon:secret")
    with running(tmp_path / "work", "--masters", "2", "--zk", url) as up:
        assert up.addresses["zookeeper"] == url.replace("koinon:secret@", "")
        assert len(up.agent_ids()) == 1
        assert not any("secret" in line for line in command_lines(up).values())
    assert not (tmp_path / "work" / "zookeeper").exists()


def test_without_zookeeper_on_the_machine_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    done = subprocess.run(
        argv_of(tmp_path / "work", "--masters", "3"),
        env={**os.environ, "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "`apt-get install zookeeper`" in done.stderr
    assert "--zk" in done.stderr


@pytest.mark.parametrize(
    ("zk", "sentence"),
    [
        ("127.0.0.1:2181", "koinon: --zk: this is no zk:// URL"),
        ("file:///nowhere/zk", "koinon: --zk: /nowhere/zk cannot be read"),
    ],
)
def test_a_wrong_url_is_explained(tmp_path: Path, zk: str, sentence: str) -> None:
    argv = argv_of(tmp_path / "work", "--zk", zk)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
