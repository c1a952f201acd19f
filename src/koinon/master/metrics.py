"""The master's numbers: what the core counts, and gauges read from its state when they are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote

from koinon.allocator import Allocator
from koinon.edge import Family, Metrics
from koinon.master.core import Master
from koinon.master.core.state import Framework, State
from koinon.mesos.states import TERMINAL

_CALLS = (
    "accept accept_inverse_offers acknowledge acknowledge_operation_status decline decline_inverse_offers kill"
    " message reconcile reconcile_operations request revive shutdown subscribe suppress teardown update_framework"
)
_EVENTS = (
    "error failure heartbeat inverse_offers message offers rescind rescind_inverse_offer subscribed update"
    " update_operation_status"
)
_OPERATIONS = (
    "create create_disk destroy destroy_disk grow_volume launch launch_group reserve shrink_volume unreserve"
)
_ACTIVE = "killing running staging starting unknown unreachable"
_TERMINAL = sorted(state.name.removeprefix("TASK_").lower() for state in TERMINAL)

#: What is counted for each framework, below `frameworks/<name>/<id>/`.
_OF_FRAMEWORK = (
    "calls",
    *(f"calls/{name}" for name in _CALLS.split()),
    "events",
    *(f"events/{name}" for name in _EVENTS.split()),
    *(f"offers/{name}" for name in ("accepted", "declined", "rescinded", "sent")),
    "operations",
    *(f"operations/{name}" for name in _OPERATIONS.split()),
    *(f"tasks/active/task_{name}" for name in _ACTIVE.split()),
    *(f"tasks/terminal/task_{name}" for name in _TERMINAL),
)

#: Counters that are shown from the start, at 0.
_COUNTERS = (
    "dropped_messages",
    "http_cache_hits",
    "recovery_slave_removals",
    "slave_registrations",
    "slave_removals",
    "slave_removals/reason_registered",
    "slave_removals/reason_unhealthy",
    "slave_removals/reason_unregistered",
    "slave_reregistrations",
    *(
        f"slave_{what}_{how}"
        for what in ("shutdowns", "unreachable")
        for how in ("canceled", "completed", "scheduled")
    ),
    *(f"tasks_{name}" for name in _TERMINAL),
    *(
        f"{validity}_{what}"
        for validity in ("valid", "invalid")
        for what in (
            "executor_to_framework_messages",
            "framework_to_executor_messages",
            "operation_status_update_acknowledgements",
            "operation_status_updates",
            "status_update_acknowledgements",
            "status_updates",
        )
    ),
    *(
        f"messages_{name}"
        for name in [
            "authenticate",
            "deactivate_framework",
            "decline_offers",
            "executor_to_framework",
            "exited_executor",
            "framework_to_executor",
            "kill_task",
            "launch_tasks",
            "operation_status_update",
            "operation_status_update_acknowledgement",
            "reconcile_operations",
            "reconcile_tasks",
            "register_framework",
            "register_slave",
            "reregister_framework",
            "reregister_slave",
            "resource_request",
            "revive_offers",
            "status_update",
            "status_update_acknowledgement",
            "suppress_offers",
            "unregister_framework",
            "unregister_slave",
            "update_slave",
        ]
    ),
    *(
        f"operations/{prefix}{state}"
        for prefix in ("", *(f"{name}/" for name in _OPERATIONS.split() if not name.startswith("launch")))
        for state in [
            "dropped",
            "error",
            "failed",
            "finished",
            "gone_by_operator",
            "pending",
            "recovering",
            "total",
            "unreachable",
        ]
    ),
)

_RESOURCES = ("cpus", "gpus", "mem", "disk")
_GAUGED_STATES = ("staging", "starting", "running", "killing", "unreachable")


def install(metrics: Metrics, core: Master, *, started_s: float, watchers: Callable[[], int]) -> None:
    """Let `metrics` show what `core` holds."""
    found = core.state
    metrics.gauges(lambda: _master(found, started_s, watchers()))
    metrics.gauges(lambda: _resources(found, core.allocator))
    metrics.gauges(lambda: _roles(core.allocator))
    names = [f"master/framework/{name}" for name in ("subscribed", *_OF_FRAMEWORK)]
    metrics.family(Family("framework_id", names, _Frameworks(found)))
    metrics.gauges(lambda: _suppressed(found))


def _master(found: State, started_s: float, watchers: int) -> Mapping[str, float]:
    values: dict[str, float] = dict.fromkeys((f"master/{name}" for name in _COUNTERS), 0)
    values.update({f"master/{name}": count for name, count in found.counters.items()})
    agents, frameworks = found.agents.values(), found.frameworks.values()
    connected_agents = sum(agent.connected for agent in agents)
    active_agents = sum(agent.active for agent in agents)
    connected, active = sum(one.connected for one in frameworks), sum(one.active for one in frameworks)
    values |= {
        "master/elected": float(found.recovered),
        "master/uptime_secs": time.time() - started_s,
        "master/slaves_active": active_agents,
        "master/slaves_inactive": len(agents) - active_agents,
        "master/slaves_connected": connected_agents,
        "master/slaves_disconnected": len(agents) - connected_agents,
        "master/slaves_unreachable": len(found.unreachable_agents),
        "master/frameworks_active": active,
        "master/frameworks_inactive": len(frameworks) - active,
        "master/frameworks_connected": connected,
        "master/frameworks_disconnected": len(frameworks) - connected,
        "master/outstanding_offers": len(found.offers),
        "master/operator_event_stream_subscribers": watchers,
        # Everything is taken in when it comes: there is no queue.
        "master/event_queue_dispatches": 0,
        "master/event_queue_http_requests": 0,
        "master/event_queue_messages": 0,
        "allocator/event_queue_dispatches": 0,
        "allocator/mesos/event_queue_dispatches": 0,
    }
    for state in _GAUGED_STATES:
        key = f"tasks/active/task_{state}"
        values[f"master/tasks_{state}"] = sum(one.counters.get(key, 0) for one in frameworks)
    return values


def _resources(found: State, allocator: Allocator) -> dict[str, float]:
    """What all agents have, and what of it is in use or on offer."""
    totals, allocated = allocator.totals, allocator.allocated
    offered = dict.fromkeys(_RESOURCES, 0)
    for offer in found.offers.values():
        scalars = offer.resources.scalars
        for name in _RESOURCES:
            offered[name] += scalars.get(name, 0)
    values: dict[str, float] = {}
    for name in _RESOURCES:
        have, given = totals.get(name, 0) / 1000, allocated.get(name, 0) / 1000
        taken = given - offered[name] / 1000
        values[f"master/{name}_total"] = have
        values[f"master/{name}_used"] = taken
        values[f"master/{name}_percent"] = taken / have if have else 0.0
        # No agent offers revocable resources as yet.
        values |= {f"master/{name}_revocable_{what}": 0.0 for what in ("total", "used", "percent")}
        if name != "gpus":
            values[f"allocator/mesos/resources/{name}/total"] = have
            values[f"allocator/mesos/resources/{name}/offered_or_allocated"] = given
    return values


def _roles(allocator: Allocator) -> dict[str, float]:
    values = {
        f"allocator/mesos/roles/{role}/shares/dominant": share for role, share in allocator.shares().items()
    }
    for role, count in allocator.refusals_by_role.items():
        values[f"allocator/mesos/offer_filters/roles/{role}/active"] = count
    return values


class _Frameworks:
    """The counters of registered frameworks; their names are made once."""

    def __init__(self, found: State) -> None:
        self._found = found
        self._names: dict[str, tuple[str, tuple[str, ...]]] = {}

    def __call__(self) -> Iterator[tuple[str, Sequence[str], Sequence[float]]]:
        frameworks = self._found.frameworks
        if len(self._names) > 2 * len(frameworks) + 100:
            self._names = {id_: names for id_, names in self._names.items() if id_ in frameworks}
        for framework in frameworks.values():
            counters = framework.counters
            numbers = [float(framework.connected), *[counters.get(name, 0) for name in _OF_FRAMEWORK]]
            yield framework.id, self._names_of(framework), numbers

    def _names_of(self, framework: Framework) -> tuple[str, ...]:
        named = self._names.get(framework.id)
        if named is None or named[0] != framework.info.name:
            prefix = prefix_of(framework)
            names = tuple(prefix + name for name in ("subscribed", *_OF_FRAMEWORK))
            named = self._names[framework.id] = framework.info.name, names
        return named[1]


def prefix_of(framework: Framework) -> str:
    """What stands before the names of a framework's numbers."""
    return f"master/frameworks/{quote(framework.info.name, safe='')}/{framework.id}/"


def _suppressed(found: State) -> Mapping[str, float]:
    return {
        f"{prefix_of(framework)}roles/{role}/suppressed": float(role in framework.suppressed)
        for framework in found.frameworks.values()
        for role in framework.roles
    }
