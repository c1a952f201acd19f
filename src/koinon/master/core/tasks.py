"""Tasks: which table a task is in, its state, its statuses.

    accepted ─▶ STAGING ──updates of the agent──▶ … ──▶ ended ──acknowledged──▶ completed
                   └──────────── agent lost ──▶ unreachable ──agent returns──┘

An *update* is a status on its way to the scheduler. The agent's have a uuid: the agent repeats them until the
scheduler's acknowledgement, which passes through us. Ours have none and are sent once. An ended task gives its
resources back at once, but is shown among the framework's tasks until its last update is acknowledged.
"""

from __future__ import annotations

import msgspec

from koinon.master.core.context import Core
from koinon.master.core.events import TaskAdded, TaskUpdated
from koinon.master.core.state import Agent, Framework, Task
from koinon.master.core.tables import HOLDING, TASK_MOVES, check_move
from koinon.mesos import v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Event

Reason = v1.TaskStatus.Reason
Source = v1.TaskStatus.Source

_ACTIVE_COUNTER = {state: f"tasks/active/{state.name.lower()}" for state in TaskState}
_ENDED_COUNTER = {state: f"tasks/terminal/{state.name.lower()}" for state in TaskState}
_MASTER_COUNTER = {state: state.name.lower().replace("task_", "tasks_") for state in TaskState}


# ── the tables ────────────────────────────────────────────────────────────────────────────────────
def add(core: Core, framework: Framework, agent: Agent, task: Task) -> None:
    """Takes in a task that the allocator already counts. The id is free, the state is set."""
    check_move(TASK_MOVES, None, task.state, task)
    framework.tasks[task.task_id] = task
    agent.tasks.setdefault(framework.id, {})[task.task_id] = task
    _count(core, framework, task)
    if task.state in HOLDING:
        core.use(framework, agent, task.resources)
    core.announce(TaskAdded(task))


def move(
    core: Core, framework: Framework, agent: Agent, task: Task, state: TaskState, *, frees: bool = True
) -> None:
    """The state of a task that holds resources changes; it gives them back when it no longer does.

    `frees` is False if they have been given back already.
    """
    check_move(TASK_MOVES, task.state, state, task)
    task.rendered = None
    framework.counters[_ACTIVE_COUNTER[task.state]] -= 1
    task.state = state
    _count(core, framework, task)
    if frees and state not in HOLDING:
        core.release(framework, agent, task.resources)


def _count(core: Core, framework: Framework, task: Task) -> None:
    if task.state in TERMINAL:
        framework.counters[_ENDED_COUNTER[task.state]] += 1
        core.state.counters[_MASTER_COUNTER[task.state]] += 1
    else:
        framework.counters[_ACTIVE_COUNTER[task.state]] += 1


def count_not_launched(core: Core, framework: Framework, status: v1.TaskStatus) -> None:
    """Counts a task that ended before it began."""
    framework.counters[_ENDED_COUNTER[status.state]] += 1
    core.state.counters[_MASTER_COUNTER[status.state]] += 1
    count_status(core, status)


def take_out(framework: Framework, agent: Agent, task: Task) -> None:
    """The task leaves the tables of the living; where it goes is the caller's business."""
    del framework.tasks[task.task_id]
    of_framework = agent.tasks[framework.id]
    del of_framework[task.task_id]
    if not of_framework:
        del agent.tasks[framework.id]
    agent.kills.pop((framework.id, task.task_id), None)


def complete(framework: Framework, agent: Agent, task: Task) -> None:
    """The task goes to the (bounded) history. It must have ended."""
    take_out(framework, agent, task)
    framework.completed_tasks.append(task)


def lose(core: Core, framework: Framework, agent: Agent, task: Task) -> None:
    """The task goes to those whose agent we lost contact with; the oldest of too many are forgotten."""
    take_out(framework, agent, task)
    task.unreachable_s = core.now
    lost_tasks = core.state.lost_tasks
    framework.unreachable_tasks[task.task_id] = task
    lost_tasks.setdefault(agent.id, {})[framework.id, task.task_id] = task
    if len(framework.unreachable_tasks) > core.config.max_unreachable_tasks_per_framework:
        find_again(core, framework, next(iter(framework.unreachable_tasks)))


def find_again(core: Core, framework: Framework, task_id: str) -> Task:
    """Takes the task out of the unreachable ones."""
    task = framework.unreachable_tasks.pop(task_id)
    if task.state not in TERMINAL:
        framework.counters[_ACTIVE_COUNTER[task.state]] -= 1
    _await_no_more(core, task)
    return task


def end_lost(core: Core, framework: Framework, task: Task, status: v1.TaskStatus) -> None:
    """A task that was just found again turns out to have ended."""
    check_move(TASK_MOVES, task.state, status.state, task)
    task.state, task.rendered = status.state, None
    _count(core, framework, task)
    count_status(core, status)
    keep_status(task, status)
    core.announce(TaskUpdated(task, status, task.state))


def forget_lost(core: Core, framework: Framework) -> None:
    """The framework is completed: its unreachable tasks stay what they are, whatever their agents do."""
    for task in framework.unreachable_tasks.values():
        _await_no_more(core, task)


def _await_no_more(core: Core, task: Task) -> None:
    of_agent = core.state.lost_tasks[task.agent_id]
    del of_agent[task.framework_id, task.task_id]
    if not of_agent:
        del core.state.lost_tasks[task.agent_id]


def user_of(framework: Framework, task: v1.TaskInfo) -> str:
    """The user that the task runs as: its own, its executor's or its framework's."""
    executor = task.executor
    for command in (task.command, None if executor is None else executor.command):
        if command is not None and command.user is not None:
            return command.user
    return framework.info.user


# ── statuses ──────────────────────────────────────────────────────────────────────────────────────
def status_by_master(
    core: Core, task_id: str, agent_id: str | None, state: TaskState, reason: Reason | None, message: str
) -> v1.TaskStatus:
    """A status that we make ourselves; it has no uuid."""
    return v1.TaskStatus(
        task_id=v1.TaskID(task_id),
        state=state,
        message=message,
        source=Source.SOURCE_MASTER,
        reason=reason,
        agent_id=None if agent_id is None else v1.AgentID(agent_id),
        timestamp=core.now,
    )


def tell_state(
    core: Core, framework: Framework, task: Task, state: TaskState, reason: Reason, message: str
) -> None:
    """Tells the scheduler that the task is in `state`, and what else its last update said."""
    status = status_by_master(core, task.task_id, task.agent_id, state, reason, message)
    if task.executor_id:
        status.executor_id = v1.ExecutorID(task.executor_id)
    if task.statuses:
        last = task.statuses[-1]
        status.healthy, status.check_status = last.healthy, last.check_status
        status.container_status = last.container_status
    send_status(core, framework, status)


def send_status(core: Core, framework: Framework, status: v1.TaskStatus) -> None:
    """Sends UPDATE with the status."""
    core.send(framework, Event(type=Event.Type.UPDATE, update=Event.Update(status)))


def count_status(core: Core, status: v1.TaskStatus) -> None:
    """Counts a status that ends a task by who ended it and why."""
    if status.source is not None and status.reason is not None:
        source, reason = status.source.name.lower(), status.reason.name.lower()
        core.state.counters[f"{status.state.name.lower()}/{source}/{reason}"] += 1


def keep_status(task: Task, status: v1.TaskStatus) -> None:
    """Remembers the status with the task: the newest of each state in a row, and without `data`."""
    if status.data is not None:
        status = msgspec.structs.replace(status, data=None)
    statuses = task.statuses
    if statuses:
        last = statuses[-1]
        _share(status, last)
        if last.state is status.state:
            statuses[-1] = status
            return
    else:
        status.task_id.value = task.task_id
        if status.executor_id is not None and status.executor_id.value == task.task_id:
            status.executor_id.value = task.task_id
    statuses.append(status)


def _share(status: v1.TaskStatus, last: v1.TaskStatus) -> None:
    """Parts that two statuses of a task have in common are kept once; that saves most of their weight."""
    status.task_id = last.task_id
    if status.agent_id == last.agent_id:
        status.agent_id = last.agent_id
    if status.executor_id == last.executor_id:
        status.executor_id = last.executor_id
    if status.container_status == last.container_status:
        status.container_status = last.container_status


def end_by_master(
    core: Core,
    framework: Framework,
    agent: Agent,
    task: Task,
    state: TaskState,
    reason: Reason,
    message: str,
    *,
    unreachable_s: float | None = None,
    with_framework: bool = False,
) -> v1.TaskStatus:
    """We declare the task to be in `state`, and say so to the scheduler.

    Not so if it goes `with_framework`: then nobody is to be told, and all that the framework held is free already.
    """
    status = status_by_master(core, task.task_id, agent.id, state, reason, message)
    if task.executor_id:
        status.executor_id = v1.ExecutorID(task.executor_id)
    if unreachable_s is not None:
        status.unreachable_time = v1.TimeInfo(int(unreachable_s * 1e9))
    move(core, framework, agent, task, state, frees=not with_framework)
    keep_status(task, status)
    if state in TERMINAL:
        count_status(core, status)
    core.announce(TaskUpdated(task, status, state))
    if not with_framework:
        send_status(core, framework, status)
    return status
