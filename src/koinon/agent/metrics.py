"""The agent's numbers, read from the core's records when they are asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from koinon.agent.collector import Collector
from koinon.agent.core.state import Executor, Kind, State
from koinon.agent.core.tables import AgentState, ExecutorState
from koinon.agent.fetcher import Fetcher
from koinon.agent.views import containers
from koinon.agent.views.records import executors, used_resources
from koinon.edge import Measured, Metrics
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import ResourceStatistics, TaskState

_KINDS = ("cpus", "gpus", "mem", "disk")
_LIVING = ("staging", "starting", "running", "killing")
_TERMINAL = ("finished", "failed", "killed", "lost", "gone")

#: Parts that this agent does not have; tools look for their numbers.
_ABSENT = (
    "containerizer/mesos/container_destroy_errors",
    "containerizer/mesos/provisioner/bind/remove_rootfs_errors",
    "containerizer/mesos/provisioner/remove_container_errors",
    "resource_provider_manager/events/disconnect",
    "resource_provider_manager/events/subscribe",
    "resource_provider_manager/subscribed",
    "slave/executors_preempted",
)


def declare(
    metrics: Metrics,
    state: State,
    *,
    started_s: float,
    recovery_s: float,
    collector: Collector,
    fetcher: Fetcher,
    usage: Callable[[], Awaitable[Mapping[str, ResourceStatistics]]],
) -> None:
    """Show the numbers of an agent."""

    def read() -> dict[str, float]:
        values = {
            **dict.fromkeys(_ABSENT, 0.0),
            **_resources(state),
            **_tasks(state),
            **_executors(state),
            **_counted(state),
        }
        values["gc/path_removals_pending"] = collector.pending
        values["gc/path_removals_succeeded"] = collector.succeeded
        values["gc/path_removals_failed"] = collector.failed
        values["slave/executor_directory_max_allowed_age_secs"] = collector.max_age_s
        values["containerizer/fetcher/task_fetches_succeeded"] = fetcher.succeeded
        values["containerizer/fetcher/task_fetches_failed"] = fetcher.failed
        values["containerizer/fetcher/cache_size_total_bytes"] = fetcher.cache.size_bytes
        values["containerizer/fetcher/cache_size_used_bytes"] = fetcher.cache.used_bytes
        values["slave/recovery_time_secs"] = recovery_s
        values["slave/registered"] = float(state.state is AgentState.REGISTERED)
        values["slave/uptime_secs"] = time.time() - started_s
        return values

    async def measure() -> dict[tuple[str, ...], dict[str, float]]:
        measured, now = await usage(), time.time()
        found: dict[tuple[str, ...], dict[str, float]] = {}
        for one in containers.find(state):
            assert one.executor is not None
            key = (one.executor.framework_id, one.executor.executor_id, one.executor.container_id)
            shown = msgspec.structs.asdict(containers.used(one, measured, now))
            found[key] = {
                f"container/{name}": value
                for name, value in shown.items()
                if isinstance(value, int | float) and name != "timestamp"
            }
        return found

    metrics.gauges(read)
    metrics.measured(Measured(("framework_id", "executor_id", "container_id"), measure))


def _resources(state: State) -> dict[str, float]:
    total, used = Resources.from_v1(state.agent_info.resources), used_resources(state)
    values: dict[str, float] = {}
    for suffix, all_, taken in (
        ("", total.nonrevocable(), used.nonrevocable()),
        ("_revocable", total.revocable(), used.revocable()),
    ):
        for kind in _KINDS:
            have, gone = getattr(all_, kind), getattr(taken, kind)
            values[f"slave/{kind}{suffix}_total"] = have
            values[f"slave/{kind}{suffix}_used"] = gone
            values[f"slave/{kind}{suffix}_percent"] = gone / have if have else 0.0
    return values


def _tasks(state: State) -> dict[str, float]:
    counts = Counter(
        task.state for framework in state.frameworks.values() for task in framework.tasks.values()
    )
    return {
        **{f"slave/tasks_{name}": counts[TaskState[f"TASK_{name.upper()}"]] for name in _LIVING},
        **{
            f"slave/tasks_{name}": state.counters.terminal.get(TaskState[f"TASK_{name.upper()}"], 0)
            for name in _TERMINAL
        },
    }


def _executors(state: State) -> dict[str, float]:
    counts = Counter(_seen_state(executor) for _, executor in executors(state))
    return {
        "slave/executors_registering": counts[ExecutorState.REGISTERING],
        "slave/executors_running": counts[ExecutorState.RUNNING],
        "slave/executors_terminating": counts[ExecutorState.TERMINATING],
        "slave/executors_terminated": state.counters.executors_terminated,
        "slave/frameworks_active": sum(1 for one in state.frameworks.values() if one.executors),
    }


def _seen_state(executor: Executor) -> ExecutorState:
    """That of a command task runs when its program does."""
    if executor.kind is Kind.COMMAND and executor.state is ExecutorState.RUNNING:
        for task in executor.tasks.values():
            return ExecutorState.RUNNING if task.pid else ExecutorState.REGISTERING
    return executor.state


def _counted(state: State) -> dict[str, float]:
    counters = state.counters
    return {
        "slave/container_launch_errors": counters.launch_errors,
        "slave/recovery_errors": counters.recovery_errors,
        "slave/valid_status_updates": counters.valid_updates,
        "slave/invalid_status_updates": counters.invalid_updates,
        "slave/valid_framework_messages": counters.valid_messages,
        "slave/invalid_framework_messages": counters.invalid_messages,
    }
