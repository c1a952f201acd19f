"""How long one run of the allocator takes, for clusters of several sizes and frameworks of several minds.

    python bench/allocation.py [--json FILE] [--repeat N] [--case 1000x50 …] [--roles N]

`free`: everything is free, and nobody has refused anything. `N %`: on every agent N % of the frameworks have
refused what is free (at 100 % there is nothing to offer). Every run considers all agents, none of which is as large
as another. The smallest and the median of several runs are shown, each over a new cluster;
it is processor time, which on an idle machine is the time it takes.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
from pathlib import Path
from random import Random
from statistics import median
from time import process_time

from koinon.allocator import Allocator, AllocatorConfig
from koinon.mesos.resources import Resources

CASES = ((1_000, 50), (1_000, 200), (2_000, 200), (5_000, 50), (5_000, 200), (50_000, 1_000))
REFUSED = (0, 50, 95, 100)
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


def measure(agents: int, frameworks: int, roles: int, refused_percent: int, repeat: int) -> dict[str, float]:
    """Time the first run over such a cluster, anew each time."""
    times_ms, offers = [], 0
    for _ in range(repeat):
        allocator = build(agents, frameworks, roles, refused_percent)
        gc.collect()
        gc.freeze()  # as a master does that has loaded much
        begin = process_time()
        offers = len(allocator.allocate(START_S))
        times_ms.append((process_time() - begin) * 1000)
        gc.unfreeze()
    return {
        "agents": agents,
        "frameworks": frameworks,
        "roles": roles,
        "refused_percent": refused_percent,
        "offers": offers,
        "min_ms": min(times_ms),
        "median_ms": median(times_ms),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--roles", type=int, default=1, help="spread the frameworks over so many roles")
    parser.add_argument("--case", action="append", metavar="AGENTSxFRAMEWORKS")
    arguments = parser.parse_args()
    cases = [tuple(map(int, case.split("x"))) for case in arguments.case] if arguments.case else CASES

    print(f"CPython {platform.python_version()}; milliseconds per run, min/median of {arguments.repeat}")
    print(f"{'agents × frameworks':>20}" + "".join(f"{f'{p} %' if p else 'free':>20}" for p in REFUSED))
    figures = []
    for agents, frameworks in cases:
        print(f"{f'{agents:,} × {frameworks:,}':>20}", end="", flush=True)
        for percent in REFUSED:
            figure = measure(agents, frameworks, arguments.roles, percent, arguments.repeat)
            figures.append(figure)
            print(f"{figure['min_ms']:>11.1f} /{figure['median_ms']:>7.1f}", end="", flush=True)
        print()
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"python": platform.python_version(), "figures": figures}, indent=1)
        )


if __name__ == "__main__":
    main()
