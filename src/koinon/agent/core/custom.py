"""Custom executors: programs of the user, which subscribe to us and run tasks as they like.

    launch ─▶ REGISTERING ─SUBSCRIBE─▶ RUNNING ─shut down─▶ TERMINATING ─exit─▶ TERMINATED
                  │   tasks wait           │   LAUNCH, KILL, MESSAGE go out     ▲
                  └── time-out ────────────┴──────────── exit ─────────────────┘

An executor whose connection breaks keeps its tasks: what is to be said waits until it subscribes again, which it may do
at any time. Its word is taken for its tasks; what it leaves behind when it ends is reported by us.
"""

from __future__ import annotations

from koinon.agent.core import disk, gpus, launch, nested, volumes
from koinon.agent.core.context import Context
from koinon.agent.core.events import (
    CloseExecutorStream,
    DestroyContainer,
    Note,
    Refused,
    SendToExecutor,
)
from koinon.agent.core.life import AGENT, EXECUTOR, Life
from koinon.agent.core.state import Ending, Executor, Framework, Kill, Kind, Task
from koinon.agent.core.streams import Streams
from koinon.agent.core.tables import TASK_MOVES, ExecutorState
from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskState, TaskStatus
from koinon.mesos.v1.executor import Call, Event

Reason = TaskStatus.Reason

#: States that an executor may report.
_SAYABLE = TASK_MOVES[TaskState.TASK_STAGING]


class Custom:
    """Runs tasks that bring an executor of their own."""

    def __init__(self, context: Context, life: Life, streams: Streams) -> None:
        self._context = context
        self._life = life
        self._streams = streams
        self._listeners: dict[str, Executor] = {}  #: by the id of their stream

    # ── from the master ───────────────────────────────────────────────────────────────────────────
    def run(
        self, framework: Framework, executor_info: v1.ExecutorInfo, tasks: list[v1.TaskInfo], *, group: bool
    ) -> None:
        """A task or a task group has come for an executor, which is launched unless it runs already."""
        executor = framework.executors.get(executor_info.executor_id.value)
        new = executor is None
        if executor is None:
            executor = self._executor(framework, executor_info)
            self._life.checkpoint_executor(framework, executor)
        executor.groups += group
        ids = []
        for info in tasks:
            task = Task(
                framework_id=framework.framework_id,
                task_id=info.task_id.value,
                executor_id=executor.executor_id,
                info=info,
                group=executor.groups if group else 0,
                queued=True,
                user=launch.user(self._context.config, framework, info.command or executor.info.command),
            )
            self._life.add_task(framework, executor, task)
            self._life.checkpoint_task(framework, executor, task)
            ids.append(task.task_id)
        executor.queue.append(ids)
        if new:
            self._launch(framework, executor)
        else:
            self._deliver(executor)

    def kill(
        self, framework: Framework, executor: Executor, task: Task, policy: v1.KillPolicy | None
    ) -> None:
        """The scheduler wants a task killed: the executor's business, once it has the task."""
        if task.terminal:
            return
        if task.queued:
            self._withdraw(framework, executor, task)
            return
        now = self._context.now
        task.kill = Kill(now, now + launch.kill_grace_s(task.info, policy), policy=policy)
        self._life.checkpoint_kill(framework, task)
        self._send_kill(executor, task)

    def message(self, executor: Executor, data: bytes) -> None:
        """The scheduler has a message for an executor; best effort."""
        self._send(executor, Event(type=Event.Type.MESSAGE, message=Event.Message(data)))

    def shut_down(self, framework: Framework, executor: Executor) -> None:
        """Ask an executor to end, now or when it listens again; it is destroyed after its grace period."""
        if executor.state in (ExecutorState.TERMINATING, ExecutorState.TERMINATED):
            return
        new = executor.state is ExecutorState.REGISTERING and not executor.recovered
        executor.move(ExecutorState.TERMINATING)
        self._life.checkpoint_executor(framework, executor)
        if new:  # it has no task yet
            self._context.out.append(DestroyContainer(executor.container_id))
            return
        self._send(executor, Event(type=Event.Type.SHUTDOWN))
        self.await_end(executor)

    def await_end(self, executor: Executor) -> None:
        """Destroy an executor that is to shut down, unless it does so within its grace period."""
        grace_s = launch.shutdown_grace_s(self._context.config, executor)
        self._context.timers.at(self._context.now + grace_s, self._destroy_due, executor.container_id)

    # ── from the executor ─────────────────────────────────────────────────────────────────────────
    def subscribe(self, stream_id: str, call: Call) -> None:
        """An executor listens, for the first time or again. Raises Refused."""
        framework, executor = self._find(call)
        subscribe = call.subscribe or Call.Subscribe()
        if executor.state is ExecutorState.TERMINATED:
            raise Refused(400, f"The executor {executor.executor_id} is terminated")
        self._close(executor)
        executor.stream_id = stream_id
        self._listeners[stream_id] = executor
        if executor.state is ExecutorState.TERMINATING:
            for update in subscribe.unacknowledged_updates:
                self._take(framework, executor, update.status)
            self._send(executor, Event(type=Event.Type.SHUTDOWN))
            return
        if executor.state is ExecutorState.REGISTERING:
            executor.move(ExecutorState.RUNNING)
        agent_info = self._context.state.agent_info
        subscribed = Event.Subscribed(
            executor_info=executor.info,
            framework_info=framework.info,
            agent_info=agent_info,
            container_id=v1.ContainerID(value=executor.container_id),
        )
        self._send(executor, Event(type=Event.Type.SUBSCRIBED, subscribed=subscribed))
        for update in subscribe.unacknowledged_updates:
            self._take(framework, executor, update.status)
        known = {info.task_id.value for info in subscribe.unacknowledged_tasks}
        for task in executor.live_tasks:
            if task.queued:
                continue
            if task.state is TaskState.TASK_STAGING and task.task_id not in known:
                message = "The task was on its way to its executor, which has subscribed again without it"
                self._life.report(
                    framework,
                    executor,
                    task,
                    framework.dropped,
                    AGENT,
                    reason=Reason.REASON_AGENT_RESTARTED,
                    message=message,
                )
            elif task.kill is not None:
                self._send_kill(executor, task)
        executor.recovered = False
        self._deliver(executor)

    def called(self, call: Call) -> None:
        """UPDATE or MESSAGE. Raises Refused."""
        counters = self._context.state.counters
        try:
            framework, executor = self._find(call)
            if executor.state is ExecutorState.REGISTERING:
                raise Refused(403, f"The executor {executor.executor_id} is not subscribed")
        except Refused:
            counters.invalid_updates += call.update is not None
            counters.invalid_messages += call.message is not None
            raise
        if call.update is not None:
            counters.valid_updates += 1
            self._take(framework, executor, call.update.status)
        elif call.message is not None:
            counters.valid_messages += 1
            self._context.say(
                internal.ExecutorMessage(
                    framework_id=framework.framework_id,
                    executor_id=executor.executor_id,
                    data=call.message.data,
                )
            )

    def stream_closed(self, stream_id: str) -> None:
        """An executor's connection ended."""
        executor = self._listeners.pop(stream_id, None)
        if executor is not None and executor.stream_id == stream_id:
            executor.stream_id = None

    # ── from the launcher ─────────────────────────────────────────────────────────────────────────
    def started(self, executor: Executor, pid: int) -> None:
        """The program of an executor runs; it must subscribe in time."""
        executor.pid = pid
        if executor.state is ExecutorState.TERMINATING:
            self._context.out.append(DestroyContainer(executor.container_id))
        elif executor.state is ExecutorState.REGISTERING:
            self.await_subscription(executor)

    def await_subscription(self, executor: Executor, *, recovered: bool = False) -> None:
        """Destroy the executor unless it subscribes in time."""
        config = self._context.config
        wait_s = config.executor_registration_timeout_s
        if recovered:
            wait_s = config.executor_reregistration_timeout_s
        self._context.timers.at(
            self._context.now + wait_s, self._subscription_due, executor.container_id, recovered
        )

    def not_started(self, framework: Framework, executor: Executor, message: str, *, prepared: bool) -> None:
        """The program of an executor will not run."""
        self._context.state.counters.launch_errors += 1
        if prepared:
            failed, reason = TaskState.TASK_FAILED, Reason.REASON_CONTAINER_LAUNCH_FAILED
        else:
            failed, reason = framework.dropped, Reason.REASON_EXECUTOR_TERMINATED
        executor.ending = executor.ending or Ending(failed, reason, message)
        self.exited(framework, executor, -1, message)

    def exited(self, framework: Framework, executor: Executor, wait_status: int, message: str) -> None:
        """All processes of an executor are gone: so are its tasks."""
        ending = executor.ending or Ending(TaskState.TASK_FAILED, Reason.REASON_EXECUTOR_TERMINATED, message)
        self._close(executor)
        executor.queue.clear()
        for task in executor.live_tasks:
            self._life.report(
                framework,
                executor,
                task,
                ending.state,
                AGENT,
                reason=ending.reason,
                message=ending.message,
                limitation=ending.limitation,
            )
        container_id = executor.container_id
        self._life.executor_ended(framework, executor, wait_status)
        self._life.container_ended(container_id)

    def over_quota(self, executor: Executor, message: str, limit_bytes: int) -> None:
        """The sandbox takes more disk than it may: the executor is killed with all its tasks."""
        if executor.ending is None:
            executor.ending = Ending(disk.STATE, disk.REASON, message, disk.limitation(limit_bytes))
            self._context.out.append(DestroyContainer(executor.container_id))

    # ── helpers ───────────────────────────────────────────────────────────────────────────────────
    def _executor(self, framework: Framework, info: v1.ExecutorInfo) -> Executor:
        config, executor_id = self._context.config, info.executor_id.value
        container_id = self._context.new_container_id()
        if info.framework_id is None:
            info.framework_id = framework.info.id
        executor = Executor(
            framework_id=framework.framework_id,
            executor_id=executor_id,
            kind=Kind.CUSTOM,
            info=info,
            container_id=container_id,
            directory=launch.directory(
                config, self._context.state.agent_id, framework.framework_id, executor_id, container_id
            ),
            user=launch.user(config, framework, info.command),
            gpus=gpus.choose(config, self._context.state, info.resources),
            state=ExecutorState.REGISTERING,
        )
        framework.executors[executor_id] = executor
        return executor

    def _launch(self, framework: Framework, executor: Executor) -> None:
        info = executor.info
        self._life.place(executor.container_id, executor, None)
        home = self._context.config.frameworks_home
        obstacle = launch.refusal(info.command, info.container, home)
        if (obstacle := obstacle or volumes.refusal(info.container, nested=False)) is not None:
            self.not_started(framework, executor, obstacle, prepared=True)
            return
        agent_id = self._context.state.agent_id
        config = self._context.config
        executor.known_gpus = (*executor.gpus, *(one for task in executor.live_tasks for one in task.gpus))
        self._context.out.append(launch.executor_container(config, agent_id, framework, executor))

    def _deliver(self, executor: Executor) -> None:
        """Hand over what waits."""
        if executor.state is not ExecutorState.RUNNING or executor.stream_id is None:
            return
        for ids in executor.queue:
            tasks = [executor.tasks[task_id] for task_id in ids]
            for task in tasks:
                task.queued = False
            if tasks[0].group:
                group = v1.TaskGroupInfo(tasks=[gpus.labelled(task) for task in tasks])
                event = Event(type=Event.Type.LAUNCH_GROUP, launch_group=Event.LaunchGroup(group))
            else:
                event = Event(type=Event.Type.LAUNCH, launch=Event.Launch(gpus.labelled(tasks[0])))
            self._send(executor, event)
        executor.queue.clear()

    def _withdraw(self, framework: Framework, executor: Executor, task: Task) -> None:
        """Kill a task that still waits, and the rest of its group with it."""
        for ids in executor.queue:
            if task.task_id in ids:
                executor.queue.remove(ids)
                for task_id in ids:
                    self._life.report(
                        framework,
                        executor,
                        executor.tasks[task_id],
                        TaskState.TASK_KILLED,
                        AGENT,
                        reason=Reason.REASON_TASK_KILLED_DURING_LAUNCH,
                        message="Killed before it was handed to its executor",
                    )
                break
        if executor.state is ExecutorState.REGISTERING and not executor.live_tasks:
            self.shut_down(framework, executor)  # it would wait for work that never comes

    def _take(self, framework: Framework, executor: Executor, status: TaskStatus) -> None:
        """An update of the executor: fill in what it need not know, keep it, confirm it."""
        task_id, uuid = status.task_id.value, status.uuid
        assert uuid is not None
        task = executor.tasks.get(task_id)
        known = self._streams.is_known(framework.framework_id, task_id, uuid) or (
            task is not None and any(one.uuid == uuid for one in task.statuses)
        )
        if task is None or task.terminal or known:
            if not known:
                text = f"An update of its executor to {status.state.value} is dropped: the task is over or not known"
                self._context.out.append(Note(text, f"{framework.framework_id}/{task_id}"))
        else:
            status.agent_id = self._context.state.agent_info.id
            if status.timestamp is None:
                status.timestamp = self._context.now
            self._complete(executor, task, status)
            self._life.accept(framework, executor, task, status)
        acknowledged = Event.Acknowledged(task_id=status.task_id, uuid=uuid)
        self._send(executor, Event(type=Event.Type.ACKNOWLEDGED, acknowledged=acknowledged))

    def _complete(self, executor: Executor, task: Task, status: TaskStatus) -> None:
        """Fill in where a task runs: with its executor, or in a nested container of which that tells the id."""
        ours, theirs = self._life.container_status(executor, task), status.container_status
        if theirs is None:
            status.container_status = ours
        elif ours is not None:
            if theirs.container_id in (None, ours.container_id):
                theirs.container_id, theirs.executor_pid = ours.container_id, ours.executor_pid
            elif (found := nested.find(self._context.state, theirs.container_id)) is not None:
                theirs.executor_pid = (found.nested.pid if found.nested is not None else 0) or None
            theirs.network_infos = theirs.network_infos or ours.network_infos
            for network in theirs.network_infos:
                network.ip_addresses = network.ip_addresses or ours.network_infos[0].ip_addresses

    def _close(self, executor: Executor) -> None:
        """Whoever listens for the executor does so no more."""
        if executor.stream_id is not None:
            del self._listeners[executor.stream_id]
            self._context.out.append(CloseExecutorStream(executor.stream_id))
            executor.stream_id = None

    def _send_kill(self, executor: Executor, task: Task) -> None:
        assert task.kill is not None
        kill = Event.Kill(task_id=task.info.task_id, kill_policy=task.kill.policy)
        self._send(executor, Event(type=Event.Type.KILL, kill=kill))

    def _send(self, executor: Executor, event: Event) -> None:
        if executor.stream_id is not None:
            self._context.out.append(SendToExecutor(executor.stream_id, event))

    def _find(self, call: Call) -> tuple[Framework, Executor]:
        framework = self._context.state.frameworks.get(call.framework_id.value)
        if framework is None:
            raise Refused(400, f"The framework {call.framework_id.value} is not known to this agent")
        executor = framework.executors.get(call.executor_id.value)
        if executor is None or executor.kind is not Kind.CUSTOM:
            raise Refused(400, f"The executor {call.executor_id.value} is not known to this agent")
        return framework, executor

    def _subscription_due(self, container_id: str, recovered: bool) -> None:
        if (found := self._life.find(container_id)) is None:
            return
        framework, executor, _ = found
        if executor.state is not ExecutorState.REGISTERING:
            return
        wait_s = self._context.config.executor_registration_timeout_s
        state, reason = TaskState.TASK_FAILED, Reason.REASON_EXECUTOR_REGISTRATION_TIMEOUT
        if recovered:
            wait_s = self._context.config.executor_reregistration_timeout_s
            state, reason = framework.lost, Reason.REASON_EXECUTOR_REREGISTRATION_TIMEOUT
        message = f"The executor did not subscribe within {launch.duration_text(wait_s)}"
        executor.ending = Ending(state, reason, message)
        executor.move(ExecutorState.TERMINATING)
        self._life.checkpoint_executor(framework, executor)
        self._context.out.append(DestroyContainer(container_id))

    def _destroy_due(self, container_id: str) -> None:
        if self._life.find(container_id) is not None:
            self._context.out.append(DestroyContainer(container_id))


def problem(call: Call) -> str | None:
    """What is wrong with the updates in a call; they must be what an executor may send."""
    updates = list(call.subscribe.unacknowledged_updates) if call.subscribe is not None else []
    if call.update is not None:
        updates.append(call.update)
    for update in updates:
        status = update.status
        if status.uuid is None or len(status.uuid) != 16:
            return "The update needs a uuid of 16 bytes."
        if status.source is not EXECUTOR:
            return "The source of the update must be SOURCE_EXECUTOR."
        if status.state not in _SAYABLE:
            return f"An executor cannot report {status.state.value}."
        if status.executor_id is not None and status.executor_id != call.executor_id:
            return "The update is of another executor than the call."
        if status.check_status is not None and not _is_complete(status.check_status):
            return "The check_status of the update needs a type, and the field of that name."
    return None


def _is_complete(found: v1.CheckStatusInfo) -> bool:
    kind = found.type.value.lower() if found.type is not None else ""
    return kind in ("command", "http", "tcp") and getattr(found, kind) is not None
