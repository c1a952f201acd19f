"""Offers and apps: where an instance can run, or why it cannot; and the task that is launched there.

    offers of an agent ──▶ Remaining ─┐
    app or pod ──────────▶ Wanted ────┼─▶ match ─▶ Match ─▶ launch_operation ─▶ an operation for the master
    instances placed ────▶ Placements ┘      └──▶ Unmatched: the reasons, in sentences

Modules:

    settings.py      what the operator chose
    wanted.py        what one instance of an app or pod needs
    remaining.py     what is left of an agent's offers
    ports.py         host ports
    constraints.py   UNIQUE, GROUP_BY, MAX_PER, …
    matcher.py       the match
    environment.py   variables of tasks
    commands.py      what commands of apps and pods have alike
    networks.py      where ports lead: networks, discovery
    containers.py    containers of apps
    checks.py        checks that agents make
    tasks.py         an app's instance as a task
    groups.py        a pod's instance as a task group
"""

from koinon.marathon.matching.constraints import Placements
from koinon.marathon.matching.matcher import REASONS, Match, Refusal, Unmatched, match
from koinon.marathon.matching.remaining import Remaining
from koinon.marathon.matching.settings import Settings
from koinon.marathon.matching.tasks import launch_operation
from koinon.marathon.matching.wanted import Wanted, wanted_of

__all__ = [
    "REASONS",
    "Match",
    "Placements",
    "Refusal",
    "Remaining",
    "Settings",
    "Unmatched",
    "Wanted",
    "launch_operation",
    "match",
    "wanted_of",
]
