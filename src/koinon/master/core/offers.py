"""Offers: made of allocations, and ended in one of four ways.

    outstanding ─▶ accepted · declined · rescinded (the framework is told) · discarded (it is not)

What an offer holds is allocated until it ends; then it goes back to the allocator, unless it was accepted: who
accepts gives back what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from koinon.allocator import Allocation
from koinon.master.core.context import Core
from koinon.master.core.state import Agent, Framework, Offer
from koinon.master.core.tables import OfferState
from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call, Event

DEFAULT_REFUSE_S = 5.0
MAX_REFUSE_S = 365 * 86400.0

_COUNTERS = {
    OfferState.ACCEPTED: "offers/accepted",
    OfferState.DECLINED: "offers/declined",
    OfferState.RESCINDED: "offers/rescinded",
    OfferState.DISCARDED: "offers/discarded",
}


def allocate(core: Core) -> None:
    """One run of the allocator; one OFFERS event for each framework that gets something."""
    allocations: dict[str, list[Allocation]] = {}
    for allocation in core.allocator.allocate(core.now):
        allocations.setdefault(allocation.framework_id, []).append(allocation)
    for framework_id, of_framework in allocations.items():
        _offer(core, core.state.frameworks[framework_id], of_framework)


def _offer(core: Core, framework: Framework, allocations: Sequence[Allocation]) -> None:
    offers = []
    for allocation in allocations:
        agent = core.state.agents[allocation.agent_id]
        offer = Offer(
            id=f"{core.master_info.id}-O{core.next_number('offer')}",
            framework_id=framework.id,
            agent_id=agent.id,
            role=allocation.role,
            resources=allocation.resources,
            made_s=core.now,
        )
        core.state.offers[offer.id] = framework.offers[offer.id] = agent.offers[offer.id] = offer
        if core.config.offer_timeout_s is not None:
            core.alarms.set(core.now + core.config.offer_timeout_s, time_out, offer.id)
        offers.append(_message(framework, agent, offer))
    framework.counters["offers/sent"] += len(offers)
    core.send(framework, Event(type=Event.Type.OFFERS, offers=Event.Offers(offers=offers)))


def _message(framework: Framework, agent: Agent, offer: Offer) -> v1.Offer:
    """The offer as this framework can read it."""
    resources, info = offer.resources, None
    if framework.has("MULTI_ROLE"):
        info = v1.Resource.AllocationInfo(role=offer.role)
    else:
        resources = resources.unallocated()
    executors = agent.executors.get(framework.id, ())
    return v1.Offer(
        id=v1.OfferID(offer.id),
        framework_id=v1.FrameworkID(framework.id),
        agent_id=v1.AgentID(agent.id),
        hostname=agent.hostname,
        url=agent.url,
        domain=agent.info.domain,
        resources=resources.to_v1("post" if framework.has("RESERVATION_REFINEMENT") else "pre"),
        attributes=agent.attributes,
        executor_ids=[v1.ExecutorID(executor_id) for executor_id in executors],
        allocation_info=info,
    )


def end(
    core: Core, offer: Offer, how: OfferState, *, refuse_s: float | None = None, returns: bool = True
) -> None:
    """The offer ends. What it holds goes back, with a filter if `refuse_s` says so, unless `returns` is False."""
    framework = core.state.frameworks[offer.framework_id]
    agent = core.state.agents[offer.agent_id]
    del core.state.offers[offer.id], framework.offers[offer.id], agent.offers[offer.id]
    framework.counters[_COUNTERS[how]] += 1
    if core.config.offer_timeout_s is not None:
        core.alarms.cancel(time_out, offer.id)
    if returns:
        core.give_back(framework.id, agent, offer.resources, refuse_s)
    if how is OfferState.RESCINDED:
        core.send(framework, Event(type=Event.Type.RESCIND, rescind=Event.Rescind(v1.OfferID(offer.id))))


def end_all(core: Core, offers: Iterable[Offer], how: OfferState) -> None:
    """All these offers end in the same way, without a filter."""
    for offer in list(offers):
        end(core, offer, how)


def time_out(core: Core, offer_id: str) -> None:
    """The framework took too long to answer."""
    offer = core.state.offers[offer_id]
    framework = core.state.frameworks[offer.framework_id]
    core.decide(
        framework,
        "offer_timed_out",
        f"offer {offer_id} was not answered within {core.config.offer_timeout_s:g} s and taken back",
    )
    end_all(core, (offer,), OfferState.RESCINDED)


def decline(core: Core, framework: Framework, call: Call.Decline) -> None:
    """The framework wants none of these offers; those that are not its own any more are passed over."""
    core.state.counters["messages_decline_offers"] += 1
    refuse_s = refusal_s(call.filters)
    declined = 0
    for offer_id in call.offer_ids:
        if (offer := framework.offers.get(offer_id.value)) is not None:
            end(core, offer, OfferState.DECLINED, refuse_s=refuse_s)
            declined += 1
    if declined:
        note_declined(core, framework, declined, refuse_s)


def note_declined(core: Core, framework: Framework, declined: int, refuse_s: float) -> None:
    """Remembers that the framework declined."""
    core.decide(
        framework,
        "declined",
        f"declined {declined} {'offer' if declined == 1 else 'offers'} and wants no such for {refuse_s:g} s",
    )


def refusal_s(filters: v1.Filters | None) -> float:
    """For how long the framework refuses what it leaves; 0.0 is not at all."""
    if filters is None:
        return DEFAULT_REFUSE_S
    if filters.refuse_seconds < 0.0:
        return DEFAULT_REFUSE_S
    return min(filters.refuse_seconds, MAX_REFUSE_S)
