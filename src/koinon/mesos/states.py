"""What the states of a task mean to everybody who hears of them."""

from __future__ import annotations

from koinon.mesos.v1 import TaskState

#: After these a task does nothing any more and holds no resources; it does not leave them by itself.
TERMINAL = frozenset(
    (
        TaskState.TASK_FINISHED,
        TaskState.TASK_FAILED,
        TaskState.TASK_KILLED,
        TaskState.TASK_ERROR,
        TaskState.TASK_LOST,
        TaskState.TASK_DROPPED,
        TaskState.TASK_GONE,
        TaskState.TASK_GONE_BY_OPERATOR,
    )
)
