"""Task lives through one master, over real sockets: launched, running, finished, both updates acknowledged.

    python -m bench.task_life [--agents 1000 …] [--frameworks N] [--tasks N] [--per-agent N] [--json FILE]

Three processes: the master with its registry on disk; emulated agents (`bench.emulated`), whose tasks finish at
once; and this one, with the frameworks, which are ordinary SDK schedulers. A framework launches as many tasks as an
offer has room for: with room for one per agent, the default, each life takes an offer, an ACCEPT, two updates and two
ACKNOWLEDGE; with room for more, lives share offers. Measured from the first offer to the last
acknowledgement; CPU times are those of the kernel's accounts. The rate per core of the master is what it would do if
the machine had enough cores for everybody else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import uvloop

from bench.emulated import allow_many_files
from koinon.mesos import v1
from koinon.sdk import TERMINAL_STATES, Resources, Scheduler, framework_info, task_info

EACH = Resources.parse("cpus:1;mem:32")
START_TIMEOUT_S = 300.0

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Load(Scheduler):
    """A framework that runs `count` tasks which finish at once."""

    def __init__(self, master: str, index: int, count: int) -> None:
        super().__init__(master, framework_info(f"load-{index}", user="nobody"), suppressed_roles=["*"])
        self._waiting = count
        self._unfinished = count
        self.accepts = 0
        self.began_s = 0.0
        self.ready = asyncio.Event()
        self.done = asyncio.Event()

    def subscribed(self, framework_id: str) -> None:
        """Offers come when everybody is ready."""
        self.ready.set()

    def offers(self, offers: list[v1.Offer]) -> None:
        """Fills each offer with tasks."""
        self.began_s = self.began_s or time.perf_counter()
        for offer in offers:
            room = _room(offer)
            tasks = [self._task(offer) for _ in range(min(room, self._waiting))]
            self.accepts += bool(tasks)
            self.launch(offer, tasks)
        if not self._waiting:
            self.suppress()

    def _task(self, offer: v1.Offer) -> v1.TaskInfo:
        self._waiting -= 1
        return task_info(f"task-{self._waiting}", offer, EACH, command="true")

    def update(self, status: v1.TaskStatus) -> None:
        """Counts the ends."""
        if status.state in TERMINAL_STATES:
            if status.state is not v1.TaskState.TASK_FINISHED:
                raise RuntimeError(f"{status.task_id.value}: {status.state.name}: {status.message}")
            self._unfinished -= 1
            if not self._unfinished:
                self.done.set()


def _room(offer: v1.Offer) -> int:
    for one in offer.resources:
        if one.name == "cpus" and one.scalar is not None:
            return int(one.scalar.value)
    return 0


# ── the processes ─────────────────────────────────────────────────────────────────────────────────────
class Process:
    """A child process and what it costs."""

    def __init__(self, argv: Sequence[str], **options: Any) -> None:
        root = Path(__file__).parents[1]
        self.popen = subprocess.Popen([sys.executable, "-m", *argv], cwd=root, **options)

    @property
    def cpu_s(self) -> float:
        """CPU time so far, in user and kernel."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    @property
    def memory_mb(self) -> float:
        """Resident memory."""
        return int(self._proc("statm").split()[1]) * _PAGE_BYTES / 2**20

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.popen.pid}/{name}").read_text()

    def stop(self) -> None:
        """Ends it."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


@contextlib.contextmanager
def started_master(directory: Path) -> Iterator[tuple[Process, str]]:
    """A master with its registry in `directory`, and its address."""
    port = _free_port()
    log = (directory / "master.log").open("w+")
    argv = ["koinon", "master", "--ip=127.0.0.1", f"--port={port}", f"--work_dir={directory}/master"]
    process = Process(argv, stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + 30
        while not _healthy(port):
            if process.popen.poll() is not None or time.monotonic() > deadline_s:
                log.seek(0)
                raise SystemExit(f"the master does not start:\n{log.read()}")
            time.sleep(0.05)
        yield process, f"127.0.0.1:{port}"
    finally:
        process.stop()
        log.close()


@contextlib.contextmanager
def started_agents(master: str, count: int, per_agent: int) -> Iterator[Process]:
    """Emulated agents, registered."""
    resources = f"cpus:{per_agent};mem:{32 * per_agent}"
    argv = ["bench.emulated", f"--master={master}", f"--agents={count}", f"--resources={resources}"]
    process = Process(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert process.popen.stdout is not None
        if not process.popen.stdout.readline().startswith("ready"):
            raise SystemExit("the emulated agents do not start")
        yield process
    finally:
        process.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _healthy(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


# ── the measurement ───────────────────────────────────────────────────────────────────────────────────
async def live(master: str, frameworks: int, tasks: int, costs: Costs) -> dict[str, float]:
    """Runs all tasks to their ends."""
    loads = [Load(master, index, tasks // frameworks) for index in range(frameworks)]
    runs = [asyncio.create_task(load.run()) for load in loads]
    await _all(runs, [load.ready for load in loads])
    costs.begin()
    for load in loads:
        load.revive()
    await _all(runs, [load.done for load in loads])
    measured = costs.end(tasks // frameworks * frameworks)
    measured["tasks per accept"] = tasks / sum(load.accepts for load in loads)
    for load in loads:
        load.stop()
    await asyncio.gather(*runs)
    return measured


async def _all(runs: list[asyncio.Task[None]], events: list[asyncio.Event]) -> None:
    """Returns when all `events` are set; raises when a run ends before."""
    waiting = asyncio.gather(*(event.wait() for event in events))
    anything: list[asyncio.Future[Any]] = [waiting, *runs]
    await asyncio.wait(anything, return_when=asyncio.FIRST_COMPLETED, timeout=START_TIMEOUT_S)
    for run in runs:
        if run.done():
            run.result()
    if not waiting.done():
        waiting.cancel()
        raise SystemExit(f"not done within {START_TIMEOUT_S:g} s")


class Costs:
    """What the work costs whom, between `begin` and `end`."""

    def __init__(self, master: Process, agents: Process) -> None:
        self._master = master
        self._agents = agents

    def begin(self) -> None:
        """The work begins."""
        self._began = self._now()

    def end(self, lives: int) -> dict[str, float]:
        """The work is done: so many task lives."""
        wall_s, master_s, agents_s, frameworks_s = (
            now - then for now, then in zip(self._now(), self._began, strict=True)
        )
        return {
            "lives": lives,
            "wall s": wall_s,
            "lives/s": lives / wall_s,
            "master µs/life": master_s / lives * 1e6,
            "lives/s per master core": lives / master_s,
            "master busy %": master_s / wall_s * 100,
            "agents busy %": agents_s / wall_s * 100,
            "frameworks busy %": frameworks_s / wall_s * 100,
            "master MB": self._master.memory_mb,
        }

    def _now(self) -> tuple[float, float, float, float]:
        return time.perf_counter(), self._master.cpu_s, self._agents.cpu_s, time.process_time()


def measure(agents: int, frameworks: int, tasks: int, per_agent: int) -> dict[str, float]:
    """One row of the table."""
    with (
        tempfile.TemporaryDirectory() as directory,
        started_master(Path(directory)) as (master, address),
        started_agents(address, agents, per_agent) as fleet,
    ):
        return uvloop.run(live(address, frameworks, tasks, Costs(master, fleet)))


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the command line, measures, prints."""
    parser = argparse.ArgumentParser(description="Task lives through one master, with emulated agents.")
    parser.add_argument("--agents", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--frameworks", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=50_000, help="all frameworks together")
    parser.add_argument("--per-agent", type=int, default=1, help="tasks that an agent has room for at once")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    given = parser.parse_args(argv)
    allow_many_files()
    rows = []
    for agents in given.agents:
        case = {"agents": agents, "frameworks": given.frameworks, "tasks per agent": given.per_agent}
        rows.append({**case, **measure(agents, given.frameworks, given.tasks, given.per_agent)})
        _print(rows[-1], header=len(rows) == 1)
    if given.json is not None:
        about = {"python": platform.python_version(), "machine": platform.machine(), "cpus": os.cpu_count()}
        given.json.write_text(json.dumps({"benchmark": "task_life", **about, "rows": rows}, indent=1) + "\n")


def _print(row: dict[str, float], *, header: bool) -> None:
    if header:
        print("  ".join(row))
    cells = (
        f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" for value in row.values()
    )
    print("  ".join(cell.rjust(len(name)) for cell, name in zip(cells, row, strict=True)), flush=True)


if __name__ == "__main__":
    main()
