"""The connection between an agent and its master breaks, and nothing else."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.harness import IP, Cluster, NewCluster, eventually, has_ended
from tests.cluster.raw import Framework, task


class Line:
    """A port behind which there is another; `cut` breaks all connections that go through it."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._beyond = (host, int(port))
        self._listener = socket.create_server((IP, 0))
        self.address = f"{IP}:{self._listener.getsockname()[1]}"
        self._near: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        for near in tuple(self._near):  # who comes again meanwhile is let through
            with suppress(OSError):  # it has ended already
                near.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # which ends the waiting for connections
        self.cut()
        for thread in self._threads:
            thread.join()

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                self._near.append(self._listener.accept()[0])
                self._start(self._serve, self._near[-1])

    def _serve(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._beyond) as far:
            back = self._start(self._carry, far, near)
            self._carry(near, far)
            back.join()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def connected(new_cluster: NewCluster) -> Iterator[tuple[Cluster, Line]]:
    """A cluster whose only agent reaches the master by a line."""
    cluster = new_cluster(agents=0)
    line = Line(cluster.master_address)
    cluster.add_agent(master=line.address).start()
    cluster.wait_ready()
    yield cluster, line
    line.close()


def run_one(framework: Framework, tmp_path: Path) -> int:
    """A task that runs; its pid."""
    where = tmp_path / "pid"
    framework.launch([task("t", f"echo $$ > {where}; exec sleep 1000")])
    framework.wait_state("t", "TASK_RUNNING")
    return int(eventually(lambda: where.exists() and where.read_text(), "the task runs"))


def has_returned(cluster: Cluster) -> bool:
    """Whether the agent was lost for a moment."""
    (agent,) = cluster.master.get("/slaves")["slaves"]
    return bool(agent["active"]) and "reregistered_time" in agent


def test_a_task_that_was_reported_lost_is_ended(connected: tuple[Cluster, Line], tmp_path: Path) -> None:
    cluster, line = connected
    with Framework(cluster.master_address, checkpoint=False) as framework:
        pid = run_one(framework, tmp_path)
        line.cut()
        framework.wait_state("t", "TASK_LOST")
        framework.wait_state("t", "TASK_KILLED")
        eventually(lambda: has_ended(pid), "the task is gone")
        assert framework.states("t").count("TASK_RUNNING") == 1
        eventually(lambda: cluster.tasks()["t"]["state"] != "TASK_RUNNING", "the master agrees")
        slaves = cluster.master.get("/slaves")["slaves"]
        assert slaves[0]["used_resources"]["cpus"] == 0


EXECUTOR = """
import asyncio, os
from koinon.mesos.v1 import TaskState
from koinon.sdk import Executor

class Sleeper(Executor):
    async def launch(self, task):
        with open(PATH, "a") as file:
            file.write(f"{os.getpid()} ")
        self.update(task, TaskState.TASK_RUNNING)
        await asyncio.sleep(1000)

asyncio.run(Sleeper().run())
"""


def test_an_executor_whose_tasks_were_reported_lost_shuts_down(
    connected: tuple[Cluster, Line], tmp_path: Path
) -> None:
    cluster, line = connected
    pids, program = tmp_path / "pids", tmp_path / "executor.py"
    program.write_text(EXECUTOR.replace("PATH", repr(str(pids))))
    own = {
        "type": "CUSTOM",
        "executor_id": {"value": "own"},
        "command": {"value": f"exec {sys.executable} {program}"},
    }
    with Framework(cluster.master_address, checkpoint=False) as framework:
        framework.launch([task("t1", executor=own), task("t2", executor=own)])
        for state in ("TASK_RUNNING", "TASK_LOST", "TASK_KILLED"):
            for task_id in ("t1", "t2"):
                framework.wait_state(task_id, state)
            if state == "TASK_RUNNING":
                line.cut()
        (pid,) = set(pids.read_text().split())
        eventually(lambda: has_ended(int(pid)), "the executor is gone")
        agent = cluster.agents[0]
        eventually(lambda: not agent.get("/containers"), "its container is gone")
        assert {one["state"] for one in cluster.tasks().values()} == {"TASK_KILLED"}


def test_a_task_of_a_framework_that_checkpoints_goes_on(
    connected: tuple[Cluster, Line], tmp_path: Path
) -> None:
    cluster, line = connected
    with Framework(cluster.master_address, checkpoint=True) as framework:
        pid = run_one(framework, tmp_path)
        line.cut()
        eventually(lambda: has_returned(cluster), "the agent is back")
        framework.call("KILL", kill={"task_id": {"value": "t"}})
        framework.wait_state("t", "TASK_KILLED")
        assert has_ended(pid)
        assert "TASK_LOST" not in framework.states("t")
