"""Marathon's process: it starts, stops, stands by, takes over; tasks run on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.harness import eventually, has_ended
from tests.cluster.marathons import Marathons, new_marathons
from tests.zookeeper import ZooKeeper

__all__ = ["new_marathons"]

NewMarathons = Callable[..., Marathons]
APP = {"id": "/sleeper", "cmd": "exec sleep 1000", "cpus": 0.1, "mem": 32, "instances": 2}


def test_an_app_runs_and_runs_on_when_marathon_is_killed_or_stopped(new_marathons: NewMarathons) -> None:
    marathons = new_marathons()
    (marathon,) = marathons.roles
    marathons.create(APP)
    before = marathons.wait_running("/sleeper", 2)
    framework_id = marathons.ask("/v2/info")["frameworkId"]

    marathon.kill()
    marathons.start()
    assert marathons.wait_running("/sleeper", 2) == before

    assert marathon.stop(signal.SIGTERM) == 0
    marathons.start()
    assert marathons.wait_running("/sleeper", 2) == before
    assert marathons.ask("/v2/info")["frameworkId"] == framework_id
    marathons.wait_deployed()


def test_one_of_two_stands_by_and_takes_over_with_zookeeper(
    new_marathons: NewMarathons, zookeeper: ZooKeeper
) -> None:
    marathons = new_marathons(2, zk=zookeeper.url("me:secret"))
    leader = marathons.leader()
    standby = next(role for role in marathons.roles if role is not leader)
    eventually(
        lambda: (answer := standby.ask("/v2/leader")) and answer.json == {"leader": leader.address},
        "the standby passes requests on",
    )
    answer = standby.ask("/v2/apps", "POST", APP)
    assert answer is not None
    assert answer.status == 201
    assert answer.headers["X-Marathon-Leader"] == f"http://{leader.address}"
    stream = standby.ask("/v2/events", Accept="text/event-stream")
    assert stream is not None
    assert (stream.status, stream.headers["Location"]) == (302, f"http://{leader.address}/v2/events")
    before = marathons.wait_running("/sleeper", 2)
    versions = marathons.ask("/v2/apps/sleeper/versions")

    leader.kill()
    assert marathons.leader(but=leader) is standby
    assert marathons.wait_running("/sleeper", 2) == before
    assert marathons.ask("/v2/apps/sleeper/versions") == versions
    answer = standby.ask("/v2/apps/sleeper", "PUT", {"instances": 3})
    assert answer is not None
    assert answer.status == 200
    assert before < marathons.wait_running("/sleeper", 3)

    leader.start()  # the URL with the password, in a new process
    eventually(leader.answers, "the one that was killed stands by", 20)
    assert "secret" not in leader.log.read_text() + standby.log.read_text()


def test_a_change_that_is_too_large_for_zookeeper_is_kept_whole(
    new_marathons: NewMarathons, zookeeper: ZooKeeper
) -> None:
    marathons = new_marathons(zk=zookeeper.url())
    apps = [
        {"id": f"app-{number}", "cmd": "sleep 1000", "instances": 0, "env": {"LARGE": "x" * 5000}}
        for number in range(300)
    ]
    apps[7]["env"] = {"HUGE": "x" * 1_500_000}
    marathons.ask("/v2/groups", "PUT", {"id": "/many", "apps": apps})
    marathons.wait_deployed()
    marathons.roles[0].kill()
    marathons.start()
    found = {app["id"]: app for app in marathons.ask("/v2/apps")["apps"]}
    assert len(found) == 300
    assert len(found["/many/app-7"]["env"]["HUGE"]) == 1_500_000


def test_a_leader_that_is_frozen_acts_no_more_when_it_is_woken(
    new_marathons: NewMarathons, zookeeper: ZooKeeper
) -> None:
    marathons = new_marathons(2, zk=zookeeper.url())
    leader = marathons.leader()
    marathons.create(APP)
    before = marathons.wait_running("/sleeper", 2)
    pid = leader.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        other = marathons.leader(but=leader)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: has_ended(pid), "the one that led ends")
    assert leader.stop() == 103
    assert "deposed" in leader.last_words()
    assert other.leads()
    assert marathons.wait_running("/sleeper", 2) == before


def test_a_leader_that_loses_zookeeper_ends_and_leads_again_when_it_is_back(
    new_marathons: NewMarathons, new_ensemble: Callable[[int], ZooKeeper]
) -> None:
    ensemble = new_ensemble(1)
    marathons = new_marathons(zk=ensemble.url())
    (marathon,) = marathons.roles
    marathons.create(APP)
    before = marathons.wait_running("/sleeper", 2)
    pid = marathon.pid
    ensemble.servers[0].freeze()
    eventually(lambda: has_ended(pid), "it ends")
    assert marathon.stop() == 103
    ensemble.servers[0].thaw()
    marathons.start()
    assert marathons.wait_running("/sleeper", 2) == before


def test_a_master_that_is_killed_is_waited_for(new_marathons: NewMarathons) -> None:
    marathons = new_marathons()
    cluster = marathons.cluster
    marathons.create(APP)
    before = marathons.wait_running("/sleeper", 2)
    cluster.master.kill()
    marathons.ask("/v2/apps/sleeper", "PUT", {"instances": 3})
    cluster.master.start()
    cluster.wait_ready()
    assert before < marathons.wait_running("/sleeper", 3, 40)
    marathons.wait_deployed()


def test_who_is_asked_to_abdicate_ends_and_another_one_leads(
    new_marathons: NewMarathons, zookeeper: ZooKeeper
) -> None:
    marathons = new_marathons(2, zk=zookeeper.url())
    leader = marathons.leader()
    standby = next(role for role in marathons.roles if role is not leader)
    answer = standby.ask("/v2/leader", "DELETE")
    assert answer is not None
    assert (answer.status, answer.json) == (200, {"message": "Leadership abdicated"})
    pid = leader.pid
    eventually(lambda: has_ended(pid), "the leader ends")
    assert leader.stop() == 105
    assert marathons.leader() is standby


@pytest.mark.parametrize(
    ("flags", "status", "sentence"),
    [
        (
            ["--zk=zk://127.0.0.1:1/marathon", "--zk_connection_timeout=300"],
            100,
            "has not answered for 0.3 s",
        ),
        (["--work_dir=WORK", "--http_address=192.0.2.1"], 111, "cannot listen on 192.0.2.1:0"),
        (["--work_dir=WORK", "--mester=x"], 112, "unknown flag --mester; did you mean --master?"),
        (["--work_dir=WORK", "--disable_ha"], None, "leads"),
    ],
)
def test_how_it_ends(tmp_path: Path, flags: list[str], status: int | None, sentence: str) -> None:
    argv = [flag.replace("WORK", str(tmp_path / "work")) for flag in flags]
    with subprocess.Popen(
        [sys.executable, "-m", "koinon", "marathon", "--master=127.0.0.1:1", "--http_port=0", *argv],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if status is None and sentence in line:
                process.terminate()
        assert sentence in said
    assert process.returncode == (status or 0)
