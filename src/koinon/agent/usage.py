"""What containers use, read from /proc: one look at all processes serves every container.

A container's figures are the sums over its **tree**: the main process and everything below it. CPU time
counts ended children too, as far as somebody in the tree waited for them. Memory is resident memory;
pages that processes share count once for each.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from koinon.mesos.v1 import ResourceStatistics

__all__ = ["measure"]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class _Process(NamedTuple):
    user_ticks: int
    system_ticks: int
    threads: int
    rss_pages: int


def measure(mains: Mapping[str, int]) -> dict[str, ResourceStatistics]:
    """Statistics of each container whose main process is there; `mains` maps container ids to pids.

    Sets `timestamp`, `processes`, `threads`, `cpus_user_time_secs`, `cpus_system_time_secs` and
    `mem_rss_bytes`. Costs about 15 µs for each process on the machine.
    """
    timestamp = time.time()
    processes, children = _look()
    return {
        container_id: _sum(_tree(pid, children), processes, timestamp)
        for container_id, pid in mains.items()
        if pid in processes
    }


def _look() -> tuple[dict[int, _Process], dict[int, list[int]]]:
    """All processes by pid, and who is whose child."""
    processes: dict[int, _Process] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fd = os.open(f"/proc/{name}/stat", os.O_RDONLY)
        except FileNotFoundError:
            continue  # ended since the listing
        try:
            text = os.read(fd, 4096)
        except ProcessLookupError:
            continue  # ended since the opening
        finally:
            os.close(fd)
        # The name in parentheses may hold anything; after the last one: state, parent and so on (proc(5)).
        field = text[text.rindex(b")") + 2 :].split()
        pid = int(name)
        children[int(field[1])].append(pid)
        processes[pid] = _Process(
            int(field[11]) + int(field[13]), int(field[12]) + int(field[14]), int(field[17]), int(field[21])
        )
    return processes, children


def _tree(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    tree = [pid]
    for member in tree:  # grows while we walk
        tree.extend(children.get(member, ()))
    return tree


def _sum(tree: list[int], processes: Mapping[int, _Process], timestamp: float) -> ResourceStatistics:
    members = [processes[pid] for pid in tree]
    return ResourceStatistics(
        timestamp=timestamp,
        processes=len(members),
        threads=sum(each.threads for each in members),
        cpus_user_time_secs=sum(each.user_ticks for each in members) / _TICKS_PER_S,
        cpus_system_time_secs=sum(each.system_ticks for each in members) / _TICKS_PER_S,
        mem_rss_bytes=sum(each.rss_pages for each in members) * _PAGE_BYTES,
    )
