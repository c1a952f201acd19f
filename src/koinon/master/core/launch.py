"""ACCEPT: a framework answers offers with operations on what they hold.

    offers ─▶ remaining ──operation──▶ remaining ──…──▶ leftovers, back to the allocator
                             └─▶ a task or an executor uses it

All offers are of one agent and one role. Operations run in order on what remains; one that is wrong fails
alone. The tasks of a group are launched all or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from koinon.master.core import executors
from koinon.master.core.context import Core
from koinon.master.core.offers import end, note_declined, refusal_s
from koinon.master.core.state import Agent, Executor, Framework, Offer, Task
from koinon.master.core.tables import OfferState
from koinon.master.core.tasks import Reason, add, count_not_launched, send_status, status_by_master, user_of
from koinon.master.core.validation.tasks import (
    executor_problem,
    group_executor_resources_problem,
    resources_problem,
    shares_cgroups,
    task_problem,
)
from koinon.mesos import internal, v1
from koinon.mesos.resources import ResourceError, Resources
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call, Event

_Operation = v1.Offer.Operation.Type
_OPERATION_COUNTER = {kind: f"operations/{kind.name.lower()}" for kind in _Operation}

_encode = msgspec.json.Encoder().encode
_read_task_info = msgspec.json.Decoder(v1.TaskInfo).decode


class _Invalid(Exception):
    """A task, group or executor cannot be launched; the text says why."""


def accept(core: Core, framework: Framework, call: Call.Accept) -> None:
    """Carries out the operations on the offers and gives back what is left."""
    offers = [core.state.offers.get(offer_id.value) for offer_id in call.offer_ids]
    problem = _offers_problem(framework, call, offers)
    if problem is not None:
        _reject(core, framework, call, offers, problem)
        return
    taken = [offer for offer in offers if offer is not None]
    agent, role = core.state.agents[taken[0].agent_id], taken[0].role
    declines = all(
        operation.type is _Operation.LAUNCH and not _tasks_of(operation) for operation in call.operations
    )
    for offer in taken:
        end(core, offer, OfferState.DECLINED if declines else OfferState.ACCEPTED, returns=False)
    offered = taken[0].resources if len(taken) == 1 else Resources.sum(offer.resources for offer in taken)
    remaining = offered
    for operation in call.operations:
        remaining = _carry_out(core, framework, agent, role, operation, remaining)
    refuse_s = refusal_s(call.filters)
    if declines:
        core.state.counters["messages_decline_offers"] += 1
        note_declined(core, framework, len(taken), refuse_s)
    # Who used part of an offer and wants the rest again has it at once, not with the next batch.
    eager = refuse_s == 0.0 and remaining is not offered
    core.give_back(framework.id, agent, remaining, None if eager else refuse_s)


def _offers_problem(framework: Framework, call: Call.Accept, offers: Sequence[Offer | None]) -> str | None:
    if not offers:
        return "no offer was named"
    named: set[str] = set()
    for offer_id, offer in zip(call.offer_ids, offers, strict=True):
        if offer_id.value in named:
            return f"offer {offer_id.value} is named twice"
        named.add(offer_id.value)
        if offer is None or offer.framework_id != framework.id:
            return f"offer {offer_id.value} is no longer valid"
    first = offers[0]
    assert first is not None
    for offer in offers:
        assert offer is not None
        if offer.agent_id != first.agent_id:
            return f"the offers are of different agents, {first.agent_id} and {offer.agent_id}"
        if offer.role != first.role:
            return f"the offers are for different roles, '{first.role}' and '{offer.role}'"
    return None


def _reject(
    core: Core, framework: Framework, call: Call.Accept, offers: Sequence[Offer | None], problem: str
) -> None:
    """The offers cannot be used: nothing of the call happens, and they are void."""
    for offer in {offer.id: offer for offer in offers if offer is not None}.values():
        if offer.framework_id == framework.id:
            end(core, offer, OfferState.DISCARDED)
    core.decide(framework, "invalid_offers", f"ACCEPT was not carried out: {problem}")
    state = TaskState.TASK_DROPPED if framework.has("PARTITION_AWARE") else TaskState.TASK_LOST
    for operation in call.operations:
        for task in _tasks_of(operation):
            message = f"Task not launched: {problem}"
            _not_launched(
                core, framework, task, task.agent_id.value, state, Reason.REASON_INVALID_OFFERS, message
            )
        if operation.type not in (_Operation.LAUNCH, _Operation.LAUNCH_GROUP):
            _fail_operation(core, framework, operation, None, problem)


def _tasks_of(operation: v1.Offer.Operation) -> list[v1.TaskInfo]:
    if operation.type is _Operation.LAUNCH and operation.launch is not None:
        return operation.launch.task_infos
    if operation.type is _Operation.LAUNCH_GROUP and operation.launch_group is not None:
        return operation.launch_group.task_group.tasks
    return []


def _not_launched(
    core: Core,
    framework: Framework,
    task: v1.TaskInfo,
    agent_id: str,
    state: TaskState,
    reason: Reason,
    message: str,
) -> None:
    status = status_by_master(core, task.task_id.value, agent_id, state, reason, message)
    count_not_launched(core, framework, status)
    framework.not_launched.append(status)
    send_status(core, framework, status)


# ── operations ────────────────────────────────────────────────────────────────────────────────────
def _carry_out(
    core: Core,
    framework: Framework,
    agent: Agent,
    role: str,
    operation: v1.Offer.Operation,
    remaining: Resources,
) -> Resources:
    """One operation; returns what remains."""
    framework.counters["operations"] += 1
    if _tasks_of(operation):
        core.state.counters["messages_launch_tasks"] += 1
    if operation.type is not None:
        framework.counters[_OPERATION_COUNTER[operation.type]] += 1
    match operation.type:
        case _Operation.LAUNCH | _Operation.LAUNCH_GROUP if operation.id is not None:
            _refuse_launch(core, framework, agent, operation)
        case _Operation.LAUNCH if operation.launch is not None:
            for task in operation.launch.task_infos:
                remaining = _launch(core, framework, agent, role, task, remaining)
        case _Operation.LAUNCH_GROUP if operation.launch_group is not None:
            remaining = _launch_group(core, framework, agent, role, operation.launch_group, remaining)
        case None | _Operation.UNKNOWN | _Operation.LAUNCH | _Operation.LAUNCH_GROUP:
            _fail_operation(
                core, framework, operation, agent.id, "the operation has no known type, or no body"
            )
        case _:
            problem = f"operations of type {operation.type.name} are not supported yet"
            _fail_operation(core, framework, operation, agent.id, problem)
    return remaining


def _refuse_launch(core: Core, framework: Framework, agent: Agent, operation: v1.Offer.Operation) -> None:
    """What becomes of a launch is told by task; one that wants to hear of it as an operation is wrong."""
    assert operation.type is not None
    problem = f"an operation of type {operation.type.name} must not have an id"
    in_group = operation.type is _Operation.LAUNCH_GROUP
    reason = Reason.REASON_TASK_GROUP_INVALID if in_group else Reason.REASON_TASK_INVALID
    for task in _tasks_of(operation):
        message = f"Task not launched: {problem}"
        _not_launched(core, framework, task, agent.id, TaskState.TASK_ERROR, reason, message)
    _fail_operation(core, framework, operation, agent.id, problem)


def _fail_operation(
    core: Core, framework: Framework, operation: v1.Offer.Operation, agent_id: str | None, problem: str
) -> None:
    core.decide(framework, "operation_dropped", f"An operation was dropped: {problem}")
    if operation.id is None:
        return
    status = v1.OperationStatus(
        operation_id=operation.id,
        state=v1.OperationState.OPERATION_ERROR,
        message=f"Operation dropped: {problem}",
        agent_id=None if agent_id is None else v1.AgentID(agent_id),
    )
    update = Event.UpdateOperationStatus(status)
    core.send(framework, Event(type=Event.Type.UPDATE_OPERATION_STATUS, update_operation_status=update))


def _launch(
    core: Core, framework: Framework, agent: Agent, role: str, task: v1.TaskInfo, remaining: Resources
) -> Resources:
    try:
        if (problem := task_problem(task)) is not None:
            raise _Invalid(problem)
        _check_place(framework, agent, task)
        resources = _read(task.resources, role)
        rest = _take(remaining, resources, "the task")
        executor = None
        if task.executor is not None:
            if (problem := executor_problem(task.executor, framework.id, in_group=False)) is not None:
                raise _Invalid(problem)
            executor, rest = _take_executor(framework, agent, role, task.executor, rest)
            task.executor = executor.info
    except _Invalid as invalid:
        message = f"Task '{task.task_id.value}' is not valid: {invalid}"
        core.decide(framework, "task_invalid", message)
        _not_launched(
            core, framework, task, agent.id, TaskState.TASK_ERROR, Reason.REASON_TASK_INVALID, message
        )
        return remaining
    new = None if executor is None else _is_new(framework, agent, executor)
    _start(core, framework, agent, role, task, resources, executor)
    core.tell(agent, internal.RunTask(framework=framework.info, task=task, new_executor=new))
    return rest


def _launch_group(
    core: Core,
    framework: Framework,
    agent: Agent,
    role: str,
    group: v1.Offer.Operation.LaunchGroup,
    remaining: Resources,
) -> Resources:
    tasks = group.task_group.tasks
    try:
        rest = remaining
        resources = []
        for task in _valid_tasks(framework, agent, group):
            resources.append(_read(task.resources, role))
            rest = _take(rest, resources[-1], f"task '{task.task_id.value}'")
        if (problem := executor_problem(group.executor, framework.id, in_group=True)) is not None:
            raise _Invalid(problem)
        executor, rest = _take_executor(framework, agent, role, group.executor, rest)
        if (problem := group_executor_resources_problem(executor.resources)) is not None:
            raise _Invalid(problem)
    except _Invalid as invalid:
        message = f"The task group is not valid: {invalid}"
        core.decide(framework, "task_group_invalid", message)
        for task in tasks:
            reason = Reason.REASON_TASK_GROUP_INVALID
            _not_launched(core, framework, task, agent.id, TaskState.TASK_ERROR, reason, message)
        return remaining
    new = _is_new(framework, agent, executor)
    for task, of_task in zip(tasks, resources, strict=True):
        task.executor = executor.info
        _start(core, framework, agent, role, task, of_task, executor)
    core.tell(
        agent,
        internal.RunTaskGroup(
            framework=framework.info, executor=executor.info, task_group=group.task_group, new_executor=new
        ),
    )
    return rest


def _valid_tasks(
    framework: Framework, agent: Agent, group: v1.Offer.Operation.LaunchGroup
) -> Iterator[v1.TaskInfo]:
    """The tasks of the group, each checked by itself and against those before it."""
    tasks = group.task_group.tasks
    if not tasks:
        raise _Invalid("it has no tasks")
    shared = _shares_cgroups_already(framework, agent, group.executor.executor_id.value)
    if shared is None:
        shared = shares_cgroups(tasks[0].container)
    seen: set[str] = set()
    for task in tasks:
        if (problem := task_problem(task, in_group=True)) is not None:
            raise _Invalid(f"of task '{task.task_id.value}', {problem}")
        if task.executor is not None and task.executor != group.executor:
            raise _Invalid(f"task '{task.task_id.value}' names another executor than the group")
        if task.task_id.value in seen:
            raise _Invalid(f"it has two tasks with id '{task.task_id.value}'")
        if shares_cgroups(task.container) != shared:
            raise _Invalid("share_cgroups must be the same for all tasks of an executor")
        seen.add(task.task_id.value)
        _check_place(framework, agent, task)
        yield task


def _shares_cgroups_already(framework: Framework, agent: Agent, executor_id: str) -> bool | None:
    """Whether the tasks that the executor has are in its cgroups; None if it has none."""
    for task in agent.tasks.get(framework.id, {}).values():
        if task.executor_id == executor_id and task.state not in TERMINAL:
            return shares_cgroups(_read_task_info(task.info).container)
    return None


# ── checks that depend on the moment ──────────────────────────────────────────────────────────────
def _check_place(framework: Framework, agent: Agent, task: v1.TaskInfo) -> None:
    task_id = task.task_id.value
    if task_id in framework.tasks or task_id in framework.unreachable_tasks:
        raise _Invalid(f"a task with id '{task_id}' exists already")
    if task.agent_id.value != agent.id:
        raise _Invalid(f"it names agent {task.agent_id.value}, but the offer is of agent {agent.id}")
    if task.limits and "TASK_RESOURCE_LIMITS" not in agent.capabilities:
        raise _Invalid(f"agent {agent.id} cannot limit the resources of tasks")


def _read(messages: list[v1.Resource], role: str) -> Resources:
    """The resources, allocated to the role of the offer."""
    try:
        resources = Resources.from_v1(messages)
    except ResourceError as error:
        raise _Invalid(str(error)) from None
    if (problem := resources_problem(resources, role)) is not None:
        raise _Invalid(problem)
    return _allocated(resources, role)


@lru_cache(4096)
def _allocated(resources: Resources, role: str) -> Resources:
    # Tasks that ask for the same then share one object.
    return resources.allocated(role)


def _take(remaining: Resources, wanted: Resources, who: str) -> Resources:
    if not wanted:
        raise _Invalid(f"{who} asks for no resources")
    try:
        return remaining - wanted
    except ResourceError:
        asked, left = wanted.unallocated().format(), remaining.unallocated().format() or "nothing"
        raise _Invalid(f"{who} asks for {asked}, but only {left} is left of the offer") from None


def _take_executor(
    framework: Framework, agent: Agent, role: str, info: v1.ExecutorInfo, remaining: Resources
) -> tuple[Executor, Resources]:
    """The executor that runs the task, and what remains. One that is there already costs nothing."""
    executor_id = info.executor_id.value
    resources = _read(info.resources, role)
    info = msgspec.structs.replace(
        info, framework_id=v1.FrameworkID(framework.id), resources=resources.to_v1()
    )
    known = executors.find(agent, framework.id, executor_id)
    if known is not None:
        if known.info != info:
            raise _Invalid(f"another executor with id '{executor_id}' runs on agent {agent.id} already")
        return known, remaining
    if resources:
        remaining = _take(remaining, resources, f"executor '{executor_id}'")
    executor = Executor(
        framework_id=framework.id,
        executor_id=executor_id,
        agent_id=agent.id,
        role=role,
        info=info,
        resources=resources,
    )
    return executor, remaining


def _is_new(framework: Framework, agent: Agent, executor: Executor) -> bool:
    """Is it still to be counted?"""
    return executors.find(agent, framework.id, executor.executor_id) is None


def _start(
    core: Core,
    framework: Framework,
    agent: Agent,
    role: str,
    task: v1.TaskInfo,
    resources: Resources,
    executor: Executor | None,
) -> None:
    """The task is ours: from here on it has a state."""
    task_id = task.task_id.value
    task.resources = resources.to_v1()
    if executor is not None and _is_new(framework, agent, executor):
        executors.add(core, framework, agent, executor)
    add(
        core,
        framework,
        agent,
        Task(
            framework_id=framework.id,
            task_id=task_id,
            agent_id=agent.id,
            executor_id="" if executor is None else executor.executor_id,
            name=task_id if task.name == task_id else task.name,
            role=role,
            state=TaskState.TASK_STAGING,
            resources=resources,
            info=_encode(task),
            user=user_of(framework, task),
        ),
    )
