"""Maintenance windows of machines."""

from __future__ import annotations

from koinon.mesos import v1
from koinon.mesos.v1 import allocator
from koinon.mesos.v1.base import V1Message


class Window(V1Message, kw_only=True):
    machine_ids: list[v1.MachineID] = []
    unavailability: v1.Unavailability


class Schedule(V1Message, kw_only=True):
    windows: list[Window] = []


class ClusterStatus(V1Message, kw_only=True):
    class DrainingMachine(V1Message, kw_only=True):
        id: v1.MachineID
        statuses: list[allocator.InverseOfferStatus] = []

    draining_machines: list[ClusterStatus.DrainingMachine] = []
    down_machines: list[v1.MachineID] = []
