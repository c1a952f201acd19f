"""The other commands on a real cluster."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.harness import Cluster, eventually


def mesos(cluster: Cluster, verb: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `mesos-VERB ARGUMENTS` with the cluster's master."""
    program = Path(sys.executable).with_name(f"mesos-{verb}")
    argv = [str(program), f"--master={cluster.master_address}", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def listed(cluster: Cluster, *command: str) -> "list[dict[str, object]]":
    done = cluster.koinon(*command, "--json")
    assert done.returncode == 0, done.stderr
    records: list[dict[str, object]] = json.loads(done.stdout)
    return records


def test_a_running_task_is_seen_by_every_command(cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    command = (
        f"echo first; echo trouble >&2; mkdir sub; while [ ! -e {gate} ]; do sleep 0.05; done; echo last"
    )
    with cluster.running("run", command, "--name", "seen", "--no-follow") as run:
        eventually(lambda: [task for task in listed(cluster, "ps") if task["state"] == "RUNNING"], "it runs")
        (task,) = listed(cluster, "ps")
        assert (task["name"], task["framework"]) == ("seen", "seen")
        assert task["processes"] in (1, 2)  # the shell, and most of the time a sleep
        assert [one["id"] for one in listed(cluster, "tasks")] == [task["id"]]
        (framework,) = listed(cluster, "frameworks")
        assert (framework["id"], framework["tasks"], framework["state"]) == (
            task["framework_id"],
            1,
            "ACTIVE",
        )
        (agent,) = listed(cluster, "agents")
        assert (agent["cpus_used"], agent["mem_used"], agent["cpus"]) == (0.1, 32, 4)
        (role,) = listed(cluster, "roles")
        assert (role["name"], role["cpus"], role["frameworks"]) == ("*", 0.1, 1)
        assert cluster.koinon("ls", "seen").stdout == "stderr\nstdout\nsub/\n"
        assert "running" in cluster.koinon("why", str(task["id"])).stdout
        with cluster.running("logs", "-f", "seen") as logs:
            assert logs.stdout is not None
            assert logs.stdout.readline() == "first\n"
            gate.touch()
            out, err = logs.communicate(timeout=20)
            assert (out, err, logs.returncode) == ("last\n", "trouble\n", 0)
        run.communicate(timeout=20)
    assert cluster.koinon("cat", "seen").stdout == "first\nlast\n"
    assert cluster.koinon("cat", "seen", "nothing").returncode == 1


def test_json_of_every_listing_has_the_fields_that_the_reference_names(cluster: Cluster) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (`.*`) \|$", page, re.MULTILINE))
    assert rows.keys() == {"ps", "tasks", "frameworks", "agents", "roles"}
    with cluster.running("run", "sleep 1000", "--name", "shown") as run:
        eventually(lambda: [task for task in listed(cluster, "ps") if task["state"] == "RUNNING"], "it runs")
        for listing, fields in rows.items():
            (record,) = listed(cluster, listing)
            assert sorted(record) == sorted(re.findall(r"`(\w+)`", fields)), listing
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=20)


def test_why_of_ended_work_tells_how_it_ended(cluster: Cluster) -> None:
    cluster.koinon("run", "kill -SEGV $$", "--name", "segv")
    first, *_, last = cluster.koinon("why", "segv").stdout.splitlines()
    assert re.search(
        r"^task segv-\w+\.0 \(segv\) failed \ds ago on 127.0.0.1 \(agent .*-S0\), exit status 139$", first
    )
    assert last.endswith("  FAILED, said the executor: Command terminated with signal Segmentation fault.")
    cluster.koinon("run", "exit $KOINON_INDEX", "--name", "several", "--instances", "2")
    assert cluster.koinon("why", "several").stdout.count(" ago on 127.0.0.1 ") == 2


def test_mesos_execute_runs_a_task_to_its_end(cluster: Cluster) -> None:
    done = mesos(
        cluster,
        "execute",
        "--name=once",
        "--command=echo $A",
        '--env={"A":"x"}',
        "--resources=cpus:0.5;mem:64",
    )
    assert done.returncode == 0, done.stderr
    assert "Received status update TASK_FINISHED for task 'once'" in done.stdout
    assert mesos(cluster, "cat", "--task=once").stdout == "x\n"
    assert mesos(cluster, "tail", "--task=once", "--file=stdout").stdout == "x\n"


def test_mesos_execute_fails_as_its_task_fails(cluster: Cluster) -> None:
    done = mesos(cluster, "execute", "--name=fails", "--command=exit 3")
    assert done.returncode == 1
    assert "message: Command exited with status 3" in done.stdout


def test_mesos_execute_kills_in_time(cluster: Cluster) -> None:
    done = mesos(cluster, "execute", "--name=long", "--command=sleep 1000", "--kill_after=200ms")
    assert "Received status update TASK_KILLED for task 'long'" in done.stdout


@pytest.mark.parametrize("content_type", ["json", "protobuf"])
def test_mesos_execute_runs_a_group_in_sandboxes_of_their_own(cluster: Cluster, content_type: str) -> None:
    resources = [
        {"name": name, "type": "SCALAR", "scalar": {"value": amount}}
        for name, amount in (("cpus", 0.1), ("mem", 32))
    ]
    tasks = [
        {
            "name": name,
            "task_id": {"value": f"{name}-{content_type}"},
            "agent_id": {"value": ""},
            "resources": resources,
            "command": {"value": f"echo {name}"},
        }
        for name in ("left", "right")
    ]
    group = f"--task_group={json.dumps({'tasks': tasks})}"
    done = mesos(cluster, "execute", group, f"--content_type={content_type}")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("left", "right"):
        assert cluster.koinon("cat", f"{name}-{content_type}").stdout == f"{name}\n"


def test_mesos_ps_and_resolve_know_the_master(cluster: Cluster) -> None:
    assert mesos(cluster, "ps").stdout.startswith("TASK ")
    assert mesos(cluster, "resolve").stdout == f"{cluster.master_address}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--command=true"], "--command needs a --name"),
        (["--name=x"], "give one of --command, --task and --task_group"),
        (["--name=x", "--comand=true"], "unknown flag --comand; did you mean --command?"),
    ],
)
def test_mistakes_in_flags_are_told(cluster: Cluster, arguments: "list[str]", sentence: str) -> None:
    done = mesos(cluster, "execute", *arguments)
    assert (done.returncode, done.stderr) == (2, f"mesos-execute: {sentence} (see mesos-execute --help)\n")
