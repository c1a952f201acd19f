"""How much disk sandboxes take, looked at now and then by du(1): files may be many, and it is not in our way there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Mapping

from koinon.agent.core.disk import limit_bytes
from koinon.agent.core.state import State

#: So many at a time.
_BATCH = 200
#: At most this part of the time is spent on looking.
_EFFORT = 0.1


async def watch(state: State, interval_s: float, tell: Callable[[Mapping[str, int]], None]) -> None:
    """Look at the sandboxes of executors that have an amount of disk, and `tell` of each, for ever."""
    while True:
        start_s = time.monotonic()
        directories = {
            executor.directory: executor.container_id
            for framework in state.frameworks.values()
            for executor in framework.executors.values()
            if limit_bytes(executor)
        }
        if directories and (found := await asyncio.to_thread(measure, list(directories))):
            tell({directories[directory]: used for directory, used in found.items()})
        took_s = time.monotonic() - start_s
        await asyncio.sleep(max(interval_s, took_s / _EFFORT))


def measure(directories: list[str]) -> dict[str, int]:
    """Bytes on the disk by directory; of those that are there. Blocks."""
    used: dict[str, int] = {}
    for start in range(0, len(directories), _BATCH):
        batch = directories[start : start + _BATCH]
        done = subprocess.run(
            ["nice", "-n", "19", "du", "-0", "-k", "-s", "-x", "--", *batch],
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what is gone meanwhile
            check=False,
        )
        for line in filter(None, done.stdout.split(b"\0")):
            kilobytes, _, directory = line.partition(b"\t")
            used[os.fsdecode(directory)] = int(kilobytes) * 1024
    return used
