"""The small scheduler calls: KILL, SHUTDOWN, MESSAGE, REVIVE, SUPPRESS, REQUEST."""

from __future__ import annotations

from koinon.master.core.context import Core
from koinon.master.core.reconciliation import reconcile_task
from koinon.master.core.state import Agent, Framework
from koinon.mesos import internal, v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1.scheduler import Call, Event


def kill(core: Core, framework: Framework, call: Call.Kill) -> None:
    """The scheduler wants a task ended; if we do not know it, it hears how we see it."""
    core.state.counters["messages_kill_task"] += 1
    task_id = call.task_id.value
    agent_id = None if call.agent_id is None else call.agent_id.value
    task = framework.tasks.get(task_id)
    if task is None:
        reconcile_task(core, framework, task_id, agent_id)
    elif agent_id is not None and agent_id != task.agent_id:
        core.decide(
            framework,
            "kill_ignored",
            f"kill of task '{task_id}' ignored: the task is on agent {task.agent_id}, not {agent_id}",
        )
    elif task.state not in TERMINAL:
        agent = core.state.agents[task.agent_id]
        if not core.tell(agent, kill_message(framework.id, task_id, call.kill_policy)):
            agent.kills[framework.id, task_id] = call.kill_policy


def kill_message(framework_id: str, task_id: str, kill_policy: v1.KillPolicy | None) -> internal.KillTask:
    """What the agent is told."""
    return internal.KillTask(framework_id=framework_id, task_id=task_id, kill_policy=kill_policy)


def shut_down_executor(core: Core, framework: Framework, call: Call.Shutdown) -> None:
    """The scheduler wants an executor ended; dropped if its agent is not connected."""
    if (agent := core.state.agents.get(call.agent_id.value)) is not None:
        core.tell(
            agent,
            internal.ShutdownExecutor(framework_id=framework.id, executor_id=call.executor_id.value),
        )


def message_to_executor(core: Core, framework: Framework, call: Call.Message) -> None:
    """Scheduler to executor, best effort."""
    counters = core.state.counters
    counters["messages_framework_to_executor"] += 1
    agent = core.state.agents.get(call.agent_id.value)
    message = internal.SchedulerMessage(
        framework_id=framework.id, executor_id=call.executor_id.value, data=call.data
    )
    delivered = agent is not None and core.tell(agent, message)
    counters[f"{'valid' if delivered else 'invalid'}_framework_to_executor_messages"] += 1


def message_to_scheduler(core: Core, agent: Agent, message: internal.ExecutorMessage) -> None:
    """Executor to scheduler, best effort."""
    counters = core.state.counters
    counters["messages_executor_to_framework"] += 1
    framework = core.state.frameworks.get(message.framework_id)
    if framework is None or not framework.connected:
        counters["invalid_executor_to_framework_messages"] += 1
        return
    counters["valid_executor_to_framework_messages"] += 1
    body = Event.Message(
        agent_id=v1.AgentID(agent.id), executor_id=v1.ExecutorID(message.executor_id), data=message.data
    )
    core.send(framework, Event(type=Event.Type.MESSAGE, message=body))


def revive(core: Core, framework: Framework, call: Call.Revive | None) -> None:
    """The framework wants offers again for these roles, or all: filters go, suppression ends."""
    core.state.counters["messages_revive_offers"] += 1
    roles = framework.roles if call is None or not call.roles else tuple(call.roles)
    if (foreign := foreign_role(framework, roles)) is not None:
        core.decide(framework, "revive_ignored", f"REVIVE ignored: role '{foreign}' is not one of its own")
        return
    framework.suppressed.difference_update(roles)
    core.allocator.revive(framework.id, roles)


def suppress(core: Core, framework: Framework, call: Call.Suppress | None) -> None:
    """The framework wants no offers for these roles, or all, until it revives."""
    core.state.counters["messages_suppress_offers"] += 1
    roles = framework.roles if call is None or not call.roles else tuple(call.roles)
    if (foreign := foreign_role(framework, roles)) is not None:
        core.decide(
            framework, "suppress_ignored", f"SUPPRESS ignored: role '{foreign}' is not one of its own"
        )
        return
    framework.suppressed.update(roles)
    core.allocator.suppress(framework.id, roles)


def foreign_role(framework: Framework, roles: tuple[str, ...]) -> str | None:
    """The first of `roles` that the framework does not hold; None if it holds them all."""
    return next((role for role in roles if role not in framework.roles), None)


def note_without_effect(core: Core, call: Call) -> None:
    """Calls that are accepted and change nothing: REQUEST, and answers to what we do not send."""
    if call.type is Call.Type.REQUEST:
        core.state.counters["messages_resource_request"] += 1
    elif call.type is Call.Type.ACKNOWLEDGE_OPERATION_STATUS:
        core.state.counters["messages_operation_status_update_acknowledgement"] += 1
