"""How long runs take and how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from koinon.chronos.model import Job, Percentiles, Run, RunState

#: The names in paths and answers, and the attribute of Percentiles that each means.
_NAMES = {
    "75thPercentile": "p75",
    "95thPercentile": "p95",
    "98thPercentile": "p98",
    "99thPercentile": "p99",
    "median": "median",
    "mean": "mean",
}
_STATUSES: Mapping[RunState, str] = {
    "launching": "Idle",
    "running": "Running",
    "succeeded": "Success",
    "failed": "Fail",
    "killed": "Fail",
}
_NONE = Percentiles()
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def times(percentile: str, jobs: Iterable[Job], known: Mapping[str, Percentiles]) -> list[dict[str, Any]]:
    """One value of each job in seconds, the longest first; a job without runs has 0. Empty for an unknown name."""
    if (attribute := _NAMES.get(percentile)) is None:
        return []
    values = {job.name: getattr(known.get(job.name, _NONE), attribute) for job in jobs}
    ordered = sorted(sorted(values), key=values.__getitem__, reverse=True)
    return [{"jobNameLabel": name, "time": values[name]} for name in ordered]


def job_stat(job: Job, percentiles: Percentiles, runs: Iterable[Run]) -> dict[str, Any]:
    """`job/stat` of one job. Of its runs, newest first, those are shown that came to have a task."""
    return {
        "histogram": _histogram(percentiles),
        "taskStatHistory": [_entry(job, run) for run in runs if run.state in _STATUSES and run.launched],
    }


def _histogram(percentiles: Percentiles) -> dict[str, Any]:
    """In milliseconds."""
    made: dict[str, Any] = {
        name: getattr(percentiles, attribute) * 1000 for name, attribute in _NAMES.items()
    }
    made["count"] = percentiles.count
    return made


def _entry(job: Job, run: Run) -> dict[str, Any]:
    began = run.launched if run.started is None else run.started
    made: dict[str, Any] = {
        "taskId": run.id,
        "jobName": run.job,
        "slaveId": run.agent_id,
        "startTime": _date(began),
        "endTime": _date(run.ended),
        "status": _STATUSES[run.state],
    }
    if began is not None and run.ended is not None:
        made["duration"] = _duration(run.ended - began)
    if job.data_processing_job_type:
        made["numElementsProcessed"] = run.elements_processed
    return made


def _date(at: float | None) -> str:
    return "N/A" if at is None else datetime.fromtimestamp(at, UTC).strftime("%m/%d/%y %H:%M:%S")


def _duration(seconds: float) -> str:
    """`1d2h3m4s`, without the parts that are zero but for the seconds."""
    rest = max(int(seconds), 0)
    parts = []
    for unit, length in _UNITS:
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join((*parts, f"{rest}s"))
