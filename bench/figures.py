"""Figures: what a benchmark found, beside what was aimed at and what Apache Mesos took for the same.

    publish("task_life", __doc__, figures, results)   # a table on the terminal, NAME.json, NAME.png

*Target*: what `docs/architecture.md` promises, at most or at least. *Peer*: Apache Mesos on the same class of machine;
these are facts measured once and kept here, since it takes hours to build.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PEER = "Apache Mesos 1.12-dev, same 2-core class of machine"
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured number. `peer` is text, since it may be a range; its first number is drawn."""

    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    peer: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None:
            return self.value >= self.at_least
        return None

    @property
    def target(self) -> float | None:
        """The number aimed at."""
        return self.at_most if self.at_most is not None else self.at_least

    @property
    def peer_value(self) -> float | None:
        """The first number of `peer`."""
        found = re.search(r"[\d.,]+", self.peer)
        return float(found[0].replace(",", "")) if found else None


def run(
    name: str,
    doc: str | None,
    measure: Callable[[argparse.Namespace], Iterable[Figure]],
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> None:
    """The command line of a benchmark: reads it, measures, publishes. `arguments` adds own options."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.{name}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="only to see that it works: tiny, no figure counts"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory for JSON and plot")
    arguments(parser)
    given = parser.parse_args()
    begun_s = time.monotonic()
    figures = list(measure(given))
    publish(name, figures, given.results, quick=given.quick, took_s=time.monotonic() - begun_s)


def publish(name: str, figures: Sequence[Figure], results: Path, *, quick: bool, took_s: float) -> None:
    """Print the table; write NAME.json and NAME.png. Without figures there is nothing to print, nor to draw."""
    if figures:
        print(table(figures), flush=True)
    results.mkdir(parents=True, exist_ok=True)
    described = {"benchmark": name, "quick": quick, "took_s": round(took_s, 1), **machine(), "peer": PEER}
    rows = [{**asdict(figure), "met": figure.met} for figure in figures]
    (results / f"{name}.json").write_text(json.dumps({**described, "figures": rows}, indent=1) + "\n")
    picture = results / f"{name}.png"
    picture.unlink(missing_ok=True)
    if figures:
        plot(name, figures, picture)


def read(path: Path) -> list[Figure]:
    """The figures of a NAME.json."""
    rows = json.loads(path.read_text())["figures"]
    return [Figure(**{key: value for key, value in row.items() if key != "met"}) for row in rows]


def machine() -> dict[str, object]:
    """Where and when. `load` says whether others were at work, too."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


# ── as a table ────────────────────────────────────────────────────────────────────────────────────────
def table(figures: Sequence[Figure]) -> str:
    """Aligned for a terminal, and Markdown."""
    rows = [("what", "measured", "target", "Apache Mesos", "")]
    rows += [
        (
            figure.what,
            f"{number(figure.value)} {figure.unit}".rstrip(),
            _target_text(figure),
            figure.peer,
            {True: "met", False: "MISSED", None: ""}[figure.met],
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _target_text(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"{'≤' if figure.at_most is not None else '≥'} {number(figure.target)} {figure.unit}".rstrip()


def number(value: float) -> str:
    """With as many digits as mean something."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


# ── as a plot ─────────────────────────────────────────────────────────────────────────────────────────
def plot(title: str, figures: Sequence[Figure], path: Path) -> None:
    """Bars for us and for the peer, one panel per unit, a mark where the target is."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    units = list(dict.fromkeys(figure.unit for figure in figures))
    panels = [[figure for figure in figures if figure.unit == unit] for unit in units]
    sizes = [len(panel) for panel in panels]
    drawing, axes = pyplot.subplots(
        len(panels),
        figsize=(11, 1.2 + 0.45 * sum(sizes) + 0.6 * len(panels)),
        gridspec_kw={"height_ratios": sizes},
        squeeze=False,
        layout="constrained",
    )
    for axis, unit, panel in zip(axes[:, 0], units, panels, strict=True):
        rows = range(len(panel))
        axis.barh([row - 0.18 for row in rows], [figure.value for figure in panel], 0.36, label="Koinon")
        peers = [figure.peer_value or 0.0 for figure in panel]
        axis.barh([row + 0.18 for row in rows], peers, 0.36, label=PEER, color="0.75")
        aimed = [(figure.target, row) for row, figure in enumerate(panel) if figure.target is not None]
        axis.plot([x for x, _ in aimed], [y for _, y in aimed], "k|", markersize=16, label="target")
        axis.set_yticks(list(rows), [figure.what for figure in panel])
        axis.invert_yaxis()
        shown = [v for v in (*(f.value for f in panel), *peers, *(x for x, _ in aimed)) if v]
        if shown and max(shown) > 50 * min(shown) > 0:
            axis.set_xscale("log")
        axis.set_xlabel(unit)
    axes[0, 0].legend(loc="lower right", fontsize="small")
    drawing.suptitle(title)
    drawing.savefig(path, dpi=100)
    pyplot.close(drawing)
