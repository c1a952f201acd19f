"""Agents that leave: unreachable, gone, unregistered; and what becomes of their tasks.

    leaving ──the registry has it──▶ removed: offers, executors and tasks with it; then everybody hears

Until the registry has it nobody hears of it: a master that took over in between would contradict us.

                     partition aware          others        table
    unreachable      TASK_UNREACHABLE         TASK_LOST     unreachable
    gone             TASK_GONE_BY_OPERATOR    TASK_LOST     completed
    unregistered     TASK_LOST                TASK_LOST     completed
"""

from __future__ import annotations

from functools import partial

from msgspec import Struct

from koinon.master.core import executors, offers, registry, tasks
from koinon.master.core.context import Core
from koinon.master.core.events import AgentRemoved
from koinon.master.core.state import Agent, AgentEntry, Framework, Leaving, Standing, Task
from koinon.master.core.tables import AGENT_MOVES, AgentState, OfferState, check_move
from koinon.master.core.tasks import Reason
from koinon.mesos import internal, v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Event


class Departure(Struct, frozen=True):
    """A way to leave."""

    state: AgentState
    standing: Standing | None  #: in the registry; None: forgotten
    task_state: TaskState  #: for partition aware frameworks, as is the reason
    reason: Reason
    counter: str | None  #: of removals for this reason; None: it is not counted as one
    sentence: str  #: about agent {}


UNREACHABLE = Departure(
    AgentState.UNREACHABLE,
    Standing.UNREACHABLE,
    TaskState.TASK_UNREACHABLE,
    Reason.REASON_AGENT_REMOVED,
    "slave_removals/reason_unhealthy",
    "Agent {} is unreachable.",
)
GONE = Departure(
    AgentState.GONE,
    Standing.GONE,
    TaskState.TASK_GONE_BY_OPERATOR,
    Reason.REASON_AGENT_REMOVED_BY_OPERATOR,
    None,
    "Agent {} was declared gone by an operator.",
)
UNREGISTERED = Departure(
    AgentState.REMOVED,
    None,
    TaskState.TASK_LOST,
    Reason.REASON_AGENT_REMOVED,
    "slave_removals/reason_unregistered",
    "Agent {} was shut down.",
)


# ── leaving ───────────────────────────────────────────────────────────────────────────────────────
def leave(core: Core, agent: Agent, how: Departure) -> None:
    """Nothing of the agent is offered any more; when the registry has it, it is removed."""
    check_move(AGENT_MOVES, agent.state, AgentState.LEAVING, agent.id)
    agent.state = AgentState.LEAVING
    core.allocator.deactivate_agent(agent.id)
    offers.end_all(core, agent.offers.values(), OfferState.RESCINDED)
    _store(core, agent.id, agent.info, how)


def leave_known(core: Core, agent_id: str, how: Departure) -> None:
    """The same for an agent that is recovered or unreachable."""
    state = core.state
    entry = state.recovered_agents.get(agent_id) or state.unreachable_agents[agent_id]
    _store(core, agent_id, entry.info, how)


def _store(core: Core, agent_id: str, info: v1.AgentInfo, how: Departure) -> None:
    if how.standing is None:
        change = registry.agent_removal(agent_id)
    else:
        change = registry.agent_change(agent_id, info, how.standing, core.now)
    if core.state.doomed.pop(agent_id, None) is not None:  # it was to be given up, and leaves in another way
        core.state.counters["slave_unreachable_canceled"] += 1
    ticket = core.store((change,), partial(_stored, core, agent_id, info, how, core.now))
    core.state.leaving[agent_id] = Leaving(ticket, gone=how is GONE)


def _stored(
    core: Core, agent_id: str, info: v1.AgentInfo, how: Departure, since_s: float, ticket: int
) -> None:
    state = core.state
    leaving = state.leaving.get(agent_id)
    if leaving is None or leaving.ticket != ticket:  # it came back while the registry was writing
        return
    del state.leaving[agent_id]
    agent = state.agents.pop(agent_id, None)
    recovered = state.recovered_agents.pop(agent_id, None)
    had_left = state.unreachable_agents.pop(agent_id, None) is not None
    if how.standing is not None:
        table = state.unreachable_agents if how is UNREACHABLE else state.gone_agents
        table[agent_id] = AgentEntry(info=info, standing=how.standing, since_s=since_s)
    if agent is not None:
        _remove(core, agent, how, since_s)
    if how is GONE:
        _give_up_lost(core, agent_id)
    if had_left:  # and everybody heard so
        return
    if how.counter is not None:
        state.counters["slave_removals"] += 1
        state.counters[how.counter] += 1
    if how is UNREACHABLE:
        state.counters["slave_unreachable_completed"] += 1
        if recovered is not None:
            state.counters["recovery_slave_removals"] += 1
    failure = Event(type=Event.Type.FAILURE, failure=Event.Failure(agent_id=v1.AgentID(agent_id)))
    for framework in core.streams.values():
        core.send(framework, failure)
    core.announce(AgentRemoved(agent_id))


def _remove(core: Core, agent: Agent, how: Departure, since_s: float) -> None:
    check_move(AGENT_MOVES, agent.state, how.state, agent.id)
    agent.state = how.state
    core.allocator.remove_agent(agent.id)
    agent.in_allocator = False
    for framework_id, of_framework in list(agent.tasks.items()):
        framework = core.state.frameworks[framework_id]
        for task in list(of_framework.values()):
            _remove_task(core, framework, agent, task, how, since_s)
    for framework_id in list(agent.executors):
        _remove_executors(core, agent, framework_id)
    if how is GONE:
        core.tell(agent, internal.Shutdown(message=how.sentence.format(agent.id)))
    core.close_channel(agent)


def _remove_task(
    core: Core, framework: Framework, agent: Agent, task: Task, how: Departure, since_s: float
) -> None:
    if task.state in TERMINAL:
        # Its last update was not acknowledged. If the agent comes back it brings both.
        tasks.complete(framework, agent, task)
        return
    state, reason = how.task_state, how.reason
    if not framework.has("PARTITION_AWARE"):
        state, reason = TaskState.TASK_LOST, Reason.REASON_AGENT_REMOVED
    message = how.sentence.format(agent.id)
    unreachable_s = since_s if how is UNREACHABLE else None
    tasks.end_by_master(core, framework, agent, task, state, reason, message, unreachable_s=unreachable_s)
    if how is UNREACHABLE:
        tasks.lose(core, framework, agent, task)
    else:
        tasks.complete(framework, agent, task)


def _remove_executors(core: Core, agent: Agent, framework_id: str) -> None:
    framework = core.state.frameworks[framework_id]
    for executor in list(agent.executors.get(framework_id, {}).values()):
        executors.remove(core, framework, agent, executor)


def _give_up_lost(core: Core, agent_id: str) -> None:
    """The tasks of an unreachable agent that was declared gone will not come back."""
    for framework_id, task_id in list(core.state.lost_tasks.get(agent_id, ())):
        give_up_lost_task(
            core,
            core.state.frameworks[framework_id],
            task_id,
            GONE.task_state,
            GONE.reason,
            GONE.sentence.format(agent_id),
        )


def give_up_lost_task(
    core: Core, framework: Framework, task_id: str, state: TaskState, reason: Reason, message: str
) -> None:
    """An unreachable task will not come back; its scheduler hears so, unless it believes so already."""
    task = tasks.find_again(core, framework, task_id)
    framework.completed_tasks.append(task)
    if task.state not in TERMINAL:
        status = tasks.status_by_master(core, task_id, task.agent_id, state, reason, message)
        tasks.end_lost(core, framework, task, status)
        tasks.send_status(core, framework, status)


# ── disconnection ─────────────────────────────────────────────────────────────────────────────────
def lose_volatile(core: Core, agent: Agent) -> None:
    """The agent disconnected, perhaps to restart. What does not checkpoint would not survive that."""
    for framework_id in list(dict.fromkeys([*agent.tasks, *agent.executors])):
        framework = core.state.frameworks[framework_id]
        if framework.info.checkpoint:
            continue
        for task in list(agent.tasks.get(framework_id, {}).values()):
            if task.state not in TERMINAL:
                message = f"Agent {agent.id} disconnected, and the framework does not checkpoint."
                reason = Reason.REASON_AGENT_DISCONNECTED
                tasks.end_by_master(core, framework, agent, task, TaskState.TASK_LOST, reason, message)
                tasks.lose(core, framework, agent, task)
        _remove_executors(core, agent, framework_id)
