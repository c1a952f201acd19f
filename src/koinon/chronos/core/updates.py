"""Status updates: which run, what has become of it, and the acknowledgement when that is durable.

Whether an attempt has *begun* is what was heard of it: its state is `running` then. An attempt that is still `launching`
when the master says that its agent does not have it, has never been.

That the master's word is final rests on how it launches: over the agent's present connection or not at all, so that no launch
arrives after the agent came back without it. Should a task turn up all the same whose attempt is over, it is killed.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from koinon.chronos.core import losses, outcomes
from koinon.chronos.core.context import Core
from koinon.chronos.core.events import Acknowledge, Kill
from koinon.chronos.model import Run
from koinon.mesos import v1

_S = v1.TaskState
_Reason = v1.TaskStatus.Reason

#: The task exists, on an agent that says so.
BEGUN = frozenset((_S.TASK_STARTING, _S.TASK_RUNNING, _S.TASK_KILLING))
#: It ran, or could not.
FAILED = frozenset((_S.TASK_FAILED, _S.TASK_ERROR, _S.TASK_LOST, _S.TASK_GONE_BY_OPERATOR))
#: It is not where it was sent.
ABSENT = frozenset((_S.TASK_DROPPED, _S.TASK_GONE, _S.TASK_UNKNOWN))
#: Nothing has ended: its agent knows it not yet, or cannot be asked.
OPEN = frozenset((_S.TASK_STAGING, _S.TASK_UNREACHABLE))

_EXIT_STATUS = re.compile(r"exited with status ([0-9]+)")


def hear(core: Core, status: v1.TaskStatus) -> None:
    """A task has another state, or it is told again."""
    run = core.state.runs.get(status.task_id.value)
    if run is None or not run.is_active:
        _stranger(core, status)
    elif not run.awaits_call:
        _change(core, run, status)
    if status.uuid is not None:
        core.effects.append(Acknowledge(status))


def _stranger(core: Core, status: v1.TaskStatus) -> None:
    """Its run has ended, or it never was ours: what still runs of it ends."""
    if status.state in BEGUN or status.state is _S.TASK_STAGING:
        core.effects.append(Kill(status.task_id.value, _agent_of(status)))


def _change(core: Core, run: Run, status: v1.TaskStatus) -> None:
    told = _told(core, run, status)
    state = status.state
    if state in BEGUN or state in OPEN:
        if told != run:
            core.put_run(told)
        if told.unreachable_since != run.unreachable_since:
            losses.watch(core, told)
    elif state is _S.TASK_FINISHED:
        job = core.state.jobs.get(run.job)
        if job is not None and job.asynchronous and not run.orphaned:
            core.put_run(told)
        else:
            outcomes.succeeded(core, told)
    elif state is _S.TASK_KILLED:
        # Whoever empties a machine means the machine, not the job.
        drained = status.reason is _Reason.REASON_AGENT_DRAINING and run.kill_asked is None
        (outcomes.failed if drained else outcomes.killed)(core, told)
    elif state in FAILED or (state in ABSENT and run.state == "running"):
        (outcomes.failed if run.kill_asked is None else outcomes.killed)(core, told)
    elif state in ABSENT:
        outcomes.never_began(core, told)


def _told(core: Core, run: Run, status: v1.TaskStatus) -> Run:
    """The run with what the update says."""
    begun = status.state in BEGUN
    is_new = status.state.value != run.mesos_state
    told = replace(
        run,
        state="running" if begun else run.state,
        started=core.wall if begun and run.started is None else run.started,
        mesos_state=status.state.value,
        unreachable_since=(run.unreachable_since or core.wall)
        if status.state is _S.TASK_UNREACHABLE
        else None,
        # Who answers a question has words of its own, which say nothing of the task.
        message=(status.message or "") if is_new else run.message,
        reason=_reason(status) if is_new else run.reason,
    )
    agent_id, container_id = _agent_of(status), _container_of(status)
    if agent_id and agent_id != told.agent_id:
        told = replace(told, agent_id=agent_id)
    if container_id and container_id != told.container_id:
        told = replace(told, container_id=container_id)
    if status.state is _S.TASK_FINISHED:
        return replace(told, exit_status=0)
    if (found := _EXIT_STATUS.search(told.message)) is not None and status.state is _S.TASK_FAILED:
        return replace(told, exit_status=int(found[1]))
    return told


def _reason(status: v1.TaskStatus) -> str:
    return status.reason.value if status.reason is not None else ""


def _agent_of(status: v1.TaskStatus) -> str | None:
    return status.agent_id.value if status.agent_id is not None else None


def _container_of(status: v1.TaskStatus) -> str | None:
    container = status.container_status.container_id if status.container_status is not None else None
    return container.value if container is not None else None
