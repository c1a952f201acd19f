"""Frameworks: their info, roles, filters and offer constraints."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from koinon.allocator import ConstraintError, compile_constraints
from koinon.mesos import v1
from koinon.mesos.names import DEFAULT_ROLE, id_problem, role_problem
from koinon.mesos.v1 import scheduler

#: A duration counts nanoseconds in 63 bits.
_DURATION_MAX_S = 2**63 / 1e9


def capabilities_of(info: v1.FrameworkInfo) -> frozenset[str]:
    """The names of the framework's capabilities; those we do not know are left out."""
    return frozenset(capability.type.name for capability in info.capabilities if capability.type is not None)


def roles_of(info: v1.FrameworkInfo) -> tuple[str, ...]:
    """The roles it subscribes in."""
    if "MULTI_ROLE" in capabilities_of(info):
        return tuple(info.roles)
    return (DEFAULT_ROLE if info.role is None else info.role,)


def framework_problem(
    info: v1.FrameworkInfo,
    suppressed: Collection[str],
    constraints: scheduler.OfferConstraints | None,
    *,
    root_submissions: bool,
) -> str | None:
    """What is wrong with a framework that wants to subscribe, or to change."""
    roles = roles_of(info)
    return (
        _id_problem(info)
        or _roles_problem(info, roles)
        or _time_problem(info)
        or _user_problem(info, root_submissions)
        or _foreign_problem("suppressed role", suppressed, roles)
        or _foreign_problem("role of the offer filters", info.offer_filters, roles)
        or _filters_problem(info)
        or _constraints_problem(constraints, roles)
    )


def _id_problem(info: v1.FrameworkInfo) -> str | None:
    if info.id is None or info.id.value == "":
        return None
    problem = id_problem(info.id.value)
    return problem and f"The framework's id is not valid: {problem}."


def _roles_problem(info: v1.FrameworkInfo, roles: tuple[str, ...]) -> str | None:
    if "MULTI_ROLE" in capabilities_of(info):
        if info.role is not None:
            return "A framework with the capability MULTI_ROLE must name its roles in 'roles', not in 'role'."
        if len(set(roles)) < len(roles):
            return "'roles' names a role twice."
    elif info.roles:
        return "A framework must have the capability MULTI_ROLE to name its roles in 'roles'."
    for role in roles:
        if (problem := role_problem(role)) is not None:
            return f"The framework's role is not valid: {problem}."
    return None


def _time_problem(info: v1.FrameworkInfo) -> str | None:
    if 0.0 <= info.failover_timeout < _DURATION_MAX_S:
        return None
    return (
        f"'failover_timeout' must be a number of seconds from 0 to {int(_DURATION_MAX_S)}, "
        f"not {info.failover_timeout}."
    )


def _user_problem(info: v1.FrameworkInfo, root_submissions: bool) -> str | None:
    if info.user == "root" and not root_submissions:
        return "User 'root' may not run frameworks here (--no-root_submissions)."
    return None


def _foreign_problem(what: str, named: Iterable[str], roles: tuple[str, ...]) -> str | None:
    for role in named:
        if role not in roles:
            return f"The {what} '{role}' is not one of the framework's roles."
    return None


def _filters_problem(info: v1.FrameworkInfo) -> str | None:
    for role, filters in info.offer_filters.items():
        if filters.min_allocatable_resources is None:
            continue
        for alternative in filters.min_allocatable_resources.quantities:
            for name, scalar in alternative.quantities.items():
                if not (math.isfinite(scalar.value) and scalar.value >= 0):
                    return f"The least '{name}' in the offer filters of role '{role}' must be 0 or more."
    return None


def _constraints_problem(
    constraints: scheduler.OfferConstraints | None, roles: tuple[str, ...]
) -> str | None:
    try:
        compile_constraints(constraints, roles)
    except ConstraintError as error:
        return f"The framework's {error}."
    return None
