"""Draws the state machines of master and agent, from the tables in the code, into docs/state-diagrams.md.

    python docs/make_diagrams.py

States that have the same ways in and the same ways out are drawn as one. `pages()` returns what is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from koinon.agent.core import tables as agent
from koinon.chronos.model import run
from koinon.coordination import candidate
from koinon.master.core import tables as master

DOCS = Path(__file__).parent

Moves = Mapping[Any, frozenset[Any]]
State = Enum | str
#: States that are drawn as one; the empty one is "not there yet".
Group = tuple[State, ...]

INTRODUCTION = """\
# State diagrams

Drawn by `docs/make_diagrams.py` from `src/koinon/master/core/tables.py`, `src/koinon/agent/core/tables.py`,
`src/koinon/coordination/candidate.py` and `src/koinon/chronos/model/run.py`. Do not edit: change the tables, then `make docs`. What is not
drawn cannot happen: it raises `IllegalMove`, or AssertionError.
States that have the same ways in and out share a box; an arrow from a box to itself means that they may follow one
another in any order.
"""

#: Title, table, what to know about it.
DIAGRAMS: tuple[tuple[str, Moves, str], ...] = (
    ("A task, as the master sees it", master.TASK_MOVES, "From an agent's report a task may begin anywhere."),
    ("An agent, as the master sees it", master.AGENT_MOVES, str(master.AgentState.__doc__)),
    ("A framework, as the master sees it", master.FRAMEWORK_MOVES, str(master.FrameworkState.__doc__)),
    ("An offer", master.OFFER_MOVES, str(master.OfferState.__doc__)),
    ("A master that stands for election", candidate.MOVES, str(candidate.Phase.__doc__)),
    ("The agent itself", agent.AGENT_MOVES, str(agent.AgentState.__doc__)),
    ("An executor, as its agent sees it", agent.EXECUTOR_MOVES, str(agent.ExecutorState.__doc__)),
    ("A task, as its agent sees it", agent.TASK_MOVES, "It is here from the moment it arrives."),
    (
        "A run of a job of Chronos's",
        run.MOVES,
        "One attempt; the next one is another run, for the same due time.",
    ),
)


def pages() -> dict[Path, str]:
    """The generated pages, by their paths."""
    parts = [INTRODUCTION]
    for title, moves, about in DIAGRAMS:
        parts.append(f"## {title}\n\n{about}\n\n```mermaid\n{diagram(moves)}\n```\n")
    return {DOCS / "state-diagrams.md": "\n".join(parts)}


def diagram(moves: Moves) -> str:
    """A table as a state diagram."""
    groups = sorted(_groups(moves), key=lambda group: list(moves).index(group[0]))
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{_label(group)}" as {_name(group)}' for group in groups]
    starts = moves.get(None, frozenset((next(iter(moves)),)))
    lines += [f"    [*] --> {_name(group)}" for group in groups if group[0] in starts]
    for group in groups:
        ends = moves[group[0]]
        lines += [f"    {_name(group)} --> {_name(other)}" for other in groups if other[0] in ends]
        if not ends:
            lines.append(f"    {_name(group)} --> [*]")
    return "\n".join(lines)


def _groups(moves: Moves) -> Iterator[Group]:
    """States with the same ways in and out, together."""
    alike: dict[tuple[frozenset[State | None], frozenset[State]], list[State]] = {}
    for state, ends in moves.items():
        if state is not None:
            ways_in = frozenset(start for start, there in moves.items() if state in there)
            alike.setdefault((ways_in, ends), []).append(state)
    for states in alike.values():
        # A set's order changes from run to run; that of the declaration does not.
        declared: list[Any] = list(type(states[0])) if isinstance(states[0], Enum) else states
        yield tuple(sorted(states, key=declared.index))


def _label(group: Group) -> str:
    return "<br/>".join(_text(state) for state in group)


def _name(group: Group) -> str:
    return _text(group[0]).lower()


def _text(state: State) -> str:
    return state.name.removeprefix("TASK_") if isinstance(state, Enum) else state.upper()


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
