"""The command executor and the default executor: built in, each task is a container that we drive ourselves.

    STAGING ─container started─▶ STARTING, RUNNING ─kill─▶ [KILLING] ─exit─▶ FINISHED │ FAILED │ KILLED
       └──────────not started───────────────────────────────────────────────▶ FAILED │ LOST/DROPPED │ KILLED

A kill sends SIGTERM to the whole container and SIGKILL when the grace period is over. When one task of a group fails or
is killed, the others of its group are killed.
"""

from __future__ import annotations

from koinon.agent.core import launch
from koinon.agent.core.context import Context
from koinon.agent.core.events import DestroyContainer, TerminateContainer
from koinon.agent.core.life import AGENT, EXECUTOR, Life
from koinon.agent.core.state import Executor, Framework, Kill, Kind, Task
from koinon.agent.core.tables import ExecutorState
from koinon.mesos import v1
from koinon.mesos.v1 import TaskState, TaskStatus

Reason = TaskStatus.Reason

#: What a RUNNING status says of a task that asks for checks.
NO_CHECKS = "This agent does not perform checks yet: the task runs without"


class Builtin:
    """Runs command tasks and task groups."""

    def __init__(self, context: Context, life: Life) -> None:
        self._context = context
        self._life = life

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
        container = task.info.container or executor.info.container
        if (obstacle := launch.refusal(task.info.command, container)) is not None:
            self._not_launched(framework, executor, task, obstacle)
            return
        config, agent_id = self._context.config, self._context.state.agent_id
        self._life.place(task.container_id, executor, task)
        self._context.out.append(launch.task_container(config, agent_id, framework, executor, task))

    # ── what containers tell ──────────────────────────────────────────────────────────────────────
    def started(self, framework: Framework, executor: Executor, task: Task, pid: int) -> None:
        """The program of a task runs."""
        task.pid = pid
        if task.kill is not None:  # killed while it was being launched
            self._context.out.append(DestroyContainer(task.container_id))
            return
        checked = task.info.health_check is not None or task.info.check is not None
        self._life.report(framework, executor, task, TaskState.TASK_STARTING, EXECUTOR)
        self._life.report(
            framework,
            executor,
            task,
            TaskState.TASK_RUNNING,
            EXECUTOR,
            message=NO_CHECKS if checked else None,
        )
        self.watch_completion(task)

    def watch_completion(self, task: Task) -> None:
        """Kill a running task that takes longer than it may."""
        if (limit := task.info.max_completion_time) is None:
            return
        started_s = task.statuses[0].timestamp or self._context.now
        self._context.timers.at(started_s + limit.nanoseconds / 1e9, self._completion_due, task.container_id)

    def not_started(
        self, framework: Framework, executor: Executor, task: Task, message: str, *, prepared: bool
    ) -> None:
        """The container of a task will not run."""
        self._life.container_ended(task.container_id)
        if not prepared:
            self._context.state.counters.launch_errors += 1
            self.end(
                framework,
                executor,
                task,
                framework.dropped,
                AGENT,
                Reason.REASON_EXECUTOR_TERMINATED,
                message,
            )
        else:
            self._not_launched(framework, executor, task, message)

    def _not_launched(self, framework: Framework, executor: Executor, task: Task, message: str) -> None:
        self._context.state.counters.launch_errors += 1
        failed, reason = TaskState.TASK_FAILED, Reason.REASON_CONTAINER_LAUNCH_FAILED
        self.end(framework, executor, task, failed, AGENT, reason, message)

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
        healthy = None
        if (kill := task.kill) is not None:
            state, reason, healthy = kill.state, kill.reason, kill.healthy
            message = kill.message or message
            if reason is Reason.REASON_TASK_KILLED_DURING_LAUNCH:
                source = AGENT
        self._life.report(
            framework, executor, task, state, source, reason=reason, message=message, healthy=healthy
        )
        if task.group and state is not TaskState.TASK_FINISHED:
            for other in executor.live_tasks:
                if other.group == task.group:
                    self._kill_with_group(framework, executor, other, task)
        if executor.state is not ExecutorState.TERMINATED and executor.idle:
            self._life.executor_ended(framework, executor, 0)

    def _kill_with_group(self, framework: Framework, executor: Executor, task: Task, culprit: Task) -> None:
        ended = f"its group's task {culprit.task_id} ended with {culprit.state.value}"
        if task.container_id in self._context.state.containers:
            self.kill(framework, executor, task, None, message=f"Killed because {ended}")
        else:  # not launched yet
            message = f"Not started because {ended}"
            self._life.report(framework, executor, task, TaskState.TASK_KILLED, EXECUTOR, message=message)

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
        self._kill(framework, executor, task, Kill(self._context.now + grace_s, message=message))
        if task.group:
            for other in executor.live_tasks:
                if other.group == task.group and other.kill is None:
                    because = f"Killed because its group's task {task.task_id} is being killed"
                    self.kill(framework, executor, other, policy, message=because)

    def _kill(self, framework: Framework, executor: Executor, task: Task, kill: Kill) -> None:
        first = task.kill is None
        if task.kill is not None:
            if kill.due_s >= task.kill.due_s:
                return
            kill = Kill(kill.due_s, task.kill.state, task.kill.reason, task.kill.message, task.kill.healthy)
        elif not task.pid and kill.reason is None:
            kill.reason = Reason.REASON_TASK_KILLED_DURING_LAUNCH
            kill.message = kill.message or "Killed before it started"
        task.kill = kill
        self._life.checkpoint_kill(framework, task)
        if not task.pid:
            return  # `started` and `not_started` know what to do
        if first and framework.killing_state:
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
        """Kill all tasks of an executor, each with its grace period."""
        for task in executor.live_tasks:
            self.kill(framework, executor, task, None)

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
        if task is not None and not task.terminal:
            kill = Kill(
                self._context.now,
                TaskState.TASK_FAILED,
                Reason.REASON_MAX_COMPLETION_TIME_REACHED,
                "Killed because it ran longer than max_completion_time",
            )
            self._kill(framework, executor, task, kill)
