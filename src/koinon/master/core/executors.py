"""Executors on agents: custom ones and default ones. Command tasks have none of their own."""

from __future__ import annotations

from koinon.master.core.context import Core
from koinon.master.core.state import Agent, Executor, Framework
from koinon.mesos import internal, v1
from koinon.mesos.v1.scheduler import Event


def find(agent: Agent, framework_id: str, executor_id: str) -> Executor | None:
    """The executor of that id on the agent."""
    of_framework = agent.executors.get(framework_id)
    return None if of_framework is None else of_framework.get(executor_id)


def add(core: Core, framework: Framework, agent: Agent, executor: Executor) -> None:
    """Takes in an executor whose resources the allocator already counts."""
    agent.executors.setdefault(framework.id, {})[executor.executor_id] = executor
    framework.executors.setdefault(agent.id, {})[executor.executor_id] = executor
    core.use(framework, agent, executor.resources)


def remove(core: Core, framework: Framework, agent: Agent, executor: Executor, *, frees: bool = True) -> None:
    """The executor is no more; what it used is free. `frees` is False if it has been given back already."""
    for table, key in ((agent.executors, framework.id), (framework.executors, agent.id)):
        del table[key][executor.executor_id]
        if not table[key]:
            del table[key]
    if frees:
        core.release(framework, agent, executor.resources)


def exited(core: Core, agent: Agent, message: internal.ExecutorExited) -> None:
    """An executor ended: its framework hears of it. Its tasks are reported by the agent."""
    core.state.counters["messages_exited_executor"] += 1
    framework = core.state.frameworks.get(message.framework_id)
    executor = find(agent, message.framework_id, message.executor_id)
    if framework is None or executor is None:
        return
    remove(core, framework, agent, executor)
    failure = Event.Failure(
        agent_id=v1.AgentID(agent.id),
        executor_id=v1.ExecutorID(message.executor_id),
        status=message.status,
    )
    core.send(framework, Event(type=Event.Type.FAILURE, failure=failure))
