"""`koinon run` on a real cluster: output, exit status, and what is left when it goes."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cluster.harness import Cluster, NewCluster, eventually


def running_tasks(cluster: Cluster, name: str) -> list[str]:
    return [
        task_id
        for task_id, task in cluster.tasks().items()
        if task["name"] == name and task["state"] == "TASK_RUNNING"
    ]


def process_exists(marker: str) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    return True
            except OSError:  # gone since
                continue
    return False


def test_the_output_and_exit_status_are_those_of_the_command(cluster: Cluster) -> None:
    done = cluster.koinon("run", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_fifty_instances_print_fifty_whole_lines(cluster: Cluster) -> None:
    done = cluster.koinon("run", "echo hello from $KOINON_INDEX of $KOINON_COUNT", "--instances", "50")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(f"hello from {index} of 50" for index in range(50))


def test_every_instance_is_a_task_of_its_own(cluster: Cluster) -> None:
    done = cluster.koinon("run", "echo $KOINON_TASK_ID", "--instances", "3", "--name", "own")
    ids = done.stdout.splitlines()
    assert len(set(ids)) == 3
    assert set(ids) <= cluster.tasks().keys()


def test_output_is_shown_while_the_command_runs(cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with cluster.running(
        "run", f"echo first; while [ ! -e {gate} ]; do sleep 0.05; done; echo second"
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        gate.touch()
        assert process.communicate(timeout=20)[0] == "second\n"
        assert process.returncode == 0


def test_output_arrives_byte_by_byte_as_written(cluster: Cluster) -> None:
    script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 2000)"
    argv = cluster.command("run", f"python3 -c '{script}'")
    done = subprocess.run(argv, env=cluster.environment, capture_output=True, timeout=60, check=True)
    assert done.stdout == bytes(range(256)) * 2000


def test_a_signal_that_ends_the_command_is_128_more(cluster: Cluster) -> None:
    assert cluster.koinon("run", "exec sh -c 'kill -SEGV $$'").returncode == 128 + signal.SIGSEGV


def test_the_first_failing_instance_gives_the_status_and_is_named(cluster: Cluster) -> None:
    done = cluster.koinon("run", "test $KOINON_INDEX -lt 2 || exit $((KOINON_INDEX + 5))", "--instances", "4")
    assert done.returncode == 7
    assert "2 of 4 instances failed" in done.stderr
    assert "Command exited with status 7" in done.stderr


def test_options_reach_the_task(cluster: Cluster) -> None:
    done = cluster.koinon(
        "run",
        "echo $A $B",
        "--env",
        "A=1",
        "--env",
        "B=x y",
        "--name",
        "opts",
        "--cpus",
        "0.5",
        "--mem",
        "64",
    )
    assert done.stdout == "1 x y\n"
    (task,) = [task for task in cluster.tasks().values() if task["name"] == "opts"]
    assert (task["resources"]["cpus"], task["resources"]["mem"]) == (0.5, 64)


def test_json_gives_a_summary_instead_of_the_output(cluster: Cluster) -> None:
    done = cluster.koinon("run", "echo x; exit $KOINON_INDEX", "--instances", "2", "--json")
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["exit_status"], summary["counts"]) == (
        1,
        1,
        {"FINISHED": 1, "FAILED": 1},
    )
    assert [one["exit_status"] for one in summary["instances"]] == [0, 1]


def test_a_user_that_does_not_exist_is_told(cluster: Cluster) -> None:
    done = cluster.koinon("run", "true", "--user", "nobody-of-that-name")
    assert done.returncode == 1
    assert "nobody-of-that-name" in done.stderr


def test_timeout_kills_the_work_and_gives_124(cluster: Cluster) -> None:
    marker = f"{1000 + os.getpid()}.25"
    assert cluster.koinon("run", f"sleep {marker}", "--timeout", "500ms").returncode == 124
    assert not process_exists(marker)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_kills_the_work_and_waits_for_its_end(
    cluster: Cluster, number: signal.Signals, status: int
) -> None:
    marker = f"{2000 + os.getpid()}.{int(number)}"
    with cluster.running(
        "run", f"sleep {marker}", "--instances", "3", "--name", f"sig{int(number)}"
    ) as process:
        eventually(lambda: len(running_tasks(cluster, f"sig{int(number)}")) == 3, "three tasks run")
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == status
    assert not process_exists(marker)
    assert {task["state"] for task in cluster.tasks().values() if task["name"] == f"sig{int(number)}"} == {
        "TASK_KILLED"
    }


def test_ctrl_c_on_a_terminal_kills_the_work(cluster: Cluster) -> None:
    marker = f"{3000 + os.getpid()}.75"
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        cluster.command("run", f"echo $KOINON_INDEX up; sleep {marker}", "--instances", "2"),
        env=cluster.environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # becomes the controlling terminal
    )
    os.close(follower)
    seen = b""
    try:
        deadline_s = time.monotonic() + 20
        while not (b"0 up" in seen and b"1 up" in seen and b"2 running" in seen):
            assert time.monotonic() < deadline_s, seen
            seen += os.read(leader, 4096)
        os.write(leader, b"\x03")
        assert process.wait(20) == 130
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(leader)
    assert b"0 \xe2\x94\x82 0 up" in seen
    assert not process_exists(marker)


def test_work_of_a_run_that_was_killed_does_not_stay_for_ever(cluster: Cluster) -> None:
    with cluster.running("run", "sleep 1000", "--name", "orphan") as process:
        eventually(lambda: running_tasks(cluster, "orphan"), "the task runs")
        process.kill()
        process.wait(10)
    (framework,) = [one for one in cluster.master.get("/frameworks")["frameworks"] if one["name"] == "orphan"]
    assert 0 < framework["failover_timeout"] <= 60


def test_a_run_that_no_agent_can_hold_says_what_the_largest_has(cluster: Cluster) -> None:
    with cluster.running("run", "true", "--cpus", "64", "--name", "toobig") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("koinon: waiting: no agent has 64 cpus: the largest has 4 (agent ")
        why = cluster.koinon("why", "toobig").stdout.splitlines()
        assert why[0].endswith(" (toobig) is active")
        assert re.search(
            r"what is free \(cpus [\d.]+, disk 4096, mem \d+\) was offered to the framework, which declined it;",
            why[-1],
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_run_that_waits_for_others_says_what_is_free(cluster: Cluster) -> None:
    with cluster.running("run", "sleep 1000", "--cpus", "3", "--name", "first") as first:
        eventually(lambda: running_tasks(cluster, "first"), "the first runs")
        with cluster.running("run", "true", "--cpus", "2", "--name", "second") as second:
            assert second.stderr is not None
            assert re.match(
                r"koinon: waiting: no agent has 2 cpus free now: agent .* has [01][\d.]* cpus free of 4 cpus$",
                second.stderr.readline(),
            )
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=20)
            second.communicate(timeout=20)
    assert second.returncode == 0


def test_a_run_that_an_operator_tears_down_ends_with_a_sentence(cluster: Cluster) -> None:
    with cluster.running("run", "sleep 1000", "--name", "torn") as process:
        eventually(lambda: running_tasks(cluster, "torn"), "the task runs")
        (framework,) = [
            one for one in cluster.master.get("/frameworks")["frameworks"] if one["name"] == "torn"
        ]
        cluster.master.call({"type": "TEARDOWN", "teardown": {"framework_id": {"value": framework["id"]}}})
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert (
        f"koinon: the master at {cluster.master_address} ended the run: Framework has been removed\n" in err
    )


def test_a_second_signal_leaves_even_without_a_master(new_cluster: NewCluster) -> None:
    cluster: Cluster = new_cluster()
    with cluster.running("run", "sleep 1000", "--name", "stuck") as process:
        eventually(lambda: running_tasks(cluster, "stuck"), "the task runs")
        cluster.master.kill()
        assert process.stderr is not None
        assert "trying again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        eventually(lambda: "interrupt again" in process.stderr.readline(), "it says what it waits for")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_more_instances_than_fit_at_once_run_one_after_the_other(cluster: Cluster) -> None:
    done = cluster.koinon("run", "echo $KOINON_INDEX", "--instances", "10", "--cpus", "2")
    assert (done.returncode, sorted(done.stdout.split(), key=int)) == (0, [str(index) for index in range(10)])


def test_instances_spread_over_agents_and_survive_a_restart_of_one(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    cluster: Cluster = new_cluster(agents=2)
    gate = tmp_path / "gate"
    command = f"while [ ! -e {gate} ]; do sleep 0.05; done; echo $KOINON_INDEX"
    with cluster.running("run", command, "--instances", "4", "--name", "spread") as process:
        eventually(lambda: len(running_tasks(cluster, "spread")) == 4, "four tasks run")
        agents = [task["slave_id"] for task in cluster.tasks().values()]
        assert len(set(agents)) == 2
        cluster.agents[0].kill()
        gate.touch()
        cluster.agents[0].start()
        out, err = process.communicate(timeout=40)
    assert (process.returncode, sorted(out.split())) == (0, ["0", "1", "2", "3"]), err


def test_a_run_goes_on_over_a_restart_of_the_master(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster: Cluster = new_cluster()
    gate = tmp_path / "gate"
    command = f"while [ ! -e {gate} ]; do sleep 0.05; done; echo $KOINON_INDEX"
    with cluster.running("run", command, "--instances", "2", "--name", "steady") as process:
        eventually(lambda: len(running_tasks(cluster, "steady")) == 2, "two tasks run")
        cluster.master.kill()
        gate.touch()
        cluster.master.start()
        out, err = process.communicate(timeout=40)
    assert (process.returncode, sorted(out.split())) == (0, ["0", "1"]), err
