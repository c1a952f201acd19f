"""What waits to be launched, as `/v2/queue` shows it, and the offers that were no use."""

from __future__ import annotations

from typing import Any

from koinon.marathon.core.queue import UnusedOffer, Waiting
from koinon.marathon.model import versions
from koinon.mesos import v1


def render_offers_summary(waiting: Waiting | None) -> dict[str, Any]:
    """`processedOffersSummary`; of one that has not been looked at yet nothing but zeros."""
    if waiting is None:
        return {"processedOffersCount": 0, "unusedOffersCount": 0}
    made: dict[str, Any] = {
        "processedOffersCount": waiting.processed,
        "unusedOffersCount": waiting.unused,
        "rejectSummaryLastOffers": waiting.summary_of_latest,
        "rejectSummaryLaunchAttempt": waiting.summary_of_attempt,
    }
    if waiting.last_unused_at is not None:
        made["lastUnusedOfferAt"] = versions.stamp(waiting.last_unused_at)
    if waiting.last_used_at is not None:
        made["lastUsedOfferAt"] = versions.stamp(waiting.last_used_at)
    return made


def render_unused(unused: UnusedOffer) -> dict[str, Any]:
    """One of `lastUnusedOffers`."""
    return {
        "offer": _offer(unused.offer),
        "reason": list(unused.refusal.reasons),
        "timestamp": versions.stamp(unused.at),
    }


def _offer(offer: v1.Offer) -> dict[str, Any]:
    return {
        "id": offer.id.value,
        "hostname": offer.hostname,
        "agentId": offer.agent_id.value,
        "resources": [{"name": one.name, "role": one.role or "*"} | _value(one) for one in offer.resources],
        "attributes": [{"name": one.name} | _value(one) for one in offer.attributes],
    }


def _value(value: v1.Resource | v1.Attribute) -> dict[str, Any]:
    if value.scalar is not None:
        return {"scalar": value.scalar.value}
    if value.ranges is not None:
        return {"ranges": [{"begin": one.begin, "end": one.end} for one in value.ranges.range]}
    if value.set is not None:
        return {"set": value.set.item}
    text = getattr(value, "text", None)
    return {} if text is None else {"text": text.value}
