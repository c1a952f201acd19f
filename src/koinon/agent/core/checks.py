"""Checks and health checks of the tasks that run here: when to look, and what follows from what was seen.

    task runs ─delay─▶ probe ─result─▶ interval ─▶ probe ─result─▶ ⋯   until the task is killed or over

A *probe* is one look at a task: a command in its sandbox, a request to its port, a connection. It has a result, or none:
it failed or took longer than the time-out. When the launcher is away it was not made, and says nothing.

- A **check** is reported when its result is another than before. Having none is a result, too.
- A **health check** is reported at its first success, at each failure, and when it succeeds again. Until the first success
  failures within the grace period are not counted. So many failures in a row as the task permits: it is killed.

What is known (`healthy`, `check_status`) stands in the task's newest status. The number of failures in a row is the one
thing that is checkpointed beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import Struct

from koinon.agent.core import launch, records
from koinon.agent.core.context import Context
from koinon.agent.core.events import (
    AbandonProbe,
    Checkpoint,
    Effect,
    ProbeCommand,
    Probed,
    ProbeHttp,
    ProbeTcp,
)
from koinon.agent.core.life import EXECUTOR, Life, check_result
from koinon.agent.core.state import Executor, Framework, Task
from koinon.mesos import v1
from koinon.mesos.v1 import CheckInfo, CheckStatusInfo, HealthCheck, NetworkInfo, TaskState, TaskStatus

Reason = TaskStatus.Reason

#: A task that wants to be probed without a pause is probed so often.
INTERVAL_MIN_S = 0.1
#: What is to happen later than this does not happen.
_FAR_S = 10 * 365 * 86400.0

#: HTTP answers that a health check takes for healthy.
_HEALTHY = range(200, 400)


class Watch(Struct, kw_only=True):
    """A check or health check of a running task."""

    container_id: str  #: the task's
    check: CheckInfo | HealthCheck
    probe_id: str = ""  #: under way; empty between two
    over: bool = False


class Checks:
    """All checks of an agent."""

    def __init__(self, context: Context, life: Life) -> None:
        self._context = context
        self._life = life
        self._watches: dict[str, list[Watch]] = {}  #: by the task's container
        self._probes: dict[str, Watch] = {}  #: under way

    def start(self, task: Task) -> None:
        """A task runs: probe it from now on, or, after a restart of the agent, go on as before."""
        for check in (task.info.check, task.info.health_check):
            if check is not None:
                watch = Watch(container_id=task.container_id, check=check)
                self._watches.setdefault(task.container_id, []).append(watch)
                first_s = task.started_s + min(check.delay_seconds, _FAR_S)
                late_s = self._context.now - first_s
                if late_s > 0:  # the moments of before, so that not all come at once
                    first_s += math.ceil(late_s / _interval_s(check)) * _interval_s(check)
                self._context.timers.at(first_s, self._probe, watch)

    def stop(self, task: Task) -> None:
        """A task is being killed or over: it is not looked at any more."""
        for watch in self._watches.pop(task.container_id, ()):
            watch.over = True
            if watch.probe_id:
                del self._probes[watch.probe_id]
                self._context.out.append(AbandonProbe(watch.probe_id))

    def take(self, probe_id: str) -> Watch | None:
        """A probe is done: whose it was, None if that does not matter any more. The next one is planned."""
        if (watch := self._probes.pop(probe_id, None)) is not None:
            watch.probe_id = ""
            self._context.timers.at(self._context.now + _interval_s(watch.check), self._probe, watch)
        return watch

    def judge(
        self, framework: Framework, executor: Executor, task: Task, watch: Watch, result: Probed
    ) -> bool:
        """Report what a probe brought; True when the task is to be killed for it."""
        if not result.made:
            return False
        if isinstance(watch.check, HealthCheck):
            return self._judge_health(framework, executor, task, watch.check, result)
        found = check_result(watch.check, result.value)
        if found != task.statuses[-1].check_status:
            reason = Reason.REASON_TASK_CHECK_STATUS_UPDATED
            self._report(framework, executor, task, reason, task.statuses[-1].healthy, found)
        return False

    def _judge_health(
        self, framework: Framework, executor: Executor, task: Task, check: HealthCheck, result: Probed
    ) -> bool:
        last = task.statuses[-1]
        reason = Reason.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
        if _is_healthy(check, result.value):
            if last.healthy is not True:
                self._count_failures(framework, task, 0)
                self._report(framework, executor, task, reason, True, last.check_status)
            return False
        age_s = self._context.now - task.started_s
        # It is None until the first success, or the first failure after the grace period.
        if last.healthy is None and 0 < check.grace_period_seconds >= age_s:
            return False
        self._count_failures(framework, task, task.failures + 1)
        message = f"The health check failed: {result.message}" if result.message else None
        self._report(framework, executor, task, reason, False, last.check_status, message)
        return task.failures >= check.consecutive_failures

    def _count_failures(self, framework: Framework, task: Task, count: int) -> None:
        if task.failures != count:
            task.failures = count
            if framework.info.checkpoint:
                key = records.failures_key(framework.framework_id, task.task_id)
                self._context.out.append(Checkpoint({key: b"%d" % count if count else None}))

    def _report(
        self,
        framework: Framework,
        executor: Executor,
        task: Task,
        reason: TaskStatus.Reason,
        healthy: bool | None,
        check_status: CheckStatusInfo | None,
        message: str | None = None,
    ) -> None:
        self._life.report(
            framework,
            executor,
            task,
            TaskState.TASK_RUNNING,
            EXECUTOR,
            reason=reason,
            message=message,
            healthy=healthy,
            check_status=check_status,
        )

    def _probe(self, watch: Watch) -> None:
        found = None if watch.over else self._life.find(watch.container_id)
        if found is None or found[2] is None:
            return
        framework, executor, task = found[0], found[1], found[2]
        watch.probe_id = f"check-{self._context.new_container_id()}"
        self._probes[watch.probe_id] = watch
        self._context.out.append(self._effect(framework, executor, task, watch))

    def _effect(self, framework: Framework, executor: Executor, task: Task, watch: Watch) -> Effect:
        check, probe_id = watch.check, watch.probe_id
        timeout_s = check.timeout_seconds or None
        if (command := _command(check)) is not None:
            config, agent_id = self._context.config, self._context.state.agent_id
            container = launch.task_container(config, agent_id, framework, executor, task)
            environment = {**container.environment, **launch.variables(command)}
            program, argv = launch.program(command), launch.argv(command)
            return ProbeCommand(probe_id, timeout_s, program, argv, environment, container)
        if check.type in (CheckInfo.Type.HTTP, HealthCheck.Type.HTTP):
            assert check.http is not None
            scheme, address = "http", "127.0.0.1"
            if isinstance(check.http, HealthCheck.HTTPCheckInfo):
                scheme = check.http.scheme or scheme
                address = "[::1]" if check.http.protocol is NetworkInfo.Protocol.IPv6 else address
            url = f"{scheme}://{address}:{check.http.port}{check.http.path or ''}"
            return ProbeHttp(probe_id, timeout_s, url)
        assert check.tcp is not None
        address = "127.0.0.1"
        if isinstance(check.tcp, HealthCheck.TCPCheckInfo):
            address = "::1" if check.tcp.protocol is NetworkInfo.Protocol.IPv6 else address
        return ProbeTcp(probe_id, timeout_s, address, check.tcp.port)


def obstacles(info: v1.TaskInfo) -> Iterator[str]:
    """Why the checks of a task cannot be made, as sentences."""
    for name, check in (("check", info.check), ("health check", info.health_check)):
        if check is None:
            continue
        kind = check.type.value.lower() if check.type is not None else ""
        if kind not in ("command", "http", "tcp") or getattr(check, kind) is None:
            yield f"The {name} needs a type of COMMAND, HTTP or TCP, and the field of that name"
        elif kind == "command" and (command := _command(check)) is not None:
            yield from (f"The {name}: {text}" for text in launch.command_obstacles(command))


def _is_healthy(check: HealthCheck, value: int | None) -> bool:
    match check.type:
        case HealthCheck.Type.COMMAND:
            return value == 0
        case HealthCheck.Type.HTTP:
            return value in _HEALTHY
    return bool(value)


def _command(check: CheckInfo | HealthCheck) -> v1.CommandInfo | None:
    """What is to be run; None if the check is of another type."""
    if check.type is CheckInfo.Type.COMMAND or check.type is HealthCheck.Type.COMMAND:
        return check.command.command if isinstance(check.command, CheckInfo.Command) else check.command
    return None


def _interval_s(check: CheckInfo | HealthCheck) -> float:
    return min(max(check.interval_seconds, INTERVAL_MIN_S), _FAR_S)
