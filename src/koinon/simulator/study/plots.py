"""The pictures of a study. Matplotlib is loaded only when one is drawn.

The same study gives the same picture, byte for byte, with the same release of Matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from koinon.simulator.study.cluster import Cluster
from koinon.simulator.study.description import NAMES
from koinon.simulator.study.report import QUANTILES, Report, Waiting, Waits, WaitsBy
from koinon.simulator.study.units import time_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

FORMATS = ("svg", "png")
_UNITS_S = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
#: A curve has no more points than this.
_POINTS_MAX = 400
_LABEL_MAX = 90
#: Nobody cares about less, and nothing is less on a logarithmic scale.
_SHORTEST_S = 0.001


def draw(cluster: Cluster, waits: WaitsBy, directory: Path, form: str) -> None:
    """Draw all pictures into the directory."""
    series, capacity, warm_s = cluster.measures.series, cluster.study.capacity(), cluster.study.warm_up_s
    unit, unit_s = next((one for one in _UNITS_S if cluster.study.length_s >= 3 * one[1]), _UNITS_S[-1])
    times = [time_s / unit_s for time_s in series.time_s]

    def over_time(axes: Axes, lines: Mapping[str, Sequence[float]], what: str) -> None:
        for name, points in lines.items():
            axes.plot(times, points, label=name, linewidth=1.2)
        if warm_s:
            axes.axvspan(0, warm_s / unit_s, color="0.92", zorder=0, label="warm-up")
        axes.set_xlabel(f"time in {unit}")
        axes.set_ylabel(what)
        axes.set_xlim(0, times[-1])
        axes.set_ylim(bottom=0)
        axes.legend(fontsize="small")

    used = {
        name: [100 * value for value in points]
        for name, have, points in zip(NAMES, capacity, series.used, strict=True)
        if have
    }
    shares = {role: [100 * value for value in points] for role, points in series.shares.items()}
    with _picture(directory / f"utilisation.{form}", "What is in use", 1) as (axes,):
        over_time(axes, used, "% of what all agents have")
    with _picture(directory / f"shares.{form}", "Dominant shares of roles", 1) as (axes,):
        over_time(axes, shares, "% of the cluster")
    with _picture(directory / f"queues.{form}", "Tasks of frameworks", 2) as (above, below):
        over_time(above, series.waiting, "waiting")
        over_time(below, series.running, "running")
    with _picture(directory / f"waiting.{form}", "How long tasks wait for their start", 2) as (above, below):
        _distribution(above, waits["framework"], "tasks of frameworks")
        _distribution(below, waits["role"], "tasks of roles")


def draw_comparison(reports: Mapping[str, Report], path: Path) -> None:
    """Draw how long the tasks of each framework wait, by case."""
    frameworks = list(dict.fromkeys(name for report in reports.values() for name in report.frameworks))
    with _picture(path, "How long tasks wait for their start", len(frameworks)) as panels:
        for axes, framework in zip(panels, frameworks, strict=True):
            for at, (case, report) in enumerate(reports.items()):
                waiting = report.frameworks[framework].waiting if framework in report.frameworks else None
                heights_s = [getattr(waiting, f"{name}_s", None) or _SHORTEST_S for name in QUANTILES]
                width = 0.8 / len(reports)
                places = [place + (at - (len(reports) - 1) / 2) * width for place in range(len(QUANTILES))]
                bars = axes.bar(places, heights_s, width, label=_cut(f"what-if {at}: {case}" if at else case))
                axes.bar_label(bars, _labels(waiting), fontsize="x-small")
            axes.set_xticks(range(len(QUANTILES)), list(QUANTILES))
            axes.set_yscale("log")
            axes.margins(y=0.15)
            axes.set_ylim(bottom=_SHORTEST_S)
            axes.yaxis.set_major_formatter(_as_time)
            axes.set_ylabel(framework)
        panels[0].legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1.02))


def _cut(label: str) -> str:
    """A legend that is wider than the picture would leave no room for anything else."""
    return label if len(label) <= _LABEL_MAX else label[: _LABEL_MAX - 1] + "…"


def _labels(waiting: Waiting | None) -> list[str]:
    return [""] * len(QUANTILES) if waiting is None else list(waiting.texts().values())


def _distribution(axes: Axes, waits: Mapping[str, Waits], what: str) -> None:
    """Which part of the tasks waits no longer than so long; the line ends where nobody knows."""
    for name, one in waits.items():
        if one.over_s:
            last = len(one.over_s) - 1
            shown = [*range(0, last, max(1, last // _POINTS_MAX)), last]
            times = [max(_SHORTEST_S, one.over_s[at]) for at in shown]
            axes.step(times, [100 * one.parts[at] for at in shown], where="post", label=name, linewidth=1.2)
    for part in (50, 90, 99):
        axes.axhline(part, color="0.8", linewidth=0.6, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_as_time)
    axes.set_yticks([0, 50, 90, 99])
    axes.set_ylim(0, 101)
    axes.set_ylabel(f"% of the {what}")
    if axes.lines[:-3]:
        axes.legend(fontsize="small")


def _as_time(value: float, _: object) -> str:
    return time_text(value)


@contextmanager
def _picture(path: Path, title: str, panels: int) -> Iterator[Any]:
    """Panels, one above the other; written when all is drawn."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Names in the file would else be drawn at random, and the time of day be in it.
    with mpl.rc_context({"svg.hashsalt": "koinon", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 0.8 + 3.2 * panels), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.subplots(panels, squeeze=False)[:, 0]
        figure.suptitle(title)
        metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=110, metadata=metadata)
