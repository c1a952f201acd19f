"""Why an instance finds no place: what it needs, held against what the agents have and what of it is free.

    no agent has so much of a kind  ▶  no agent has all kinds together  ▶  those that have are busy  ▶  None: it fits

Agents are entries of the master's `/slaves`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from koinon.cli.output import Record

_UNITS = {"mem": " MB", "disk": " MB"}
#: Below this, quantities are the same: they are told in thousandths.
_PRECISION = 0.0005


def no_place(wanted: Mapping[str, float], role: str, agents: Sequence[Record]) -> str | None:
    """Why no agent can take something that needs `wanted`, in a sentence; None if one can."""
    active = [agent for agent in agents if agent["active"]]
    if not active:
        return "no agent is registered" if not agents else "no agent is connected"
    has = [(agent, _usable(agent, role)) for agent in active]
    if beyond := [
        kind for kind, amount in wanted.items() if all(_lacks(had, kind, amount) for _, had in has)
    ]:
        return "; ".join(_nobody_has(kind, wanted[kind], has) for kind in beyond)
    large = [(agent, had) for agent, had in has if not _lacking(wanted, had)]
    if not large:
        agent, had = min(has, key=lambda one: len(_lacking(wanted, one[1])))
        return f"no agent has {_amounts(wanted, wanted)} together: {_name(agent)} has {_amounts(had, wanted)}"
    free = [(agent, _minus(had, agent["used_resources"])) for agent, had in large]
    if any(not _lacking(wanted, left) for _, left in free):
        return None
    agent, left = min(free, key=lambda one: (len(_lacking(wanted, one[1])), -_least_part(wanted, one[1])))
    lacking = _lacking(wanted, left)
    return (
        f"no agent has {_amounts(wanted, lacking)} free now: {_name(agent)} has {_amounts(left, lacking)} free"
        f" of {_amounts(_usable(agent, role), lacking)}"
    )


def _usable(agent: Record, role: str) -> dict[str, float]:
    """What of the agent's total the role may use: what is reserved for nobody, for it, or for a role above it."""
    pools: list[Mapping[str, Any]] = [agent["unreserved_resources"]]
    pools += [
        pool
        for owner, pool in agent["reserved_resources"].items()
        if role == owner or role.startswith(f"{owner}/")
    ]
    return {kind: sum(pool.get(kind, 0) for pool in pools) for kind in ("cpus", "mem", "disk", "gpus")}


def _minus(had: Mapping[str, float], used: Mapping[str, Any]) -> dict[str, float]:
    return {kind: max(0.0, amount - used.get(kind, 0)) for kind, amount in had.items()}


def _lacks(had: Mapping[str, float], kind: str, amount: float) -> bool:
    return had.get(kind, 0.0) < amount - _PRECISION


def _lacking(wanted: Mapping[str, float], had: Mapping[str, float]) -> list[str]:
    return [kind for kind, amount in wanted.items() if _lacks(had, kind, amount)]


def _least_part(wanted: Mapping[str, float], had: Mapping[str, float]) -> float:
    return min(had.get(kind, 0.0) / amount for kind, amount in wanted.items())


def _nobody_has(kind: str, amount: float, has: Sequence[tuple[Record, Mapping[str, float]]]) -> str:
    agent, had = max(has, key=lambda one: one[1].get(kind, 0.0))
    most = had.get(kind, 0.0)
    if not most:
        return f"no agent has {kind}"
    return f"no agent has {_amounts({kind: amount}, [kind])}: the largest has {most:.10g} ({_name(agent)})"


def _amounts(amounts: Mapping[str, float], kinds: Any) -> str:
    return " and ".join(
        f"{round(amounts.get(kind, 0.0), 3):.10g}{_UNITS.get(kind, '')} {kind}" for kind in kinds
    )


def _name(agent: Record) -> str:
    return f"agent {agent['id']} on {agent['hostname']}"
