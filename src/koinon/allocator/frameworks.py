"""Frameworks as the allocator sees them, and the least amount they want to hear of.

*Minimum*: alternatives, of which the offered amounts must reach one; empty = everything is welcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from koinon.allocator.constraints import RoleConstraints
from koinon.allocator.sorter import Client
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.resources.quantities import thousandths

Minimum: TypeAlias = tuple[tuple[tuple[str, int], ...], ...]  #: alternatives of (name, thousandths)


def minimum_of(alternatives: Iterable[Mapping[str, int]]) -> Minimum:
    """Make a minimum of amounts in thousandths by resource name."""
    return tuple(tuple(sorted(amounts.items())) for amounts in alternatives)


def parse_minimum(text: str) -> Minimum:
    """Read a minimum as in `cpus:0.01|mem:32;disk:10`. Raises ResourceError."""
    return minimum_of(Resources.parse(part).scalars for part in text.split("|") if part.strip())


def minimum_from_v1(filters: v1.OfferFilters) -> Minimum | None:
    """Read the minimum of a role from its offer filters; None if they leave it to the cluster's default."""
    if filters.min_allocatable_resources is None:
        return None
    return minimum_of(
        {name: thousandths(scalar.value) for name, scalar in alternative.quantities.items()}
        for alternative in filters.min_allocatable_resources.quantities
    )


class Framework:
    """A framework. Its clients outlive their role while they hold something."""

    __slots__ = (
        "active",
        "added",
        "capabilities",
        "clients",
        "constraints",
        "id",
        "minima",
        "roles",
        "suppressed",
    )

    def __init__(self, framework_id: str) -> None:
        self.id = framework_id
        self.added = False  #: False while it is known only from what it uses on agents
        self.active = False
        self.roles: frozenset[str] = frozenset()
        self.suppressed: set[str] = set()
        self.capabilities: frozenset[str] = frozenset()
        self.constraints: Mapping[str, RoleConstraints] = {}
        self.minima: Mapping[str, Minimum] = {}
        self.clients: dict[str, Client] = {}  #: by role

    def is_offered(self, role: str) -> bool:
        """Say whether the framework takes part in this role."""
        return self.active and role in self.roles and role not in self.suppressed
