"""Every bug that the simulator found, by a name, with a plan that brings it about.

A plan is kept whole (`plans/<name>.json`), as what a seed stands for changes with the simulator. To keep another one:
`python -m koinon.simulator --seed N --shrink` prints it; add it here, and what undoes its mending to `mutations.py`. If it
needs a rare moment, give the moment more chances: the same fault more often, a slower link.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from koinon.simulator.plan import Plan

#: What went wrong.
SEEDS = {
    "removed_for_ever": "An agent ran nothing any more for a framework that one master had removed and the next one knew.",
    "answer_lost": "A framework's answer to an offer got lost, and the master kept the offer for it for ever.",
    "clock_set": "A clock was set forward, and the master removed frameworks and gave up agents too early.",
    "executor_counted": "A task came for an executor that had just ended, and the master counted the executor for ever.",
    "end_unheard": "An executor ended while the registry was told that its agent is back, and the master missed it.",
    "gone_too_soon": "The master said of a task that it is gone, though its agent was only disconnected, and had it.",
    "slot_of_its_own": "A clock was set back to before a job was defined, and its run had the wall's time for its due time.",
}


def plan(name: str) -> Plan:
    """The plan of that name."""
    text = (Path(__file__).parent / "plans" / f"{name}.json").read_bytes()
    return msgspec.json.decode(text, type=Plan)
