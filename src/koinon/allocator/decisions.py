"""Decisions: why a framework was not offered something, in a word for programs and a sentence for people."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Reason(Enum):
    """The gate that an agent's resources did not pass on their way to a framework, in the order they stand."""

    FRAMEWORK_INACTIVE = "framework_inactive"
    SUPPRESSED = "suppressed"
    NO_AGENTS = "no_agents"
    AGENT_INACTIVE = "agent_inactive"
    NOT_WHITELISTED = "not_whitelisted"
    CAPABILITY = "capability"
    CONSTRAINT = "constraint"
    NOTHING_FREE = "nothing_free"
    NOT_FOR_ROLE = "not_for_role"
    TOO_LITTLE = "too_little"
    REFUSED = "refused"
    OTHERS_FIRST = "others_first"
    NEXT_RUN = "next_run"


class Decision(Struct, frozen=True):
    """One reason why a framework, in one of its roles, was not offered something.

    `agents` is on how many agents that is so, `agent_id` one of them (the latest decided), `time_s` when that
    was decided. Both are 0 and None when the reason lies in the framework.
    """

    time_s: float
    role: str
    reason: Reason
    sentence: str
    agents: int = 0
    agent_id: str | None = None
