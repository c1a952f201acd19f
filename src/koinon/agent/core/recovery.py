"""Recovery: the records of before a restart, set against what the launcher says still runs.

The launcher outlives the agent, so tasks of frameworks that checkpoint go on:

- a container that runs is taken up again; one that ended meanwhile is reported with its true exit status;
- a task whose container was never started is dropped (REASON_AGENT_RESTARTED);
- a custom executor must subscribe again in time;
- after a reboot, or when the launcher has no memory of a started container, what ran is lost;
- an agent that was configured anew goes on if the policy permits (`check_compatible`); after a reboot it is a new one if not;
- a container that we do not know is destroyed; those of frameworks without checkpoint died with the old agent.
"""

from __future__ import annotations

from koinon.agent.core import launch, records
from koinon.agent.core.builtin import Builtin
from koinon.agent.core.context import Context
from koinon.agent.core.custom import Custom
from koinon.agent.core.events import (
    Checkpoint,
    DestroyContainer,
    ForgetContainer,
    FoundContainer,
    Incompatible,
    Note,
    StateLoaded,
)
from koinon.agent.core.life import AGENT, EXECUTOR, Life
from koinon.agent.core.nested import Launches
from koinon.agent.core.records import StoredExecutor, StoredTask
from koinon.agent.core.state import Executor, Framework, Kind, Task
from koinon.agent.core.streams import Streams
from koinon.agent.core.tables import ExecutorState
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState, TaskStatus

RESTARTED = TaskStatus.Reason.REASON_AGENT_RESTARTED


class Recovery:
    """Rebuilds the state once, at the start."""

    def __init__(
        self,
        context: Context,
        life: Life,
        streams: Streams,
        builtin: Builtin,
        custom: Custom,
        nested: Launches,
    ) -> None:
        self._context = context
        self._life = life
        self._streams = streams
        self._builtin = builtin
        self._custom = custom
        self._nested = nested

    def recover(self, event: StateLoaded) -> None:
        """Take up the past. Raises Incompatible, CorruptCheckpoint."""
        found = self._read(event)
        config, state = self._context.config, self._context.state
        state.boot_id = event.boot_id
        containers, strangers = dict(event.containers), dict[str, FoundContainer]()
        if found.agent is not None:
            assert found.agent.info.id is not None
            state.agent_id = found.agent.info.id.value
            state.agent_info.id = found.agent.info.id
            if found.agent.boot_id != event.boot_id:
                strangers = {name: one for name, one in containers.items() if one.status is None}
                containers = {name: one for name, one in containers.items() if one.status is not None}
                self._context.out.append(Note("The machine was rebooted: what ran is lost", state.agent_id))
            state.cluster, state.epoch = found.agent.cluster, found.agent.epoch
            self._context.out.append(Checkpoint({records.AGENT: records.agent_value(state)}))
        for framework_id, stored_framework in found.frameworks.items():
            framework = Framework(framework_id=framework_id, info=stored_framework.info)
            framework.update(stored_framework.info)
            framework.terminating = stored_framework.terminating
            state.frameworks[framework_id] = framework
        for key, stored_executor in found.executors.items():
            self._executor(state.frameworks[key[0]], stored_executor)
        for key, stored_task in found.tasks.items():
            self._task(state.frameworks[key[0]], stored_task)
        for key, updates in found.updates.items():
            self._updates(key, updates, found.acks.get(key, -1))
        for (framework_id, task_id), kill in found.kills.items():
            if (known := state.frameworks.get(framework_id)) is not None and task_id in known.tasks:
                # The clock may have been set back since: nobody waits for longer than was asked for.
                kill.due_s = min(kill.due_s, self._context.now + kill.due_s - kill.since_s)
                known.tasks[task_id].kill = kill
        for (framework_id, task_id), failures in found.failures.items():
            if (known := state.frameworks.get(framework_id)) is not None and task_id in known.tasks:
                known.tasks[task_id].failures = failures
        self._nested.restore(found.nested, containers)
        self._settle(containers, strangers)
        if found.agent is not None and config.reconfiguration_policy == "any":
            self._check_room(found.agent.info)

    def _read(self, event: StateLoaded) -> records.Checkpointed:
        """The checkpoint, or an empty one when this is to be a new agent. Raises Incompatible, CorruptCheckpoint."""
        config, counters = self._context.config, self._context.state.counters
        found = records.read(event.entries, strict=config.strict)
        for key, problem in found.dropped.items():
            self._context.out.append(Note(problem, key))
        counters.recovery_errors += len(found.dropped)
        if found.dropped:
            self._context.out.append(Checkpoint(dict.fromkeys(found.dropped)))
        if found.agent is None:
            # Whoever had tasks here has taken leave: what it may have left is not ours to tell of.
            self._context.forget(*(key for key in event.entries if not records.is_nested(key)))
            return records.Checkpointed(nested=found.nested)
        try:
            check_compatible(found.agent.info, config.agent_info, config.reconfiguration_policy)
        except Incompatible as error:
            if found.agent.boot_id == event.boot_id:
                raise
            # Nothing has survived that would need the old id.
            text = f"The machine was rebooted, and this is a new agent now, since {error}"
            self._context.out += [Note(text, "agent"), Checkpoint(dict.fromkeys(event.entries))]
            return records.Checkpointed()
        return found

    def _check_room(self, old: v1.AgentInfo) -> None:
        """What still runs keeps what it has. Raises Incompatible when the agent has not that much any more."""
        config = self._context.config
        executors = [
            executor
            for framework in self._context.state.frameworks.values()
            for executor in framework.executors.values()
            if executor.state is not ExecutorState.TERMINATED
        ]
        holders: list[Executor | Task] = list(executors)
        holders += [task for executor in executors for task in executor.live_tasks]
        held = Resources.sum(one.resources for one in holders).unallocated()
        devices = {device for one in holders for device in one.gpus}
        now = Resources.from_v1(config.agent_info.resources)
        problem = ""
        if not now.contains(held) or not devices <= set(config.gpus):
            problem = f"what still runs has {held.format()}, and the agent is to have {now.format()}"
        elif executors and old.port != config.agent_info.port:
            problem = f"what still runs knows it at port {old.port}, and its port is {config.agent_info.port}"
        if problem:
            raise Incompatible(
                f"this agent cannot continue in its work_dir: {problem}: start it as it was until those have ended,"
                " or in an empty work_dir as a new agent"
            )

    # ── records ───────────────────────────────────────────────────────────────────────────────────
    def _executor(self, framework: Framework, stored: StoredExecutor) -> None:
        kind, executor_id = Kind(stored.kind), stored.info.executor_id.value
        executor = Executor(
            framework_id=framework.framework_id,
            executor_id=executor_id,
            kind=kind,
            info=stored.info,
            container_id=stored.container_id,
            directory=launch.directory(
                self._context.config,
                self._context.state.agent_id,
                framework.framework_id,
                executor_id,
                stored.container_id,
            ),
            user=stored.user,
            gpus=stored.gpus,
            known_gpus=stored.gpus,
            state=ExecutorState.REGISTERING if kind is Kind.CUSTOM else ExecutorState.RUNNING,
            recovered=kind is Kind.CUSTOM,
        )
        if stored.ending:
            executor.move(ExecutorState.TERMINATING)
        framework.executors[executor_id] = executor

    def _task(self, framework: Framework, stored: StoredTask) -> None:
        if stored.executor_id:
            executor = framework.executors[stored.executor_id]
        else:
            info = launch.command_executor(framework.framework_id, stored.info)
            executor = self._builtin.executor(framework, info, Kind.COMMAND, stored.container_id)
        task = self._builtin.task(framework, executor, stored.info, stored.container_id, stored.group)
        task.user, task.gpus = stored.user, stored.gpus
        executor.groups = max(executor.groups, task.group)

    def _updates(self, key: tuple[str, str], updates: dict[int, TaskStatus], acknowledged: int) -> None:
        self._streams.restore(*key, updates, acknowledged)
        framework = self._context.state.frameworks.get(key[0])
        task = framework.tasks.get(key[1]) if framework is not None else None
        if task is not None:
            for number in sorted(updates):
                task.move(updates[number])
            last = task.statuses[-1].container_status
            if last is not None and last.executor_pid is not None and task.container_id:
                task.pid = last.executor_pid

    # ── what became of it ─────────────────────────────────────────────────────────────────────────
    def _settle(self, containers: dict[str, FoundContainer], strangers: dict[str, FoundContainer]) -> None:
        for framework in list(self._context.state.frameworks.values()):
            for executor in list(framework.executors.values()):
                if executor.kind is Kind.CUSTOM:
                    self._settle_custom(framework, executor, containers.pop(executor.container_id, None))
                else:
                    self._settle_builtin(framework, executor, containers)
            if not framework.executors:
                self._life.retire(framework)
        self._nested.settle()
        for container_id, container in (strangers | containers).items():
            if container.running:
                text = "Destroyed: no task is known that it belongs to"
                self._context.out.append(Note(text, f"container {container_id}"))
                self._context.out.append(DestroyContainer(container_id))
            else:
                self._context.out.append(ForgetContainer(container_id))

    def _settle_builtin(
        self, framework: Framework, executor: Executor, containers: dict[str, FoundContainer]
    ) -> None:
        found = {task.task_id: containers.pop(task.container_id, None) for task in executor.tasks.values()}
        being_killed = [task for task in executor.live_tasks if task.kill is not None]
        for task in executor.live_tasks:  # all at first: one that is gone takes the others of its group along
            if (container := found[task.task_id]) is not None:
                self._take_up(framework, executor, task, container)
        for task in list(executor.tasks.values()):
            container = found[task.task_id]
            if task.terminal:
                if container is not None:
                    self._context.out.append(ForgetContainer(task.container_id))
            elif container is not None:
                if container.status is not None:
                    self._builtin.exited(framework, executor, task, container.status)
                elif not container.running:
                    self._builtin.lost(framework, executor, task, container.message)
                elif task in being_killed:
                    self._builtin.carry_out_kill(task, first=True)
            elif task.state is TaskState.TASK_STAGING:
                message = "The agent restarted before the task was started"
                self._builtin.end(framework, executor, task, framework.dropped, AGENT, RESTARTED, message)
            else:
                message = "The task was gone when the agent had restarted; how it ended is not known"
                self._builtin.end(framework, executor, task, framework.lost, AGENT, RESTARTED, message)
        if executor.state is not ExecutorState.TERMINATED and executor.idle:
            self._life.executor_ended(framework, executor, 0)

    def _take_up(
        self, framework: Framework, executor: Executor, task: Task, container: FoundContainer
    ) -> None:
        """Go on with a task that was started, whatever became of it since."""
        self._life.place(task.container_id, executor, task)
        task.started_s = container.started_s or self._context.now
        if task.state is TaskState.TASK_STAGING:
            self._builtin.started(framework, executor, task, container.pid)
        else:
            task.pid = container.pid
            self._builtin.watch(task)

    def _settle_custom(
        self, framework: Framework, executor: Executor, container: FoundContainer | None
    ) -> None:
        self._life.place(executor.container_id, executor, None)
        if container is None:
            # One that was killed before it was handed over has a status too, of ours.
            heard = (status.source for task in executor.tasks.values() for status in task.statuses)
            state, message = framework.dropped, "The agent restarted before the executor was started"
            if EXECUTOR in heard:
                state, message = framework.lost, "The executor was gone when the agent had restarted"
            for task in executor.live_tasks:
                self._life.report(framework, executor, task, state, AGENT, reason=RESTARTED, message=message)
            self._custom.exited(framework, executor, -1, "")
        elif not container.running:
            status = -1 if container.status is None else container.status
            message = container.message or launch.outcome("The executor", status)
            self._custom.exited(framework, executor, status, message)
        else:
            executor.pid = container.pid
            if executor.state is ExecutorState.TERMINATING:
                self._custom.await_end(executor)
            else:
                self._custom.await_subscription(executor, recovered=True)


def check_compatible(old: v1.AgentInfo, new: v1.AgentInfo, policy: str) -> None:
    """Raises Incompatible when the agent may not go on under its old id as it is configured now.

    The policy `equal` wants it as it was, `additive` permits more resources and attributes, `any` permits everything.
    """
    if policy == "any":
        return
    differences = []
    if old.hostname != new.hostname:
        differences.append(f"its hostname was {old.hostname} and is {new.hostname}")
    if old.port != new.port:
        differences.append(f"its port was {old.port} and is {new.port}")
    before, now = Resources.from_v1(old.resources), Resources.from_v1(new.resources)
    if before != now and not (policy == "additive" and now.contains(before)):
        differences.append(f"its resources were {before.format()} and are {now.format()}")
    old_attributes = {attribute.name: attribute for attribute in old.attributes}
    new_attributes = {attribute.name: attribute for attribute in new.attributes}
    kept = all(new_attributes.get(name) == attribute for name, attribute in old_attributes.items())
    if old_attributes != new_attributes and not (policy == "additive" and kept):
        differences.append("its attributes have changed")
    if differences:
        advice = "start it as it was, or in an empty work_dir as a new agent"
        if policy == "equal":
            advice += ", or with --reconfiguration_policy=additive if there is only more than before"
        advice += ", or with --reconfiguration_policy=any if nothing that still runs needs what it had"
        raise Incompatible(f"this agent cannot continue in its work_dir: {'; '.join(differences)}: {advice}")
