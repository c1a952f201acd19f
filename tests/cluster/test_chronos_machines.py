"""Whole machines are lost: with a task of a job, and with the Chronos that leads, which Marathon starts elsewhere."""

from __future__ import annotations

import base64
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from koinon.timestamps import seconds, stamp
from tests.cluster.chains import GONE, Chain, check, wait_quiet
from tests.cluster.chronoses import FLAGS, SESSION_MS, Chronoses, Jobs, new_chronoses
from tests.cluster.harness import Role, eventually
from tests.cluster.machines import agent_id, declare_gone, lose
from tests.cluster.marathons import Answer, Marathons, ask, new_marathons
from tests.zookeeper import ZooKeeper

__all__ = ["new_chronoses", "new_marathons"]

NewChronoses = Callable[..., Chronoses]

EXAMPLE = Path(__file__).parents[2] / "docs/examples/chronos.json"
CREDENTIALS = "ann:a-long-password"
CYCLES, PERIOD_S = 6, 3


# ── a task's ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.timeout(120)
def test_run_is_waited_for_until_its_machine_is_declared_gone(
    new_chronoses: NewChronoses, tmp_path: Path
) -> None:
    """Nobody knows before what it does there. Then it has failed, and is tried again elsewhere."""
    chronoses = new_chronoses(agents=2)
    run = lose_with_run(chronoses, tmp_path / "footprints")
    chronoses.post({"name": "other", "command": "true", "schedule": "R//PT1S"})
    chronoses.wait_ended("other", "succeeded", 2)
    assert len(chronoses.runs("a")) == 1, "nothing was launched in its place"
    declare_gone(chronoses.cluster, run["agentId"])
    check_retried(chronoses, tmp_path / "footprints", run, GONE)


@pytest.mark.timeout(120)
def test_run_is_tried_again_when_its_machine_is_forgotten(
    new_chronoses: NewChronoses, tmp_path: Path
) -> None:
    """No operator says anything, and in the end the master knows nothing of the agent any more."""
    ages = {"registry_max_agent_age": "1secs", "registry_gc_interval": "1secs"}
    chronoses = new_chronoses(agents=2, master_flags=ages)
    master = chronoses.cluster.master
    run = lose_with_run(chronoses, tmp_path / "footprints")
    eventually(lambda: master.get("/metrics/snapshot")["master/slaves_unreachable"] == 0, "it is forgotten")
    [role] = chronoses.roles
    role.kill()
    chronoses.start()  # who begins asks at once, else that is done now and then
    check_retried(chronoses, tmp_path / "footprints", run, "TASK_UNKNOWN")


def lose_with_run(chronoses: Chronoses, footprints: Path) -> dict[str, Any]:
    """A job's first attempt, which would not end by itself, runs on a machine that is lost; a child waits for it."""
    command = f"echo $MESOS_TASK_ID >> {footprints}; [ $CHRONOS_JOB_RUN_ATTEMPT != 0 ] || exec sleep 1000"
    chronoses.post({"name": "a", "command": command, "schedule": "R1//P"})
    chronoses.post({"name": "b", "command": "true", "parents": ["a"]})
    [run] = eventually(lambda: footprints.exists() and chronoses.runs("a", state="running"), "it runs")
    lose(next(one for one in chronoses.cluster.agents if agent_id(chronoses.cluster, one) == run["agentId"]))
    eventually(
        lambda: chronoses.runs("a")[0].get("mesosState") == "TASK_UNREACHABLE",
        "it is known to be out of reach",
        30,
    )
    return dict(run)


def check_retried(chronoses: Chronoses, footprints: Path, lost: dict[str, Any], state: str) -> None:
    """Of the same window there is another attempt, elsewhere, and the child has run."""
    chronoses.wait_ended("b", "succeeded", timeout_s=60)
    done, failed = chronoses.runs("a")
    assert (failed["taskId"], failed["state"], failed["mesosState"]) == (lost["taskId"], "failed", state)
    assert (done["state"], done["attempt"], done["due"]) == ("succeeded", 1, failed["due"])
    assert done["agentId"] != failed["agentId"]
    assert footprints.read_text().split() == [failed["taskId"], done["taskId"]]


# ── Chronos's own ─────────────────────────────────────────────────────────────────────────────────
class OnMarathon(Jobs):
    """The Chronos that is an app of a Marathon, wherever it runs now."""

    def __init__(self, marathons: Marathons, app: dict[str, Any]) -> None:
        self._marathons = marathons
        self._id = app["id"]
        who = base64.b64encode(CREDENTIALS.encode()).decode()
        self._headers = {"Authorization": f"Basic {who}"}
        marathons.create(app)

    def answer(self, path: str, method: str = "GET", body: Any = None) -> Answer:
        """See `Jobs.answer`."""
        return eventually(lambda: self._ask(path, method, body), "Chronos answers", 60)

    def agent(self, *, but: Role | None = None) -> Role:
        """Where it runs, healthy, once it does; another agent than `but`."""

        def found() -> Role | None:
            for task in self._marathons.tasks(self._id).values():
                if any(one["alive"] for one in task.get("healthCheckResults", ())):
                    for agent in self._marathons.cluster.agents:
                        if agent is not but and agent_id(self._marathons.cluster, agent) == task["slaveId"]:
                            return agent
            return None

        return eventually(found, "Chronos runs", 60)

    def _ask(self, path: str, method: str, body: Any) -> Answer | None:
        for task in self._marathons.tasks(self._id).values():
            answer = ask(task["host"], task["ports"][0], path, method, body, **self._headers)
            if answer is not None and answer.status < 500:
                return answer
        return None


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_chronos_moves_to_another_machine_and_misses_nothing(
    new_marathons: Callable[..., Marathons], zookeeper: ZooKeeper, tmp_path: Path
) -> None:
    """It runs on the cluster that it schedules. What came due while it moved is made up for."""
    marathons = new_marathons(agents=2)
    cluster = marathons.cluster
    chronos = OnMarathon(marathons, example(cluster.master_address, zookeeper.url(), tmp_path))
    lost = chronos.agent()
    lost_id = agent_id(cluster, lost)
    chain = Chain(tmp_path)
    start = float(round(time.time()) + 2)
    for job in chain.jobs(f"R{CYCLES}/{stamp(start)}/PT{PERIOD_S}S"):
        chronos.post(job)
    framework_id = chronos_framework(marathons)
    chronos.wait_ended("report", "succeeded")

    time.sleep(random.uniform(0, PERIOD_S))
    lost_at = time.time()
    lose(lost)
    assert chronos.agent(but=lost) is not lost
    declare_gone(cluster, lost_id)  # so what of the jobs ran there is not waited for
    wait_quiet(chronos, CYCLES)
    check(chronos, chain, CYCLES, start, PERIOD_S)
    launched = [seconds(run["launched"]) for run in chronos.runs("extract", state="succeeded")]
    assert min(launched) < lost_at < max(launched), "windows came before and after"
    assert chronos_framework(marathons) == framework_id
    marathons.wait_running("/chronos", 1)


def example(master: str, zk: str, directory: Path) -> dict[str, Any]:
    """The app of the page, with what is different here: addresses, files, and time-outs that a test can wait for."""
    app: dict[str, Any] = json.loads(EXAMPLE.read_text())
    place, _, path = zk.removeprefix("zk://").partition("/")
    secrets = {
        "CHRONOS_ZK_HOSTS": place,
        "CHRONOS_HISTORY": f"sqlite:///{directory}/history.db",
        "CHRONOS_HTTP_CREDENTIALS": CREDENTIALS,
    }
    for name, value in secrets.items():
        assert app["env"][name].startswith("file:///etc/koinon/")
        file = directory / name
        file.write_text(value)
        app["env"][name] = f"file://{file}"
    app["env"] |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CHRONOS_MASTER": master,
        "CHRONOS_ZK_PATH": f"/{path}",
        "CHRONOS_ZK_SESSION_TIMEOUT": str(SESSION_MS),
        **{f"CHRONOS_{name.upper()}": value for name, value in FLAGS.items()},
    }
    app["healthChecks"][0] |= {"intervalSeconds": 1}
    return app


def chronos_framework(marathons: Marathons) -> str:
    """The id of the only one, once it has subscribed."""

    def active() -> list[str]:
        frameworks = marathons.cluster.master.get("/frameworks")["frameworks"]
        return [one["id"] for one in frameworks if one["name"] == "chronos" and one["active"]]

    [found] = eventually(active, "Chronos has subscribed")
    return found
