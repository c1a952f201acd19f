"""Numbers about a role: counters, gauges, timers; as a flat snapshot and for Prometheus.

Names are those of the snapshot (`master/tasks_running`); Prometheus sees `koinon_master_tasks_running`. A
*family* holds numbers of the same names for each of many objects (frameworks, roles): in the snapshot the
object is part of the name, for Prometheus it is a label. What is *measured* only Prometheus sees.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from aiohttp.web_request import BaseRequest
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from koinon.edge.answers import Answer, HttpError, answer_json
from koinon.edge.server import Server
from koinon.edge.slices import slices
from koinon.flags import Duration, FlagError

#: Of so many last observations a timer's percentiles are made.
_WINDOW = 1000
_PERCENTILES = (
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
    ("p9999", 0.9999),
)


class Counter:
    """A number that only grows. `counter.value += 1` is the way to count."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Timer:
    """How long something takes, in milliseconds: the last one, how many, and percentiles of the last ones."""

    __slots__ = ("_last", "_sorted", "_window", "count", "total_ms")

    def __init__(self) -> None:
        self.count = 0
        self.total_ms = 0.0
        self._last = 0.0
        self._window: deque[float] = deque()
        self._sorted: list[float] = []

    def observe(self, ms: float) -> None:
        """Something took `ms`."""
        self.count += 1
        self.total_ms += ms
        self._last = ms
        self._window.append(ms)
        insort(self._sorted, ms)
        if len(self._window) > _WINDOW:
            oldest = self._window.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]

    def time(self) -> Stopwatch:
        """`with timer.time(): …` observes how long the block takes."""
        return Stopwatch(self)

    def quantile(self, q: float) -> float:
        """The value below which the part `q` of the last observations lies; 0 before the first."""
        return self._sorted[min(int(q * len(self._sorted)), len(self._sorted) - 1)] if self._sorted else 0.0

    def snapshot(self, name: str) -> Iterator[tuple[str, float]]:
        """Names and numbers of the snapshot."""
        yield name, self._last
        yield f"{name}/count", self.count
        yield f"{name}/max", self._sorted[-1] if self._sorted else 0.0
        yield f"{name}/min", self._sorted[0] if self._sorted else 0.0
        for percentile, q in _PERCENTILES:
            yield f"{name}/{percentile}", self.quantile(q)


class Stopwatch:
    """Observes the time between enter and exit."""

    __slots__ = ("_start", "_timer")

    def __init__(self, timer: Timer) -> None:
        self._timer = timer

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._timer.observe((time.perf_counter() - self._start) * 1000)


class Family(NamedTuple):
    """Numbers for each of many objects.

    `label` is what Prometheus calls the object (`framework_id`). `members` yields, for each object, its label's
    value, the snapshot's names in the order of `names`, and the numbers in the same order.
    """

    label: str
    #: Names without the object, as Prometheus shows them.
    names: Sequence[str]
    members: Callable[[], Iterable[tuple[str, Sequence[str], Sequence[float]]]]


class Measured(NamedTuple):
    """Numbers for each of many objects that are measured when they are asked for, for Prometheus alone.

    `read` gives the numbers by name for each object, which is known by the values of its `labels`.
    """

    labels: Sequence[str]
    read: Callable[[], Awaitable[Mapping[tuple[str, ...], Mapping[str, float]]]]


class Metrics:
    """All numbers of a role."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Callable[[], float]] = {}
        self._timers: dict[str, Timer] = {}
        self._groups: list[Callable[[], Mapping[str, float]]] = []
        self._families: list[Family] = []
        self._measured: list[Measured] = []

    def counter(self, name: str) -> Counter:
        """The counter of that name, made when it is asked for first."""
        return self._counters.setdefault(name, Counter())

    def timer(self, name: str) -> Timer:
        """The timer of that name; the name ends in `_ms`."""
        return self._timers.setdefault(name, Timer())

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """A number that is asked for when it is shown."""
        self._gauges[name] = read

    def gauges(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Many such numbers that are made together, by name."""
        self._groups.append(read)

    def family(self, family: Family) -> None:
        """Show the numbers of many objects."""
        self._families.append(family)

    def measured(self, measured: Measured) -> None:
        """Show the numbers of many objects to Prometheus."""
        self._measured.append(measured)

    def snapshot(self) -> dict[str, float]:
        """Every number by its name."""
        values: dict[str, float] = {name: counter.value for name, counter in self._counters.items()}
        values.update({name: read() for name, read in self._gauges.items()})
        for group in self._groups:
            values.update(group())
        for name, timer in self._timers.items():
            values.update(timer.snapshot(name))
        for family in self._families:
            for _, names, numbers in family.members():
                values.update(zip(names, numbers, strict=True))
        return values

    async def prometheus(self) -> Iterator[bytes]:
        """The text format of Prometheus, family by family."""
        measured = [(one.labels, await one.read()) for one in self._measured]
        return (
            generate_latest(_Of(metric))
            for metric in chain(self._prometheus(), *(_labelled(*one) for one in measured))
        )

    def serve(self, server: Server) -> None:
        """Answer `/metrics/snapshot` and `/metrics` on `server`."""
        server.route("/metrics/snapshot", self._answer_snapshot)
        server.route("/metrics", self._answer_prometheus)

    async def _answer_snapshot(self, request: BaseRequest) -> Answer:
        if (timeout := request.query.get("timeout")) is not None:
            try:
                Duration.parse(timeout)  # all our numbers are ready at once
            except FlagError as error:
                raise HttpError(400, str(error)) from error
        return answer_json(self.snapshot())

    async def _answer_prometheus(self, request: BaseRequest) -> Answer:
        return Answer(slices(await self.prometheus()), content_type=CONTENT_TYPE_LATEST)

    def _prometheus(self) -> Iterator[Metric]:
        for name, counter in self._counters.items():
            yield CounterMetricFamily(_prometheus_name(name), name, counter.value)
        for name, read in self._gauges.items():
            yield GaugeMetricFamily(_prometheus_name(name), name, read())
        for group in self._groups:
            for name, value in group().items():
                yield GaugeMetricFamily(_prometheus_name(name), name, value)
        for name, timer in self._timers.items():
            seconds = _prometheus_name(name.removesuffix("_ms") + "_seconds")
            yield SummaryMetricFamily(seconds, name, timer.count, timer.total_ms / 1000)
        for family in self._families:
            members = [(value, list(numbers)) for value, _, numbers in family.members()]
            for index, name in enumerate(family.names):
                metric = GaugeMetricFamily(_prometheus_name(name), name, labels=[family.label])
                for member, numbers in members:
                    metric.add_metric([member], numbers[index])
                yield metric


def _labelled(
    labels: Sequence[str], members: Mapping[tuple[str, ...], Mapping[str, float]]
) -> Iterator[Metric]:
    for name in dict.fromkeys(chain.from_iterable(members.values())):
        metric = GaugeMetricFamily(_prometheus_name(name), name, labels=labels)
        for member, numbers in members.items():
            if name in numbers:
                metric.add_metric(member, numbers[name])
        yield metric


class _Of:
    """What `generate_latest` wants of a registry."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]


def _prometheus_name(name: str) -> str:
    return "koinon_" + re.sub(r"[^A-Za-z0-9_]", "_", name)
