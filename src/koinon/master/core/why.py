"""Why a framework or a task has what it has, or waits: decisions, gathered for the person who asks."""

from __future__ import annotations

from collections.abc import Iterator

from koinon.master.core.context import Core
from koinon.master.core.state import Decision, Framework, Task
from koinon.mesos import v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState


def why(core: Core, object_id: str, framework_id: str | None = None) -> list[Decision]:
    """The reasons of a framework, or of a task (of that framework, or of any), oldest first.

    Empty if no such object is known.
    """
    state = core.state
    framework = state.frameworks.get(object_id) or state.completed_frameworks.get(object_id)
    if framework is not None:
        return list(_of_framework(core, framework))
    return [
        decision
        for framework in (*state.frameworks.values(), *state.completed_frameworks.values())
        if framework_id in (None, framework.id)
        for decision in _of_tasks_named(core, framework, object_id)
    ]


def _of_framework(core: Core, framework: Framework) -> Iterator[Decision]:
    yield from framework.decisions
    now = core.now
    if framework.unregistered_s:
        yield Decision(framework.unregistered_s, "completed", "The framework was removed.")
        return
    if framework.recovered:
        yield Decision(
            framework.registered_s,
            "recovered",
            "Known from what agents run for it; it has not subscribed to this master yet.",
        )
    if framework.offers:
        agents = len({offer.agent_id for offer in framework.offers.values()})
        yield Decision(
            min(offer.made_s for offer in framework.offers.values()),
            "has_offers",
            f"It has {len(framework.offers)} offers of {agents} agents and has not answered them yet.",
        )
    for decision in core.allocator.why(framework.id, now):
        sentence = f"role '{decision.role}': {decision.sentence}"
        yield Decision(decision.time_s, decision.reason.value, sentence)
    if awaited := len(core.state.recovered_agents):
        yield Decision(
            core.state.elected_s,
            "agents_awaited",
            f"This master began to lead {now - core.state.elected_s:.0f} s ago;"
            f" {'1 agent has' if awaited == 1 else f'{awaited} agents have'} not come back yet.",
        )


def _of_tasks_named(core: Core, framework: Framework, task_id: str) -> Iterator[Decision]:
    for status in framework.not_launched:
        if status.task_id.value == task_id:
            yield _of_status(status)
    for task in _tasks_named(framework, task_id):
        yield from _of_task(core, task)


def _tasks_named(framework: Framework, task_id: str) -> Iterator[Task]:
    for table in (framework.tasks, framework.unreachable_tasks):
        if (task := table.get(task_id)) is not None:
            yield task
    for task in framework.completed_tasks:
        if task.task_id == task_id:
            yield task


def _of_status(status: v1.TaskStatus) -> Decision:
    state = status.state.name
    said = f"{state.removeprefix('TASK_')}, said {_speaker(status.source.name if status.source else '')}"
    if status.reason is not None:
        said += f" ({status.reason.name})"
    if status.message:
        said += f": {status.message.rstrip('.')}"
    return Decision(status.timestamp or 0.0, state.lower(), f"{said}.")


def _of_task(core: Core, task: Task) -> Iterator[Decision]:
    for status in task.statuses:
        yield _of_status(status)
    agent = core.state.agents.get(task.agent_id)
    if task.state in TERMINAL:
        if not task.acknowledged:
            yield Decision(
                core.now,
                "not_acknowledged",
                f"It has ended; its framework has not acknowledged {_name(task.update_state)} yet.",
            )
    elif agent is None:
        yield Decision(task.unreachable_s, "agent_unreachable", f"Agent {task.agent_id} is unreachable.")
    elif (doomed_s := core.state.doomed.get(agent.id)) is not None:
        yield Decision(
            doomed_s,
            "agent_doomed",
            f"Agent {agent.id} ({agent.hostname}) does not answer; it is unreachable when its turn comes, which"
            f" --agent_removal_rate_limit decides.",
        )
    elif not agent.connected:
        yield Decision(
            agent.disconnected_s,
            "agent_disconnected",
            f"Agent {agent.id} ({agent.hostname}) is disconnected; it is awaited.",
        )
    elif task.state is TaskState.TASK_STAGING:
        yield Decision(
            core.now,
            "staging",
            f"Sent to agent {agent.id} ({agent.hostname}), which has not reported it yet.",
        )
    elif not task.acknowledged:
        yield Decision(
            core.now,
            "not_acknowledged",
            f"Further updates wait until its framework acknowledges {_name(task.update_state)}.",
        )


def _name(state: TaskState | None) -> str:
    return "the last update" if state is None else state.name


def _speaker(source: str) -> str:
    return {"SOURCE_MASTER": "the master", "SOURCE_AGENT": "the agent"}.get(source, "the executor")
