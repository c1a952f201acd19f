"""One run of a job, an attempt at a due time: one record each, from the moment it is due.

    waiting ──▶ launching ──▶ running ──▶ succeeded | failed | killed

*Launching*: the intent is stored, so its task may exist. Nothing but word from the master, never silence, ends such an attempt.
What is not among `MOVES` does not happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from koinon.chronos.model import ids

RunState = Literal["waiting", "launching", "running", "succeeded", "failed", "killed", "skipped"]
#: What made it due.
Trigger = Literal["schedule", "parent", "manual"]

#: Where a run may go from each state, and (None) where it may begin.
MOVES: Mapping[RunState | None, frozenset[RunState]] = {
    None: frozenset({"waiting", "launching", "skipped"}),
    "waiting": frozenset({"waiting", "launching", "killed", "skipped"}),
    "launching": frozenset({"launching", "running", "succeeded", "failed", "killed", "skipped"}),
    "running": frozenset({"running", "succeeded", "failed", "killed"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "killed": frozenset(),
    "skipped": frozenset(),
}
#: The states a run does not leave.
ENDED: frozenset[RunState] = frozenset(state for state, after in MOVES.items() if state and not after)


class Run(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """One attempt. Its job, due time and attempt are its identity, and its task's id is made of them."""

    job: str
    due_ms: int  #: since the epoch; the same in all attempts
    attempt: int = 0
    state: RunState = "waiting"
    trigger: Trigger = "schedule"
    arguments: str = ""  #: of a run by hand: instead of the job's
    not_before: float = 0.0  #: a retry waits until then
    launched: float | None = None  #: when the intent was stored
    started: float | None = None  #: when it was heard to run
    ended: float | None = None
    agent_id: str = ""
    hostname: str = ""
    mesos_state: str = ""  #: the last one heard, `TASK_RUNNING`
    reason: str = ""  #: Mesos's, `REASON_CONTAINER_LIMITATION_MEMORY`; or ours, of a run that was skipped
    message: str = ""
    exit_status: int | None = None
    container_id: str = ""
    elements_processed: int = 0  #: told by the task, of data processing jobs
    failures: int = 0  #: attempts of this run that failed before: an attempt that never began is none
    window_ms: int = 0  #: the slot for which it runs, down the chain; 0 of runs by hand, which are for any
    unreachable_since: float | None = None  #: the master does not reach its agent
    through_ms: int = 0  #: the last of the due times that it makes up for, if there were more than one
    kill_asked: float | None = None  #: when somebody wanted it killed
    orphaned: bool = False  #: its job was deleted; another one may have the name now

    @property
    def id(self) -> str:
        """Its task's id, and its key."""
        return ids.task_id(self.job, self.due_ms, self.attempt)

    @property
    def due(self) -> float:
        """In seconds since the epoch."""
        return self.due_ms / 1000

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED

    @property
    def is_active(self) -> bool:
        """Whether its task exists, or may."""
        return self.state in ("launching", "running")

    @property
    def awaits_call(self) -> bool:
        """Whether its task has ended, and somebody has still to say how it went: its job is asynchronous."""
        return self.state in ("launching", "running") and self.mesos_state == "TASK_FINISHED"
