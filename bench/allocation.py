"""How long the allocator takes to consider all agents, for clusters of several sizes and frameworks of several minds.

`free`: everything is free, and nobody has refused anything. `N %`: on every agent N % of the frameworks have
refused what is free (at 100 % there is nothing to offer). No agent is as large as another. The time is that of all
the runs that it takes; the smallest of several, each over a new cluster; and processor time, which on an idle machine
is the time it takes.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from random import Random
from time import process_time

from bench import figures
from bench.figures import Figure
from koinon.allocator import Allocator, AllocatorConfig
from koinon.mesos.resources import Resources

CASES = ((1_000, 50), (1_000, 200), (2_000, 200), (5_000, 50), (5_000, 200), (50_000, 1_000))
REFUSED = (0, 50, 95, 100)

#: Targets in ms, and what the peer takes, by agents, frameworks and percent refused.
AIMS: dict[tuple[int, int, int], tuple[float, str]] = {
    (1_000, 50, 0): (5, "28"),
    (5_000, 50, 0): (20, "147"),
    (5_000, 200, 0): (30, "> 270"),
    (1_000, 50, 100): (5, "284"),
    (1_000, 200, 100): (5, "1,169"),
    (5_000, 50, 100): (5, "2,646"),
    (50_000, 1_000, 0): (1_000, ""),
}
START_S = 1_700_000_000.0


def build(agents: int, frameworks: int, roles: int, refused_percent: int) -> Allocator:
    """A cluster whose frameworks have refused, agent by agent, this part of what is free."""
    rng = Random(1)
    allocator = Allocator(AllocatorConfig(), Random(2))
    for number in range(frameworks):
        allocator.add_framework(
            f"framework-{number:04}", ["*" if roles == 1 else f"role-{number % roles:02}"]
        )
    clients = [client.bit for client in allocator.tree.in_order()]
    for number in range(agents):
        agent_id = f"agent-S{number}"
        total = Resources.parse(f"cpus:24;mem:{102_400 + number};disk:409600;ports:[31000-32000]")
        allocator.add_agent(agent_id, hostname=f"host-{number}", total=total)
        if refused_percent:
            # So many declines would take longer to make than all there is to measure: note them all at once.
            mask = sum(rng.sample(clients, len(clients) * refused_percent // 100))
            allocator._agents[agent_id].refusals.add(mask, total, tick=1 << 62)
    return allocator


def run_ms(agents: int, frameworks: int, roles: int, refused_percent: int, repeat: int) -> float:
    """The first time over such a cluster, anew each time."""
    times_ms = []
    for _ in range(repeat):
        allocator = build(agents, frameworks, roles, refused_percent)
        gc.collect()
        gc.freeze()  # as a master does that has loaded much
        begin = process_time()
        while allocator.next_wakeup(START_S) <= START_S:
            allocator.allocate(START_S)
        times_ms.append((process_time() - begin) * 1000)
        gc.unfreeze()
    return min(times_ms)


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """All cases, each with none, some and all pairs refused."""
    cases = [tuple(map(int, case.split("x"))) for case in given.case] if given.case else CASES
    repeat = 1 if given.quick else given.repeat
    for agents, frameworks in ((20, 5),) if given.quick else cases:
        free_ms = 0.0
        for percent in REFUSED:
            took_ms = run_ms(agents, frameworks, given.roles, percent, repeat)
            aim_ms: float | None
            aim_ms, peer = AIMS.get((agents, frameworks, percent), (None, ""))
            free_ms = free_ms or took_ms
            if (agents, frameworks, percent) == (50_000, 1_000, 50):
                aim_ms = 2 * free_ms  # what half of all filters may cost
            minds = f"{percent} % refused" if percent else "all free"
            yield Figure(f"{agents:,} × {frameworks:,}, {minds}", took_ms, "ms", at_most=aim_ms, peer=peer)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--roles", type=int, default=1, help="spread the frameworks over so many roles")
    parser.add_argument("--case", action="append", metavar="AGENTSxFRAMEWORKS")


if __name__ == "__main__":
    figures.run("allocation", __doc__, measure, _arguments)
