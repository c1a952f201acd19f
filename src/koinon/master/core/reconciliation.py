"""Reconciliation: the scheduler asks how its tasks are, the master answers with updates without uuid.

*Implicit*: how are all of them? *Explicit*: how are these? An answer about a task that we do not know depends
on its agent, as an agent that has not come back yet may still have the task (then: silence). Tasks that agents took with
them out of reach count as such: who asks for one of them without its agent hears that it is not known.

What is told of a task is the state of its last update, though its agent may have told us of a later one: that one's
update is still to come, and a history that goes back is none.

Who asks for many tasks is answered in pieces, as fast as it reads. Each answer tells what is known when it is given.
"""

from __future__ import annotations

from koinon.master.core.context import Core
from koinon.master.core.events import AwaitRoom
from koinon.master.core.state import Framework, Task
from koinon.master.core.tasks import send_status, status_by_master, tell_state
from koinon.mesos import v1
from koinon.mesos.v1 import OperationState, TaskState
from koinon.mesos.v1.scheduler import Call, Event

_RECONCILED = v1.TaskStatus.Reason.REASON_RECONCILIATION


#: So many questions are answered at once.
_AT_ONCE = 500
#: So many may wait. Who asks for more while it does not read is given them all the same, and cut off when that is too
#: much for its stream.
_WAITING_MAX = 100_000


def reconcile(core: Core, framework: Framework, call: Call.Reconcile) -> None:
    """Takes in RECONCILE: about the tasks named, or about all if none is."""
    core.state.counters["messages_reconcile_tasks"] += 1
    questions = framework.questions
    is_under_way = bool(questions)
    while len(questions) > _WAITING_MAX:
        _answer(core, framework)
    if call.tasks:
        questions.extend(framework.tasks.get(asked.task_id.value) or asked for asked in call.tasks)
    else:
        questions.extend(framework.tasks.values())
    if not is_under_way:
        answer_some(core, framework)


def answer_some(core: Core, framework: Framework) -> None:
    """Answers the next of the framework's questions; the others when it has read the answers."""
    questions = framework.questions
    for _ in range(min(len(questions), _AT_ONCE)):
        _answer(core, framework)
    if questions and framework.stream_id is not None:
        core.effects.append(AwaitRoom(framework.stream_id))


def _answer(core: Core, framework: Framework) -> None:
    asked = framework.questions.popleft()
    if not isinstance(asked, Task):
        agent_id = None if asked.agent_id is None else asked.agent_id.value
        reconcile_task(core, framework, asked.task_id.value, agent_id)
    elif (task := framework.tasks.get(asked.task_id)) is not None:
        _tell_state(core, framework, task)
    # Otherwise it has gone since it was asked for, and the framework has heard, or even acknowledged, how.


def reconcile_task(core: Core, framework: Framework, task_id: str, agent_id: str | None) -> None:
    """Answers for one task; `agent_id` is where the scheduler believes it to be."""
    if (task := framework.tasks.get(task_id)) is not None:
        _tell_state(core, framework, task)
    elif _was_lost_with_connection(core, framework, task_id, agent_id):
        message = "Reconciliation: the agent is disconnected, and may have the task yet"
        send_status(
            core,
            framework,
            status_by_master(core, task_id, agent_id, TaskState.TASK_LOST, _RECONCILED, message),
        )
    elif (answer := _without_task(core, agent_id)) is not None:
        state, message, unreachable_s = answer
        if not framework.has("PARTITION_AWARE"):
            state = TaskState.TASK_LOST
        status = status_by_master(core, task_id, agent_id, state, _RECONCILED, f"Reconciliation: {message}")
        if unreachable_s is not None:
            status.unreachable_time = v1.TimeInfo(int(unreachable_s * 1e9))
        send_status(core, framework, status)


def _was_lost_with_connection(core: Core, framework: Framework, task_id: str, agent_id: str | None) -> bool:
    """Is its agent away, so that nobody knows whether it still runs? When the agent is back the master does."""
    task = framework.unreachable_tasks.get(task_id)
    return task is not None and task.agent_id == agent_id and agent_id in core.state.agents


def _tell_state(core: Core, framework: Framework, task: Task) -> None:
    state = task.state if task.update_state is None else task.update_state
    tell_state(core, framework, task, state, _RECONCILED, "Reconciliation: latest state of the task")


def _without_task(core: Core, agent_id: str | None) -> tuple[TaskState, str, float | None] | None:
    """What to say of a task that we do not have: (state, reason, unreachable since); None: nothing yet."""
    state = core.state
    if agent_id is None:
        if state.recovered_agents:
            return None
        return TaskState.TASK_UNKNOWN, "the task is not known, and the question names no agent", None
    if agent_id in state.recovered_agents:
        return None
    if agent_id in state.agents:
        return TaskState.TASK_GONE, "the agent does not have the task", None
    if (entry := state.unreachable_agents.get(agent_id)) is not None:
        return TaskState.TASK_UNREACHABLE, "the agent is unreachable", entry.since_s
    if agent_id in state.gone_agents:
        return TaskState.TASK_GONE_BY_OPERATOR, "the agent was declared gone", None
    return TaskState.TASK_UNKNOWN, "neither the task nor its agent is known", None


def reconcile_operations(core: Core, framework: Framework, call: Call.ReconcileOperations) -> None:
    """Answers RECONCILE_OPERATIONS. No operation is known here; what agents could know decides."""
    core.state.counters["messages_reconcile_operations"] += 1
    state = core.state
    for asked in call.operations:
        agent_id = None if asked.agent_id is None else asked.agent_id.value
        if agent_id in state.recovered_agents:
            answer, message = OperationState.OPERATION_RECOVERING, "the agent has not come back yet"
        elif agent_id in state.unreachable_agents:
            answer, message = OperationState.OPERATION_UNREACHABLE, "the agent is unreachable"
        elif agent_id in state.gone_agents:
            answer, message = OperationState.OPERATION_GONE_BY_OPERATOR, "the agent was declared gone"
        else:
            answer, message = OperationState.OPERATION_UNKNOWN, "the operation is not known"
        status = v1.OperationStatus(
            operation_id=asked.operation_id,
            state=answer,
            message=f"Reconciliation: {message}",
            agent_id=asked.agent_id,
            resource_provider_id=asked.resource_provider_id,
        )
        core.send(
            framework,
            Event(
                type=Event.Type.UPDATE_OPERATION_STATUS,
                update_operation_status=Event.UpdateOperationStatus(status),
            ),
        )
