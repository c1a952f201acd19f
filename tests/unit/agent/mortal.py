"""Agents that die at a durable write that the test chooses, and start fast: forked from a process that has all loaded.

    python -m tests.unit.agent.mortal

reads a JSON object per line, `{"argv": [...], "dies": 3, "when": "before"}`, and answers with the pid of an agent that
ends, without a word, when it is about to make its third commit, or when that is on disk and before anything follows.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from koinon.agent import server
from koinon.coordination import Change
from koinon.coordination.embedded import EmbeddedStore


class MortalStore(EmbeddedStore):
    """Takes the whole process with it."""

    commits = 0
    dies = 0
    when = "before"

    def commit(self, changes: Iterable[Change]) -> asyncio.Future[None]:
        MortalStore.commits += 1
        if self.commits == self.dies and self.when == "before":
            os._exit(137)
        done = super().commit(changes)
        if self.commits == self.dies:
            done.add_done_callback(lambda _: os._exit(137))  # the first to hear of it
        return done


def _live(argv: list[str], dies: int, when: str) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    MortalStore.dies, MortalStore.when = dies, when
    server.EmbeddedStore = MortalStore  # type: ignore[misc]
    os.dup2(2, 1)
    os._exit(server.main(argv))


def main() -> None:
    """Bring agents to life until there is no more to read."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        order = json.loads(line)
        if (pid := os.fork()) == 0:
            _live(order["argv"], order["dies"], order["when"])
        print(pid, flush=True)


class Nursery:
    """The test's end: one process for many agents."""

    def __init__(self) -> None:
        argv = [sys.executable, "-m", "tests.unit.agent.mortal"]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, flags: dict[str, str], *, dies: int = 0, when: str = "before") -> int:
        """The pid of a new agent, which dies at its commit number `dies`; never if that is 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        argv = [f"--{name}={value}" for name, value in flags.items()]
        self._process.stdin.write(json.dumps({"argv": argv, "dies": dies, "when": when}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """No more agents; those that live go on."""
        self._process.communicate()


def ended(pid: int) -> bool:
    """Whether a process is no more; its parent waits for it at once."""
    return not Path(f"/proc/{pid}").exists()


async def end(pid: int, number: signal.Signals, patience_s: float = 20.0) -> None:
    """Send a signal and wait for the end."""
    limit_s = time.monotonic() + patience_s
    if not ended(pid):
        os.kill(pid, number)
    while not ended(pid):
        assert time.monotonic() < limit_s
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    main()
