"""Numbers of each job, under the names that they always had in `/metrics`: dashboards know these.

jobs.run.success.<job>, jobs.run.failure.<job>   runs that have ended so, as the job itself counts them
jobs.run.time.<job>                              milliseconds from due to done of those that succeeded since we lead
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from statistics import fmean, pstdev
from typing import Any

from koinon.chronos.core import State
from koinon.chronos.model import Run

#: Of so many latest runs of each job; there may be many jobs.
_SAMPLES_MAX = 100
_QUANTILES = (("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("p98", 0.98), ("p99", 0.99), ("p999", 0.999))
_COUNTS = (("success", "success_count"), ("failure", "error_count"))


class JobMetrics:
    """What is `noted` of runs, and what the jobs of `state` know themselves."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._took: dict[str, _Samples] = {}

    def note(self, runs: Iterable[Run]) -> None:
        """These have ended."""
        for run in runs:
            job = self._state.jobs.get(run.job)
            if job is None or run.orphaned or run.state != "succeeded" or run.ended is None:
                continue
            took = self._took.get(job.name)
            if took is None or took.created_ms != job.created_ms:  # of another job of that name
                took = self._took[job.name] = _Samples(job.created_ms)
            took.add(max(run.ended * 1000 - max(run.due_ms, run.through_ms), 0.0))

    def shown(self) -> Mapping[str, Mapping[str, Any]]:
        """By kind and name, as `/metrics` has them. May be called by any thread."""
        counters: dict[str, Any] = {}
        histograms: dict[str, Any] = {}
        for job in list(self._state.jobs.values()):
            for name, attribute in _COUNTS:
                if count := getattr(job, attribute):
                    counters[f"jobs.run.{name}.{job.name}"] = {"count": count}
            if (took := self._took.get(job.name)) is not None and took.created_ms == job.created_ms:
                histograms[f"jobs.run.time.{job.name}"] = took.shown()
        for gone in self._took.keys() - self._state.jobs.keys():
            self._took.pop(gone, None)
        return {"counters": counters, "histograms": histograms}

    def prometheus(self) -> str:
        """The counts, with the job as a label: its name needs no quoting. May be called by any thread."""
        jobs = list(self._state.jobs.values())
        lines = []
        for name, attribute in _COUNTS:
            lines.append(f"# TYPE chronos_jobs_run_{name}_total counter\n")
            lines += [
                f'chronos_jobs_run_{name}_total{{job="{job.name}"}} {count}\n'
                for job in jobs
                if (count := getattr(job, attribute))
            ]
        return "".join(lines)


class _Samples:
    """The latest ones, and how many there were."""

    __slots__ = ("count", "created_ms", "latest")

    def __init__(self, created_ms: int) -> None:
        self.created_ms = created_ms
        self.count = 0
        self.latest = array("d")

    def add(self, value: float) -> None:
        if len(self.latest) < _SAMPLES_MAX:
            self.latest.append(value)
        else:
            self.latest[self.count % _SAMPLES_MAX] = value
        self.count += 1

    def shown(self) -> Mapping[str, float]:
        """With the fields of a histogram of Dropwizard's."""
        ordered = sorted(self.latest)
        return {
            "count": self.count,
            "max": ordered[-1],
            "mean": fmean(ordered),
            "min": ordered[0],
            **{name: ordered[min(int(q * len(ordered)), len(ordered) - 1)] for name, q in _QUANTILES},
            "stddev": pstdev(ordered),
        }
