"""The state machines of the master, as data: from a state to the states it may move to.

`None` stands for "not there yet". The diagrams of the documentation are drawn from these tables. A move
that is not in them is a mistake of ours and raises IllegalMove; what a peer reports is first tried with
`may_move`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState


class AgentState(Enum):
    """Where an agent stands with this master."""

    RECOVERED = "recovered"  #: in the registry, not heard of since this master leads
    CONNECTED = "connected"  #: its resources are offered
    DISCONNECTED = "disconnected"  #: channel broken, still waited for
    LEAVING = "leaving"  #: given up; the registry is being told
    UNREACHABLE = "unreachable"
    GONE = "gone"  #: declared gone by an operator, never readmitted
    REMOVED = "removed"  #: no longer in the registry


class FrameworkState(Enum):
    """Where a framework stands with this master."""

    RECOVERED = "recovered"  #: known from agents only
    SUBSCRIBED = "subscribed"
    DISCONNECTED = "disconnected"  #: may come back before its failover timeout
    COMPLETED = "completed"


class OfferState(Enum):
    """Where an offer stands, and how it ended."""

    OUTSTANDING = "outstanding"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    RESCINDED = "rescinded"  #: the framework was told that it is void
    DISCARDED = "discarded"  #: void without a word: the framework left, or answered it wrongly


S = TypeVar("S", bound=Enum)
Moves = Mapping[S | None, frozenset[S]]

_T = TaskState

#: What an executor says of a task that it has; it may say them in any order.
LIVE = frozenset((_T.TASK_STARTING, _T.TASK_RUNNING, _T.TASK_KILLING))

#: While a task is in one of these it holds its resources.
HOLDING = LIVE | {_T.TASK_STAGING}

_NONE: frozenset[TaskState] = frozenset()

TASK_MOVES: Moves[TaskState] = {
    # Known from an agent's report a task may begin anywhere.
    None: frozenset((_T.TASK_STAGING,)) | LIVE | TERMINAL,
    _T.TASK_STAGING: LIVE | TERMINAL | {_T.TASK_UNREACHABLE},
    _T.TASK_STARTING: LIVE | TERMINAL | {_T.TASK_UNREACHABLE},
    _T.TASK_RUNNING: LIVE | TERMINAL | {_T.TASK_UNREACHABLE},
    _T.TASK_KILLING: LIVE | TERMINAL | {_T.TASK_UNREACHABLE},
    # Its agent may come back, and the task with it.
    _T.TASK_UNREACHABLE: frozenset((_T.TASK_STAGING,)) | LIVE | TERMINAL,
    **dict.fromkeys(TERMINAL - {_T.TASK_LOST}, _NONE),
    # Frameworks that are not partition aware hear LOST where others hear UNREACHABLE.
    _T.TASK_LOST: frozenset((_T.TASK_STAGING,)) | LIVE | TERMINAL,
}

_A = AgentState

AGENT_MOVES: Moves[AgentState] = {
    None: frozenset((_A.RECOVERED, _A.CONNECTED, _A.UNREACHABLE, _A.GONE)),
    _A.RECOVERED: frozenset((_A.CONNECTED, _A.LEAVING)),
    _A.CONNECTED: frozenset((_A.DISCONNECTED, _A.LEAVING)),
    _A.DISCONNECTED: frozenset((_A.CONNECTED, _A.LEAVING)),
    _A.LEAVING: frozenset((_A.DISCONNECTED, _A.UNREACHABLE, _A.GONE, _A.REMOVED)),
    _A.UNREACHABLE: frozenset((_A.CONNECTED, _A.LEAVING, _A.REMOVED)),
    _A.GONE: frozenset((_A.REMOVED,)),
    _A.REMOVED: frozenset(),
}

_F = FrameworkState

FRAMEWORK_MOVES: Moves[FrameworkState] = {
    None: frozenset((_F.RECOVERED, _F.SUBSCRIBED)),
    _F.RECOVERED: frozenset((_F.SUBSCRIBED, _F.COMPLETED)),
    # Subscribed again: the old subscription has been replaced by a new one.
    _F.SUBSCRIBED: frozenset((_F.SUBSCRIBED, _F.DISCONNECTED, _F.COMPLETED)),
    _F.DISCONNECTED: frozenset((_F.SUBSCRIBED, _F.COMPLETED)),
    _F.COMPLETED: frozenset(),
}

_O = OfferState

OFFER_MOVES: Moves[OfferState] = {
    None: frozenset((_O.OUTSTANDING,)),
    _O.OUTSTANDING: frozenset((_O.ACCEPTED, _O.DECLINED, _O.RESCINDED, _O.DISCARDED)),
    _O.ACCEPTED: frozenset(),
    _O.DECLINED: frozenset(),
    _O.RESCINDED: frozenset(),
    _O.DISCARDED: frozenset(),
}


class IllegalMove(AssertionError):
    """We tried a move that the table does not have; the text tells the object's story."""

    def __init__(self, start: Enum | None, end: Enum, story: object) -> None:
        super().__init__(f"no move from {start and start.name} to {end.name}: {story!r}")


def may_move(moves: Moves[S], start: S | None, end: S) -> bool:
    """Is there a move from `start` to `end`?"""
    return end in moves[start]


def check_move(moves: Moves[S], start: S | None, end: S, story: object) -> None:
    """Raises IllegalMove, with the object's `story`, if there is no move from `start` to `end`."""
    if end not in moves[start]:
        raise IllegalMove(start, end, story)
