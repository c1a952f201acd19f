"""Placement constraints: `[field, operator, value?]`, held against what runs already.

    field      `hostname` or `@hostname`, `@region`, `@zone`, else the name of an attribute of agents
    operators  UNIQUE, CLUSTER, GROUP_BY, MAX_PER look at the instances placed; LIKE, UNLIKE, IS at the agent alone

Values are compared as text. An agent without the attribute satisfies UNLIKE only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct

from koinon.marathon.model.app import Constraint
from koinon.marathon.model.records import AgentInfo, Instance
from koinon.mesos.v1 import Attribute
from koinon.offers import number_text, pattern

#: Conditions of instances that hold an agent: those that wait, are lost or have ended hold none.
PLACED = frozenset({"Provisioned", "Staging", "Starting", "Running", "Killing"})

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")

#: How many placed instances have each value of a field; None: those without one.
Counts: TypeAlias = dict[str | None, int]


# ── values ────────────────────────────────────────────────────────────────────────────────────────
def attribute_text(attribute: Attribute) -> str:
    """The value as constraints compare it: `2.5`, `[1-3,7-9]`, `{a,b}`, or the text."""
    if attribute.scalar is not None:
        return number_text(attribute.scalar.value)
    if attribute.ranges is not None:
        pairs = sorted((one.begin, one.end) for one in attribute.ranges.range)
        return "[" + ",".join(f"{begin}-{end}" for begin, end in pairs) + "]"
    if attribute.set is not None:
        return "{" + ",".join(sorted(attribute.set.item)) + "}"
    return attribute.text.value if attribute.text is not None else ""


def value_of(agent: AgentInfo, field: str) -> str | None:
    """The agent's value of a constraint's field."""
    match field:
        case "hostname" | "@hostname":
            return agent.hostname
        case "@region":
            return agent.region
        case "@zone":
            return agent.zone
        case _:
            return agent.attributes.get(field)


# ── what is placed ────────────────────────────────────────────────────────────────────────────────
class Placements:
    """Where the instances of one app are, counted by the fields that its constraints name.

    Those of other configurations do not count: a new instance may stand beside the one that it replaces. That one's
    configuration is mostly an older one, but a newer one when an upgrade is taken back (then Marathon counts it).
    """

    def __init__(self, instances: Iterable[Instance] = (), config: str = "") -> None:
        """`config`: only instances of this configuration count; all do if it is empty."""
        self._agents: list[AgentInfo] = [
            instance.agent
            for instance in instances
            if instance.agent is not None and instance.condition in PLACED and config in ("", instance.config)
        ]
        self._counts: dict[str, Counts] = {}

    def add(self, agent: AgentInfo) -> None:
        """One more instance is there."""
        self._agents.append(agent)
        for field, counts in self._counts.items():
            value = value_of(agent, field)
            counts[value] = counts.get(value, 0) + 1

    def __len__(self) -> int:
        return len(self._agents)

    @property
    def first(self) -> AgentInfo | None:
        """Where the first one is."""
        return self._agents[0] if self._agents else None

    def counts(self, field: str) -> Counts:
        """How many have each value. To be read, not changed."""
        counts = self._counts.get(field)
        if counts is None:
            counts = self._counts[field] = {}
            for agent in self._agents:
                value = value_of(agent, field)
                counts[value] = counts.get(value, 0) + 1
        return counts


# ── the rules ─────────────────────────────────────────────────────────────────────────────────────
class Rule(Struct, frozen=True):
    """One constraint, read."""

    field: str
    operator: str  #: in capitals
    value: str = ""

    @property
    def looks_at_placements(self) -> bool:
        """Whether instances that are placed matter."""
        return self.operator in ("UNIQUE", "CLUSTER", "GROUP_BY", "MAX_PER")

    def __str__(self) -> str:
        return " ".join(part for part in (self.field, self.operator, self.value) if part)


def read_rule(constraint: Constraint) -> Rule:
    """A rule of `[field, operator, value?]`."""
    field, operator, *value = constraint
    return Rule(field, operator.upper(), value[0] if value else "")


def objection(rule: Rule, agent: AgentInfo, placed: Placements, instances: int) -> str | None:
    """Why the agent may not take one more instance, in a few words; None if it may.

    `instances` is how many the app is to have: GROUP_BY with a number divides them.
    """
    value = value_of(agent, rule.field)
    if value is None:
        return None if rule.operator == "UNLIKE" else f"the agent has no {rule.field}"
    match rule.operator:
        case "UNIQUE":
            return f"one runs at {value} already" if placed.counts(rule.field).get(value) else None
        case "MAX_PER":
            there = placed.counts(rule.field).get(value, 0)
            return f"{there} run at {value} already" if there >= int(rule.value) else None
        case "CLUSTER":
            return _cluster(rule, value, placed)
        case "GROUP_BY":
            return _group_by(rule, value, placed.counts(rule.field), instances)
        case "LIKE":
            return None if pattern(rule.value).fullmatch(value) else f"{value} does not match"
        case "UNLIKE":
            return f"{value} matches" if pattern(rule.value).fullmatch(value) else None
        case "IS":
            wanted = number_text(float(rule.value)) if _NUMBER.fullmatch(rule.value) else rule.value
            return None if value == wanted else f"it is {value}"
        case _:
            return "there is no such operator"


def _cluster(rule: Rule, value: str, placed: Placements) -> str | None:
    if rule.value:
        return None if value == rule.value else f"it is {value}"
    if placed.first is None:
        return None
    where = value_of(placed.first, rule.field)
    return None if value == where else f"the others are at {where or 'agents without one'}, this is {value}"


def _group_by(rule: Rule, value: str, counts: Counts, instances: int) -> str | None:
    groups = int(rule.value) if rule.value.isdigit() else 0
    there = counts.get(value, 0)
    if groups:
        return _divided(value, there, counts, instances, groups)
    if there and there > (fewest := min(counts.values())):
        return f"{there} run at {value}, only {fewest} elsewhere"
    return None


def _divided(value: str, there: int, counts: Counts, instances: int, groups: int) -> str | None:
    """So many groups, as even as the number of instances allows (the rule of Marathon 1.11)."""
    if not there:
        return f"there are {groups} groups already" if len(counts) >= groups else None
    each, rest = divmod(instances, groups)
    spent = sum(max(0, count - each) for count in counts.values())
    if there < each or (there == each and spent < rest):
        return None
    return f"{there} of {instances} run at {value} already"


def first_objection(
    rules: Sequence[Rule], agent: AgentInfo, placed: Placements, instances: int
) -> tuple[Rule, str] | None:
    """The first rule that the agent breaks, and how."""
    for rule in rules:
        if (said := objection(rule, agent, placed, instances)) is not None:
            return rule, said
    return None
