"""Things that are missing, full, taken or ill-willed: people read what to do, and nothing else suffers."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import IP, Cluster, NewCluster, Role, eventually, free_port, has_ended
from tests.cluster.raw import PARTITION_AWARE, Framework, scalars, task


@pytest.fixture
def framework(cluster: Cluster) -> Iterator[Framework]:
    with Framework(cluster.master_address, checkpoint=True, **PARTITION_AWARE) as one:
        yield one
        one.launch([task("afterwards", "true")])  # whatever went wrong before
        assert one.wait_end("afterwards")["state"] == "TASK_FINISHED"
        one.do("TEARDOWN")


def end_of(framework: Framework, one: dict[str, Any]) -> tuple[str, str, str | None, str]:
    """State, source, reason and message that a task ends with."""
    framework.launch([one])
    end = framework.wait_end(one["task_id"]["value"])
    return end["state"], end["source"], end.get("reason"), end["message"]


# ── tasks that cannot be ──────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("capabilities", [PARTITION_AWARE["capabilities"], []], ids=["aware", "plain"])
def test_a_user_that_does_not_exist(cluster: Cluster, capabilities: list[dict[str, str]]) -> None:
    with Framework(cluster.master_address, capabilities=capabilities) as framework:
        one = task("t", command={"value": "true", "user": "no-such-user"})
        state = "TASK_DROPPED" if capabilities else "TASK_LOST"
        assert end_of(framework, one) == (
            state,
            "SOURCE_AGENT",
            "REASON_EXECUTOR_TERMINATED",
            "The task is to run as 'no-such-user', but this agent's machine has no such user",
        )
        assert framework.states("t") == [state]


def test_a_program_that_does_not_exist(framework: Framework) -> None:
    assert end_of(framework, task("shell", "no-such-program"))[0::3] == (
        "TASK_FAILED",
        "Command exited with status 127",
    )
    alone = {"shell": False, "value": "/no/such/program", "arguments": ["program"]}
    assert end_of(framework, task("alone", command=alone)) == (
        "TASK_FAILED",
        "SOURCE_EXECUTOR",
        None,
        "Command exited with status 1: cannot execute /no/such/program: No such file or directory",
    )


def test_a_program_that_may_not_be_run(framework: Framework, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no program")
    alone = {"shell": False, "value": str(tmp_path / "text")}
    state, source, reason, message = end_of(framework, task("alone", command=alone))
    assert (state, source, reason) == ("TASK_FAILED", "SOURCE_EXECUTOR", None)
    assert message.startswith("Command exited with status 1: ")
    assert "Permission denied" in message


def test_a_directory_that_does_not_exist(framework: Framework) -> None:
    state, source, reason, message = end_of(framework, task("t", "cd /no/such/directory && true"))
    assert (state, source, reason) == ("TASK_FAILED", "SOURCE_EXECUTOR", None)
    assert re.fullmatch("Command exited with status [12]", message)


def test_a_command_that_says_nothing(framework: Framework) -> None:
    state, _, reason, message = end_of(framework, task("t", command={"shell": True}))
    assert (state, reason) == ("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED")
    assert "set 'command.value'" in message


def test_an_executor_that_cannot_be_run(framework: Framework) -> None:
    executor = {
        "type": "CUSTOM",
        "executor_id": {"value": "e"},
        "framework_id": framework.info["id"],
        "command": {"shell": False, "value": "/no/such/program"},
        "resources": scalars(cpus=0.1, mem=32),
    }
    state, source, reason, message = end_of(framework, task("t", executor=executor))
    assert (state, source, reason) == ("TASK_FAILED", "SOURCE_AGENT", "REASON_CONTAINER_LAUNCH_FAILED")
    assert "/no/such/program" in message


def test_a_sandbox_that_cannot_be_made(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    (agent,) = cluster.master.get("/slaves")["slaves"]
    obstacle = cluster.agents[0].work_dir / "slaves" / agent["id"] / "frameworks"
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.write_text("in the way")
    with Framework(cluster.master_address, checkpoint=True, **PARTITION_AWARE) as framework:
        state, source, reason, message = end_of(framework, task("t", "true"))
        assert (state, source, reason) == ("TASK_DROPPED", "SOURCE_AGENT", "REASON_EXECUTOR_TERMINATED")
        assert re.fullmatch("The sandbox .* cannot be made: (Not a directory|File exists)", message)
        obstacle.unlink()
        assert end_of(framework, task("t2", "true"))[0] == "TASK_FINISHED"


# ── a full disk ───────────────────────────────────────────────────────────────────────────────────
def on_small_disk(directory: Path, size: str) -> list[str]:
    """What lets a command see a small disk at `directory`; skips if this machine does not allow it."""
    directory.mkdir(parents=True)
    mount = f'mount -t tmpfs -o size={size} tmpfs {directory} && exec "$0" "$@"'
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    wrapper = [*namespace, "sh", "-c", mount]
    if shutil.which("unshare") is None or subprocess.run([*wrapper, "true"], capture_output=True).returncode:
        pytest.skip("neither root nor user namespaces here, so no small disk can be made")
    return wrapper


@pytest.mark.slow
def test_a_full_disk_fails_the_task_that_filled_it_and_keeps_what_was_promised(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    cluster = new_cluster()
    small = cluster.add_agent(switch_user="false", attributes="disk:small")
    small.wrapper = on_small_disk(small.work_dir, "4m")
    small.start()
    cluster.wait_ready()
    full, hole = tmp_path / "full", tmp_path / "hole"
    os.mkfifo(hole)
    filling = f"cat /dev/zero > big; status=$?; touch {full}"
    fill = f"read go < {hole}; {filling}; read go < {hole}; rm big; exit $status"
    with Framework(cluster.master_address, checkpoint=True, **PARTITION_AWARE) as framework:

        def offer_of(role: Role) -> dict[str, Any]:
            def found() -> dict[str, Any] | None:
                offers = framework.offers.values()
                return next((one for one in offers if one["url"]["address"]["port"] == role.port), None)

            offer = framework.wait(found, f"an offer of {role.name}")
            assert offer is not None
            del framework.offers[offer["id"]["value"]]
            return offer

        framework.accept([offer_of(small)], [task("fills", fill)])
        framework.wait_state("fills", "TASK_RUNNING")
        hole.write_text("go\n")
        eventually(full.exists, "the disk is full")
        framework.accept([offer_of(small)], [task("late", "true")])
        # The full disk is nobody else's business.
        framework.accept([offer_of(cluster.agents[0])], [task("elsewhere", "true")])
        assert framework.wait_end("elsewhere")["state"] == "TASK_FINISHED"
        assert small.answers()
        eventually(
            lambda: "disk is full" in small.log.read_text() or framework.ends("late"), "somebody says so"
        )
        hole.write_text("go\n")
        end = framework.wait_end("fills")
        assert end["state"] == "TASK_FAILED"
        late = framework.wait_end("late")
        assert late["state"] in ("TASK_FINISHED", "TASK_DROPPED", "TASK_FAILED")
        if late["state"] != "TASK_FINISHED":
            assert "No space left on device" in late["message"]
        framework.accept([offer_of(small)], [task("next", "true")])
        assert framework.wait_end("next")["state"] == "TASK_FINISHED"


# ── roles that cannot start ───────────────────────────────────────────────────────────────────────
def attempt(kind: str, work_dir: Path | str, **flags: str) -> tuple[int, str]:
    """Exit status and words of a role that is not expected to stay."""
    flags = {"ip": IP, "port": "0", "work_dir": str(work_dir), **flags}
    if kind == "agent":
        flags = {"master": f"{IP}:1", "resources": "cpus:1;mem:64;disk:64", **flags}
    argv = [sys.executable, "-m", "koinon", kind, *(f"--{name}={value}" for name, value in flags.items())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout + done.stderr


def cannot_start(kind: str, work_dir: Path | str, *words: str, **flags: str) -> None:
    status, said = attempt(kind, work_dir, **flags)
    assert status != 0, said
    assert len(said.splitlines()) == 1, said
    for word in words:
        assert word in said


def test_a_work_directory_is_for_one_agent_at_a_time(cluster: Cluster) -> None:
    """A second master stands by."""
    for role in cluster.agents:
        cannot_start(role.kind, role.work_dir, "belongs to", f"pid {role.pid}", port=str(free_port()))
    assert [role.answers() for role in cluster.roles] == [True, True]
    assert cluster.registered_agents() == 1


def test_a_work_directory_of_another_agent_is_left_alone(cluster: Cluster, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(cluster.agents[0].work_dir / "meta", copy / "meta")
    before = {path: path.read_bytes() for path in (copy / "meta").iterdir() if path.suffix == ".db"}
    cannot_start(
        "agent",
        copy,
        "this agent cannot continue in its work_dir",
        "its port was",
        "start it as it was, or in an empty work_dir",
        port=str(free_port()),
        hostname="other",
        master=cluster.master_address,
    )
    assert before
    assert cluster.registered_agents() == 1
    assert not (copy / "slaves").exists() or not any((copy / "slaves").iterdir())


@pytest.mark.parametrize(("kind", "path"), [("master", "registry.sqlite"), ("agent", "meta/agent.db")])
def test_a_store_that_is_none_of_ours_is_named(tmp_path: Path, kind: str, path: str) -> None:
    garbage, foreign = tmp_path / "garbage", tmp_path / "foreign"
    for directory in (garbage, foreign):
        (directory / path).parent.mkdir(parents=True)
    (garbage / path).write_bytes(b"this is no database" * 1000)
    with sqlite3.connect(foreign / path) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
    database.close()
    for directory in (garbage, foreign):
        cannot_start(kind, directory, str(directory / path))


@pytest.mark.parametrize("kind", ["master", "agent"])
def test_a_port_in_use_is_named(tmp_path: Path, kind: str) -> None:
    with socket.create_server((IP, 0)) as taken:
        port = taken.getsockname()[1]
        cannot_start(kind, tmp_path / "work", f"cannot listen on {IP}:{port}", "--port", port=str(port))


@pytest.mark.parametrize("kind", ["master", "agent"])
def test_a_work_directory_that_cannot_be_written_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("")
    cannot_start(kind, tmp_path / "file", str(tmp_path / "file"))
    cannot_start(kind, tmp_path / "file" / "below", str(tmp_path / "file"))
    cannot_start(kind, "/proc/no/such", "/proc/no")


# ── tasks that do not want to end ─────────────────────────────────────────────────────────────────
#: Leaves pids of itself, of a daemon (double fork, own session) and of a grandchild of that, all deaf to SIGTERM.
STUBBORN = r"""
import os, signal, sys, time
where = sys.argv[1]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
def note():
    with open(where, "a") as file:
        file.write(f"{os.getpid()}\n")
note()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note()
        if os.fork() == 0:
            os.setsid()
            note()
        while True:
            time.sleep(1)
    os._exit(0)
while sys.argv[2] == "stay":
    time.sleep(1)
time.sleep(0.3)
"""


def stubborn(framework: Framework, directory: Path, mode: str) -> list[int]:
    program, where = directory / "program.py", directory / "pids"
    program.write_text(STUBBORN)
    framework.launch([task("stubborn", f"exec {sys.executable} -S {program} {where} {mode}")])
    eventually(lambda: where.exists() and len(where.read_text().split()) == 3, "all three run")
    return [int(pid) for pid in where.read_text().split()]


def test_nothing_survives_a_kill(framework: Framework, tmp_path: Path) -> None:
    pids = stubborn(framework, tmp_path, "stay")
    framework.kill("stubborn", kill_policy={"grace_period": {"nanoseconds": 500_000_000}})
    end = framework.wait_end("stubborn")
    assert (end["state"], end["message"]) == ("TASK_KILLED", "Command terminated with signal Killed")
    assert [has_ended(pid) for pid in pids] == [True, True, True]  # reported only when all are gone


def test_nothing_survives_the_end_of_its_task(framework: Framework, tmp_path: Path) -> None:
    pids = stubborn(framework, tmp_path, "leave")
    assert framework.wait_end("stubborn")["state"] == "TASK_FINISHED"
    assert [has_ended(pid) for pid in pids] == [True, True, True]


def test_nothing_survives_its_framework(cluster: Cluster, tmp_path: Path) -> None:
    with Framework(cluster.master_address, checkpoint=True) as framework:
        pids = stubborn(framework, tmp_path, "stay")
        framework.do("TEARDOWN")
        for pid in pids:
            eventually(lambda pid=pid: has_ended(pid), "it is gone")


def test_a_task_that_listens_may_clean_up_within_its_grace(framework: Framework, tmp_path: Path) -> None:
    command = f"trap 'echo clean > {tmp_path}/said; exit 7' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    framework.launch([task("polite", command)])
    eventually((tmp_path / "ready").exists, "it listens")
    framework.kill("polite", kill_policy={"grace_period": {"nanoseconds": 10_000_000_000}})
    end = framework.wait_end("polite")
    assert (end["state"], end["message"]) == ("TASK_KILLED", "Command exited with status 7")
    assert (tmp_path / "said").read_text() == "clean\n"


def test_a_second_kill_shortens_the_grace(framework: Framework, tmp_path: Path) -> None:
    pids = stubborn(framework, tmp_path, "stay")
    framework.kill("stubborn", kill_policy={"grace_period": {"nanoseconds": 600_000_000_000}})
    framework.kill("stubborn", kill_policy={"grace_period": {"nanoseconds": 0}})
    assert framework.wait_end("stubborn")["state"] == "TASK_KILLED"
    assert [has_ended(pid) for pid in pids] == [True, True, True]
