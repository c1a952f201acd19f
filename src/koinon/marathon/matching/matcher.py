"""The match: does an instance of an app or pod fit on an agent, and if not, for what reasons."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeAlias

from msgspec import Struct

from koinon.marathon.matching.constraints import Placements, first_objection
from koinon.marathon.matching.ports import assigned, choose, shortage
from koinon.marathon.matching.remaining import Remaining
from koinon.marathon.matching.settings import Settings
from koinon.marathon.matching.wanted import Wanted, wanted_of
from koinon.marathon.model import App
from koinon.marathon.model.records import AgentInfo, Instance
from koinon.marathon.model.root import RunSpec
from koinon.mesos import v1
from koinon.offers import number_text

#: Why an offer is not used, as `/v2/queue` names it, in the order of its funnel: an offer counts under the first
#: that applies. NoCorrespondingReservationFound is for apps with persistent volumes only.
REASONS = (
    "UnfulfilledRole",
    "UnfulfilledConstraint",
    "NoCorrespondingReservationFound",
    "AgentMaintenance",
    "InsufficientCpus",
    "InsufficientMemory",
    "InsufficientDisk",
    "InsufficientGpus",
    "InsufficientPorts",
    "DeclinedScarceResources",
)

_SCALAR_REASONS = {
    "cpus": ("InsufficientCpus", "cpus"),
    "mem": ("InsufficientMemory", "MB of memory"),
    "disk": ("InsufficientDisk", "MB of disk"),
    "gpus": ("InsufficientGpus", "gpus"),
}


class Refusal(Struct, frozen=True, gc=False):
    """One reason; `sentence` explains it. Sentences about amounts are made when they are read: few are."""

    reason: str  #: one of REASONS
    text: str = ""
    kind: str = ""
    wanted: int = 0  #: thousandths
    there: int = 0  #: thousandths

    @property
    def sentence(self) -> str:
        """What is missing, and how much of it."""
        if not self.kind:
            return self.text
        unit = _SCALAR_REASONS[self.kind][1]
        wanted, there, missing = (
            number_text(amount / 1000) for amount in (self.wanted, self.there, self.wanted - self.there)
        )
        return f"{wanted} {unit} needed, {there} offered: {missing} missing"


class Unmatched(Struct, frozen=True, gc=False):
    """It does not fit."""

    refusals: tuple[Refusal, ...]  #: at least one, in the order of REASONS

    @property
    def reasons(self) -> dict[str, str]:
        """Sentences by reason, in the order of REASONS."""
        return {refusal.reason: refusal.sentence for refusal in self.refusals}


class Match(Struct, frozen=True):
    """It fits, and what it needs has been taken."""

    agent: AgentInfo
    role: str
    offer_ids: tuple[str, ...]
    parts: tuple[tuple[v1.Resource, ...], ...]  #: for each part of what was wanted; ports are apart
    port_resources: tuple[v1.Resource, ...]
    host_ports: tuple[int | None, ...]  #: one for each declared port; None: it has none on the host
    assigned: tuple[int, ...]  #: the same, with the container's port where there is none on the host

    def ports_by_container(self, spec: RunSpec) -> dict[str | None, tuple[int, ...]]:
        """Host ports of each container of a pod; of an app all under None."""
        if isinstance(spec, App):
            return {None: tuple(port for port in self.host_ports if port is not None)}
        found: dict[str | None, tuple[int, ...]] = {}
        at = 0
        for container in spec.containers:
            ports = self.host_ports[at : at + len(container.endpoints)]
            at += len(ports)
            found[container.name] = tuple(port for port in ports if port is not None)
        return found

    @property
    def resources(self) -> list[v1.Resource]:
        """All that was taken."""
        return [resource for part in (*self.parts, self.port_resources) for resource in part]


Outcome: TypeAlias = Match | Unmatched


def match(
    remaining: Remaining,
    spec: RunSpec | Wanted,
    *,
    placed: Sequence[Instance] | Placements,
    settings: Settings,
    random: Random,
    now: float,
) -> Outcome:
    """Take from `remaining` what an instance of `spec` needs, or tell why that is not possible.

    `placed`: the other instances of the app; where constraints look at them, those that hold an agent count. If it is
    a `Placements`, the match is added to it.
    """
    wanted = spec if isinstance(spec, Wanted) else wanted_of(spec, settings)
    if not isinstance(placed, Placements):
        placed = Placements(placed, wanted.config)
    if remaining.role != wanted.role:
        return _other_role(remaining, wanted)
    if wanted.shape not in remaining.found_missing:
        remaining.found_missing[wanted.shape] = _missing(remaining, wanted)
    missing: Unmatched | None = remaining.found_missing[wanted.shape]
    objections = _objections(remaining, wanted, placed, settings, now)
    if objections:
        refusals = objections if missing is None else [*objections, *missing.refusals]
        refusals.sort(key=_place_in_funnel)
        return Unmatched(tuple(refusals))
    if missing is not None:
        return missing
    placed.add(remaining.agent)
    return _take(remaining, wanted, random)


def _take(remaining: Remaining, wanted: Wanted, random: Random) -> Match:
    remaining.taken += 1
    ports = choose(wanted, remaining.ports(wanted.accepts), random) if wanted.ports else []
    taken = remaining.take_ports([port for port in ports if port], wanted.accepts) if ports else []
    return Match(
        agent=remaining.agent,
        role=remaining.role,
        offer_ids=remaining.offer_ids,
        parts=tuple(tuple(remaining.take(part, wanted.accepts)) for part in wanted.parts),
        port_resources=tuple(taken),
        host_ports=tuple(ports),
        assigned=assigned(wanted.ports, ports, random),
    )


# ── reasons ───────────────────────────────────────────────────────────────────────────────────────
def _missing(remaining: Remaining, wanted: Wanted) -> Unmatched | None:
    """What is missing among what is offered; the same for all that want the same."""
    refusals: list[Refusal] = []
    totals = remaining.totals(wanted.accepts)
    for name, amount in wanted.total.items():
        there = totals.get(name, 0)
        if there < amount:
            refusals.append(Refusal(_SCALAR_REASONS[name][0], "", name, amount, there))
    if refusals and not remaining.offers_anything(wanted.accepts):
        refusals.insert(0, _nothing_acceptable(wanted))
    if wanted.ports and (said := shortage(wanted, remaining.ports(wanted.accepts))) is not None:
        refusals.append(Refusal("InsufficientPorts", said))
    if wanted.spares_gpus and remaining.gpus:
        said = "the agent has GPUs, which the app does not need; such agents are left to those who do"
        refusals.append(Refusal("DeclinedScarceResources", said))
    return Unmatched(tuple(refusals)) if refusals else None


def _objections(
    remaining: Remaining, wanted: Wanted, placed: Placements, settings: Settings, now: float
) -> list[Refusal]:
    """What speaks against the agent, whatever it offers."""
    agent = remaining.agent
    refusals: list[Refusal] = []
    if wanted.rules and (broken := first_objection(wanted.rules, agent, placed, wanted.instances)):
        rule, said = broken
        refusals.append(Refusal("UnfulfilledConstraint", f"constraint '{rule}': {said}"))
    elif (
        agent.region is not None
        and settings.region is not None
        and agent.region != settings.region
        and not wanted.any_region
    ):
        said = f"the agent is in region {agent.region}; without a constraint on @region only {settings.region} is used"
        refusals.append(Refusal("UnfulfilledConstraint", said))
    if settings.maintenance_mode and remaining.unavailable is not None:
        start, end = remaining.unavailable
        if start - settings.draining_seconds <= now < end:
            when = "is under maintenance" if start <= now else f"goes into maintenance in {start - now:.0f} s"
            refusals.append(Refusal("AgentMaintenance", f"the machine {when}"))
    return refusals


def _other_role(remaining: Remaining, wanted: Wanted) -> Unmatched:
    said = f"offered to role '{remaining.role}', the app's is '{wanted.role}'"
    return Unmatched((Refusal("UnfulfilledRole", said),))


def _nothing_acceptable(wanted: Wanted) -> Refusal:
    roles = ", ".join(f"'{role}'" for role in sorted(wanted.accepts))
    return Refusal("UnfulfilledRole", f"nothing is offered that is reserved for (or left to) {roles}")


_PLACES = {reason: place for place, reason in enumerate(REASONS)}


def _place_in_funnel(refusal: Refusal) -> int:
    return _PLACES[refusal.reason]
