"""Numbers of each job, as dashboards know them."""

from __future__ import annotations

from koinon.chronos.core import State
from koinon.chronos.job_metrics import JobMetrics
from koinon.chronos.model import Job, Run


def succeeded(due_ms: int, took_ms: int, **more: int) -> Run:
    return Run("a", due_ms, state="succeeded", ended=(due_ms + took_ms) / 1000, **more)  # type: ignore[arg-type]


def test_each_job_has_its_counts_and_times() -> None:
    """As soon as it has any; of the latest hundred runs."""
    state = State(jobs={"a": Job("a", success_count=7, error_count=1), "b": Job("b")})
    found = JobMetrics(state)
    assert found.shown()["histograms"] == {}
    found.note([succeeded(n, 1_000_000) for n in range(50)])
    found.note([succeeded(n, 10) for n in range(99)])
    found.note([succeeded(0, 90, through_ms=60), Run("a", 1, state="failed", ended=99.0), Run("b", 1)])
    shown = found.shown()
    assert shown["counters"] == {"jobs.run.success.a": {"count": 7}, "jobs.run.failure.a": {"count": 1}}
    [(name, times)] = shown["histograms"].items()
    assert name == "jobs.run.time.a"
    assert {key: round(times[key]) for key in ("count", "min", "p50", "p98", "p99", "max")} == {
        "count": 150,
        "min": 10,
        "p50": 10,
        "p98": 10,
        "p99": 30,
        "max": 30,
    }
    assert 'chronos_jobs_run_success_total{job="a"} 7\n' in found.prometheus()


def test_a_new_job_has_nothing_of_one_of_its_name() -> None:
    state = State(jobs={"a": Job("a", created_ms=1)})
    found = JobMetrics(state)
    found.note([succeeded(1, 10)])
    state.jobs["a"] = Job("a", created_ms=2)
    assert found.shown()["histograms"] == {}
    found.note([succeeded(2, 20)])
    assert found.shown()["histograms"]["jobs.run.time.a"]["count"] == 1
    del state.jobs["a"]
    found.note([succeeded(3, 30)])
    assert found.shown() == {"counters": {}, "histograms": {}}
