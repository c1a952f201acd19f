"""The life of tasks and executors, whoever runs them: reporting, completion, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from koinon.agent.core import gpus, records
from koinon.agent.core.context import Context
from koinon.agent.core.events import Checkpoint, CollectSandbox, ForgetContainer
from koinon.agent.core.state import Executor, Framework, Kind, Place, Task
from koinon.agent.core.streams import PASSING, Streams
from koinon.agent.core.tables import ExecutorState
from koinon.mesos import internal, v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import (
    CheckInfo,
    CheckStatusInfo,
    ContainerID,
    ContainerStatus,
    NetworkInfo,
    TaskResourceLimitation,
    TaskState,
    TaskStatus,
)

AGENT = TaskStatus.Source.SOURCE_AGENT
EXECUTOR = TaskStatus.Source.SOURCE_EXECUTOR


class Life:
    """What the built-in and the custom executors have in common."""

    def __init__(self, context: Context, streams: Streams) -> None:
        self._context = context
        self._streams = streams
        address = NetworkInfo.IPAddress(ip_address=context.config.ip)
        self._networks = [NetworkInfo(ip_addresses=[address])]
        #: Told of each container that has ended, and of default executors, which have none; set once, at the start.
        self.on_end: Callable[[str], None]
        self.on_executor_end: Callable[[str], None]

    # ── beginning ─────────────────────────────────────────────────────────────────────────────────
    def add_task(self, framework: Framework, executor: Executor, task: Task) -> None:
        """A task has come to its executor."""
        config, state = self._context.config, self._context.state
        task.gpus = gpus.choose(config, state, task.info.resources, executor.known_gpus)
        executor.tasks[task.task_id] = task
        framework.tasks[task.task_id] = task

    def framework(self, info: v1.FrameworkInfo) -> Framework:
        """The record of a framework as the master describes it now."""
        assert info.id is not None
        framework_id = info.id.value
        state = self._context.state
        if (framework := state.frameworks.get(framework_id)) is None:
            framework = state.frameworks[framework_id] = Framework(framework_id=framework_id, info=info)
        elif framework.info == info:
            return framework
        framework.update(info)
        if info.checkpoint:
            stored = records.encode(records.StoredFramework(info, framework.terminating))
            self._context.out.append(Checkpoint({records.framework_key(framework_id): stored}))
        return framework

    def spare(self, framework: Framework) -> None:
        """A master works with a framework that another one has removed: its executors end, but it does not."""
        if framework.terminating:
            framework.terminating = False
            if framework.info.checkpoint:
                stored = records.encode(records.StoredFramework(framework.info))
                self._context.out.append(Checkpoint({records.framework_key(framework.framework_id): stored}))

    def checkpoint_task(self, framework: Framework, executor: Executor, task: Task) -> None:
        """A task has come; nothing is done about it before this is on disk."""
        if framework.info.checkpoint:
            stored = records.StoredTask(
                task.info,
                executor_id="" if executor.kind is Kind.COMMAND else executor.executor_id,
                container_id=task.container_id,
                group=task.group,
                user=task.user,
                gpus=task.gpus,
            )
            key = records.task_key(framework.framework_id, task.task_id)
            self._context.out.append(Checkpoint({key: records.encode(stored)}))

    def checkpoint_executor(self, framework: Framework, executor: Executor) -> None:
        """An executor has come or been told to go."""
        if framework.info.checkpoint and executor.kind is not Kind.COMMAND:
            stored = records.StoredExecutor(
                executor.info,
                kind=executor.kind.value,
                container_id=executor.container_id,
                user=executor.user,
                ending=executor.state is ExecutorState.TERMINATING,
                gpus=executor.gpus,
            )
            key = records.executor_key(framework.framework_id, executor.executor_id)
            self._context.out.append(Checkpoint({key: records.encode(stored)}))

    def checkpoint_kill(self, framework: Framework, task: Task) -> None:
        """A task is to end; nothing is done about it before this is on disk."""
        if framework.info.checkpoint:
            key = records.kill_key(framework.framework_id, task.task_id)
            self._context.out.append(Checkpoint({key: records.encode(task.kill)}))

    def find(self, container_id: str) -> tuple[Framework, Executor, Task | None] | None:
        """Whose a container is; None if nobody's any more."""
        if (place := self._context.state.containers.get(container_id)) is None:
            return None
        framework = self._context.state.frameworks[place.framework_id]
        executor = framework.executors[place.executor_id]
        return framework, executor, executor.tasks[place.task_id] if place.task_id else None

    def place(self, container_id: str, executor: Executor, task: Task | None) -> None:
        """A container is about to be launched."""
        task_id = task.task_id if task is not None else ""
        place = Place(executor.framework_id, executor.executor_id, task_id)
        self._context.state.containers[container_id] = place

    # ── news ──────────────────────────────────────────────────────────────────────────────────────
    def report(
        self,
        framework: Framework,
        executor: Executor,
        task: Task,
        state: TaskState,
        source: TaskStatus.Source,
        *,
        reason: TaskStatus.Reason | None = None,
        message: str | None = None,
        healthy: bool | None = None,
        check_status: CheckStatusInfo | None = None,
        limitation: list[v1.Resource] | None = None,
    ) -> None:
        """A task enters `state`, as we or a built-in executor see it."""
        if check_status is None and task.info.check is not None and executor.kind is not Kind.CUSTOM:
            check_status = check_result(task.info.check)
        status = TaskStatus(
            task_id=task.info.task_id,
            state=state,
            message=message,
            source=source,
            reason=reason,
            agent_id=self._context.state.agent_info.id,
            executor_id=executor.info.executor_id,
            timestamp=self._context.now,
            uuid=self._context.new_uuid(),
            healthy=healthy,
            check_status=check_status,
            limitation=TaskResourceLimitation(resources=limitation) if limitation is not None else None,
            container_status=self.container_status(executor, task),
        )
        self.accept(framework, executor, task, status, passing=reason in PASSING)

    def accept(
        self,
        framework: Framework,
        executor: Executor,
        task: Task,
        status: TaskStatus,
        *,
        passing: bool = False,
    ) -> None:
        """A status that is complete: remember it and see that the scheduler gets it."""
        task.move(status)
        if not framework.terminating:
            durable = framework.info.checkpoint
            self._streams.put(framework.framework_id, task.task_id, status, durable=durable, passing=passing)
        if task.terminal:
            task.queued = False
            counts = self._context.state.counters.terminal
            counts[task.state] = counts.get(task.state, 0) + 1
            if framework.terminating:
                self._complete(framework, executor, task)

    def container_status(self, executor: Executor, task: Task) -> ContainerStatus | None:
        """What is added to a task's status about where it runs; None before anything does."""
        pid = task.pid or executor.pid or None
        if pid is None and executor.stream_id is None:
            return None
        container_id = ContainerID(value=executor.container_id)
        if executor.kind is Kind.DEFAULT:
            container_id = ContainerID(value=task.container_id, parent=container_id)
        return ContainerStatus(container_id=container_id, network_infos=self._networks, executor_pid=pid)

    def acknowledge(self, framework_id: str, task_id: str, uuid: bytes) -> None:
        """The scheduler has an update."""
        status = self._streams.acknowledge(framework_id, task_id, uuid)
        framework = self._context.state.frameworks.get(framework_id)
        if status is None or status.state not in TERMINAL or framework is None:
            return
        if (task := framework.tasks.get(task_id)) is not None:
            self._complete(framework, framework.executors[task.executor_id], task)

    # ── end ───────────────────────────────────────────────────────────────────────────────────────
    def container_ended(self, container_id: str) -> None:
        """How a container ended has been noted."""
        place = self._context.state.containers.pop(container_id, None)
        self._context.out.append(ForgetContainer(container_id))
        if place is not None and place.task_id and self._context.config.collect_nested:
            executor = self._context.state.frameworks[place.framework_id].executors[place.executor_id]
            if executor.kind is Kind.DEFAULT:
                sandbox = f"{executor.directory}/containers/{container_id}"
                self._context.out.append(CollectSandbox(sandbox, executor.directory))
        self.on_end(container_id)

    def executor_ended(self, framework: Framework, executor: Executor, wait_status: int) -> None:
        """Nothing of an executor runs any more."""
        executor.move(ExecutorState.TERMINATED)
        executor.stream_id = None
        if executor.kind is Kind.DEFAULT:  # it has no container of its own that would end
            self.on_executor_end(executor.container_id)
        self._context.out.append(CollectSandbox(executor.directory))
        self._context.state.counters.executors_terminated += 1
        if executor.kind is not Kind.COMMAND and not framework.terminating:
            self._context.say(
                internal.ExecutorExited(
                    framework_id=framework.framework_id, executor_id=executor.executor_id, status=wait_status
                )
            )
        self._settle(framework, executor)

    def drop_terminated(self, framework: Framework, executor: Executor) -> None:
        """Nobody will acknowledge the ends of an executor's tasks."""
        for task in list(executor.tasks.values()):
            if task.terminal:
                self._complete(framework, executor, task)

    def _complete(self, framework: Framework, executor: Executor, task: Task) -> None:
        del executor.tasks[task.task_id]
        del framework.tasks[task.task_id]
        executor.completed.append(task)
        _keep_last(executor.completed, self._context.config.completed_tasks_max)
        if framework.info.checkpoint:
            keys = [records.task_key(framework.framework_id, task.task_id)]
            if task.kill is not None:
                keys.append(records.kill_key(framework.framework_id, task.task_id))
            if task.failures:
                keys.append(records.failures_key(framework.framework_id, task.task_id))
            self._context.forget(*keys)
        self._settle(framework, executor)

    def _settle(self, framework: Framework, executor: Executor) -> None:
        if executor.state is not ExecutorState.TERMINATED or executor.tasks:
            return
        del framework.executors[executor.executor_id]
        framework.completed.append(executor)
        _keep_last(framework.completed, self._context.config.completed_executors_max)
        if framework.info.checkpoint and executor.kind is not Kind.COMMAND:
            self._context.forget(records.executor_key(framework.framework_id, executor.executor_id))
        if not framework.executors:
            self.retire(framework)

    def retire(self, framework: Framework) -> None:
        """A framework has nothing here any more; the last few of those are remembered."""
        frameworks = self._context.state.frameworks
        frameworks[framework.framework_id] = frameworks.pop(framework.framework_id)  # the newest is last
        if framework.terminating:
            self._context.forget(records.framework_key(framework.framework_id))
        idle = [one for one in frameworks.values() if not one.executors]
        for one in idle[: max(len(idle) - self._context.config.idle_frameworks_max, 0)]:
            del frameworks[one.framework_id]
            self._context.forget(records.framework_key(one.framework_id))


def check_result(check: CheckInfo, value: int | None = None) -> CheckStatusInfo:
    """The result of a check as it is reported; `value` is None when there is none."""
    match check.type:
        case CheckInfo.Type.COMMAND:
            return CheckStatusInfo(type=check.type, command=CheckStatusInfo.Command(exit_code=value))
        case CheckInfo.Type.HTTP:
            return CheckStatusInfo(type=check.type, http=CheckStatusInfo.Http(status_code=value))
    succeeded = None if value is None else bool(value)
    return CheckStatusInfo(type=check.type, tcp=CheckStatusInfo.Tcp(succeeded=succeeded))


def _keep_last(found: list[Any], count: int) -> None:
    del found[: max(len(found) - count, 0)]
