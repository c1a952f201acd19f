"""Records as messages of the v1 operator API, and the listings of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from koinon.agent.core.state import Executor, Framework, State, Task
from koinon.agent.core.streams import Streams
from koinon.agent.views.records import executors, shown_executor_id
from koinon.edge import listings
from koinon.edge.listings import Group, Listing
from koinon.mesos import codec, v1
from koinon.mesos.v1.agent import Response


def tasks(state: State, streams: Streams) -> Listing:
    """`get_tasks`. What waits for its executor is queued; nothing is ever pending, as launching begins at once."""
    queued, launched, terminated, completed = [], [], [], []
    for framework in state.frameworks.values():
        for executor in framework.executors.values():
            for one in executor.tasks.values():
                if one.terminal:
                    terminated.append((executor, one))
                elif one.queued or not one.statuses:
                    queued.append((executor, one))
                else:
                    launched.append((executor, one))
            completed += [(executor, one) for one in executor.completed]
        for executor in framework.completed:
            completed += [(executor, one) for one in executor.completed]
    message = partial(_task, streams)
    return Listing(
        "get_tasks",
        Response.GetTasks,
        [
            Group("pending_tasks", [], message),
            Group("queued_tasks", queued, message),
            Group("launched_tasks", launched, message),
            Group("terminated_tasks", terminated, message),
            Group("completed_tasks", completed, message),
        ],
    )


def listed_executors(state: State) -> Listing:
    """`get_executors`: those that run, and completed ones."""
    completed = [executor for framework in state.frameworks.values() for executor in framework.completed]
    return Listing(
        "get_executors",
        Response.GetExecutors,
        [
            Group("executors", [executor for _, executor in executors(state)], _executor),
            Group("completed_executors", completed, _executor),
        ],
    )


def listed_frameworks(state: State) -> Listing:
    """`get_frameworks`: those that have executors here, and some that had."""
    every = state.frameworks.values()
    return Listing(
        "get_frameworks",
        Response.GetFrameworks,
        [
            Group("frameworks", [one for one in every if one.executors], _framework),
            Group("completed_frameworks", [one for one in every if not one.executors], _framework),
        ],
    )


def answer(kind: Response.Type, listing: Listing, content_type: str) -> Iterator[bytes]:
    """An answer that holds one listing, in slices."""
    return listings.answer(Response, kind, listing, content_type)


def answer_state(state: State, streams: Streams, content_type: str) -> Iterator[bytes]:
    """The answer to GET_STATE, in slices."""
    parts = [tasks(state, streams), listed_executors(state), listed_frameworks(state)]
    if content_type == codec.JSON:
        yield b'{"type":"GET_STATE","get_state":'
        yield from listings.in_json(parts)
        yield b"}"
    else:
        yield codec.encode(Response(type=Response.Type.GET_STATE), content_type)
        for part in listings.in_parts(Response.GetState, parts):
            yield codec.encode(Response(get_state=part), content_type)


def _task(streams: Streams, record: tuple[Executor, Task]) -> v1.Task:
    executor, found = record
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


def _executor(found: Executor) -> Response.GetExecutors.Executor:
    return Response.GetExecutors.Executor(found.info)


def _framework(found: Framework) -> Response.GetFrameworks.Framework:
    return Response.GetFrameworks.Framework(found.info)
