"""What an agent's machine has running, and its loss."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.cluster.harness import Cluster, Role, eventually, has_ended
from tests.cluster.leftovers import processes


def agent_id(cluster: Cluster, agent: Role) -> str:
    """The id that the master knows the agent by."""
    return next(
        str(one["id"]) for one in cluster.master.get("/slaves")["slaves"] if one["port"] == agent.port
    )


def lose(agent: Role) -> None:
    """Everything on the agent's machine ends in one moment, without a word: agent, launcher, executors, tasks."""
    agent_pid = agent.pid
    _signal(agent_pid, signal.SIGSTOP)  # from now on nobody out there hears of what ends here
    stopped = {agent_pid}
    # What runs may start something until it is stopped.
    while found := running_below(agent.work_dir) - stopped:
        for pid in found:
            _signal(pid, signal.SIGSTOP)
        stopped |= found
    for pid in stopped:
        _signal(pid, signal.SIGKILL)
    agent.kill()
    for pid in stopped - {agent_pid}:
        eventually(lambda pid=pid: has_ended(pid), f"{pid} has ended")


def running_below(directory: Path) -> set[int]:
    """Processes that work in the directory or name it, and what they have started."""

    def holds(entry: Path) -> bool:
        works_there = os.readlink(entry / "cwd").startswith(f"{directory}/")
        return works_there or f"{directory}/".encode() in (entry / "cmdline").read_bytes()

    found = set(processes(holds))
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdecimal()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def declare_gone(cluster: Cluster, agent_id: str) -> None:
    """What an operator says who knows that the machine does not come back."""
    cluster.master.call({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": agent_id}}})


def _parent(entry: Path) -> int:
    with suppress(OSError):  # it has ended
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
