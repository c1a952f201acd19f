"""Agent and launcher killed with -9 again and again, in random order, under load of every kind.

    KOINON_TORTURE_KILLS=200 KOINON_TORTURE_SEED=7 pytest tests/cluster/test_torture.py -s

A **round** is some kills while tasks come and go; then all that is left is killed, and the laws are looked at:

- every task has exactly one terminal status, and it is true;
- none was started twice: each leaves a footprint when it starts, and another just before it ends by itself;
- no process, open file, socket, mount or record of it is left.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import signal
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from koinon.coordination.embedded import EmbeddedStore
from tests.cluster.harness import Cluster, NewCluster, eventually, launchers_below, wait_ended
from tests.cluster.leftovers import MARKER, mounts, naming, of_tasks, open_files, sockets
from tests.cluster.raw import PARTITION_AWARE, Framework, amount, scalars, task

KILLS = int(os.environ.get("KOINON_TORTURE_KILLS", "16"))
SEED = int(os.environ.get("KOINON_TORTURE_SEED", "1"))
KILLS_PER_ROUND = 8
SETTLED_S = 60.0

OWN_EXECUTOR = """
    import asyncio, os
    from koinon.mesos.v1 import TaskState
    from koinon.sdk import Executor

    def footprint(task, text):
        fd = os.open(os.path.join(os.environ["FOOTPRINTS"], task.task_id.value), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, text.encode() + b"\\n")
        os.close(fd)

    class Own(Executor):
        async def launch(self, task):
            footprint(task, "start")
            self.update(task, TaskState.TASK_RUNNING)
            await asyncio.sleep(float(task.data))
            footprint(task, "end")
            self.update(task, TaskState.TASK_FINISHED)

    asyncio.run(Own().run())
"""

START, END = 'echo start >> "$FOOTPRINTS/$ME"', 'echo end >> "$FOOTPRINTS/$ME"'
#: Two generations away from the task, in a session of its own, deaf to what can be ignored.
DAEMON = "setsid sh -c 'trap \"\" TERM HUP; (sleep 1000 &); sleep 1000' &"
#: What tasks do, and how they end if nobody ends them.
COMMANDS = {
    "good": (f"{START}; sleep NAP; {END}", ("TASK_FINISHED", "Command exited with status 0")),
    "bad": (f"{START}; sleep NAP; {END}; exit 3", ("TASK_FAILED", "Command exited with status 3")),
    "crash": (
        f"{START}; sleep NAP; {END}; kill -SEGV $$",
        ("TASK_FAILED", "Command terminated with signal Segmentation fault"),
    ),
    "loud": (f"{START}; seq 100000; {END}", ("TASK_FINISHED", "Command exited with status 0")),
    "daemon": (f"{START}; {DAEMON} sleep NAP; {END}", ("TASK_FINISHED", "Command exited with status 0")),
    "long": (f"{START}; exec sleep 1000", None),
    "deaf": (f"{START}; trap '' TERM; {DAEMON} while :; do sleep 0.2; done", None),
}
ENDLESS = ("long", "deaf", "group-long")
KINDS = [*COMMANDS, "fetched", "group", "own"]


class Work:
    """A framework that launches tasks of all kinds, and knows of each what may become of it."""

    def __init__(self, cluster: Cluster, framework: Framework, directory: Path, rng: random.Random) -> None:
        self.cluster, self.framework, self.rng = cluster, framework, rng
        self.footprints = directory / "footprints"
        self.footprints.mkdir()
        self.mark = f"{os.getpid()}-{time.time_ns()}"
        self.file = directory / "file"
        self.file.write_text("something\n")
        self.program = directory / "executor.py"
        self.program.write_text(textwrap.dedent(OWN_EXECUTOR))
        self.numbers = itertools.count()
        #: Of each task of this round its kind, and whether the launcher that had it may have been killed.
        self.kinds: dict[str, str] = {}
        self.asked_to_end: set[str] = set()
        self.outcomes: Counter[str] = Counter()

    # ── what is launched ──────────────────────────────────────────────────────────────────────────
    def launch(self, kinds: list[str]) -> None:
        """Tasks of these kinds, if there is room offered; they may never reach the agent."""
        if not self.has_room():
            return
        with self.framework.changed:
            offers = list(self.framework.offers.values())
            self.framework.offers.clear()
        accept = {
            "offer_ids": [offer["id"] for offer in offers],
            "operations": [self._operation(kind, offers[0]) for kind in kinds],
            "filters": {"refuse_seconds": 0},
        }
        self.framework.do("ACCEPT", accept=accept)

    def has_room(self) -> bool:
        """Whether what is offered is enough for what is launched at once."""
        with self.framework.changed:
            return sum(amount(one["resources"], "mem") for one in self.framework.offers.values()) > 1024

    def _operation(self, kind: str, offer: dict[str, Any]) -> dict[str, Any]:
        at = {"agent_id": offer["agent_id"]}
        if kind == "group":
            first, second = self._command("bad"), self._command("long")
            self.kinds[first["name"]], self.kinds[second["name"]] = "group-bad", "group-long"
            executor = {**self._executor(f"group-{first['name']}"), "type": "DEFAULT"}
            group = {"tasks": [{**at, **first}, {**at, **second}]}
            return {"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": group}}
        one = self._own() if kind == "own" else self._command(kind)
        return {"type": "LAUNCH", "launch": {"task_infos": [{**at, **one}]}}

    def _environment(self, task_id: str = "") -> dict[str, Any]:
        values = {MARKER: self.mark, "FOOTPRINTS": str(self.footprints), "ME": task_id}
        variables = [{"name": name, "value": value} for name, value in values.items()]
        return {"variables": variables}

    def _command(self, kind: str) -> dict[str, Any]:
        task_id = f"{kind}-{next(self.numbers)}"
        self.kinds[task_id] = kind
        text, _ = COMMANDS["good" if kind == "fetched" else kind]
        command: dict[str, Any] = {
            "value": text.replace("NAP", f"{self.rng.uniform(0, 1.5):.2f}"),
            "environment": self._environment(task_id),
        }
        if kind == "fetched":
            command["value"] = f"test -s file && {command['value']}"
            command["uris"] = [{"value": str(self.file)}]
        grace = {"grace_period": {"nanoseconds": 300_000_000}}
        described = task(task_id, resources=scalars(cpus=0.01, mem=8), kill_policy=grace)
        return {**described, "command": command}

    def _own(self) -> dict[str, Any]:
        task_id = f"own-{next(self.numbers)}"
        self.kinds[task_id] = "own"
        command = {"value": f"exec {sys.executable} {self.program}", "environment": self._environment()}
        executor = {**self._executor("own"), "type": "CUSTOM", "command": command}
        nap = f"{self.rng.uniform(0, 1.5):.2f}"
        return {
            **task(task_id, resources=scalars(cpus=0.01, mem=8), executor=executor),
            "data": base64.b64encode(nap.encode()).decode(),
        }

    def _executor(self, executor_id: str) -> dict[str, Any]:
        return {
            "executor_id": {"value": executor_id},
            "framework_id": {"value": self.framework.id},
            "resources": scalars(cpus=0.01, mem=32, disk=1),
        }

    # ── how it ends ───────────────────────────────────────────────────────────────────────────────
    def live(self) -> list[str]:
        """Tasks without an end."""
        with self.framework.changed:
            return [task_id for task_id in self.kinds if not self.framework.ends(task_id)]

    def end(self, task_ids: list[str]) -> None:
        """Have tasks killed."""
        self.asked_to_end.update(task_ids)
        for task_id in task_ids:
            self.framework.kill(task_id)

    def settle(self) -> None:
        """Have what would go on for ever killed, asking again as a scheduler would, and wait for the ends of all."""
        deadline_s, ask_s = time.monotonic() + SETTLED_S, 0.0
        while live := self.live():
            now = time.monotonic()
            assert now < deadline_s, {task_id: self.framework.states(task_id) for task_id in live}
            if now >= ask_s:
                self.end([task_id for task_id in live if self.kinds[task_id] in ENDLESS])
                ask_s = now + 2.0
            with self.framework.changed:
                self.framework.changed.wait(0.2)
        shutdown = {"executor_id": {"value": "own"}, "agent_id": self._agent_id()}
        self.framework.do("SHUTDOWN", shutdown=shutdown)

    def _agent_id(self) -> dict[str, Any]:
        return {"value": self.cluster.master.get("/slaves")["slaves"][0]["id"]}

    def assert_true_ends(self) -> None:
        """One end for each, and the footprints agree with it."""
        for task_id, kind in self.kinds.items():
            ends = self.framework.ends(task_id)
            assert len(ends) == 1, ends
            path = self.footprints / task_id
            found = path.read_text().split() if path.exists() else []
            assert found in ([], ["start"], ["start", "end"]), (task_id, found)
            story = (kind, found, ends[0])
            state, message = ends[0]["state"], ends[0].get("message", "")
            self.outcomes[state] += 1
            if state == "TASK_DROPPED":
                assert not found, story
            elif state == "TASK_KILLED":
                assert task_id in self.asked_to_end or kind.startswith("group"), story
            elif ends[0].get("reason") == "REASON_CONTAINER_LAUNCH_FAILED":
                assert "launcher" in message, story  # killed again and again while it was started
                assert not found, story
            elif state == "TASK_GONE" or (state == "TASK_FAILED" and kind == "own"):
                assert "the launcher died" in message, story
            else:
                assert kind not in ENDLESS, story
                assert found == ["start", "end"], story
                if kind == "own":
                    assert state == "TASK_FINISHED", story
                else:
                    command = {"fetched": "good", "group-bad": "bad"}.get(kind, kind)
                    assert (state, message) == COMMANDS[command][1], story
        self.kinds.clear()
        self.asked_to_end.clear()


class Scene:
    """The cluster, the work on it, and what its processes have open when there is none."""

    def __init__(self, cluster: Cluster, work: Work) -> None:
        self.cluster, self.work, self.rng = cluster, work, work.rng
        self.agent = cluster.agents[0]
        self.base: dict[str, Counter[str]] = {}
        self.kills: Counter[str] = Counter()

    # ── violence ──────────────────────────────────────────────────────────────────────────────────
    def round(self, kills: int) -> None:
        """So many kills at any moment, while tasks come and go."""
        for _ in range(kills):
            self.work.launch(self.rng.choices(KINDS, k=self.rng.randint(1, 5)))
            self._pause()
            self.work.end([task_id for task_id in self.work.live() if self.rng.random() < 0.2])
            self._kill(self.rng.choices(["agent", "launcher", "both"], [5, 4, 1])[0])
            if self.rng.random() < 0.7:
                self.cluster.wait_ready()
                self.work.framework.wait(self.work.has_room, "an offer", 30)
        self.cluster.wait_ready()

    def _pause(self) -> None:
        time.sleep(self.rng.choice([0.0, 0.05, 0.3, 1.5]) * self.rng.random())  # anywhere in a task's life

    def _kill(self, victim: str) -> None:
        if victim != "agent":
            for pid in launchers_below(self.agent.work_dir):
                with suppress(ProcessLookupError):  # one that starts leaves its place to its child
                    self._kill_launcher(pid)
        if victim != "launcher":
            assert self.agent.process is not None
            assert self.agent.process.poll() is None, self.agent.last_words()
            self.agent.kill()
            self.kills["agent"] += 1
            self._pause()
            self.agent.start()

    def _kill_launcher(self, pid: int) -> None:
        pidfd = os.pidfd_open(pid)
        try:
            if pid in launchers_below(self.agent.work_dir):  # still: the number has not passed to another
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                self.kills["launcher"] += 1
        finally:
            os.close(pidfd)

    # ── order ─────────────────────────────────────────────────────────────────────────────────────
    def assert_lawful(self) -> None:
        """All is over: it ended truly, and nothing is left of it."""
        self.work.settle()
        self.work.assert_true_ends()
        work_dir, agent = self.agent.work_dir, self.agent
        eventually(lambda: not of_tasks(self.work.mark, work_dir), "no process of a task is left", 30)
        eventually(lambda: len(launchers_below(work_dir)) == 1, "one launcher runs", 30)
        assert not mounts(self.cluster.directory)
        assert sockets(self.cluster.directory) == {
            f"{agent.name}/run/socket",
            f"{agent.name}/run/terminals",
        }
        for log in (agent.log, work_dir / "run" / "log"):
            assert "Traceback" not in log.read_text(), log.read_text()[-4000:]
        self._assert_nothing_open()
        eventually(
            lambda: naming(work_dir).keys() == {agent.pid, *launchers_below(work_dir)}, "no helper is left"
        )
        master = self.cluster.master
        eventually(lambda: not master.get("/state")["frameworks"][0]["tasks"], "the master has no task")

    def _assert_nothing_open(self) -> None:
        for name in ("agent", "launcher"):

            def found(name: str = name) -> Counter[str]:
                pids = [self.agent.pid] if name == "agent" else launchers_below(self.agent.work_dir)
                # One that starts has two processes for a moment.
                return open_files(pids[0]) if len(pids) == 1 else Counter({f"{len(pids)} processes": 1})

            if name not in self.base:
                self.base[name] = found()
            try:
                eventually(lambda found=found, name=name: not found() - self.base[name], "", 15)
            except pytest.fail.Exception:
                pytest.fail(f"the {name} has more open than before: {found() - self.base[name]}")

    def assert_nothing_left(self) -> None:
        """The agent ends: nothing of all this is left but sandboxes."""
        work_dir, pids = self.agent.work_dir, list(naming(self.agent.work_dir))
        self.work.framework.do("TEARDOWN")
        eventually(lambda: not self.cluster.master.get("/state")["frameworks"], "the framework is gone", 30)
        assert self.agent.stop() == 0
        for pid in pids:
            wait_ended(pid, "a process of the agent")
        assert not of_tasks(self.work.mark, work_dir)
        assert not sockets(self.cluster.directory)
        assert {path.name for path in (work_dir / "run").iterdir()} <= {
            "agent.lock",
            "journal",
            "lock",
            "log",
        }
        assert not _unforgotten(work_dir / "run" / "journal")
        store = EmbeddedStore(work_dir / "meta" / "agent.db")
        assert set(store.load()) <= {"agent", f"frameworks/{self.work.framework.id}"}


def _unforgotten(journal: Path) -> set[str]:
    """Containers that the launcher would still know."""
    known: set[str] = set()
    for line in filter(None, journal.read_text().split("\n")):
        record = json.loads(line)
        known |= {record["launched"]} if "launched" in record else set()
        known -= {record.get("forgotten", "")}
    return known


@contextmanager
def scene(new_cluster: NewCluster, directory: Path) -> Iterator[Scene]:
    cluster = new_cluster(
        master_flags={"max_agent_ping_timeouts": "30"},
        agent_flags={
            "resources": "cpus:64;mem:65536;disk:65536",
            "executor_reregistration_timeout": "15secs",
            "gc_delay": "1days",
        },
    )
    with Framework(
        cluster.master_address, checkpoint=True, failover_timeout=600, **PARTITION_AWARE
    ) as framework:
        yield Scene(cluster, Work(cluster, framework, directory, random.Random(SEED)))


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(120 + 10 * KILLS)
def test_whoever_is_killed_and_when_no_task_is_lost_or_doubled_and_nothing_is_left(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    with scene(new_cluster, tmp_path) as one:
        one.work.framework.wait(one.work.has_room, "an offer")
        one.work.launch(KINDS)
        one.assert_lawful()  # as it is when nobody is killed; what is open then is the base
        while (left := KILLS - one.kills.total()) > 0:
            one.round(min(left, KILLS_PER_ROUND))
            one.assert_lawful()
        one.assert_nothing_left()
    print(f"seed {SEED}: {dict(one.kills)}, {dict(one.work.outcomes)}")
    assert {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_GONE"} <= one.work.outcomes.keys()
