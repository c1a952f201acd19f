"""Marathon's numbers: what its core holds, read when it is asked for; and what it heard and did, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from koinon.edge import Counter
from koinon.marathon.core import Marathon, events
from koinon.mesos import v1
from koinon.service.metrics import ServiceMetrics


class Sized(Protocol):
    """What has a length."""

    def __len__(self) -> int:
        """How many it has."""
        ...


def install(metrics: ServiceMetrics, core: Marathon, *, listeners: Sized, probes: Sized) -> None:
    """Let `metrics` show what `core` holds, who listens to events, and how many probes there are."""
    for name, read in (
        ("apps.active", lambda: len(core.root.apps)),
        ("pods.active", lambda: len(core.root.pods)),
        ("groups.active", lambda: len(core.root.groups)),
        ("deployments.active", lambda: len(core.state.deployments)),
        ("instances.active", lambda: len(core.state.instances)),
        ("instances.scheduled", lambda: sum(map(len, core.state.scheduled.values()))),
        ("instances.staged", lambda: sum(one.staged for one in core.state.counts.values())),
        ("instances.running", lambda: sum(one.running for one in core.state.counts.values())),
        ("http.event-streams.active", lambda: len(listeners)),
        ("health-checks.active", lambda: len(probes)),
    ):
        metrics.gauge(name, read)


class Counts:
    """Counts events that the core has taken in, and effects that were carried out."""

    def __init__(self, metrics: ServiceMetrics) -> None:
        count = metrics.counter
        self._updates = {
            state: count(f"mesos.task-updates.{state.name.lower().replace('_', '-')}")
            for state in v1.TaskState
        }
        #: What is counted of each kind: a counter, and how many one of them is.
        self._counted: dict[type, tuple[Counter, Callable[[Any], int]]] = {
            events.Deploy: (count("deployments"), _one),
            events.Offered: (count("mesos.offers.incoming"), lambda event: len(event.offers)),
            events.Rescinded: (count("mesos.offers.rescinded"), _one),
            events.Probed: (count("health-checks.answered"), _one),
            events.Accept: (count("mesos.offers.used"), lambda effect: len(effect.offer_ids)),
            events.Decline: (count("mesos.offers.declined"), lambda effect: len(effect.offer_ids)),
            events.Revive: (count("mesos.calls.revive"), _one),
            events.Suppress: (count("mesos.calls.suppress"), _one),
            events.Kill: (count("mesos.calls.kill"), _one),
            events.Reconcile: (count("mesos.calls.reconcile"), _one),
        }

    def count(self, what: events.Event | events.Effect) -> None:
        """One more of its kind."""
        if isinstance(what, events.Updated):
            self._updates[what.status.state].value += 1
        elif (counted := self._counted.get(what.__class__)) is not None:
            counter, number = counted
            counter.value += number(what)


def _one(what: object) -> int:
    return 1
