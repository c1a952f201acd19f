"""What is left of the offers of one agent while instances are placed on it."""

from __future__ import annotations

from collections.abc import Sequence

from koinon import offers as shared
from koinon.marathon.matching.constraints import attribute_text
from koinon.marathon.model.records import AgentInfo
from koinon.mesos import v1


class Remaining(shared.Remaining):
    """As `koinon.offers.Remaining`; `agent` is the agent as instances remember it."""

    def __init__(self, offers: Sequence[v1.Offer]) -> None:
        super().__init__(offers)
        self.agent = agent_of(offers[0])


def agent_of(offer: v1.Offer) -> AgentInfo:
    """Where an offer is from, as instances remember it."""
    domain = offer.domain.fault_domain if offer.domain is not None else None
    return AgentInfo(
        agent_id=offer.agent_id.value,
        hostname=offer.hostname,
        attributes={attribute.name: attribute_text(attribute) for attribute in reversed(offer.attributes)},
        region=domain.region.name if domain is not None else None,
        zone=domain.zone.name if domain is not None else None,
    )
