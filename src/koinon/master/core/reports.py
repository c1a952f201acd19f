"""What a returning agent reports, against what we believed of it.

reported and known      take over its state
reported, not known     take it in; if we had given it up, its scheduler hears that it is back;
                        if it was lost with the connection because its framework does not checkpoint,
                        it stays lost: the agent is told to end it, and until then it holds its resources
known, not reported     it is not there any more: say so, unless the agent is about to
"""

from __future__ import annotations

import msgspec

from koinon.master.core import departures, executors, tasks
from koinon.master.core.calls import kill_message
from koinon.master.core.context import Core
from koinon.master.core.events import TaskUpdated
from koinon.master.core.frameworks import recover
from koinon.master.core.state import Agent, Executor, Framework, Task
from koinon.master.core.tables import TASK_MOVES, may_move
from koinon.master.core.tasks import Reason
from koinon.mesos import internal, v1
from koinon.mesos.names import DEFAULT_ROLE
from koinon.mesos.resources import Resources
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState

_encode = msgspec.json.Encoder().encode


def take(core: Core, agent: Agent, message: internal.Register, *, had: bool, missed: bool) -> None:
    """Takes in the report of an agent that is not in the allocator yet.

    `had`: we had it before. `missed`: schedulers may believe its tasks to be lost, since it was not where it belongs:
    we had it, or nobody remembers it, not even the registry.
    """
    for info in message.frameworks:
        if info.id is not None and not _is_known(core, info.id.value):
            recover(core, info)
    _take_executors(core, agent, message.executors)
    _take_tasks(core, agent, message.tasks, had=had, missed=missed)
    reported = {(task.framework_id, task.info.task_id.value) for task in message.tasks}
    refused = {(one.framework_id, one.status.task_id.value): one.status for one in message.refusals}
    for framework_id, of_framework in list(agent.tasks.items()):
        for task in list(of_framework.values()):
            if (framework_id, task.task_id) not in reported and (framework_id, task.task_id) not in refused:
                _miss(core, core.state.frameworks[framework_id], agent, task)
    for framework_id, task_id in list(core.state.lost_tasks.get(agent.id, ())):
        if (status := refused.get((framework_id, task_id))) is not None:
            _refused(core, core.state.frameworks[framework_id], task_id, status)
            continue
        departures.give_up_lost_task(
            core,
            core.state.frameworks[framework_id],
            task_id,
            TaskState.TASK_GONE,
            Reason.REASON_RECONCILIATION,
            f"Agent {agent.id} came back without the task.",
        )


def _is_known(core: Core, framework_id: str) -> bool:
    return framework_id in core.state.frameworks or framework_id in core.state.completed_frameworks


def resend_kills(core: Core, agent: Agent) -> None:
    """What schedulers wanted killed while the agent was away."""
    for (framework_id, task_id), policy in agent.kills.items():
        core.tell(agent, kill_message(framework_id, task_id, policy))
    agent.kills.clear()


# ── executors ─────────────────────────────────────────────────────────────────────────────────────
def _take_executors(core: Core, agent: Agent, reported: list[internal.ReportedExecutor]) -> None:
    seen = {(executor.framework_id, executor.info.executor_id.value) for executor in reported}
    for framework_id, of_framework in list(agent.executors.items()):
        for executor in list(of_framework.values()):
            if (framework_id, executor.executor_id) not in seen:
                executors.remove(core, core.state.frameworks[framework_id], agent, executor)
    for one in reported:
        framework = core.state.frameworks.get(one.framework_id)
        executor_id = one.info.executor_id.value
        if framework is None or executors.find(agent, framework.id, executor_id) is not None:
            continue
        resources, role = _held(one.info.resources, framework)
        executors.add(
            core,
            framework,
            agent,
            Executor(
                framework_id=framework.id,
                executor_id=executor_id,
                agent_id=agent.id,
                role=role,
                info=one.info,
                resources=resources,
            ),
        )


def _held(messages: list[v1.Resource], framework: Framework) -> tuple[Resources, str]:
    """Resources as an agent reports them, and the role that holds them."""
    resources = Resources.from_v1(messages)
    role = next(iter(resources.allocation_roles), None)
    if role is None:
        role = next(iter(framework.roles), DEFAULT_ROLE)
        resources = resources.allocated(role)
    return resources, role


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────
def _take_tasks(
    core: Core, agent: Agent, reported: list[internal.ReportedTask], *, had: bool, missed: bool
) -> None:
    endings: dict[tuple[str, str, str], internal.MasterMessage] = {}
    for one in reported:
        framework = core.state.frameworks.get(one.framework_id)
        task_id = one.info.task_id.value
        if framework is None:
            continue  # completed: the agent has been told
        known = framework.tasks.get(task_id)
        if known is None:
            lost = had and _is_lost_for_good(framework, one)
            _take_in(core, framework, agent, one, missed=missed, lost=lost)
            if lost:
                endings.setdefault(*_ending(one))
        elif known.agent_id == agent.id:
            _take_over(core, framework, agent, known, one)
        else:
            # The id was given to another task while this one was believed gone.
            core.tell(agent, kill_message(framework.id, task_id, None))
    for message in endings.values():
        core.tell(agent, message)


def _is_lost_for_good(framework: Framework, one: internal.ReportedTask) -> bool:
    """Did its scheduler hear that it is lost, because what does not checkpoint dies with its agent?"""
    if framework.info.checkpoint or one.state in TERMINAL:
        return False
    lost = framework.unreachable_tasks.get(one.info.task_id.value)
    return lost is None or lost.statuses[-1].reason is Reason.REASON_AGENT_DISCONNECTED


def _ending(one: internal.ReportedTask) -> tuple[tuple[str, str, str], internal.MasterMessage]:
    """What ends the task, or its executor with all tasks; and whom it ends, since once is enough."""
    framework_id, executor, task_id = one.framework_id, one.info.executor, one.info.task_id.value
    if executor is None:
        return (framework_id, "", task_id), kill_message(framework_id, task_id, None)
    executor_id = executor.executor_id.value
    message = internal.ShutdownExecutor(framework_id=framework_id, executor_id=executor_id)
    return (framework_id, executor_id, ""), message


def _take_over(
    core: Core, framework: Framework, agent: Agent, task: Task, one: internal.ReportedTask
) -> None:
    """We knew it; in the meantime it may have moved on."""
    if (
        one.state is not task.state
        and task.state not in TERMINAL
        and may_move(TASK_MOVES, task.state, one.state)
    ):
        tasks.move(core, framework, agent, task, one.state)
        if one.statuses:
            tasks.keep_status(task, one.statuses[-1])
            core.announce(TaskUpdated(task, one.statuses[-1], task.state))


def _take_in(
    core: Core, framework: Framework, agent: Agent, one: internal.ReportedTask, *, missed: bool, lost: bool
) -> None:
    """We did not know it, or had given it up; `lost`: and its scheduler is to go on believing so."""
    task_id = one.info.task_id.value
    if task_id in framework.unreachable_tasks:
        tasks.find_again(core, framework, task_id)
    elif missed:
        _forget_completed(framework, agent, task_id)
    task = _rebuild(framework, agent, one)
    tasks.add(core, framework, agent, task)
    if task.state in TERMINAL:
        if task.acknowledged:
            tasks.complete(framework, agent, task)
    elif missed and not lost:
        message = f"Agent {agent.id} is back, and the task with it."
        tasks.tell_state(core, framework, task, task.state, Reason.REASON_AGENT_REREGISTERED, message)


def _forget_completed(framework: Framework, agent: Agent, task_id: str) -> None:
    """A task is in one table only, and this one turns out to have unfinished business."""
    for task in framework.completed_tasks:
        if task.task_id == task_id and task.agent_id == agent.id:
            framework.completed_tasks.remove(task)
            return


def _rebuild(framework: Framework, agent: Agent, one: internal.ReportedTask) -> Task:
    info = one.info
    resources, role = _held(info.resources, framework)
    return Task(
        framework_id=framework.id,
        task_id=info.task_id.value,
        agent_id=agent.id,
        executor_id="" if info.executor is None else info.executor.executor_id.value,
        name=info.name,
        role=role,
        state=one.state,
        resources=resources,
        info=_encode(info),
        user=tasks.user_of(framework, info),
        statuses=one.statuses,
        update_state=one.unacknowledged_state,
        update_uuid=one.unacknowledged_uuid,
        acknowledged=one.unacknowledged_uuid is None,
    )


def _refused(core: Core, framework: Framework, task_id: str, status: v1.TaskStatus) -> None:
    """We had given it up, and the agent never took it: the update that tells so is on its way."""
    task = tasks.find_again(core, framework, task_id)
    framework.completed_tasks.append(task)
    if task.state not in TERMINAL:
        tasks.end_lost(core, framework, task, status)


def _miss(core: Core, framework: Framework, agent: Agent, task: Task) -> None:
    """The agent is back without the task."""
    if task.state not in TERMINAL:
        state = TaskState.TASK_LOST
        if framework.has("PARTITION_AWARE"):
            staging = task.state is TaskState.TASK_STAGING
            state = TaskState.TASK_DROPPED if staging else TaskState.TASK_GONE
        message = f"Agent {agent.id} came back without the task."
        tasks.end_by_master(core, framework, agent, task, state, Reason.REASON_RECONCILIATION, message)
    tasks.complete(framework, agent, task)
