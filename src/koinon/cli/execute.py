"""`mesos-execute`: run one task, or one task group, with the flags of Mesos's program of that name.

It prints each status update as it comes and ends with the last task's terminal update: exit status 0 if every
task finished, 1 if not.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Struct

from koinon import __version__
from koinon.cli.errors import Failure
from koinon.cli.leader import Master, masters
from koinon.coordination.detection import Masters
from koinon.flags import Duration, Flag, load_or_exit
from koinon.mesos import codec
from koinon.mesos.resources import ResourceError, Resources
from koinon.mesos.v1 import (
    AgentID,
    CommandInfo,
    ContainerInfo,
    Environment,
    ExecutorID,
    ExecutorInfo,
    Offer,
    TaskGroupInfo,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
    TTYInfo,
)
from koinon.sdk import TERMINAL_STATES, ApiError, FrameworkError, Scheduler, framework_info

_DEFAULT_EXECUTOR_RESOURCES = "cpus:0.1;mem:32;disk:32"


class ExecuteFlags(Struct, frozen=True, kw_only=True):
    """Flags of `mesos-execute`."""

    master: Annotated[
        str | None,
        Flag(
            "Where the leading master is found: host:port, several divided by commas, or zk://host:port/path."
        ),
    ] = None
    name: Annotated[str | None, Flag("Name of the task, and its id.")] = None
    command: Annotated[str | None, Flag("What to run.")] = None
    shell: Annotated[bool, Flag("Whether the command is for the shell.")] = True
    env: Annotated[dict[str, str] | None, Flag("Environment of the command.")] = None
    resources: Annotated[str, Flag("Resources of the task.")] = "cpus:1;mem:128"
    role: Annotated[str, Flag("Role to run in.")] = "*"
    checkpoint: Annotated[bool, Flag("Whether the task survives a restart of its agent.")] = False
    task: Annotated[TaskInfo | None, Flag("A whole TaskInfo; agent_id may be empty.")] = None
    task_group: Annotated[TaskGroupInfo | None, Flag("A TaskGroupInfo for the default executor.")] = None
    tty: Annotated[bool, Flag("Give the command a terminal, for `koinon attach`.")] = False
    kill_after: Annotated[Duration | None, Flag("Kill the task after so long.")] = None
    framework_capabilities: Annotated[str | None, Flag("More capabilities, with commas between.")] = None
    partition_aware: Annotated[bool, Flag("Whether to be partition aware.")] = True
    principal: Annotated[str | None, Flag("Principal to authenticate with.")] = None
    secret: Annotated[str | None, Flag("Secret to authenticate with.", secret=True)] = None
    content_type: Annotated[Literal["protobuf", "json"], Flag("How to talk to the master.")] = "protobuf"

    def __post_init__(self) -> None:
        given = [self.command is not None, self.task is not None, self.task_group is not None]
        if sum(given) != 1:
            raise ValueError("give one of --command, --task and --task_group")
        if self.tty and self.command is None:
            raise ValueError("--tty needs a --command; a --task says it in its container.tty_info")
        if self.command is not None and not self.name:
            raise ValueError("--command needs a --name")


def execute(argv: Sequence[str]) -> int:
    """`mesos-execute ARGV`; returns the exit status."""
    # Only MESOS_MASTER of the environment is ours: MESOS_TASK and others may be there in a task, for other uses.
    environ = {name: value for name, value in os.environ.items() if name == "MESOS_MASTER"}
    flags = load_or_exit(ExecuteFlags, argv, program="mesos-execute", version=__version__, environ=environ)
    where = masters(flags.master)
    with Master(where) as master:
        master.ping()
    try:
        tasks = _tasks(flags)
        execution = _Execution(flags, tasks, where)
    except ResourceError as error:
        raise Failure(str(error)) from None
    try:
        asyncio.run(execution.run())
    except (ApiError, FrameworkError) as error:
        raise Failure(f"the master refused: {error}") from None
    return 0 if execution.states and set(execution.states.values()) == {TaskState.TASK_FINISHED} else 1


def _tasks(flags: ExecuteFlags) -> list[TaskInfo]:
    """The tasks to run; which agent they run on is not known yet."""
    if flags.task is not None:
        return [flags.task]
    if flags.task_group is not None:
        return flags.task_group.tasks
    variables = [Environment.Variable(name=name, value=value) for name, value in (flags.env or {}).items()]
    command = CommandInfo(
        shell=flags.shell, environment=Environment(variables=variables) if variables else None
    )
    if flags.shell:
        command.value = flags.command
    else:
        command.arguments = shlex.split(flags.command or "")
        command.value = command.arguments[0] if command.arguments else None
    return [
        TaskInfo(
            name=flags.name or "",
            task_id=TaskID(flags.name or ""),
            agent_id=AgentID(""),
            resources=Resources.parse(flags.resources).to_v1(),
            command=command,
            container=ContainerInfo(type=ContainerInfo.Type.MESOS, tty_info=TTYInfo()) if flags.tty else None,
        )
    ]


class _Execution(Scheduler):
    """The framework that runs the tasks."""

    def __init__(self, flags: ExecuteFlags, tasks: list[TaskInfo], where: Masters) -> None:
        capabilities = ["RESERVATION_REFINEMENT", "TASK_KILLING_STATE"]
        if flags.partition_aware:
            capabilities.append("PARTITION_AWARE")
        capabilities += [
            name.strip() for name in (flags.framework_capabilities or "").split(",") if name.strip()
        ]
        super().__init__(
            where.detector(),
            framework_info(
                "mesos-execute instance",
                roles=[flags.role],
                checkpoint=flags.checkpoint,
                capabilities=capabilities,
            ),
            credential=(flags.principal, flags.secret or "") if flags.principal else None,
            content_type=codec.JSON if flags.content_type == "json" else codec.PROTOBUF,
        )
        #: Latest state of each task, by id.
        self.states: dict[str, TaskState | None] = {task.task_id.value: None for task in tasks}
        self._flags = flags
        self._tasks = tasks
        self._launched = False
        self._group = flags.task_group is not None
        self._executor = Resources.parse(_DEFAULT_EXECUTOR_RESOURCES) if self._group else Resources()
        self._wanted = Resources.sum(Resources.from_v1(task.resources) for task in tasks) + self._executor

    def subscribed(self, framework_id: str) -> None:
        """Say which framework we are; again, where another master leads: then what is not over must show."""
        print(f"Subscribed with ID {framework_id}", flush=True)
        if self._launched:
            at = {task.task_id.value: task.agent_id.value for task in self._tasks}
            living = {id: at[id] for id, state in self.states.items() if state not in TERMINAL_STATES}
            self.reconcile(living, until_answered=True)

    def offers(self, offers: list[Offer]) -> None:
        """Take the first that fits."""
        for offer in offers:
            available = Resources.from_v1(offer.resources).unallocated().unreserved().nonrevocable()
            if self._launched or not available.contains(self._wanted):
                self.decline(offer)
                continue
            self._launch(offer)
        if self._launched:
            self.suppress()

    def _launch(self, offer: Offer) -> None:
        self._launched = True
        for task in self._tasks:
            task.agent_id = offer.agent_id
        if self._group:
            executor = ExecutorInfo(
                type=ExecutorInfo.Type.DEFAULT,
                executor_id=ExecutorID("default-executor"),
                framework_id=self.framework.id,
                resources=self._executor.to_v1(),
            )
            self.launch_group(offer, executor, self._tasks)
        else:
            self.launch(offer, self._tasks)
        for task in self._tasks:
            print(f"Submitted task '{task.task_id.value}' to agent '{offer.agent_id.value}'", flush=True)

    def update(self, status: TaskStatus) -> None:
        """Print it; leave after the last."""
        task_id = status.task_id.value
        details = {
            "message": status.message,
            "source": status.source.value if status.source else None,
            "reason": status.reason.value if status.reason else None,
            "healthy": None if status.healthy is None else str(status.healthy).lower(),
        }
        print(f"Received status update {status.state.value} for task '{task_id}'", flush=True)
        for what, value in details.items():
            if value is not None:
                print(f"  {what}: {value}", flush=True)
        before = self.states.get(task_id, status.state)
        self.states[task_id] = status.state
        if (
            status.state is TaskState.TASK_RUNNING
            and before is not status.state
            and self._flags.kill_after is not None
        ):
            asyncio.get_running_loop().call_later(self._flags.kill_after, self.kill, task_id, status.agent_id)
        if all(state in TERMINAL_STATES for state in self.states.values()):
            self.stop()
