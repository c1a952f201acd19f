"""Records as messages of the v1 operator API."""

from __future__ import annotations

from koinon.agent.core.state import Executor, Framework, State, Task
from koinon.agent.core.streams import Streams
from koinon.agent.views.records import executors, shown_executor_id
from koinon.mesos import v1
from koinon.mesos.v1.agent import Response


def tasks(state: State, streams: Streams) -> Response.GetTasks:
    """All tasks. What waits for its executor is queued; nothing is ever pending, as launching begins at once."""
    found = Response.GetTasks()
    for framework in state.frameworks.values():
        for executor in framework.executors.values():
            for one in executor.tasks.values():
                message = task(executor, one, streams)
                if one.terminal:
                    found.terminated_tasks.append(message)
                elif one.queued or not one.statuses:
                    found.queued_tasks.append(message)
                else:
                    found.launched_tasks.append(message)
            found.completed_tasks += [task(executor, one, streams) for one in executor.completed]
        for executor in framework.completed:
            found.completed_tasks += [task(executor, one, streams) for one in executor.completed]
    return found


def task(executor: Executor, found: Task, streams: Streams) -> v1.Task:
    """One task with its statuses."""
    info, executor_id = found.info, shown_executor_id(executor)
    reported = streams.in_flight(found.framework_id, found.task_id)
    if reported is None and found.statuses:
        reported = found.statuses[-1]
    return v1.Task(
        name=info.name,
        task_id=info.task_id,
        framework_id=v1.FrameworkID(found.framework_id),
        executor_id=v1.ExecutorID(executor_id) if executor_id else None,
        agent_id=info.agent_id,
        state=found.state,
        resources=info.resources,
        statuses=found.statuses,
        status_update_state=reported.state if reported is not None else None,
        status_update_uuid=reported.uuid if reported is not None else None,
        labels=info.labels,
        discovery=info.discovery,
        container=info.container,
        health_check=info.health_check,
        kill_policy=info.kill_policy,
        user=found.user,
        limits=info.limits,
    )


def listed_executors(state: State) -> Response.GetExecutors:
    """Executors that run, and completed ones."""
    One = Response.GetExecutors.Executor
    return Response.GetExecutors(
        executors=[One(executor.info) for _, executor in executors(state)],
        completed_executors=[
            One(executor.info) for framework in state.frameworks.values() for executor in framework.completed
        ],
    )


def listed_frameworks(state: State) -> Response.GetFrameworks:
    """Frameworks that have executors here, and some that had."""

    def listed(found: Framework) -> Response.GetFrameworks.Framework:
        return Response.GetFrameworks.Framework(found.info)

    return Response.GetFrameworks(
        frameworks=[listed(one) for one in state.frameworks.values() if one.executors],
        completed_frameworks=[listed(one) for one in state.frameworks.values() if not one.executors],
    )
