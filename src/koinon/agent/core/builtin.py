"""The command executor and the default executor: built in, each task is a container that we drive ourselves.

    STAGING ─container started─▶ STARTING, RUNNING ─kill─▶ [KILLING] ─exit─▶ FINISHED │ FAILED │ KILLED
       └──────────not started───────────────────────────────────────────────▶ FAILED │ LOST/DROPPED │ KILLED

A kill sends SIGTERM to the whole container and SIGKILL when the grace period is over. When one task of a group has failed
or been killed, the others of its group are killed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from koinon.agent.core import disk, gpus, launch, volumes
from koinon.agent.core.checks import Checks, obstacles
from koinon.agent.core.context import Context
from koinon.agent.core.events import ContainerNotStarted, DestroyContainer, Probed, TerminateContainer
from koinon.agent.core.life import AGENT, EXECUTOR, Life
from koinon.agent.core.state import Executor, Framework, Kill, Kind, Task
from koinon.agent.core.tables import ExecutorState
from koinon.mesos import v1
from koinon.mesos.v1 import TaskState, TaskStatus

Reason = TaskStatus.Reason
DURING_LAUNCH = Reason.REASON_TASK_KILLED_DURING_LAUNCH


class Builtin:
    """Runs command tasks and task groups."""

    def __init__(self, context: Context, life: Life) -> None:
        self._context = context
        self._life = life
        self._checks = Checks(context, life)

    # ── launching ─────────────────────────────────────────────────────────────────────────────────
    def run_command(self, framework: Framework, info: v1.TaskInfo) -> None:
        """A command task has come."""
        task_id = info.task_id.value
        container_id = self._context.new_container_id()
        executor = self.executor(
            framework, launch.command_executor(framework.framework_id, info), Kind.COMMAND, container_id
        )
        task = self.task(framework, executor, info, container_id)
        self._life.checkpoint_task(framework, executor, task)
        self._launch(framework, executor, task)
        assert task.task_id == task_id == executor.executor_id

    def run_group(
        self, framework: Framework, executor_info: v1.ExecutorInfo, group: list[v1.TaskInfo]
    ) -> None:
        """A task group has come for a default executor, new or running."""
        executor = framework.executors.get(executor_info.executor_id.value)
        if executor is None:
            container_id = self._context.new_container_id()
            executor = self.executor(framework, executor_info, Kind.DEFAULT, container_id)
            self._life.checkpoint_executor(framework, executor)
        executor.groups += 1
        tasks = [
            self.task(framework, executor, info, self._context.new_container_id(), executor.groups)
            for info in group
        ]
        for task in tasks:
            self._life.checkpoint_task(framework, executor, task)
        for task in tasks:
            if not task.terminal:  # an earlier one of the group was refused
                self._launch(framework, executor, task)

    def executor(
        self, framework: Framework, info: v1.ExecutorInfo, kind: Kind, container_id: str
    ) -> Executor:
        """A new record of a built-in executor."""
        config, agent_id = self._context.config, self._context.state.agent_id
        executor_id = info.executor_id.value
        if info.framework_id is None:
            info.framework_id = framework.info.id
        executor = Executor(
            framework_id=framework.framework_id,
            executor_id=executor_id,
            kind=kind,
            info=info,
            container_id=container_id,
            directory=launch.directory(config, agent_id, framework.framework_id, executor_id, container_id),
            user=launch.user(config, framework, info.command),
            gpus=gpus.choose(config, self._context.state, info.resources),
        )
        framework.executors[executor_id] = executor
        return executor

    def task(
        self,
        framework: Framework,
        executor: Executor,
        info: v1.TaskInfo,
        container_id: str,
        group: int = 0,
    ) -> Task:
        """A new record of a task."""
        task = Task(
            framework_id=framework.framework_id,
            task_id=info.task_id.value,
            executor_id=executor.executor_id,
            info=info,
            container_id=container_id,
            group=group,
            user=launch.user(self._context.config, framework, info.command),
        )
        self._life.add_task(framework, executor, task)
        return task

    def _launch(self, framework: Framework, executor: Executor, task: Task) -> None:
        if (obstacle := self._obstacle(executor, task)) is not None:
            self._not_launched(framework, executor, task, obstacle)
            return
        config, agent_id = self._context.config, self._context.state.agent_id
        self._life.place(task.container_id, executor, task)
        self._context.out.append(launch.task_container(config, agent_id, framework, executor, task))

    def _obstacle(self, executor: Executor, task: Task) -> str | None:
        info, around = task.info, executor.info.container if executor.kind is Kind.DEFAULT else None
        if around is not None and around.volumes:
            return "A default executor has no volumes of its own here: give them to its tasks"
        container = launch.container_of(self._context.config, executor, task)
        return (
            launch.refusal(info.command, container, self._context.config.frameworks_home)
            or next(obstacles(info), None)
            or volumes.refusal(container, nested=executor.kind is Kind.DEFAULT)
            or next(launch.container_obstacles(around), None)
        )

    # ── what containers tell ──────────────────────────────────────────────────────────────────────
    def started(self, framework: Framework, executor: Executor, task: Task, pid: int) -> None:
        """The program of a task runs."""
        task.pid = pid
        task.started_s = task.started_s or self._context.now
        if task.kill is not None:  # killed while it was being launched
            if task.kill.state is framework.dropped:
                task.kill.state, task.kill.reason = TaskState.TASK_KILLED, DURING_LAUNCH
                self._life.checkpoint_kill(framework, task)
            self._context.out.append(DestroyContainer(task.container_id))
            return
        self._life.report(framework, executor, task, TaskState.TASK_STARTING, EXECUTOR)
        self._life.report(framework, executor, task, TaskState.TASK_RUNNING, EXECUTOR)
        self.watch(task)

    def watch(self, task: Task) -> None:
        """Look after a running task: kill it when it takes longer than it may, and make its checks."""
        if task.kill is not None:
            return
        if (limit := task.info.max_completion_time) is not None and limit.nanoseconds > 0:
            due_s = task.started_s + limit.nanoseconds / 1e9
            self._context.timers.at(due_s, self._completion_due, task.container_id)
        self._checks.start(task)

    def probed(self, result: Probed) -> None:
        """A probe of a task is done."""
        if (watch := self._checks.take(result.probe_id)) is None:
            return
        found = self._life.find(watch.container_id)
        assert found is not None
        framework, executor, task = found
        assert task is not None
        if self._checks.judge(framework, executor, task, watch, result):
            times = "once" if task.failures == 1 else f"{task.failures} times in a row"
            message = f"its health check failed {times}"
            grace_s = launch.kill_grace_s(task.info, None)
            self._kill(framework, executor, task, grace_s, message=message, healthy=False)

    def not_started(
        self, framework: Framework, executor: Executor, task: Task, event: ContainerNotStarted
    ) -> None:
        """The container of a task will not run."""
        self._life.container_ended(task.container_id)
        if event.program:
            # Executors have a process already that fails to become the program, so tools know it as this.
            message = f"{launch.outcome('Command', 1 << 8)}: {event.message}"
            self.end(framework, executor, task, TaskState.TASK_FAILED, EXECUTOR, None, message)
        elif event.prepared:
            self._not_launched(framework, executor, task, event.message)
        else:
            self._context.state.counters.launch_errors += 1
            reason = Reason.REASON_EXECUTOR_TERMINATED
            self.end(framework, executor, task, framework.dropped, AGENT, reason, event.message)

    def _not_launched(self, framework: Framework, executor: Executor, task: Task, message: str) -> None:
        self._context.state.counters.launch_errors += 1
        failed, reason = TaskState.TASK_FAILED, Reason.REASON_CONTAINER_LAUNCH_FAILED
        source = EXECUTOR if executor.kind is Kind.DEFAULT else AGENT
        self.end(framework, executor, task, failed, source, reason, message)

    def exited(self, framework: Framework, executor: Executor, task: Task, status: int) -> None:
        """All processes of a task are gone."""
        state = TaskState.TASK_FAILED if status else TaskState.TASK_FINISHED
        self._ended(framework, executor, task, state, EXECUTOR, None, launch.outcome("Command", status))

    def lost(self, framework: Framework, executor: Executor, task: Task, message: str) -> None:
        """The processes of a task are gone; how they ended is not known."""
        self._ended(
            framework, executor, task, framework.lost, AGENT, Reason.REASON_EXECUTOR_TERMINATED, message
        )

    def _ended(
        self,
        framework: Framework,
        executor: Executor,
        task: Task,
        state: TaskState,
        source: TaskStatus.Source,
        reason: TaskStatus.Reason | None,
        message: str,
    ) -> None:
        container_id = task.container_id
        if not task.terminal:
            self.end(framework, executor, task, state, source, reason, message)
        self._life.container_ended(container_id)

    def end(
        self,
        framework: Framework,
        executor: Executor,
        task: Task,
        state: TaskState,
        source: TaskStatus.Source,
        reason: TaskStatus.Reason | None,
        message: str,
    ) -> None:
        """A task is over; `state`, `reason` and `message` hold unless it was killed."""
        self._checks.stop(task)
        healthy = limitation = None
        if (kill := task.kill) is not None:
            state, reason, healthy, limitation = kill.state, kill.reason, kill.healthy, kill.limitation
            if reason is DURING_LAUNCH:
                source, message = AGENT, kill.message or message
            elif kill.message is not None:
                message = f"{message}: {kill.message}"
        self._life.report(
            framework,
            executor,
            task,
            state,
            source,
            reason=reason,
            message=message,
            healthy=healthy,
            limitation=limitation,
        )
        if task.group and state is not TaskState.TASK_FINISHED:
            for other in executor.live_tasks:
                if other.group == task.group and other.kill is None:
                    self._kill_with_group(framework, executor, other, task)
        if executor.state is not ExecutorState.TERMINATED and executor.idle:
            self._life.executor_ended(framework, executor, 0)

    def _kill_with_group(self, framework: Framework, executor: Executor, task: Task, culprit: Task) -> None:
        ended = f"its group's task {culprit.task_id} ended with {culprit.state.value}"
        if task.container_id not in self._context.state.containers:
            message = f"Not started because {ended}"
            self._life.report(framework, executor, task, TaskState.TASK_KILLED, EXECUTOR, message=message)
        elif culprit.state is framework.dropped and not culprit.pid and not task.pid:
            # What kept one sandbox from being made will keep this one: the group has not been started.
            reason = Reason.REASON_EXECUTOR_TERMINATED
            report = {"state": framework.dropped, "reason": reason, "message": ended}
            self._kill(framework, executor, task, 0.0, **report)
        else:
            self.kill(framework, executor, task, None, message=ended)

    # ── killing ───────────────────────────────────────────────────────────────────────────────────
    def kill(
        self,
        framework: Framework,
        executor: Executor,
        task: Task,
        policy: v1.KillPolicy | None,
        *,
        message: str | None = None,
    ) -> None:
        """End a task with grace: SIGTERM now, SIGKILL later. A second kill may only shorten the wait."""
        if task.terminal:
            return
        grace_s = launch.kill_grace_s(task.info, policy)
        self._kill(framework, executor, task, grace_s, message=message)

    def _kill(
        self, framework: Framework, executor: Executor, task: Task, grace_s: float, **report: Any
    ) -> None:
        first, now = task.kill is None, self._context.now
        if task.kill is None:
            kill = Kill(now, now + grace_s, **report)
            if not task.pid and kill.reason is None:
                kill.reason = DURING_LAUNCH
                because = f": {kill.message}" if kill.message is not None else ""
                kill.message = f"Killed before it started{because}"
        else:
            kill = msgspec.structs.replace(task.kill, due_s=task.kill.since_s + grace_s)
            if kill.due_s >= task.kill.due_s:
                return
        self._checks.stop(task)
        task.kill = kill
        self._life.checkpoint_kill(framework, task)
        if not task.pid:  # `started` and `not_started` know what to do
            if task.info.command is not None and task.info.command.uris:
                self._context.out.append(DestroyContainer(task.container_id))  # it may be fetched for long
            return
        if first and framework.killing_state and kill.state is TaskState.TASK_KILLED:
            self._life.report(framework, executor, task, TaskState.TASK_KILLING, EXECUTOR)
        self.carry_out_kill(task, first=first)

    def carry_out_kill(self, task: Task, *, first: bool) -> None:
        """Signal a task that is being killed, and see to it that it is gone in time."""
        assert task.kill is not None
        if task.kill.due_s <= self._context.now:
            self._context.out.append(DestroyContainer(task.container_id))
            return
        if first:
            self._context.out.append(TerminateContainer(task.container_id))
        self._context.timers.at(task.kill.due_s, self._kill_due, task.container_id)

    def shut_down(self, framework: Framework, executor: Executor) -> None:
        """Kill all tasks of an executor, none with more time than the executor has."""
        if executor.state in (ExecutorState.TERMINATING, ExecutorState.TERMINATED):
            return
        executor.move(ExecutorState.TERMINATING)
        self._life.checkpoint_executor(framework, executor)
        for task in executor.live_tasks:
            grace_s = launch.shutdown_kill_s(self._context.config, executor, task.info)
            self._kill(framework, executor, task, grace_s)

    def over_quota(self, framework: Framework, executor: Executor, message: str, limit_bytes: int) -> None:
        """The sandbox takes more disk than it may: kill all tasks at once."""
        for task in executor.live_tasks:
            self._kill(
                framework,
                executor,
                task,
                0.0,
                state=disk.STATE,
                reason=disk.REASON,
                message=message,
                limitation=disk.limitation(limit_bytes),
            )

    def _kill_due(self, container_id: str) -> None:
        if (found := self._life.find(container_id)) is None:
            return
        task = found[2]
        if task is not None and task.kill is not None and task.kill.due_s <= self._context.now:
            self._context.out.append(DestroyContainer(container_id))

    def _completion_due(self, container_id: str) -> None:
        if (found := self._life.find(container_id)) is None:
            return
        framework, executor, task = found
        if task is not None and not task.terminal and task.kill is None:
            self._kill(
                framework,
                executor,
                task,
                0.0,
                state=TaskState.TASK_FAILED,
                reason=Reason.REASON_MAX_COMPLETION_TIME_REACHED,
                message="it ran longer than its max_completion_time",
            )
