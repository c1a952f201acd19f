"""What must hold whatever happens: each law looks through a history, and tells what breaks it.

A listener may write down what it heard a moment after it was said: `_GRACE_S` is left for that. What somebody does it
writes down before.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

from tests.partitions import workload
from tests.partitions.history import History, Offer, Reign, Task

_GRACE_S = 0.25
_TOLD_MAX = 10

#: How far a task has come; it never goes back.
_RANKS = {"STAGING": 0, "STARTING": 1, "RUNNING": 2, "KILLING": 3}
#: Not known where it is: it may come back.
_AWAY = frozenset({"UNREACHABLE", "LOST"})
#: It never was, as far as anybody knows.
_NEVER = frozenset({"DROPPED", "GONE", "UNKNOWN", "LOST", "ERROR"})


def one_leader_acts(history: History) -> list[str]:
    """Each epoch has one master, which does not act after a later one has begun, nor is heard then.

    But if it had ended before that, what it had said may still arrive, when a link is mended.
    """
    found = [
        f"master {master} led in epochs {sorted(reigns)}"
        for master, reigns in history.reigns.items()
        if len(reigns) > 1
    ]
    masters = defaultdict(set)
    for master, reigns in history.reigns.items():
        for reign in reigns:
            masters[reign].add(master)
    found += [f"epoch {reign} has masters {who}" for reign, who in masters.items() if len(who) > 1]
    ends = {reign: history.ended.get(master, math.inf) for reign, who in masters.items() for master in who}
    newest, since = (0, 0), 0.0
    for act in sorted(history.acts, key=lambda act: act.at):
        late = f"{act.at - since:.2f} s after epoch {newest} began"
        if act.reign > newest:
            newest, since = act.reign, act.at
        elif act.reign < newest and act.what == "acts":
            found.append(f"{act.who} acted in epoch {act.reign} {late}")
        elif act.reign < newest and act.at > since + _GRACE_S and ends.get(act.reign, math.inf) > since:
            found.append(f"{act.who} heard {act.what} of epoch {act.reign} {late}")
    return found


def nothing_is_offered_twice(history: History) -> list[str]:
    """While one holds an offer, nobody else is offered the same; offers end with the epoch they were made in."""
    begins: dict[Reign, float] = {}
    for act in sorted(history.acts, key=lambda act: act.at):
        begins.setdefault(act.reign, act.at)
    found = []
    by_agent: dict[tuple[str, Reign], list[Offer]] = defaultdict(list)
    for offer in sorted(history.offers.values(), key=lambda offer: offer.since):
        later = [at for reign, at in begins.items() if reign > offer.reign]
        offer.until = min(offer.until, *later) if later else offer.until
        earlier = by_agent[offer.agent, offer.reign]
        earlier[:] = [one for one in earlier if one.until > offer.since]
        found += [
            f"{offer.offer_id} for {offer.who} at {offer.since:.2f}, while {one.who} has {one.offer_id} of {one.since:.2f}"
            f" until {one.until:.2f}"
            for one in earlier
            if one.until - offer.since > (0.0 if one.given_up and not one.rescinded else _GRACE_S)
            and _overlap(one, offer)
        ]
        earlier.append(offer)
    return found


def _overlap(one: Offer, other: Offer) -> bool:
    return any(
        begin <= other_end and other_begin <= end
        for begin, end in one.ports
        for other_begin, other_end in other.ports
    )


def nothing_is_used_twice(history: History) -> list[str]:
    """No task ran twice, and no two held the same port of an agent at the same time."""
    return [
        f"{what}: {task}"
        for task in history.tasks.values()
        for what, broken in {
            "it was started twice": task.steps.count("start") > 1,
            "its port was in use": "double" in task.steps,
        }.items()
        if broken
    ]


def every_task_is_accounted_for(history: History) -> list[str]:
    """Each launched task has an end, and the footprints say the same."""
    return [f"{what}: {task}" for task in history.tasks.values() if (what := _wrong_end(task)) is not None]


def _wrong_end(task: Task) -> str | None:
    ran, came_to_its_end = "start" in task.steps, "end" in task.steps
    match task.end:
        case None:
            return "it has no end"
        case "FINISHED" if not (came_to_its_end and task.kind == "short"):
            return "it did not finish"
        case "FAILED" if not (came_to_its_end and task.kind == "bad"):
            return "it did not fail"
        case "KILLED" if not task.asked_to_end:
            return "nobody had it killed"
        case end if end in _NEVER and ran:
            return "it ran"
    return None


def histories_are_truthful(history: History) -> list[str]:
    """States follow each other as they may, and nothing comes after an end but the same end again."""
    found = [
        f"{entry['who']} heard {entry['state']} of {entry['task']}, which had ended"
        for entry in history.strays
        if entry["state"] not in workload.ENDS
    ]
    for task in history.tasks.values():
        rank, end = 0, None
        for state in task.states:
            if end is not None and state != end:
                found.append(f"{state} after {end}: {task}")
            elif state in _RANKS:
                if _RANKS[state] < rank:
                    found.append(f"back to {state}: {task}")
                rank = _RANKS[state]
            elif state not in _AWAY:
                end = state
    return found


def nobody_is_given_up_who_is_there(history: History) -> list[str]:
    """Agents are lost, and tasks out of reach, only where the test has cut them off."""
    found = [
        f"{entry['who']} heard that {history.hostnames.get(entry['agent'])} was lost"
        for entry in history.failures
        if history.hostnames.get(entry["agent"]) not in history.agents_cut
    ]
    return found + [
        f"given up: {task}"
        for task in history.tasks.values()
        if "start" in task.steps
        and not _AWAY.isdisjoint(task.states)
        and history.hostnames.get(task.agent) not in history.agents_cut
    ]


LAWS: tuple[Callable[[History], list[str]], ...] = (
    one_leader_acts,
    nothing_is_offered_twice,
    nothing_is_used_twice,
    every_task_is_accounted_for,
    histories_are_truthful,
    nobody_is_given_up_who_is_there,
)


def broken(history: History) -> list[str]:
    """What breaks a law; of each law only the first few."""
    return [f"{law.__name__}: {what}" for law in LAWS for what in law(history)[:_TOLD_MAX]]
