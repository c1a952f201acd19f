"""`python -m koinon.simulator`: many seeds, on all processors.

--seeds 1000 [--from 1]     play so many; of one that breaks a law print the shortest story
--seed 17 [--plan FILE]     play one, and tell its story
--chronos                   of clusters with Chronoses
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from koinon.simulator.plan import Plan, draw, draw_chronos
from koinon.simulator.shrink import shrink
from koinon.simulator.simulation import Outcome, simulate

#: So many stories are shortened and told in full; of the others only the seed is.
_TOLD_MAX = 3


class Result(msgspec.Struct):
    """What is passed between processes about one seed."""

    seed: int
    law: str
    text: str
    tasks: int
    events: int


def play(plan: Plan) -> Result:
    """Play a plan."""
    outcome = simulate(plan)
    broken, seed = outcome.violation, plan.seed
    return Result(seed, broken.law if broken else "", str(broken or ""), outcome.tasks, outcome.events)


def shortest(plan: Plan) -> Plan:
    """The shortest plan that breaks the same law as this one."""
    law = _law(simulate(plan))
    return shrink(plan, lambda candidate: _law(simulate(candidate)) == law)


def _law(outcome: Outcome) -> str:
    return outcome.violation.law if outcome.violation is not None else ""


def tell(plan: Plan, *, everything: bool = False) -> bool:
    """Print the story of a plan; returns whether a law was broken."""
    outcome = simulate(plan)
    sys.stdout.writelines(f"{line}\n" for line in outcome.report(everything=everything))
    return outcome.violation is not None


def run(plans: Sequence[Plan], workers: int) -> list[Result]:
    """Play many; those that broke a law."""
    begun_s = time.perf_counter()
    broken: list[Result] = []
    tasks = events = 0
    # Workers are replaced before they have grown large.
    with multiprocessing.Pool(workers, maxtasksperchild=50) as pool:
        for count, result in enumerate(pool.imap_unordered(play, plans, chunksize=4), 1):
            tasks, events = tasks + result.tasks, events + result.events
            if result.law:
                broken.append(result)
                print(f"seed {result.seed}: {result.text}", flush=True)
            if count % 500 == 0 or count == len(plans):
                spent_s = time.perf_counter() - begun_s
                print(
                    f"{count} seeds, {tasks} tasks, {events} events, {len(broken)} broke a law, {spent_s:.0f} s",
                    flush=True,
                )
    return broken


def main() -> int:
    """The exit status says whether all laws held."""
    parser = argparse.ArgumentParser(prog="python -m koinon.simulator", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to play (default 1000)")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first of them (default 1)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per processor)"
    )
    parser.add_argument("--seed", type=int, help="play this one only, and tell its story")
    parser.add_argument("--plan", type=Path, help="play the plan in this file (JSON), and tell its story")
    parser.add_argument(
        "--shrink", action="store_true", help="of --seed or --plan: find a shorter plan first, and print it"
    )
    parser.add_argument(
        "--everything",
        action="store_true",
        help="of --seed or --plan: tell of everybody, not only of those concerned",
    )
    parser.add_argument("--chronos", action="store_true", help="seeds are of clusters with Chronoses")
    options = parser.parse_args()
    drawn = draw_chronos if options.chronos else draw
    if options.seed is not None or options.plan is not None:
        plan = (
            drawn(options.seed)
            if options.plan is None
            else msgspec.json.decode(options.plan.read_bytes(), type=Plan)
        )
        if options.shrink:
            plan = shortest(plan)
            print(msgspec.json.encode(plan).decode())
        return int(tell(plan, everything=options.everything))
    seeds = range(options.first, options.first + options.seeds)
    broken = run([drawn(seed) for seed in seeds], options.workers)
    for result in sorted(broken, key=lambda one: one.events)[:_TOLD_MAX]:
        print(f"\n── seed {result.seed}, as short as it gets ──", flush=True)
        plan = shortest(drawn(result.seed))
        print(msgspec.json.encode(plan).decode())
        tell(plan)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
