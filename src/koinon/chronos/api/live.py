"""Runs, of the history and of those that it does not have yet, as one."""

from __future__ import annotations

from collections.abc import Iterator

from koinon.chronos.api.shell import Shell
from koinon.chronos.core import State
from koinon.chronos.history import Query
from koinon.chronos.model import Run, ids


async def newest_runs(shell: Shell, query: Query) -> list[Run]:
    """The newest of those asked for, newest first. Raises HistoryError, and ValueError for a wrong `before`."""
    # Taken before: a run that gets into the history meanwhile is found there or here, or at both.
    found = {run.id: run for run in _live(shell.core.state) if _fits(run, query)}
    for run in await shell.history.runs(query):
        found[run.id] = run
    return sorted(found.values(), key=_place, reverse=True)[: query.limit]


async def find_run(shell: Shell, task_id: str) -> Run | None:
    """The run of that task. Raises HistoryError."""
    state = shell.core.state
    if (run := state.runs.get(task_id) or state.ended.get(task_id)) is not None:
        return run
    if (waiting := state.queue.get(task_id)) is not None:
        return waiting.run
    return await shell.history.run(task_id)


def _live(state: State) -> Iterator[Run]:
    """Those that are under way, wait, or have just ended."""
    yield from state.runs.values()
    yield from state.ended.values()
    for waiting in state.queue.values():
        if not waiting.stored:
            yield waiting.run


def _fits(run: Run, query: Query) -> bool:
    return (
        (query.job is None or run.job == query.job)
        and (not query.states or run.state in query.states)
        and (query.since is None or run.due >= query.since)
        and (query.until is None or run.due < query.until)
        and (not query.before or _place(run) < _place_of(query.before))
    )


def _place(run: Run) -> tuple[int, int, str]:
    return (run.due_ms, run.attempt, run.job)


def _place_of(task_id: str) -> tuple[int, int, str]:
    place = ids.parse_task(task_id)
    return (place.due_ms, place.attempt, place.job)
