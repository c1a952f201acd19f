"""What is to be simulated: agents, roles, frameworks and their work. Read from a file by `reading`.

*Group*: agents that are alike. *Workload*: tasks of one framework that come by one law of arrivals. *Amounts* are
of the four resources `NAMES`, in thousandths, as everywhere in the allocator; mem and disk in MB.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple, TypeAlias

from msgspec import Struct

NAMES = ("cpus", "mem", "disk", "gpus")


class Amounts(NamedTuple):
    """Thousandths of each resource."""

    cpus: int = 0
    mem: int = 0
    disk: int = 0
    gpus: int = 0

    def fits(self, room: Amounts) -> bool:
        """Is there room for this?"""
        return (
            self.cpus <= room.cpus
            and self.mem <= room.mem
            and self.disk <= room.disk
            and self.gpus <= room.gpus
        )

    def text(self) -> str:
        """As Mesos writes resources, what is nothing left out."""
        return ";".join(
            f"{name}:{amount / 1000:g}" for name, amount in zip(NAMES, self, strict=True) if amount
        )


#: Attributes by name, as text.
Attributes: TypeAlias = dict[str, str]
#: The values that an agent's attribute may have for a task to run there, by name.
Constraints: TypeAlias = dict[str, tuple[str, ...]]


def may_run_on(constraints: Constraints, attributes: Attributes) -> bool:
    """Do the constraints allow an agent with these attributes?"""
    return all(attributes.get(name) in allowed for name, allowed in constraints.items())


class Failures(Struct, frozen=True):
    """How often a machine breaks down, and for how long; both exponentially distributed."""

    every_s: float  #: mean time from the end of a repair to the next failure
    repair_s: float  #: mean


class Group(Struct, frozen=True):
    """Agents that are alike."""

    name: str
    count: int
    resources: Amounts
    attributes: Attributes = {}
    failures: Failures | None = None


# ── how long tasks run ────────────────────────────────────────────────────────────────────────────
class Constant(Struct, frozen=True):
    """Always the same."""

    value_s: float


class Exponential(Struct, frozen=True):
    """Without memory."""

    mean_s: float


class Lognormal(Struct, frozen=True):
    """Most are short, some are very long."""

    median_s: float
    p99_s: float


class Recorded(Struct, frozen=True):
    """As the trace has it."""


Duration: TypeAlias = Constant | Exponential | Lognormal | Recorded


# ── when tasks come ───────────────────────────────────────────────────────────────────────────────
class Poisson(Struct, frozen=True):
    """At random, independently of each other."""

    rate_per_s: float
    tasks: int = 1  #: so many at once


class Periodic(Struct, frozen=True):
    """At regular intervals."""

    every_s: float
    first_s: float = 0.0
    tasks: int = 1


class AtOnce(Struct, frozen=True):
    """All at the same moment."""

    tasks: int
    at_s: float = 0.0


class Trace(Struct, frozen=True):
    """As they came once. Rows are in the order of their arrival; columns have one entry for each."""

    file: str
    arrival_s: array[float]
    duration_s: array[float]  #: empty if the trace does not tell
    kind: array[int]  #: index into `kinds`
    kinds: list[Amounts]  #: what differs, once

    def __len__(self) -> int:
        return len(self.arrival_s)


Arrivals: TypeAlias = Poisson | Periodic | AtOnce | Trace


class Workload(Struct, frozen=True):
    """Tasks of one framework that are alike, but for what a trace tells of each."""

    name: str
    arrivals: Arrivals
    duration: Duration
    task: Amounts = Amounts()  #: of a trace: what it does not tell itself
    constraints: Constraints = {}

    def kinds(self) -> list[Amounts]:
        """What its tasks ask for."""
        return self.arrivals.kinds if isinstance(self.arrivals, Trace) else [self.task]


class Framework(Struct, frozen=True):
    """A framework: who runs what."""

    name: str
    role: str
    workloads: tuple[Workload, ...]
    refuse_s: float = 120.0  #: how long it does not want to see again what it declined
    revive_s: float = 5.0  #: REVIVE calls are at least so far apart


class Study(Struct, frozen=True, kw_only=True):
    """All of it."""

    seed: int = 1
    length_s: float
    warm_up_s: float = 0.0  #: tasks that came before are in no figure about waiting
    sample_s: float  #: between two points of a time series
    groups: tuple[Group, ...]
    weights: dict[str, float] = {}  #: by role; 1 when absent
    frameworks: tuple[Framework, ...]
    #: Flags of the master that bear on the result.
    allocation_interval_s: float = 1.0
    agent_ping_timeout_s: float = 15.0
    max_agent_ping_timeouts: int = 5

    @property
    def agents(self) -> int:
        """How many there are."""
        return sum(group.count for group in self.groups)

    def capacity(self) -> Amounts:
        """What all agents have together."""
        return Amounts(
            *(sum(group.count * group.resources[at] for group in self.groups) for at in range(len(NAMES)))
        )
