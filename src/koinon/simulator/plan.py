"""What a seed stands for: the cluster, its load, and what goes wrong when.

Every seed is another kind of bad day: some faults only, and those often (*swarm testing*). The plan can be written down,
and a shorter one made of it by leaving out faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

#: Kinds of faults, and how they are drawn: for how long at most (seconds), and on what.
KINDS: dict[str, tuple[float, str]] = {
    "kill": (8.0, "process"),
    "freeze": (15.0, "process"),
    "reboot": (15.0, "machine"),
    "cut off": (20.0, "machine"),
    "cut from": (20.0, "pair"),
    "cut one way": (20.0, "pair"),
    "slow link": (20.0, "machine"),
    "break connections": (0.0, "machine"),
    "slow disk": (15.0, "machine"),
    "dies writing": (0.0, "machine"),
    "clock jumps": (0.0, "machine"),
    "full disk": (10.0, "agent"),
    "launcher dies": (0.0, "agent"),
    "launches fail": (10.0, "agent"),
    "containers crash": (0.0, "agent"),
    "declared gone": (0.0, "agent"),
    "shut down": (0.0, "agent"),
    "taken over": (0.0, "framework"),
    "all masters down": (60.0, "everybody"),
    "rolling restart": (30.0, "everybody"),
    "torn down": (0.0, "framework"),
    "weight": (0.0, "role"),
}
#: The same, of those that only plans with Chronoses have.
CHRONOS_KINDS: dict[str, tuple[float, str]] = {
    "history away": (20.0, "everybody"),
}

_CHAINS: tuple[dict[str, tuple[str, ...]], ...] = (
    {"child": ("root",), "grandchild": ("child",)},
    {"left": ("root",), "right": ("root",), "last": ("left", "right")},
    {"child": ("root",), "last": ("root", "child")},
)


class Fault(Struct, frozen=True):
    """Something goes wrong at a time, for some time."""

    at_s: float
    kind: str
    on: str  #: the name of a node or machine, or a role
    to: str = ""  #: of a machine, for cuts between two
    for_s: float = 0.0
    size: float = 0.0  #: between 0 and 1: how bad

    def __str__(self) -> str:
        other = f" – {self.to}" if self.to else ""
        where = f": {self.on}{other}" if self.on else ""
        return f"{self.at_s:8.3f} s  {self.kind}{where}, {self.for_s:.3f} s, {self.size:.3f}"


class FrameworkPlan(Struct, frozen=True):
    """A framework and its habits."""

    name: str
    role: str
    partition_aware: bool
    checkpoint: bool
    killing_state: bool
    failover_timeout_s: float
    late: bool  #: it thinks for a while before it answers or acknowledges
    arrivals_s: float  #: mean time between two arrivals of work
    task_s: float  #: mean duration of a task
    kills: float  #: portion of its tasks that it kills
    groups: float  #: portion that is launched as groups of two
    executors: float  #: portion that is launched on executors of its own


class JobPlan(Struct, frozen=True):
    """A job of Chronos's."""

    name: str
    period_s: int = 0  #: between two due times; 0: parents start it
    cron: bool = False  #: written so, each minute
    parents: tuple[str, ...] = ()
    missed: str = "one"
    overlap: str = "skip"
    mean_s: float = 1.0  #: how long it runs on average
    failing: float = 0.0  #: portion of attempts that fail
    lasts_s: float | None = None  #: after so long somebody deletes it


class ChronosPlan(Struct, frozen=True):
    """Chronoses, and what is asked of them."""

    nodes: int  #: with masters that have no ZooKeeper it is one
    jobs: tuple[JobPlan, ...]
    retry_s: float  #: pause after an attempt that failed
    epsilon_s: float
    by_hand_s: float  #: mean time between two runs that somebody wants at once


class Plan(Struct, frozen=True):
    """All of it."""

    seed: int
    masters: int  #: 0: one without election
    agents: tuple[float, ...]  #: processors of each
    frameworks: tuple[FrameworkPlan, ...]
    act_s: float  #: how long the first act takes
    ping_s: float
    pings_missed: int
    reregister_s: float
    session_s: float  #: timeout of sessions with ZooKeeper
    tick: float  #: of ZooKeeper, as a portion of that
    detectors: bool  #: agents and frameworks ask ZooKeeper who leads
    faults: tuple[Fault, ...] = ()
    offer_timeout_s: float | None = None
    removal_interval_s: float | None = None
    drift: float = 0.0  #: how much faster or slower than others clocks may run, as a portion
    chronos: ChronosPlan | None = None

    @property
    def machines(self) -> list[str]:
        """The names of all machines."""
        return [
            *self.keeper_names,
            *self.master_names,
            *self.agent_names,
            *(framework.name for framework in self.frameworks),
            *self.chronos_names,
        ]

    @property
    def master_names(self) -> list[str]:
        """The names of all masters."""
        return [f"master-{number + 1}" for number in range(max(self.masters, 1))]

    @property
    def keeper_names(self) -> list[str]:
        """The names of all servers of ZooKeeper."""
        return [f"keeper-{number + 1}" for number in range(3 if self.masters else 0)]

    @property
    def agent_names(self) -> list[str]:
        """The names of all agents."""
        return [f"agent-{number + 1}" for number in range(len(self.agents))]

    @property
    def chronos_names(self) -> list[str]:
        """The names of all Chronoses."""
        count = 0 if self.chronos is None else self.chronos.nodes if self.masters else 1
        return [f"chronos-{number + 1}" for number in range(count)]


def draw(seed: int) -> Plan:
    """The plan of this seed. Each part is drawn by itself, so that one may change and the others stay."""
    random = Random(f"{seed}/cluster")
    plan = Plan(
        seed=seed,
        masters=random.choice((0, 1, 2, 3, 3)),
        agents=tuple(random.choice((2.0, 4.0, 4.0, 8.0)) for _ in range(random.randint(1, 4))),
        frameworks=tuple(
            _framework(Random(f"{seed}/framework {number}"), number) for number in range(random.randint(1, 3))
        ),
        **_settings(Random(f"{seed}/settings")),
    )
    return replace(plan, faults=_faults(plan, Random(f"{seed}/faults")))


def _settings(random: Random) -> dict[str, Any]:
    return {
        "act_s": random.choice((30.0, 45.0, 60.0, 90.0)),
        "ping_s": random.choice((1.0, 2.0, 4.0)),
        "pings_missed": random.choice((2, 3, 5)),
        "reregister_s": random.choice((10.0, 20.0, 40.0)),
        "session_s": random.choice((3.0, 6.0, 12.0)),
        "tick": random.choice((0.1, 0.25, 0.5)),
        "detectors": random.random() < 0.5,
        "drift": random.choice((0.0, 0.0001, 0.002)),
        "offer_timeout_s": random.choice((None, None, 5.0)),
        "removal_interval_s": random.choice((None, None, 4.0)),
    }


def _framework(random: Random, number: int) -> FrameworkPlan:
    return FrameworkPlan(
        name=f"framework-{number + 1}",
        role=random.choice(("*", "a", "b", "b/c")),
        partition_aware=random.random() < 0.7,
        checkpoint=random.random() < 0.8,
        killing_state=random.random() < 0.3,
        failover_timeout_s=3600.0 if random.random() < 0.9 else 5.0,
        late=random.random() < 0.4,
        arrivals_s=random.choice((2.0, 5.0, 10.0)),
        task_s=random.choice((1.0, 5.0, 20.0)),
        kills=random.choice((0.03, 0.1, 0.3)),
        groups=random.choice((0.0, 0.0, 0.3)),
        executors=random.choice((0.0, 0.3, 0.6)),
    )


def draw_chronos(seed: int) -> Plan:
    """As `draw`: a cluster that is there for Chronos, whose machines have half of the faults."""
    random = Random(f"{seed}/chronos")
    plan = Plan(
        seed=seed,
        masters=random.choice((0, 1, 2, 3)),
        agents=tuple(random.choice((2.0, 4.0, 8.0)) for _ in range(random.randint(1, 3))),
        frameworks=tuple(_framework(Random(f"{seed}/framework {n}"), n) for n in range(random.randint(0, 1))),
        chronos=ChronosPlan(
            nodes=random.choice((1, 2, 2)),
            jobs=tuple(_jobs(Random(f"{seed}/jobs"))),
            retry_s=random.choice((0.5, 2.0, 5.0)),
            epsilon_s=random.choice((5.0, 20.0, 60.0)),
            by_hand_s=random.choice((10.0, 30.0)),
        ),
        **_settings(Random(f"{seed}/settings")),
    )
    plan = replace(plan, act_s=random.choice((25.0, 40.0)))
    return replace(plan, faults=_faults_of_chronos(plan, Random(f"{seed}/faults")))


def _jobs(random: Random) -> Iterator[JobPlan]:
    for number in range(random.randint(1, 3)):
        cron = random.random() < 0.2
        missed = random.choice(("one", "one", "all", "all", "skip"))
        overlap = random.choice(("skip", "skip", "queue", "allow"))
        # A clock may jump by hours, and all that is made up for takes its time.
        many = missed == "all" or overlap == "queue"
        yield JobPlan(
            name=f"job-{number + 1}",
            period_s=60 if cron else random.choice((20, 30) if many else (5, 10, 30)),
            cron=cron,
            missed=missed,
            overlap=overlap,
            mean_s=random.choice((0.1, 1.0) if many else (0.1, 1.0, 5.0)),
            failing=random.choice((0.0, 0.0, 0.1, 0.3)),
            lasts_s=round(random.uniform(5.0, 25.0), 3) if random.random() < 0.15 else None,
        )
    if random.random() < 0.6:
        yield from _chain(random)


def _chain(random: Random) -> Iterator[JobPlan]:
    """A job and those that follow from it: one after the other, or two at a time and then one."""
    missed = random.choice(("one", "all"))
    failing = random.choice((0.0, 0.1, 0.3))
    mean_s = random.choice((0.5, 2.0))
    yield JobPlan("root", random.choice((20, 30)), missed=missed, mean_s=mean_s, failing=failing)
    for name, parents in random.choice(_CHAINS).items():
        overlap = random.choice(("skip", "skip", "queue", "allow"))
        yield JobPlan(name, parents=parents, missed=missed, overlap=overlap, mean_s=mean_s, failing=failing)


def _faults_of_chronos(plan: Plan, random: Random) -> tuple[Fault, ...]:
    """Often of those kinds that make another one lead, or have it lead at another time."""
    targets = ("framework", "role")
    possible = sorted(
        kind for kind, (_, target) in {**KINDS, **CHRONOS_KINDS}.items() if target not in targets
    )
    own = [kind for kind in possible if _kind(kind)[1] in ("process", "machine")]
    kinds = random.sample(possible, random.randint(1, 5)) + ["clock jumps"] * random.randint(0, 1)
    gap_s = random.choice((2.0, 4.0, 8.0, 15.0))
    faults: list[Fault] = []
    at_s = random.uniform(0, gap_s)
    while at_s < plan.act_s:
        fault = _fault(plan, random, at_s, random.choice(kinds))
        if fault.kind in own and random.random() < 0.5:
            fault = replace(fault, on=random.choice(plan.chronos_names))
        faults.append(fault)
        at_s += random.expovariate(1 / gap_s)
    return tuple(faults)


def _kind(kind: str) -> tuple[float, str]:
    return KINDS.get(kind) or CHRONOS_KINDS[kind]


def _faults(plan: Plan, random: Random) -> tuple[Fault, ...]:
    kinds = random.sample(sorted(KINDS), random.randint(1, 6))
    gap_s = random.choice((2.0, 4.0, 8.0, 15.0))
    faults: list[Fault] = []
    at_s = random.uniform(0, gap_s)
    while at_s < plan.act_s:
        faults.append(_fault(plan, random, at_s, random.choice(kinds)))
        at_s += random.expovariate(1 / gap_s)
    return tuple(faults)


def _fault(plan: Plan, random: Random, at_s: float, kind: str) -> Fault:
    longest_s, target = _kind(kind)
    to = ""
    match target:
        case "process":
            on = random.choice(plan.machines)
        case "machine":
            on = random.choice(plan.machines)
        case "pair":
            on, to = random.sample(plan.machines, 2)
        case "agent":
            on = random.choice(plan.agent_names)
        case "framework":
            on = random.choice(plan.frameworks).name
        case "everybody":
            on = ""
        case _:
            on = random.choice(plan.frameworks).role
    # Most are short, some as long as may be.
    for_s = longest_s * random.random() ** 2
    return Fault(round(at_s, 3), kind, on, to, round(for_s, 3), round(random.random(), 3))
