"""`koinon up` as a person runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from koinon.cli.client import Client
from tests.cluster.harness import IP, eventually, wait_ended

SERVICES = ("marathon", "chronos")


class Up:
    """A running `koinon up`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.addresses: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        assert process.stdout is not None
        for line in process.stdout:
            if line == "ready\n":
                return
            name, url, *agent_id = line.split()
            self.addresses[name] = url.removeprefix("http://")
            self.ids.update(zip([name], agent_id, strict=False))
        raise AssertionError(process.stderr.read() if process.stderr else "")

    @property
    def master_address(self) -> str:
        """Of a master; one that does not lead redirects to who does."""
        return next(address for name, address in self.addresses.items() if name.startswith("master"))

    def agent_ids(self) -> list[str]:
        with Client(self.master_address) as master:
            return sorted(agent["id"] for agent in master.get("/slaves")["slaves"] if agent["active"])

    def role_pid(self, role: str, default: int | None = None) -> int:
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            if f"koinon\0{role}\0" in Path(f"/proc/{child}/cmdline").read_text():
                return int(child)
        if default is not None:
            return default
        raise AssertionError(f"there is no {role}")

    def koinon(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        place = self.addresses.get("zookeeper", self.master_address)
        environment = {**os.environ, "KOINON_MASTER": place}
        argv = [sys.executable, "-m", "koinon", *arguments]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)


def argv_of(work_dir: Path, *options: str, services: Collection[str] = ()) -> list[str]:
    """A command that starts those services only: each costs as much as a master."""
    own = [f"--{role}-port=0" for role in ("master", "agent", *SERVICES)]
    own += [f"--no-{service}" for service in SERVICES if service not in services]
    own.append("--resources=cpus:2;mem:512;disk:512")
    return [sys.executable, "-m", "koinon", "up", "--work-dir", str(work_dir), *own, *options]


@contextmanager
def running(work_dir: Path, *options: str, services: Collection[str] = ()) -> Iterator[Up]:
    with subprocess.Popen(
        argv_of(work_dir, *options, services=services),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Up(process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=30)


def processes_below(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes()
                inside = os.readlink(entry / "cwd").startswith(str(directory))
            except OSError:  # gone since
                continue
            if inside or os.fsencode(directory) in command:
                found.append(f"{entry.name} {command!r}")
    return found


@pytest.mark.alone
def test_a_newcomer_gets_a_working_cluster_in_three_seconds(tmp_path: Path) -> None:
    began_s = time.monotonic()
    with running(tmp_path / "work", services=SERVICES) as up:
        took_s = time.monotonic() - began_s
        assert list(up.addresses) == ["master", "agent-1", "marathon", "chronos"]
        assert took_s < 3
        done = up.koinon("run", "echo it works")
        assert (done.returncode, done.stdout) == (0, "it works\n")


def test_services_run_on_it_and_again_on_the_next_one(tmp_path: Path) -> None:
    def ask(up: Up, path: str, app: object = None) -> Any:
        body = None if app is None else json.dumps(app).encode()
        url = f"http://{up.addresses['marathon']}/v2/{path}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def running_tasks(up: Up) -> list[str]:
        return [task["id"] for task in ask(up, "tasks")["tasks"] if task["state"] == "TASK_RUNNING"]

    with running(tmp_path / "work", services=["marathon"]) as up:
        ask(up, "apps", {"id": "/web", "cmd": "exec sleep 1000", "instances": 2, "mem": 32})
        before = eventually(lambda: found if len(found := running_tasks(up)) == 2 else None, "two run")
        pid = up.role_pid("marathon")
        os.kill(pid, signal.SIGKILL)
        wait_ended(pid, "Marathon")
        eventually(lambda: up.role_pid("marathon", default=pid) != pid, "it is started again")
    with running(tmp_path / "work", services=["marathon"]) as up:
        eventually(lambda: len({*running_tasks(up)} - {*before}) == 2, "two others run", 30)
    eventually(lambda: not processes_below(tmp_path), "nothing is left")


def test_marathon_has_its_settings_from_the_environment_but_those_that_up_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARATHON_MESOS_ROLE", "web")
    monkeypatch.setenv("MARATHON_ZK", "zk://h:1/elsewhere")
    monkeypatch.setenv("MARATHON_HTTP_PORT", "1")
    with running(tmp_path / "work", services=["marathon"]) as up:
        url = f"http://{up.addresses['marathon']}/config"
        with urllib.request.urlopen(url, timeout=10) as answer:
            shown = json.load(answer)
    assert shown["mesos_role"] == "web"
    assert "zk" not in shown


def test_without_services(tmp_path: Path) -> None:
    with running(tmp_path / "work") as up:
        assert list(up.addresses) == ["master", "agent-1"]


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    with (
        running(tmp_path / "work", "--agents", "2", services=SERVICES) as up,
        subprocess.Popen(
            [sys.executable, "-m", "koinon", "run", "sleep 1000", "--instances", "3", "--no-follow"],
            env={**os.environ, "KOINON_MASTER": up.addresses["master"]},
            stderr=subprocess.DEVNULL,
        ) as run,
    ):
        with Client(up.addresses["master"]) as master:
            eventually(
                lambda: sum(task["state"] == "TASK_RUNNING" for task in master.get("/tasks")["tasks"]) == 3,
                "three tasks run",
            )
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(30) == 0
        run.kill()
    eventually(lambda: not processes_below(tmp_path), "nothing is left")


def test_the_next_up_goes_on_with_the_same_agents_and_ports(tmp_path: Path) -> None:
    with running(tmp_path / "work", "--agents", "2") as up:
        before, addresses = up.agent_ids(), up.addresses
    with running(tmp_path / "work", "--agents", "2") as up:
        assert (up.agent_ids(), up.addresses) == (before, addresses)


def test_the_next_up_may_have_more_agents_or_fewer(tmp_path: Path) -> None:
    work = tmp_path / "work"

    def ports(up: Up) -> list[str]:
        with Client(up.addresses["master"]) as master:
            agents = {agent["id"]: agent for agent in master.get("/slaves")["slaves"]}
        return [agents[agent_id]["resources"]["ports"] for agent_id in up.ids.values()]

    with running(work) as up:
        first = up.ids["agent-1"]
        assert ports(up) == ["[31000-32000]"]
        assert up.koinon("run", "echo once").returncode == 0
    with running(work, "--agents", "3", "--attributes", "rack:a") as up:
        assert (up.ids["agent-1"], len(up.ids)) == (first, 3)
        assert ports(up) == ["[31000-31332]", "[31333-31666]", "[31667-32000]"]
        assert up.koinon("run", "true", "--instances", "3").returncode == 0
    with running(work, "--agents", "2", "--resources", "cpus:1") as up:
        assert (up.ids["agent-1"], len(up.ids)) == (first, 2)
        assert ports(up) == ["[31000-31499]", "[31500-32000]"]
        assert up.koinon("run", "true").returncode == 0


def test_agents_share_what_the_machine_has_and_are_told_by_id(tmp_path: Path) -> None:
    with running(tmp_path / "work", "--agents", "2", "--resources", "cpus:1") as up:
        with Client(up.addresses["master"]) as master:
            agents = {agent["id"]: agent for agent in master.get("/slaves")["slaves"]}
        for name, agent_id in up.ids.items():
            assert agents[agent_id]["pid"].endswith(f"@{up.addresses[name]}")
        has = [agents[up.ids[name]]["resources"] for name in ("agent-1", "agent-2")]
        assert [one["cpus"] for one in has] == [1, 1]
        assert [one["ports"] for one in has] == ["[31000-31499]", "[31500-32000]"]
        machine_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
        assert 0 < sum(one["mem"] for one in has) < machine_mb


def test_a_role_that_dies_is_started_again(tmp_path: Path) -> None:
    with running(tmp_path / "work") as up:
        before = up.agent_ids()
        for role in ("master", "agent"):
            pid = up.role_pid(role)
            os.kill(pid, signal.SIGKILL)
            wait_ended(pid, f"the {role}")
            eventually(
                lambda: up.koinon("run", "true", "--timeout", "10secs").returncode == 0,
                f"the {role} is back",
                20,
            )
        assert up.agent_ids() == before
    assert up.process.returncode == 0


def test_when_up_is_killed_its_roles_go_too(tmp_path: Path) -> None:
    with running(tmp_path / "work", services=SERVICES) as up:
        pids = [up.role_pid(role) for role in ("master", "agent", *SERVICES)]
        up.process.kill()
        up.process.wait()
        for pid in pids:
            wait_ended(pid, "a role")


def test_a_work_directory_in_use_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "work"):
        second = subprocess.run(
            argv_of(tmp_path / "work"), capture_output=True, text=True, timeout=30, check=False
        )
    assert second.returncode == 1
    assert "is in use by another `koinon up`" in second.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server((IP, 0)) as taken:
        port = taken.getsockname()[1]
        argv = argv_of(tmp_path / "work", "--master-port", str(port))
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"koinon: port {port} on {IP} is in use")


def test_a_role_that_cannot_start_tells_why(tmp_path: Path) -> None:
    argv = argv_of(tmp_path / "work", "--resources", "cpus:many")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "agent-1" in done.stderr
    assert "many" in done.stderr
    eventually(lambda: not processes_below(tmp_path), "nothing is left")
