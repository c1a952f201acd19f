"""Offers, instances and matches as tests write them."""

from __future__ import annotations

from random import Random

from koinon.marathon.matching import Match, Remaining, Settings, Unmatched, match
from koinon.marathon.matching.matcher import Outcome
from koinon.marathon.matching.wanted import Wanted
from koinon.marathon.model.records import AgentInfo, Instance
from koinon.marathon.model.root import RunSpec
from koinon.mesos import v1
from koinon.mesos.attributes import parse_attributes
from koinon.mesos.resources import parse_resources

FREE = "cpus:4;mem:4096;disk:10000;ports:[31000-32000]"
VERSION = "2026-01-01T00:00:00.000Z"


def offer(
    resources: str = FREE,
    *,
    agent: str = "S0",
    host: str = "",
    role: str = "*",
    attributes: str = "",
    region: str = "",
    zone: str = "",
    id: str = "",
    maintenance: tuple[float, float | None] | None = None,
) -> v1.Offer:
    """One offer; `maintenance` is (start, duration), in seconds."""
    found = v1.Offer(
        id=v1.OfferID(id or f"O-{agent}"),
        framework_id=v1.FrameworkID("F"),
        agent_id=v1.AgentID(agent),
        hostname=host or f"host-{agent}",
        resources=parse_resources(resources),
        attributes=parse_attributes(attributes),
        allocation_info=v1.Resource.AllocationInfo(role=role),
    )
    if region:
        fault = v1.DomainInfo.FaultDomain
        found.domain = v1.DomainInfo(
            fault_domain=fault(region=fault.RegionInfo(region), zone=fault.ZoneInfo(zone))
        )
    if maintenance is not None:
        start, duration = maintenance
        found.unavailability = v1.Unavailability(
            start=v1.TimeInfo(round(start * 1e9)),
            duration=None if duration is None else v1.DurationInfo(round(duration * 1e9)),
        )
    for resource in found.resources:
        resource.allocation_info = v1.Resource.AllocationInfo(role=role)
    return found


def placed(*agents: AgentInfo, version: str = VERSION, condition: str = "Running") -> list[Instance]:
    """Instances that run there."""
    return [
        Instance(
            id=f"app.instance-{number}",
            run_spec="/app",
            version=version,
            config=version,
            condition=condition,  # type: ignore[arg-type]
            agent=agent,
        )
        for number, agent in enumerate(agents)
    ]


def attempt(
    offers: v1.Offer | list[v1.Offer] | Remaining,
    spec: RunSpec | Wanted,
    instances: list[Instance] | None = None,
    *,
    now: float = 0.0,
    seed: int = 1,
    settings: Settings | None = None,
) -> Outcome:
    """Match, with defaults for what a test does not care about."""
    if isinstance(offers, v1.Offer):
        offers = [offers]
    remaining = offers if isinstance(offers, Remaining) else Remaining(offers)
    return match(
        remaining,
        spec,
        placed=instances or [],
        settings=settings or Settings(),
        random=Random(seed),
        now=now,
    )


def matched(*args: object, **kwargs: object) -> Match:
    """It must fit."""
    found = attempt(*args, **kwargs)  # type: ignore[arg-type]
    assert isinstance(found, Match), found.reasons
    return found


def refused(*args: object, **kwargs: object) -> dict[str, str]:
    """It must not; the reasons."""
    found = attempt(*args, **kwargs)  # type: ignore[arg-type]
    assert isinstance(found, Unmatched), found
    return found.reasons
