"""Status updates on their way from agent to scheduler, and acknowledgements on the way back."""

from __future__ import annotations

from koinon.master.core.context import Core
from koinon.master.core.events import TaskUpdated
from koinon.master.core.state import Agent, Framework, Task
from koinon.master.core.tables import TASK_MOVES, may_move
from koinon.master.core.tasks import complete, count_status, keep_status, move, send_status
from koinon.mesos import internal, v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1.scheduler import Call


def update(core: Core, agent: Agent, message: internal.Update) -> None:
    """An agent reports a status: take it over, pass it on."""
    counters = core.state.counters
    counters["messages_status_update"] += 1
    framework = core.state.frameworks.get(message.framework_id)
    if framework is None:
        counters["invalid_status_updates"] += 1
        # The agent would repeat the update for ever; with the framework it goes, too.
        core.tell(agent, internal.ShutdownFramework(framework_id=message.framework_id))
        return
    counters["valid_status_updates"] += 1
    status = message.status
    task = framework.tasks.get(status.task_id.value)
    # A task that we do not know is not ours to judge: the scheduler hears of it and acknowledges.
    if task is not None and task.agent_id == agent.id:
        _take_over(core, framework, agent, task, status, message.latest_state)
    send_status(core, framework, status)


def _take_over(
    core: Core, framework: Framework, agent: Agent, task: Task, status: v1.TaskStatus, latest: v1.TaskState
) -> None:
    # An agent that revives what has ended is not believed, but its update still takes its way.
    moves = (
        latest is not task.state and task.state not in TERMINAL and may_move(TASK_MOVES, task.state, latest)
    )
    if moves:
        move(core, framework, agent, task, latest)
    # An update that is repeated, because nobody acknowledges it, may bring a later state all the same.
    is_new = status.uuid is None or status.uuid != task.update_uuid
    if is_new:
        if status.state in TERMINAL:
            count_status(core, status)
        keep_status(task, status)
        if status.uuid is not None:
            task.update_state, task.update_uuid, task.acknowledged = status.state, status.uuid, False
    if is_new or moves:
        task.rendered = None
        core.announce(TaskUpdated(task, status, task.state))
    if status.uuid is None and status.state in TERMINAL and task.state in TERMINAL:
        complete(framework, agent, task)


def acknowledge(core: Core, framework: Framework, call: Call.Acknowledge) -> None:
    """The scheduler has the update: tell the agent, and let a task that has ended go."""
    counters = core.state.counters
    counters["messages_status_update_acknowledgement"] += 1
    agent = core.state.agents.get(call.agent_id.value)
    if agent is None or agent.channel_id is None:
        # The agent will repeat the update when it is back, and the scheduler its acknowledgement.
        counters["invalid_status_update_acknowledgements"] += 1
        return
    counters["valid_status_update_acknowledgements"] += 1
    task_id = call.task_id.value
    task = framework.tasks.get(task_id)
    if task is not None and task.update_uuid == call.uuid and task.agent_id == agent.id:
        task.acknowledged = True
        task.rendered = None
        if task.update_state in TERMINAL:
            complete(framework, agent, task)
    core.tell(agent, internal.Acknowledge(framework_id=framework.id, task_id=task_id, uuid=call.uuid))
