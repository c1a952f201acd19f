"""State machines of the agent as tables: a state and the states it may move to.

The diagrams in the documentation are generated from these tables, so they cannot drift.

- *Agent*: one machine for the role itself.
- *Executor*: what runs tasks. The built-in ones (of a command task, of a task group) have no process of their own and
  are RUNNING from the start; a custom executor is a program that subscribes to us first.
- *Task*: STAGING until its executor has said something about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState


class AgentState(Enum):
    """Where the agent stands towards its past and its master."""

    RECOVERING = "recovering"  #: the checkpoint has not been read
    DISCONNECTED = "disconnected"  #: no master, or one that has not admitted us yet
    REGISTERED = "registered"
    TERMINATING = "terminating"  #: everything is being killed, then the process ends


class ExecutorState(Enum):
    """Life of an executor."""

    REGISTERING = "registering"  #: started (or found again after a restart), has not subscribed
    RUNNING = "running"
    TERMINATING = "terminating"  #: told to shut down, or being destroyed
    TERMINATED = "terminated"  #: its processes are gone; terminal updates may wait for acknowledgement


AGENT_MOVES: Mapping[AgentState, frozenset[AgentState]] = {
    AgentState.RECOVERING: frozenset((AgentState.DISCONNECTED,)),
    AgentState.DISCONNECTED: frozenset((AgentState.REGISTERED, AgentState.TERMINATING)),
    AgentState.REGISTERED: frozenset((AgentState.DISCONNECTED, AgentState.TERMINATING)),
    AgentState.TERMINATING: frozenset(),
}

EXECUTOR_MOVES: Mapping[ExecutorState, frozenset[ExecutorState]] = {
    ExecutorState.REGISTERING: frozenset(
        (ExecutorState.RUNNING, ExecutorState.TERMINATING, ExecutorState.TERMINATED)
    ),
    ExecutorState.RUNNING: frozenset((ExecutorState.TERMINATING, ExecutorState.TERMINATED)),
    ExecutorState.TERMINATING: frozenset((ExecutorState.TERMINATED,)),
    ExecutorState.TERMINATED: frozenset(),
}

#: An executor of the user may go back and forth between the living states; only STAGING never comes again.
_LIVING = frozenset((TaskState.TASK_STARTING, TaskState.TASK_RUNNING, TaskState.TASK_KILLING))

TASK_MOVES: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.TASK_STAGING: _LIVING | TERMINAL,
    TaskState.TASK_STARTING: _LIVING | TERMINAL,
    TaskState.TASK_RUNNING: _LIVING | TERMINAL,
    TaskState.TASK_KILLING: _LIVING | TERMINAL,
    **{state: frozenset() for state in TERMINAL},
}

S = TypeVar("S", bound=Enum)


class IllegalMove(Exception):
    """A state machine was asked for a move that its table does not have; the text tells the object's story."""


def check_move(moves: Mapping[S, frozenset[S]], old: S, new: S, story: Any) -> None:
    """Raises IllegalMove unless `new` may follow `old`; `story` is what the message says about the object."""
    if new not in moves[old]:
        raise IllegalMove(f"{old.value} cannot become {new.value}: {story!r}")
