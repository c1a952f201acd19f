"""What several views ask of the records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from koinon.agent.core.state import Executor, Framework, Kind, State
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.states import TERMINAL


def executor_resources(executor: Executor) -> Resources:
    """What an executor and its tasks hold."""
    return Resources.sum(_held(executor))


def used_resources(state: State) -> Resources:
    """What all executors hold."""
    return Resources.sum(one for _, executor in executors(state) for one in _held(executor))


def _held(executor: Executor) -> Iterator[Resources]:
    yield executor.resources
    for task in executor.tasks.values():
        if task.state not in TERMINAL:
            yield task.resources


def executors(state: State) -> Iterator[tuple[Framework, Executor]]:
    """All executors that are not completed."""
    for framework in state.frameworks.values():
        for executor in framework.executors.values():
            yield framework, executor


def role(resources: Iterable[v1.Resource]) -> str:
    """The role that resources are allocated to."""
    for resource in resources:
        if resource.allocation_info is not None and resource.allocation_info.role is not None:
            return resource.allocation_info.role
    return "*"


def shown_executor_id(executor: Executor) -> str:
    """Tasks do not tell of an executor that was made up for them."""
    return "" if executor.kind is Kind.COMMAND else executor.executor_id
