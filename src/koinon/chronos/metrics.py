"""Chronos's numbers: what its core holds, read when it is asked for; and what it heard and did, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from koinon.chronos.core import Chronos, State, events
from koinon.chronos.job_metrics import JobMetrics
from koinon.edge import Counter
from koinon.mesos import v1
from koinon.service.metrics import ServiceMetrics


def install(
    metrics: ServiceMetrics, core: Chronos, *, unrecorded: Callable[[], int], unsent: Callable[[], int]
) -> None:
    """Let `metrics` show what `core` holds, and how much waits for the history and for those who want notices."""
    state = core.state
    for name, read in (
        ("jobs.active", lambda: len(state.jobs)),
        ("runs.queued", lambda: len(state.queue)),
        ("runs.active", lambda: sum(run.is_active for run in state.runs.values())),
        ("runs.waiting", lambda: sum(not run.is_active for run in state.runs.values())),
        ("history.waiting", unrecorded),
        ("notices.waiting", unsent),
    ):
        metrics.gauge(name, read)


class Counts:
    """Counts events that the core has taken in, and effects that were carried out."""

    def __init__(self, metrics: ServiceMetrics, state: State) -> None:
        count = metrics.counter
        self._jobs = metrics.many = JobMetrics(state)
        self._updates = {
            state: count(f"mesos.task-updates.{state.name.lower().replace('_', '-')}")
            for state in v1.TaskState
        }
        self._ended = {
            state: count(f"runs.{state}") for state in ("succeeded", "failed", "killed", "skipped")
        }
        #: What is counted of each kind: a counter, and how many one of them is.
        self._counted: dict[type, tuple[Counter, Callable[[Any], int]]] = {
            events.Offered: (count("mesos.offers.incoming"), lambda event: len(event.offers)),
            events.Rescinded: (count("mesos.offers.rescinded"), _one),
            events.Accept: (count("mesos.offers.used"), lambda effect: len(effect.offer_ids)),
            events.Decline: (count("mesos.offers.declined"), lambda effect: len(effect.offer_ids)),
            events.Revive: (count("mesos.calls.revive"), _one),
            events.Suppress: (count("mesos.calls.suppress"), _one),
            events.Kill: (count("mesos.calls.kill"), _one),
            events.Reconcile: (count("mesos.calls.reconcile"), _one),
            events.Notify: (count("notices"), _one),
        }

    def count(self, what: events.Event | events.Effect) -> None:
        """One more of its kind."""
        if isinstance(what, events.Updated):
            self._updates[what.status.state].value += 1
        elif isinstance(what, events.Record):
            for run in what.runs:
                self._ended[run.state].value += 1
            self._jobs.note(what.runs)
        elif (counted := self._counted.get(what.__class__)) is not None:
            counter, number = counted
            counter.value += number(what)


def _one(what: object) -> int:
    return 1
