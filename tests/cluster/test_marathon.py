"""Services as people run them: a web server of four instances, upgraded, broken, and hit by every kind of death."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from koinon.cli.errors import Failure
from tests.cluster.harness import eventually, wait_ended
from tests.cluster.marathons import Marathon, Marathons, new_marathons
from tests.cluster.test_up import running
from tests.cluster.visitors import Visitors
from tests.zookeeper import ZooKeeper

__all__ = ["new_marathons"]

NewMarathons = Callable[..., Marathons]


def web(version: str, **more: Any) -> dict[str, Any]:
    """A web server that answers with its version. Told to end it goes on for the rest of its grace period."""
    return {
        "id": "/web",
        "cmd": f"trap '' TERM; echo {version} > index.html; exec {sys.executable} -m http.server $PORT0 2> /dev/null",
        "cpus": 0.1,
        "mem": 32,
        "instances": 4,
        "taskKillGracePeriodSeconds": 1,
        "healthChecks": [
            {
                "protocol": "HTTP",
                "path": "/index.html",
                "gracePeriodSeconds": 20,
                "intervalSeconds": 1,
                "timeoutSeconds": 2,
                "maxConsecutiveFailures": 3,
            }
        ],
        "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 0.5},
        **more,
    }


def koinon(marathons: Marathons, *arguments: str, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
    """`koinon ARGUMENTS` that knows all Marathons."""
    where = ",".join(role.address for role in marathons.roles)
    return subprocess.run(
        marathons.cluster.command(*arguments),
        env={**marathons.cluster.environment, "KOINON_MARATHON": where},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def deploy(marathons: Marathons, directory: Path, app: dict[str, Any], *options: str) -> str:
    """`koinon deploy` to its end; what it printed."""
    done = koinon(marathons, "deploy", file_of(directory, app), "--wait", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def file_of(directory: Path, app: dict[str, Any]) -> str:
    path = directory / "app.json"
    path.write_text(json.dumps(app))
    return str(path)


def visitors_of(marathons: Marathons, *, tries: int = 1) -> Visitors:
    def tasks() -> list[dict[str, Any]]:
        for role in marathons.roles:
            answer = role.ask("/v2/apps/web/tasks") if role.process is not None else None
            if answer is not None and answer.status == 200:
                found: list[dict[str, Any]] = answer.json["tasks"]
                return found
        raise ConnectionError("no Marathon answers")

    return Visitors(tasks, tries=tries)


def shown(marathons: Marathons) -> dict[str, Any]:
    found: dict[str, Any] = marathons.ask("/v2/apps/web")["app"]
    return found


def wait_well(marathons: Marathons, version: bytes, visitors: Visitors) -> None:
    """Returns when four healthy instances run, and no other one."""

    def is_well() -> bool:
        app = shown(marathons)
        return bool((app["tasksRunning"], app["tasksHealthy"], len(app["tasks"])) == (4, 4, 4))

    eventually(is_well, "four instances are healthy", 30)
    visitors.answers.clear()
    eventually(lambda: sum(visitors.answers.values()) > 50, "it is visited")
    assert set(visitors.answers) == {version}


# ── what people do ────────────────────────────────────────────────────────────────────────────────
def test_an_upgrade_is_not_noticed_by_those_who_use_the_service(
    new_marathons: NewMarathons, tmp_path: Path
) -> None:
    marathons = new_marathons(agents=2, enable_features="task_killing")
    deploy(marathons, tmp_path, web("one"))
    app = shown(marathons)
    assert (app["tasksRunning"], app["tasksHealthy"]) == (4, 4)
    before = {task["id"] for task in app["tasks"]}
    with visitors_of(marathons) as visitors:
        told = deploy(marathons, tmp_path, web("two"))
        wait_well(marathons, b"two\n", visitors)
    assert visitors.failed == []
    assert "~ app /web: update" in told
    assert "~ cmd: " in told
    assert not before & {task["id"] for task in shown(marathons)["tasks"]}


def test_a_broken_upgrade_is_stopped_and_rolled_back(new_marathons: NewMarathons, tmp_path: Path) -> None:
    marathons = new_marathons(agents=2, enable_features="task_killing")
    deploy(marathons, tmp_path, web("one"))
    before = {task["id"] for task in shown(marathons)["tasks"]}
    with visitors_of(marathons) as visitors:
        broken = file_of(tmp_path, web("two", cmd="echo this is broken >&2; exit 3"))
        done = koinon(marathons, "deploy", broken, "--rollback", "--max-failures", "2")
        assert done.returncode == 1
        assert "failed: Command exited with status 3" in done.stdout
        assert "is given up: 3 tasks failed" in done.stderr
        assert done.stdout.endswith("rolled back\n")
        wait_well(marathons, b"one\n", visitors)
    assert visitors.failed == []
    assert {task["id"] for task in shown(marathons)["tasks"]} == before  # the old ones were never touched
    told = koinon(marathons, "why", "/web").stdout
    assert "app /web is running: 4 of 4 instances run" in told
    assert "ended as FAILED: Command exited with status 3." in told
    assert koinon(marathons, "app", "logs", "web", "--failed").stderr == "this is broken\n"


def test_a_sick_upgrade_is_given_up_after_a_while(new_marathons: NewMarathons, tmp_path: Path) -> None:
    marathons = new_marathons(enable_features="task_killing")
    deploy(marathons, tmp_path, web("one"))
    check = {"protocol": "HTTP", "path": "/not-there", "gracePeriodSeconds": 60, "intervalSeconds": 1}
    with visitors_of(marathons) as visitors:
        sick = file_of(tmp_path, web("two", healthChecks=[check]))
        done = koinon(marathons, "deploy", sick, "--rollback", "--timeout", "4secs")
        assert done.returncode == 1
        assert "it has not ended within 4 s" in done.stderr
        wait_well(marathons, b"one\n", visitors)
    assert visitors.failed == []


def test_a_canary_is_looked_at_before_the_others_follow(new_marathons: NewMarathons, tmp_path: Path) -> None:
    marathons = new_marathons(enable_features="task_killing")
    deploy(marathons, tmp_path, web("one"))
    told = deploy(marathons, tmp_path, web("two", labels={"koinon.canary": "1"}))
    assert "`koinon app go /web` lets it go on" in told
    with visitors_of(marathons) as visitors:
        eventually(lambda: set(visitors.answers) == {b"one\n", b"two\n"}, "both are visited")
        assert "wait for a word to go on" in koinon(marathons, "why", "/web").stdout
        assert koinon(marathons, "app", "go", "/web").returncode == 0
        marathons.wait_deployed()
        wait_well(marathons, b"two\n", visitors)
    assert visitors.failed == []


def test_what_cannot_be_placed_says_why(new_marathons: NewMarathons, tmp_path: Path) -> None:
    marathons = new_marathons()
    plan = koinon(marathons, "plan", file_of(tmp_path, web("one", cpus=64)))
    assert plan.stdout == (
        "+ app /web: create\nsteps:\n  1. StartApplication /web\n  2. ScaleApplication /web\n"
    )
    marathons.ask("/v2/apps/web", status=404)
    assert koinon(marathons, "deploy", file_of(tmp_path, web("one", cpus=64))).returncode == 0
    told = eventually(
        lambda: text if "64 cpus needed" in (text := koinon(marathons, "why", "/web").stdout) else "",
        "the reason is told",
    )
    assert "4 instances wait" in told
    assert "64 cpus needed, 4 offered: 60 missing" in told
    listed = json.loads(koinon(marathons, "app", "list", "--json").stdout)
    assert [(one["id"], one["status"], one["running"], one["instances"]) for one in listed] == [
        ("/web", "DEPLOYING", 0, 4)
    ]


def test_a_pod_runs_its_containers_together(new_marathons: NewMarathons, tmp_path: Path) -> None:
    marathons = new_marathons()
    container = {
        "name": "one",
        "resources": {"cpus": 0.1, "mem": 32},
        "exec": {"command": {"shell": "exec sleep 1000"}},
    }
    pod = {
        "id": "/pod",
        "containers": [container, {**container, "name": "two"}],
        "scaling": {"kind": "fixed", "instances": 2},
    }
    deploy(marathons, tmp_path, pod)
    status = marathons.ask("/v2/pods/pod::status")
    assert (status["status"], len(status["instances"])) == ("STABLE", 2)
    assert {one["name"] for one in status["instances"][0]["containers"]} == {"one", "two"}
    assert marathons.ask("/v2/apps")["apps"] == []
    (record,) = json.loads(koinon(marathons, "app", "list", "--json").stdout)
    assert (record["id"], record["running"], record["instances"]) == ("/pod", 2, 2)
    killed = status["instances"][0]["id"]
    assert marathons.ask(f"/v2/pods/pod::instances/{killed}", "DELETE")["instanceId"] == killed

    def is_replaced() -> bool:
        now = marathons.ask("/v2/pods/pod::status")
        stable = [one["status"] for one in now["instances"]] == ["STABLE", "STABLE"]
        return stable and not containers(status["instances"][:1]) & containers(now["instances"])

    eventually(is_replaced, "it was replaced", 20)
    assert koinon(marathons, "app", "destroy", "pod", "--yes", "--wait").returncode == 0
    marathons.ask("/v2/pods/pod", status=404)


def containers(instances: list[dict[str, Any]]) -> set[str]:
    return {container["containerId"] for one in instances for container in one["containers"]}


# ── what happens to them ──────────────────────────────────────────────────────────────────────────
def task_pid(marathons: Marathons, task_id: str) -> int:
    """Of the process that a task is."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"MESOS_TASK_ID={task_id}".encode() in environment and b"http.server" in command:
                return int(entry.name)
    raise AssertionError(f"{task_id} does not run")


@pytest.mark.timeout(300)
def test_the_service_stays_up_and_an_upgrade_completes_whatever_dies(
    new_marathons: NewMarathons, tmp_path: Path, zookeeper: ZooKeeper
) -> None:
    marathons = new_marathons(2, agents=2, zk=zookeeper.url(), enable_features="task_killing")
    cluster = marathons.cluster
    deploy(marathons, tmp_path, web("one"))
    with visitors_of(marathons, tries=4) as visitors:
        # A task.
        victim = min(marathons.running("/web"))
        os.kill(task_pid(marathons, victim), signal.SIGKILL)
        eventually(lambda: victim not in marathons.running("/web"), "its end is known")
        wait_well(marathons, b"one\n", visitors)

        # Marathon's leader in the middle of an upgrade, which somebody watches.
        before = marathons.running("/web")
        leader = marathons.leader()
        with watched_deploy(marathons, file_of(tmp_path, web("two"))) as watching:
            eventually(lambda: marathons.running("/web") - before, "the upgrade is under way", 20)
            leader.kill()
            _go_on_without(marathons, leader)
            printed, said = watching.communicate(timeout=60)
        assert (watching.returncode, printed.splitlines()[-1]) == (0, "done"), printed + said
        wait_well(marathons, b"two\n", visitors)
        marathons.start()

        # An agent in the middle of an upgrade: its tasks run on.
        marathons.ask("/v2/apps/web", "PUT", {"cmd": web("three")["cmd"]})
        cluster.agents[0].kill()
        cluster.agents[0].start()
        marathons.wait_deployed(60)
        wait_well(marathons, b"three\n", visitors)

        # The master in the middle of an upgrade.
        marathons.ask("/v2/apps/web", "PUT", {"cmd": web("four")["cmd"]})
        cluster.master.kill()
        cluster.master.start()
        cluster.wait_ready()
        marathons.wait_deployed(60)
        wait_well(marathons, b"four\n", visitors)
    assert visitors.failed == []


def watched_deploy(marathons: Marathons, path: str) -> "subprocess.Popen[str]":
    """`koinon deploy --wait` in the background."""
    where = ",".join(role.address for role in marathons.roles)
    return subprocess.Popen(
        marathons.cluster.command("deploy", path, "--wait"),
        env={**marathons.cluster.environment, "KOINON_MARATHON": where},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _go_on_without(marathons: Marathons, dead: Marathon) -> None:
    other = next(role for role in marathons.roles if role is not dead)
    eventually(other.leads, "the other one leads", 20)


def test_an_agent_that_is_lost_for_good_is_replaced(new_marathons: NewMarathons, tmp_path: Path) -> None:
    marathons = new_marathons(agents=2, enable_features="task_killing")
    deploy(marathons, tmp_path, web("one"))
    with visitors_of(marathons, tries=4) as visitors:
        lost = marathons.cluster.agents[0]
        lost.kill()
        left = marathons.cluster.agents[1].get("/state")["id"]
        eventually(
            lambda: (
                [task["slaveId"] for task in shown(marathons)["tasks"] if task["state"] == "TASK_RUNNING"]
                == [left] * 4
            ),
            "all run on the agent that is left",
            30,
        )
        eventually(lambda: shown(marathons)["tasksHealthy"] == 4, "they are healthy", 20)
    assert visitors.failed == []


# ── koinon up ─────────────────────────────────────────────────────────────────────────────────────
def tasks_at(address: str) -> list[dict[str, Any]]:
    """Of the web server, as any client asks for them."""
    with urllib.request.urlopen(f"http://{address}/v2/apps/web/tasks", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)["tasks"]
    return found


@pytest.mark.slow
def test_up_runs_services_too(tmp_path: Path) -> None:
    options = ["--resources", "cpus:4;mem:4096;disk:4096"]
    with running(tmp_path / "work", *options, services=["marathon"]) as up:
        address = up.addresses["marathon"]
        environment = {**os.environ, "KOINON_MASTER": up.master_address, "KOINON_MARATHON": address}

        def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
            argv = [sys.executable, "-m", "koinon", *arguments]
            return subprocess.run(
                argv, env=environment, capture_output=True, text=True, timeout=90, check=False
            )

        at_once = {"upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}}
        done = run("deploy", file_of(tmp_path, web("one", **at_once)), "--wait")
        assert done.returncode == 0, done.stderr
        (listed,) = json.loads(run("app", "list", "--json").stdout)
        assert (listed["running"], listed["healthy"], listed["status"]) == (4, 4, "RUNNING")
        with Visitors(lambda: tasks_at(address)) as visitors:
            assert run("deploy", file_of(tmp_path, web("two", **at_once)), "--wait").returncode == 0
        assert visitors.failed == []
        agents = up.agent_ids()

        def is_whole(role: str, killed: int) -> bool:
            try:
                return up.role_pid(role, default=killed) != killed and up.agent_ids() == agents
            except Failure:
                return False

        for role in ("marathon", "master", "agent"):
            pid = up.role_pid(role)
            os.kill(pid, signal.SIGKILL)
            wait_ended(pid, f"the {role}")
            eventually(
                lambda: (
                    (found := run("app", "list", "--json")).returncode == 0
                    and json.loads(found.stdout)[0]["healthy"] == 4
                ),
                f"the service is well after the {role}'s death",
                30,
            )
            # What an agent is told while it is away would be said again only after ten seconds.
            eventually(lambda role=role, pid=pid: is_whole(role, pid), f"the {role} is back", 30)
        done = run("app", "scale", "web", "2", "--wait")
        assert done.returncode == 0, done.stderr
        assert run("app", "destroy", "web", "--yes", "--wait").returncode == 0
        assert run("app", "list", "--json").stdout == "[]\n"
