"""The agent: one master above, frameworks with their executors and tasks below.

    RECOVERING ─checkpoint read─▶ DISCONNECTED ◀─connection─▶ REGISTERED
                                        └───── shut down ──────┴──▶ TERMINATING ─▶ (end)

Pure: facts come in as events with the time, commands go out as effects in the order to carry them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from koinon.agent.core import disk, gpus, launch, records
from koinon.agent.core.builtin import Builtin
from koinon.agent.core.context import Context
from koinon.agent.core.custom import Custom
from koinon.agent.core.events import (
    Checkpoint,
    ClockTicked,
    ContainerExited,
    ContainerGone,
    ContainerLost,
    ContainerNotStarted,
    ContainerRequested,
    ContainerStarted,
    Effect,
    Event,
    ExecutorCalled,
    ExecutorStreamClosed,
    ExecutorSubscribed,
    Exit,
    ForgetContainer,
    LeaveMaster,
    MasterConnected,
    MasterLost,
    MasterSaid,
    Note,
    Probed,
    Refused,
    RemovalRequested,
    SandboxesMeasured,
    ShutdownRequested,
    SignalRequested,
    StateLoaded,
)
from koinon.agent.core.life import AGENT, Life
from koinon.agent.core.nested import Launches
from koinon.agent.core.recovery import Recovery
from koinon.agent.core.state import Config, Executor, Framework, Kind, State
from koinon.agent.core.streams import Streams
from koinon.agent.core.tables import AGENT_MOVES, AgentState, ExecutorState, check_move
from koinon.mesos import internal, v1
from koinon.mesos.v1 import TaskState, TaskStatus

Reason = TaskStatus.Reason

#: What this agent can do, told to the master and shown in the state.
CAPABILITIES = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"]


class Agent:
    """One per process. `state` is for reading."""

    def __init__(self, config: Config, *, seed: int) -> None:
        self._context = Context(config, Random(seed))
        self._streams = Streams(self._context)
        self._life = Life(self._context, self._streams)
        self._builtin = Builtin(self._context, self._life)
        self._custom = Custom(self._context, self._life, self._streams)
        self._nested = Launches(self._context)
        self._life.on_end, self._life.on_executor_end = self._nested.end_below, self._nested.executor_ended
        self._recovery = Recovery(
            self._context, self._life, self._streams, self._builtin, self._custom, self._nested
        )
        self._farewell = ""
        self._leaving = False  #: the master whose connection ends now

    @property
    def state(self) -> State:
        """What the agent knows now."""
        return self._context.state

    @property
    def streams(self) -> Streams:
        """The status update streams, for the views."""
        return self._streams

    @property
    def next_wakeup(self) -> float | None:
        """When ClockTicked has something to do."""
        return self._context.timers.next_s

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What follows from `event`. Raises Refused, or Incompatible and CorruptCheckpoint at recovery."""
        self._context.now = now
        match event:
            case MasterSaid(message):
                if not self._leaving:
                    self._hear(message)
            case ExecutorCalled(call):
                self._check_recovered()
                self._custom.called(call)
            case ContainerStarted() | ContainerNotStarted() | ContainerExited() | ContainerLost():
                self._container(event)
            case ClockTicked():
                self._context.timers.run(now)
            case SandboxesMeasured(used_bytes):
                self._measure(used_bytes)
            case Probed():
                self._builtin.probed(event)
            case MasterConnected(session):
                self._context.state.session, self._leaving = session, False
                self._register()
            case MasterLost(session):
                self._disconnect(session)
            case ExecutorSubscribed(stream_id, call):
                self._check_recovered()
                self._custom.subscribe(stream_id, call)
            case ExecutorStreamClosed(stream_id):
                self._custom.stream_closed(stream_id)
            case StateLoaded():
                self._recovery.recover(event)
                self._move(AgentState.DISCONNECTED)
                if self._context.config.cleanup:
                    self._terminate("The agent was started with --recover=cleanup")
            case ShutdownRequested(message):
                self._terminate(message)
            case ContainerRequested():
                self._nested.launch(event)
            case SignalRequested(container_id, number):
                self._nested.signal(container_id, number)
            case RemovalRequested(container_id):
                self._nested.remove(container_id)
            case _:
                raise TypeError(f"not an event of the agent: {event!r}")
        return self._context.take()

    # ── the master ────────────────────────────────────────────────────────────────────────────────
    def _hear(self, message: internal.MasterMessage) -> None:
        match message:
            case internal.Acknowledge(framework_id=framework_id, task_id=task_id, uuid=uuid):
                self._life.acknowledge(framework_id, task_id, uuid)
            case internal.RunTask(framework=info, task=task, new_executor=new):
                self._run(info, task.executor, [task], group=False, new_executor=new)
            case internal.RunTaskGroup(framework=info, executor=executor, task_group=group, new_executor=new):
                self._run(info, executor, group.tasks, group=True, new_executor=new)
            case internal.KillTask(framework_id=framework_id, task_id=task_id, kill_policy=policy):
                self._kill(framework_id, task_id, policy)
            case internal.SchedulerMessage(framework_id=framework_id, executor_id=executor_id, data=data):
                found = self._executor(framework_id, executor_id)
                if found is not None and found[1].stream_id is not None:
                    self._context.state.counters.valid_messages += 1
                    self._custom.message(found[1], data)
                else:
                    self._context.state.counters.invalid_messages += 1
            case internal.ShutdownExecutor(framework_id=framework_id, executor_id=executor_id):
                if (found := self._executor(framework_id, executor_id)) is not None:
                    self._shut_down_executor(*found)
            case internal.ShutdownFramework(framework_id=framework_id):
                self._shut_down_framework(framework_id)
            case internal.UpdateFramework(framework=info):
                if info.id is not None and info.id.value in self._context.state.frameworks:
                    self._life.framework(info)
                    self._streams.resume_framework(info.id.value)
            case internal.Registered():
                self._registered(message)
            case internal.Refused(message=text):
                self._context.out.append(Exit(1, f"The master refuses this agent: {text}"))
            case internal.Shutdown(message=text):
                self._terminate(f"The master shuts this agent down: {text}")

    def _register(self) -> None:
        """Tell the master who we are and everything that we have."""
        state, config = self._context.state, self._context.config
        if state.state is AgentState.TERMINATING:
            return
        frameworks = [framework for framework in state.frameworks.values() if framework.executors]
        for framework in frameworks:
            # Whoever hears of tasks hears of their ends. A master that knows better says so.
            self._life.spare(framework)
        self._context.say(
            internal.Register(
                agent_info=state.agent_info,
                pid=config.pid,
                version=config.version,
                protocol=internal.PROTOCOL,
                capabilities=CAPABILITIES,
                frameworks=[framework.info for framework in frameworks],
                tasks=[
                    self._reported(framework, task.task_id)
                    for framework in frameworks
                    for task in framework.tasks.values()
                ],
                executors=[
                    internal.ReportedExecutor(
                        framework_id=framework.framework_id,
                        info=executor.info,
                        container_id=v1.ContainerID(value=executor.container_id),
                    )
                    for framework in frameworks
                    for executor in framework.executors.values()
                    if executor.kind is not Kind.COMMAND and executor.state is not ExecutorState.TERMINATED
                ],
                refusals=self._streams.updates_without(
                    {(name, id) for name, framework in state.frameworks.items() for id in framework.tasks}
                ),
            )
        )

    def _reported(self, framework: Framework, task_id: str) -> internal.ReportedTask:
        task = framework.tasks[task_id]
        in_flight = self._streams.in_flight(framework.framework_id, task_id)
        return internal.ReportedTask(
            framework_id=framework.framework_id,
            info=task.info,
            state=task.state,
            statuses=list(task.statuses),
            unacknowledged_state=in_flight.state if in_flight is not None else None,
            unacknowledged_uuid=in_flight.uuid if in_flight is not None else None,
        )

    def _registered(self, message: internal.Registered) -> None:
        state = self._context.state
        if state.state is not AgentState.DISCONNECTED:
            return
        if message.cluster == state.cluster and message.epoch < state.epoch:
            self._leave(message.epoch)
            return
        if state.agent_id and state.agent_id != message.agent_id:
            text = f"The master knows this agent as {message.agent_id}, but it is {state.agent_id}"
            self._context.out.append(Exit(1, text))
            return
        self._move(AgentState.REGISTERED)
        state.master_id = message.master_id
        before = (state.agent_id, state.cluster, state.epoch)
        state.agent_id, state.cluster, state.epoch = message.agent_id, message.cluster, message.epoch
        state.agent_info.id = v1.AgentID(message.agent_id)
        if before != (state.agent_id, state.cluster, state.epoch):
            self._context.out.append(Checkpoint({records.AGENT: records.agent_value(state)}))
        for framework_id in message.completed_frameworks:
            self._shut_down_framework(framework_id)
        self._streams.resume()

    def _leave(self, epoch: int) -> None:
        """Another master was elected after this one: nothing that it says counts any more."""
        state = self._context.state
        assert state.session is not None, "it has just said something"
        message = f"The master leads in epoch {epoch}, but one of epoch {state.epoch} has led this agent: it is looked for"
        self._leaving = True
        self._context.out.append(LeaveMaster(state.session, message))
        self._disconnect(state.session)

    def _disconnect(self, session: int) -> None:
        state = self._context.state
        if session != state.session:
            return
        state.session = None
        self._streams.pause()
        if state.state is AgentState.REGISTERED:
            self._move(AgentState.DISCONNECTED)

    # ── tasks ─────────────────────────────────────────────────────────────────────────────────────
    def _run(
        self,
        info: v1.FrameworkInfo,
        executor_info: v1.ExecutorInfo | None,
        tasks: list[v1.TaskInfo],
        *,
        group: bool,
        new_executor: bool | None,
    ) -> None:
        assert info.id is not None
        if self._context.state.state is AgentState.TERMINATING:
            self._context.out.append(
                Note("Not run: the agent is being shut down", f"framework {info.id.value}")
            )
            return
        framework = self._life.framework(info)
        self._life.spare(framework)
        known = [task.task_id.value for task in tasks if task.task_id.value in framework.tasks]
        if known:
            text = "Not run: a task of that id is here already"
            self._context.out.append(Note(text, f"{framework.framework_id}/{known[0]}"))
            return
        executor_id = executor_info.executor_id if executor_info is not None else tasks[0].task_id
        executor = framework.executors.get(executor_id.value)
        kind = Kind.COMMAND
        if executor_info is not None:
            is_default = executor_info.type is v1.ExecutorInfo.Type.DEFAULT
            kind = Kind.DEFAULT if is_default else Kind.CUSTOM
        leaving = (ExecutorState.TERMINATING, ExecutorState.TERMINATED)
        obstacle, reason = None, Reason.REASON_EXECUTOR_TERMINATED
        if executor is not None and executor.state in leaving:
            obstacle = f"The executor {executor.executor_id} is {executor.state.value}"
        elif executor is None and new_executor is False:
            obstacle = f"The executor {executor_id.value} ended before the task came"
        elif executor is not None and executor.kind is not kind:
            obstacle = f"There is an executor {executor.executor_id} here already, of another kind"
            reason = Reason.REASON_TASK_INVALID
        else:
            obstacle = self._shortage(executor_info if executor is None else None, tasks)
        if obstacle is not None:
            for task in tasks:
                self._drop(framework, task.task_id, framework.dropped, obstacle, reason)
            if new_executor:
                self._context.say(
                    internal.ExecutorExited(
                        framework_id=framework.framework_id, executor_id=executor_id.value, status=-1
                    )
                )
        elif executor_info is None:
            self._builtin.run_command(framework, tasks[0])
        elif kind is Kind.DEFAULT:
            self._builtin.run_group(framework, executor_info, tasks)
        else:
            self._custom.run(framework, executor_info, tasks, group=group)

    def _shortage(self, new_executor: v1.ExecutorInfo | None, tasks: list[v1.TaskInfo]) -> str | None:
        """Why there are not enough GPUs; None if there are."""
        wanted = sum(gpus.count(task.resources) for task in tasks)
        if new_executor is not None:
            wanted += gpus.count(new_executor.resources)
        return gpus.shortage(self._context.config, self._context.state, wanted)

    def _kill(self, framework_id: str, task_id: str, policy: v1.KillPolicy | None) -> None:
        framework = self._context.state.frameworks.get(framework_id)
        if framework is None:
            return
        if (task := framework.tasks.get(task_id)) is None:
            leaving = framework.terminating or self._context.state.state is AgentState.TERMINATING
            if not leaving and self._streams.in_flight(framework_id, task_id) is None:
                text = "This agent has no such task"
                self._drop(framework, v1.TaskID(task_id), framework.dropped, text)
            return
        executor = framework.executors[task.executor_id]
        if executor.kind is Kind.CUSTOM:
            self._custom.kill(framework, executor, task, policy)
        else:
            self._builtin.kill(framework, executor, task, policy)

    def _drop(
        self,
        framework: Framework,
        task_id: v1.TaskID,
        state: TaskState,
        message: str,
        reason: TaskStatus.Reason = Reason.REASON_EXECUTOR_TERMINATED,
    ) -> None:
        """Report a task that we have not."""
        status = TaskStatus(
            task_id=task_id,
            state=state,
            message=message,
            source=AGENT,
            reason=reason,
            agent_id=self._context.state.agent_info.id,
            timestamp=self._context.now,
            uuid=self._context.new_uuid(),
        )
        durable = framework.info.checkpoint
        self._streams.put(framework.framework_id, task_id.value, status, durable=durable)

    # ── containers ────────────────────────────────────────────────────────────────────────────────
    def _container(
        self, event: ContainerStarted | ContainerNotStarted | ContainerExited | ContainerLost
    ) -> None:
        container_id = event.container_id
        if container_id in self._context.state.nested:
            self._nested_container(event)
            return
        if (found := self._life.find(container_id)) is None:
            if not isinstance(event, ContainerStarted):
                self._context.out.append(ForgetContainer(container_id))
            return
        framework, executor, task = found
        match event:
            case ContainerStarted(pid=pid):
                if task is not None:
                    self._builtin.started(framework, executor, task, pid)
                else:
                    self._custom.started(executor, pid)
            case ContainerNotStarted(message=message, prepared=prepared):
                if task is not None:
                    self._builtin.not_started(framework, executor, task, event)
                else:
                    self._custom.not_started(framework, executor, message, prepared=prepared)
            case ContainerExited(status=status):
                if task is not None:
                    self._builtin.exited(framework, executor, task, status)
                else:
                    self._custom.exited(framework, executor, status, launch.outcome("The executor", status))
            case ContainerLost(message=message):
                if task is not None:
                    self._builtin.lost(framework, executor, task, message)
                else:
                    self._custom.exited(framework, executor, -1, message)
        match event:
            case ContainerExited(status=status):
                self._context.out.append(ContainerGone(container_id, status))
            case ContainerLost(message=message):
                self._context.out.append(ContainerGone(container_id, None, message))
        self._leave_when_done()

    def _nested_container(
        self, event: ContainerStarted | ContainerNotStarted | ContainerExited | ContainerLost
    ) -> None:
        match event:
            case ContainerStarted(container_id, pid):
                self._nested.started(container_id, pid)
            case ContainerNotStarted(container_id, message):
                self._nested.not_started(container_id, message)
            case ContainerExited(container_id, status):
                self._nested.ended(container_id, status, "")
            case ContainerLost(container_id, message):
                self._nested.ended(container_id, None, message)

    def _measure(self, used_bytes: Mapping[str, int]) -> None:
        """Remember how much disk sandboxes take, and kill in those that take too much."""
        for framework in list(self._context.state.frameworks.values()):
            for executor in list(framework.executors.values()):
                if (used := used_bytes.get(executor.container_id)) is None:
                    continue
                executor.disk_used_bytes = used
                limit = disk.limit_bytes(executor)
                if self._context.config.enforce_disk_quota and limit and used > limit:
                    message = disk.over(used, limit)
                    if executor.kind is Kind.CUSTOM:
                        self._custom.over_quota(executor, message, limit)
                    else:
                        self._builtin.over_quota(framework, executor, message, limit)

    # ── shutting down ─────────────────────────────────────────────────────────────────────────────
    def _shut_down_executor(self, framework: Framework, executor: Executor) -> None:
        if executor.kind is Kind.CUSTOM:
            self._custom.shut_down(framework, executor)
        else:
            self._builtin.shut_down(framework, executor)

    def _shut_down_framework(self, framework_id: str) -> None:
        self._streams.drop_framework(framework_id)
        framework = self._context.state.frameworks.get(framework_id)
        if framework is None or framework.terminating:
            return
        framework.terminating = True
        if framework.info.checkpoint:
            stored = records.encode(records.StoredFramework(framework.info, terminating=True))
            self._context.out.append(Checkpoint({records.framework_key(framework_id): stored}))
        for executor in list(framework.executors.values()):
            self._life.drop_terminated(framework, executor)
            self._shut_down_executor(framework, executor)
        if not framework.executors:
            self._life.retire(framework)

    def _terminate(self, message: str) -> None:
        if self._context.state.state is AgentState.TERMINATING:
            return
        self._move(AgentState.TERMINATING)
        self._farewell = message
        for framework_id in list(self._context.state.frameworks):
            self._shut_down_framework(framework_id)
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        state = self._context.state
        if state.state is not AgentState.TERMINATING or state.containers:
            return
        self._context.out.append(Checkpoint({records.AGENT: None}))  # who comes next is a new agent
        if self._streams.are_open:
            self._context.say(internal.Unregister())
        self._context.out.append(Exit(0, self._farewell))

    # ── helpers ───────────────────────────────────────────────────────────────────────────────────
    def _move(self, new: AgentState) -> None:
        check_move(AGENT_MOVES, self._context.state.state, new, self._context.state.agent_id)
        self._context.state.state = new

    def _check_recovered(self) -> None:
        if self._context.state.state is AgentState.RECOVERING:
            raise Refused(503, "The agent has not finished its recovery")

    def _executor(self, framework_id: str, executor_id: str) -> tuple[Framework, Executor] | None:
        framework = self._context.state.frameworks.get(framework_id)
        executor = framework.executors.get(executor_id) if framework is not None else None
        return (framework, executor) if framework is not None and executor is not None else None
