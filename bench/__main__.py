"""All benchmarks, one after the other, each in a process of its own; then everything on one page.

    python -m bench [--quick] [--results DIR] [NAME …]

Writes NAME.json and NAME.png of each, and all.md, all.json and all.png. Ends with status 1 if a benchmark failed; a
missed target is a figure, not a failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench import figures
from bench.figures import Figure
from bench.processes import ROOT

NAMES = (
    "startup", "allocation", "task_life", "one_agent", "coordination", "executor_tasks", "running", "state", "failover", "marathon",
    "chronos", "slurm", "soak", "study",
)  # fmt: skip


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these of {', '.join(NAMES)}")
    parser.add_argument(
        "--quick", action="store_true", help="only to see that all work: tiny, no figure counts"
    )
    parser.add_argument(
        "--results", type=Path, default=figures.RESULTS, help="directory for JSON, tables and plots"
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: choose of {', '.join(NAMES)}")
    results = given.results.absolute()
    failed = []
    measured: dict[str, list[Figure]] = {}
    for name in given.names or NAMES:
        print(f"\n── {name} ──", flush=True)
        argv = [sys.executable, "-m", f"bench.{name}", "--results", str(results)]
        ended = subprocess.run(argv + ["--quick"] * given.quick, cwd=ROOT, check=False)
        if ended.returncode:
            failed.append(name)
        else:
            measured[name] = figures.read(results / f"{name}.json")
    _summarise(measured, results)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _summarise(measured: dict[str, list[Figure]], results: Path) -> None:
    """All on one page; the plot has what there is a target or a peer for."""
    about = figures.machine()
    lines = [
        "# Figures",
        "",
        f"{about['at']}, CPython {about['python']}, {about['cpus']} CPUs; peer: {figures.PEER}.",
        "",
    ]
    for name, found in measured.items():
        lines += [f"## {name}", "", figures.table(found) if found else "left out", ""]
    (results / "all.md").write_text("\n".join(lines))
    parts = {name: json.loads((results / f"{name}.json").read_text()) for name in measured}
    (results / "all.json").write_text(json.dumps({**about, "benchmarks": parts}, indent=1) + "\n")
    every = [one for found in measured.values() for one in found]
    if telling := [one for one in every if one.target is not None or one.peer]:
        figures.plot("Koinon", telling, results / "all.png")
    aimed = [one for one in every if one.met is not None]
    print(
        f"\n{sum(bool(one.met) for one in aimed)} of {len(aimed)} targets met; all figures are in {results}/all.md"
    )


if __name__ == "__main__":
    sys.exit(main())
