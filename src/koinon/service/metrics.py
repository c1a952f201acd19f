"""Numbers about a service, in the two forms that its tools read.

    metrics.gauge("apps.active", lambda: len(apps))     # shown as <prefix>.apps.active.gauge
    metrics.counter("deployments").value += 1           # <prefix>.deployments.counter
    metrics.timer("core.handling").observe(ms)          # <prefix>.core.handling.timer.seconds

`/metrics` groups them by kind, with Dropwizard's fields; Prometheus sees the same names with `_` for `.`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from koinon.edge import Counter, Timer
from koinon.service.answers import error_answer, json_answer

#: Of the form, which tools ask for.
_VERSION = "4.0.0"
_QUANTILES = (("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("p98", 0.98), ("p99", 0.99), ("p999", 0.999))


class Many(Protocol):
    """Numbers of many objects: called in a thread, so that nobody waits for them."""

    def shown(self) -> Mapping[str, Mapping[str, Any]]:
        """By kind and whole name, with Dropwizard's fields."""
        ...

    def prometheus(self) -> str:
        """In the form of Prometheus."""
        ...


class ServiceMetrics:
    """All numbers of one process."""

    #: Those of single objects, if there are some.
    many: Many | None = None

    def __init__(self, prefix: str, *, prometheus: bool = True) -> None:
        self._prefix = prefix
        self._serves_prometheus = prometheus
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Callable[[], float]] = {}
        self._timers: dict[str, Timer] = {}

    def counter(self, name: str) -> Counter:
        """The counter of that name, made when it is asked for first."""
        return self._counters.setdefault(f"{self._prefix}.{name}.counter", Counter())

    def gauge(self, name: str, read: Callable[[], float], *, unit: str = "") -> None:
        """A number that is asked for when it is shown."""
        self._gauges[f"{self._prefix}.{name}.gauge{unit and f'.{unit}'}"] = read

    def timer(self, name: str) -> Timer:
        """The timer of that name; it observes milliseconds, and shows seconds."""
        return self._timers.setdefault(f"{self._prefix}.{name}.timer.seconds", Timer())

    def serve(self, app: web.Application) -> None:
        """Answer `/metrics` and `/metrics/prometheus`."""
        app.router.add_get("/metrics", self._answer)
        app.router.add_get("/metrics/prometheus", self._answer_prometheus)

    def snapshot(self) -> dict[str, Any]:
        """What `/metrics` answers."""
        return {
            "version": _VERSION,
            "gauges": {name: {"value": read()} for name, read in self._gauges.items()},
            "counters": {name: {"count": counter.value} for name, counter in self._counters.items()},
            "histograms": {},
            "meters": {},
            "timers": {name: _timer(timer) for name, timer in self._timers.items()},
        }

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        shown = self.snapshot()
        if self.many is not None:
            for kind, numbers in (await asyncio.to_thread(self.many.shown)).items():
                shown[kind].update(numbers)
        return json_answer(shown)

    async def _answer_prometheus(self, request: web.Request) -> web.StreamResponse:
        if not self._serves_prometheus:
            return error_answer(
                404, "Metrics for Prometheus are switched off (--disable_metrics_prometheus)."
            )
        body = generate_latest(self)
        if self.many is not None:
            body += (await asyncio.to_thread(self.many.prometheus)).encode()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def collect(self) -> Iterator[Metric]:
        """What `generate_latest` wants of a registry."""
        for name, read in self._gauges.items():
            yield GaugeMetricFamily(_plain(name), name, read())
        for name, counter in self._counters.items():
            yield CounterMetricFamily(_plain(name), name, counter.value)
        for name, timer in self._timers.items():
            yield SummaryMetricFamily(_plain(name), name, timer.count, timer.total_ms / 1000)


def _timer(timer: Timer) -> Mapping[str, Any]:
    mean_s = timer.total_ms / timer.count / 1000 if timer.count else 0.0
    return {
        "count": timer.count,
        "min": timer.quantile(0) / 1000,
        "mean": mean_s,
        "max": timer.quantile(1) / 1000,
        **{name: timer.quantile(q) / 1000 for name, q in _QUANTILES},
        "duration_units": "seconds",
    }


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name)
