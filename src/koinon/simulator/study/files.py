"""The files of a study: time series and waiting times as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO

from koinon.simulator.study.cluster import Cluster
from koinon.simulator.study.description import NAMES
from koinon.simulator.study.report import WaitsBy

_PARTS = [part / 100 for part in range(101)]


def csv_files(cluster: Cluster, waits: WaitsBy) -> dict[str, str]:
    """Text by name of file."""
    series, capacity = cluster.measures.series, cluster.study.capacity()
    used = {
        name: [f"{value:.6f}" for value in points]
        for name, have, points in zip(NAMES, capacity, series.used, strict=True)
        if have
    }
    shares = {role: [f"{value:.6f}" for value in points] for role, points in series.shares.items()}
    queues = {f"{name} waiting": points for name, points in series.waiting.items()}
    queues |= {f"{name} running": points for name, points in series.running.items()}
    time_s = {"time_s": [f"{value:g}" for value in series.time_s]}
    return {
        "utilisation.csv": _columns({**time_s, **used, "agents_up": series.agents_up}),
        "shares.csv": _columns({**time_s, **shares}),
        "queues.csv": _columns({**time_s, **queues}),
        "waiting.csv": _columns({"part": [f"{part:g}" for part in _PARTS], **_waiting(waits)}),
    }


def _waiting(waits_by: WaitsBy) -> dict[str, list[str]]:
    """For each part of the tasks, how long they waited at most; empty where that is not known."""
    found = {}
    for what, waits in waits_by.items():
        for name, one in waits.items():
            known = [one.quantile_s(part) for part in _PARTS]
            found[f"{what} {name}"] = [f"{value_s:.6f}" if is_known else "" for value_s, is_known in known]
    return found


def _columns(columns: dict[str, Iterable[object]]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
