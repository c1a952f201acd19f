"""What Marathon knows. Only the core writes it; the API, rendering and metrics read it.

Definitions are in `root`, what runs in `instances`. All else is an index of these two (kept with each change, so that
nothing looks through all instances), or remembered until the process ends (results of health and readiness checks).

A *spec* is an app or pod; it is named by its id everywhere. An instance is *up to date* when it was made from the
configuration that its spec has now: `Instance.config` is the `last_config_change_at` of the definition it came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from functools import lru_cache

import msgspec
from msgspec import Struct

from koinon.marathon.core.delays import Delay
from koinon.marathon.core.queue import Launches
from koinon.marathon.model import App, Deployment, Instance, Pod, Root, TaskFailure
from koinon.marathon.model.records import Change, Condition
from koinon.marathon.model.root import Group, RunSpec

#: The task has ended, or is not to be found any more.
TERMINAL: frozenset[Condition] = frozenset(
    ("Finished", "Failed", "Killed", "Error", "Gone", "Dropped", "Unknown")
)
#: It has been given to an agent, and does not run yet.
COMING: frozenset[Condition] = frozenset(("Provisioned", "Staging", "Starting"))
#: Nobody can be asked about it for now.
LOST: frozenset[Condition] = frozenset(("Unreachable", "UnreachableInactive"))
#: It has been given to an agent, and may run there.
LAUNCHED: frozenset[Condition] = frozenset(
    ("Provisioned", "Staging", "Starting", "Running", "Killing", "Unreachable", "UnreachableInactive")
)


class HealthResult(Struct):
    """What one health check has found of one instance: `healthCheckResults` of the API. Times are timestamps."""

    alive: bool = False  #: the last success is newer than the last failure
    consecutive_failures: int = 0
    first_success: str | None = None
    last_success: str | None = None
    last_failure: str | None = None
    last_failure_cause: str | None = None


class ReadinessResult(Struct, frozen=True):
    """What a readiness check has found last: `readinessCheckResults` of the API."""

    name: str
    task_id: str
    ready: bool
    #: Status, content type and body of the last answer, if they are to be kept.
    last_response: tuple[int, str, str] | None = None


class Counts(Struct):
    """How many instances of a spec are what. Those without a health result are neither healthy nor unhealthy."""

    staged: int = 0
    running: int = 0
    healthy: int = 0
    unhealthy: int = 0


_NO_COUNTS = Counts()


class State(Struct, kw_only=True):
    """All of it."""

    loaded: bool = False  #: the store has been read; before that every request is refused
    framework_id: str | None = None
    master: str | None = None  #: `host:port`; None while no master hears us
    root: Root = msgspec.field(default_factory=Root)
    instances: dict[str, Instance] = {}
    #: Instances by spec, oldest first; no empty tables.
    by_spec: dict[str, dict[str, Instance]] = {}
    #: Those that are to be launched: condition Scheduled and goal Running, by spec, in order; no empty tables.
    scheduled: dict[str, dict[str, None]] = {}
    #: The task that an instance has now, or had last → instance.
    tasks: dict[str, str] = {}
    #: How many instances of a spec there are that shall run, but for those that others stand in for.
    meant: Counter[str] = msgspec.field(default_factory=Counter)
    counts: dict[str, Counts] = {}  #: by spec; no zeros
    health: dict[str, dict[int, HealthResult]] = {}  #: by instance, by number of the check in its definition
    readiness: dict[str, ReadinessResult] = {}  #: by instance, while its spec is being deployed
    deployments: dict[str, Deployment] = {}  #: that run, oldest first
    locks: dict[str, str] = {}  #: spec → the deployment that has it in its steps
    kills_waiting: dict[str, None] = {}  #: instances that are to be killed when it is their turn, in order
    kills_sent: dict[str, None] = {}  #: those that have been asked to end, and have not answered
    failures: dict[str, TaskFailure] = {}  #: `lastTaskFailure`, by app
    delays: dict[str, Delay] = {}  #: of apps and pods that failed lately
    launches: Launches = msgspec.field(default_factory=Launches)  #: what waits to be launched, and offers
    region: str | None = None  #: of the master that has taken us in, if it has one
    #: Definitions of now and before as they are stored, by spec, by version, oldest first.
    history: dict[str, dict[str, bytes]] = {}
    changes: dict[str, Change] = {}  #: what made a version of the root, oldest first
    service_ports: Counter[int] = msgspec.field(default_factory=Counter)  #: how many apps use them
    #: Names and sums for metrics, `tasks.failed`.
    counters: Counter[str] = msgspec.field(default_factory=Counter)

    # ── to be read ────────────────────────────────────────────────────────────────────────────────
    def instances_of(self, spec: str) -> Collection[Instance]:
        """Of an app or pod, oldest first."""
        return self.by_spec.get(spec, {}).values()

    def counts_of(self, spec: str) -> Counts:
        """How many of its instances are what; not to be changed."""
        return self.counts.get(spec, _NO_COUNTS)

    def versions_of(self, spec: str) -> list[str]:
        """Stored versions of an app or pod, newest first; those it had before it was removed last are none of it."""
        born = self.born(spec)
        return sorted((one for one in self.history.get(spec, ()) if one >= born), reverse=True)

    def born(self, spec: str) -> str:
        """The version with which the app or pod was created last, as far as is known; else an empty text."""
        for change in reversed(self.changes.values()):
            if change.run_specs.get(spec) == (None, change.version):  # else it was only brought back
                return change.version
        return ""

    def definition(self, spec: str, version: str) -> RunSpec | None:
        """An app or pod as it was in that version, if it is still stored."""
        current = self.root.run_spec(spec)
        if current is not None and current.version == version:
            return current
        stored = self.history.get(spec, {}).get(version)
        return None if stored is None else decode_spec(stored)

    def definition_of(self, instance: Instance) -> RunSpec | None:
        """What the instance was made from, but for the number; that of now, if it is not stored any more."""
        current = self.root.run_spec(instance.run_spec)
        info = None if current is None else current.version_info
        if info is not None and instance.config == info.last_config_change_at:
            return current
        return self.definition(instance.run_spec, instance.version) or current

    def deployments_of(self, spec: str) -> Iterator[Deployment]:
        """Those that touch an app or pod: at most one."""
        if (found := self.locks.get(spec)) is not None:
            yield self.deployments[found]

    def is_healthy(self, instance: Instance) -> bool | None:
        """Whether all its checks' results are good; None if it has none."""
        results = self.health.get(instance.id)
        if not results:
            return None
        return all(one.alive for one in results.values())

    def root_at(self, version: str) -> Root | None:
        """All definitions as they were in that version of the root; None if it is not known any more."""
        if version == self.root.version:
            return self.root
        if version not in self.changes:
            return None
        apps, pods, groups = dict(self.root.apps), dict(self.root.pods), dict(self.root.groups)
        for change in reversed(self.changes.values()):
            if change.version == version:
                break
            for path, (before, _) in change.run_specs.items():
                apps.pop(path, None)
                pods.pop(path, None)
                if before is not None:
                    found = self.definition(path, before)
                    if isinstance(found, App):
                        apps[path] = found
                    elif found is not None:
                        pods[path] = found
            for path, (former, _) in change.groups.items():
                groups.pop(path, None)
                if former is not None:
                    groups[path] = msgspec.convert(former, Group)
        return Root(apps=apps, pods=pods, groups=groups, version=version)

    # ── to be written, by the core ────────────────────────────────────────────────────────────────
    def put(self, instance: Instance) -> None:
        """It is so from now on."""
        before = self.instances.get(instance.id)
        if before is not None:
            self._count(before, -1)
            for task in before.tasks:
                self.tasks.pop(task.id, None)
        self.instances[instance.id] = instance
        self.by_spec.setdefault(instance.run_spec, {})[instance.id] = instance
        for task in instance.tasks:
            self.tasks[task.id] = instance.id
        self._count(instance, 1)
        if instance.condition == "Scheduled" and instance.goal == "Running":
            self.scheduled.setdefault(instance.run_spec, {})[instance.id] = None
        else:
            self._unschedule(instance)

    def remove(self, instance: Instance) -> None:
        """It is no more."""
        self._count(instance, -1)
        del self.instances[instance.id]
        of_spec = self.by_spec[instance.run_spec]
        del of_spec[instance.id]
        if not of_spec:
            del self.by_spec[instance.run_spec]
        for task in instance.tasks:
            self.tasks.pop(task.id, None)
        self.health.pop(instance.id, None)
        self.readiness.pop(instance.id, None)
        self._unschedule(instance)

    def set_health(self, instance: Instance, check: int, result: HealthResult | None) -> None:
        """A check has found this; None: forget all that was found of the instance."""
        self._count(instance, -1)
        if result is None:
            self.health.pop(instance.id, None)
        else:
            self.health.setdefault(instance.id, {})[check] = result
        self._count(instance, 1)

    def _unschedule(self, instance: Instance) -> None:
        waiting = self.scheduled.get(instance.run_spec)
        if waiting is not None and instance.id in waiting:
            del waiting[instance.id]
            if not waiting:
                del self.scheduled[instance.run_spec]

    def _count(self, instance: Instance, by: int) -> None:
        if is_meant(instance):
            self.meant[instance.run_spec] += by
            if not self.meant[instance.run_spec]:
                del self.meant[instance.run_spec]
        staged, running = is_staged(instance), is_running(instance)
        healthy = self.is_healthy(instance) if running else None
        if not (staged or running):
            return
        counts = self.counts.setdefault(instance.run_spec, Counts())
        if staged:
            counts.staged += by
        if running:
            counts.running += by
        if healthy is not None:
            if healthy:
                counts.healthy += by
            else:
                counts.unhealthy += by
        if counts == _NO_COUNTS:
            del self.counts[instance.run_spec]


def is_staged(instance: Instance) -> bool:
    """Given to an agent, which has not started it yet."""
    return instance.condition in ("Provisioned", "Staging")


def is_meant(instance: Instance) -> bool:
    """It counts among those that its spec has, whether it runs already or not."""
    return instance.goal == "Running" and instance.condition != "UnreachableInactive"


def is_running(instance: Instance) -> bool:
    """The last that was heard of it is that it runs."""
    return instance.condition == "Running"


@lru_cache(maxsize=1024)
def decode_spec(stored: bytes) -> RunSpec:
    """An app or pod from the store. Only pods have containers."""
    fields = msgspec.json.decode(stored)
    return msgspec.convert(fields, Pod) if "containers" in fields else msgspec.convert(fields, App)
