"""Plays many rounds of each fault, and writes what they took into the documentation.

    python -m tests.partitions                     twenty rounds of each: about an hour
    python -m tests.partitions --rounds 3 leader   three, of the faults that have `leader` in their names; nothing is written
    python -m tests.partitions --write             only writes the page anew, from what was measured before

What goes wrong ends it, with the directory of the cluster left as it is.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.partitions import network, rounds, table
from tests.partitions.cluster import Cluster
from tests.partitions.faults import FAULTS


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.partitions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="only write the page")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument(
        "--machine", default=f"one machine with {os.cpu_count()} cores", help="what the page calls it"
    )
    parser.add_argument("name", nargs="?", default="", help="part of the names of faults")
    options = parser.parse_args()
    if options.write:
        table.write_page()
        return 0
    if (reason := network.cannot_run()) is not None:
        print(reason, file=sys.stderr)
        return 1
    chosen = [fault for fault in FAULTS if options.name in fault.key]
    took: dict[str, list[rounds.Measures]] = {fault.key: [] for fault in chosen}
    directory = Path(tempfile.mkdtemp(prefix="partitions-", dir=options.directory))
    print(f"the cluster is in {directory}", flush=True)
    with Cluster(directory).running() as cluster:
        for number in range(1, options.rounds + 1):
            for fault in chosen:
                begun_s = time.monotonic()
                measures = rounds.play(cluster, fault)
                took[fault.key].append(measures)
                shown = ", ".join(f"{what} {value:.2f}" for what, value in measures.items())
                print(f"{number} {fault.name}: {shown} ({time.monotonic() - begun_s:.0f} s)", flush=True)
    if len(chosen) == len(FAULTS):
        table.keep(took, options.machine)
        table.write_page()
    return 0


if __name__ == "__main__":
    sys.exit(main())
