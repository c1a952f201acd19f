"""Answers of frameworks to inverse offers."""

from __future__ import annotations

from koinon.mesos import v1
from koinon.mesos.v1.base import V1Enum, V1Message


class InverseOfferStatus(V1Message, kw_only=True):
    class Status(V1Enum):
        UNKNOWN = "UNKNOWN"
        ACCEPT = "ACCEPT"
        DECLINE = "DECLINE"

    status: InverseOfferStatus.Status
    framework_id: v1.FrameworkID
    timestamp: v1.TimeInfo
