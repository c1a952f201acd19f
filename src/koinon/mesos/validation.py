"""Rules about lists of resources, which the master checks on what frameworks and operators send and the
agent on what it is given. That each resource is well formed is for `Resources.from_v1` to say.

A *problem* is one sentence that says what is wrong; None means that all is well. The rules for names are
in `koinon.mesos.names`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from koinon.mesos import v1


def resources_problem(resources: Sequence[v1.Resource]) -> str | None:
    """What is wrong with the resources of one task, one executor or one operation."""
    return (
        gpus_problem(resources)
        or revocable_problem(resources)
        or persistence_problem(resources)
        or allocation_problem(resources)
    )


def gpus_problem(resources: Iterable[v1.Resource]) -> str | None:
    """Graphics processors are not divided."""
    for resource in resources:
        if resource.name == "gpus" and resource.scalar is not None and resource.scalar.value % 1:
            return f"the number of gpus must be whole, not {resource.scalar.value}"
    return None


def revocable_problem(resources: Iterable[v1.Resource]) -> str | None:
    """Of one name everything is revocable, or nothing."""
    revocable: dict[str, bool] = {}
    for resource in resources:
        is_revocable = resource.revocable is not None
        if revocable.setdefault(resource.name, is_revocable) != is_revocable:
            return f"revocable and non-revocable '{resource.name}' must not be mixed"
    return None


def persistence_problem(resources: Iterable[v1.Resource]) -> str | None:
    """A persistent volume is there once for each role that it is reserved for."""
    seen: set[tuple[str | None, str]] = set()
    for resource in resources:
        if resource.disk is None or resource.disk.persistence is None:
            continue
        role = resource.reservations[-1].role if resource.reservations else resource.role
        volume = (role, resource.disk.persistence.id)
        if volume in seen:
            return f"persistence id '{volume[1]}' is used twice for role '{role}'"
        seen.add(volume)
    return None


def allocation_problem(resources: Iterable[v1.Resource]) -> str | None:
    """Everything is allocated to one role. What does not say to which, is filled in from the offer."""
    roles = {
        resource.allocation_info.role
        for resource in resources
        if resource.allocation_info is not None and resource.allocation_info.role is not None
    }
    if len(roles) > 1:
        return f"resources must be allocated to one role, not to {', '.join(sorted(roles))}"
    return None
