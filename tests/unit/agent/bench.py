"""An agent's core on the bench: its effects are collected, its checkpoint is a dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from koinon.agent.core import Agent, Config
from koinon.agent.core import events as ev
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.executor import Call

E = TypeVar("E", bound=ev.Effect)

AGENT_ID = "M-S0"
TOTAL = Resources.parse("cpus:4;mem:4096;ports:[31000-32000]")
SOME = Resources.parse("cpus:0.1;mem:32").allocated("ops")


def config(**changes: object) -> Config:
    given = Config(
        agent_info=v1.AgentInfo(hostname="host", port=5051, resources=TOTAL.to_v1()),
        pid="slave(1)@10.0.0.1:5051",
        endpoint="10.0.0.1:5051",
        ip="10.0.0.1",
        version="1.11.0",
        work_dir="/srv/agent",
        user="agent",
    )
    return msgspec.structs.replace(given, **changes)


def framework(
    framework_id: str = "F",
    *,
    user: str = "agent",
    checkpoint: bool = True,
    capabilities: Iterable[str] = (),
) -> v1.FrameworkInfo:
    Capability = v1.FrameworkInfo.Capability
    return v1.FrameworkInfo(
        id=v1.FrameworkID(framework_id),
        user=user,
        name="tests",
        checkpoint=checkpoint,
        capabilities=[Capability(type=Capability.Type[name]) for name in capabilities],
    )


def task(
    task_id: str = "t",
    *,
    command: str | v1.CommandInfo = "true",
    executor: v1.ExecutorInfo | None = None,
    **more: object,
) -> v1.TaskInfo:
    given = v1.CommandInfo(value=command) if isinstance(command, str) else command
    info = v1.TaskInfo(
        name=task_id,
        task_id=v1.TaskID(task_id),
        agent_id=v1.AgentID(AGENT_ID),
        resources=SOME.to_v1(),
        executor=executor,
        command=given if executor is None else None,
    )
    return msgspec.structs.replace(info, **more)


def executor(executor_id: str = "e", **more: object) -> v1.ExecutorInfo:
    info = v1.ExecutorInfo(
        type=v1.ExecutorInfo.Type.CUSTOM,
        executor_id=v1.ExecutorID(executor_id),
        command=v1.CommandInfo(value="./executor"),
    )
    return msgspec.structs.replace(info, **more)


def rich_executor(executor_id: str = "e") -> v1.ExecutorInfo:
    """An executor with every optional field that people set."""
    variables = [v1.Environment.Variable(name="A", value="1")]
    return executor(
        executor_id,
        command=v1.CommandInfo(value="sleep 1000", environment=v1.Environment(variables=variables)),
        framework_id=v1.FrameworkID("F"),
        resources=SOME.to_v1(),
        name="rich",
        source="tests",
        data=b"data",
        labels=v1.Labels(labels=[v1.Label(key="k", value="v")]),
        shutdown_grace_period=v1.DurationInfo(1_000_000_000),
    )


def grace(seconds: float) -> v1.KillPolicy:
    return v1.KillPolicy(grace_period=v1.DurationInfo(int(seconds * 1e9)))


class Bench:
    """One agent process after the other on the same disk, with a master that is there at once."""

    def __init__(self, *, connected: bool = True, **changes: object) -> None:
        self.disk: dict[str, bytes] = {}
        self.now = 1000.0
        self.config = config(**changes)
        self.effects: list[ev.Effect] = []
        self._session = 0
        self.start(connected=connected)

    # ── the process ───────────────────────────────────────────────────────────────────────────────
    def start(
        self,
        containers: dict[str, ev.FoundContainer] | None = None,
        *,
        boot_id: str = "boot",
        connected: bool = True,
    ) -> None:
        """A new process of the agent, which finds `containers` at its launcher."""
        seed = len(self.disk) + self._session * 1000 + 1
        self.agent = Agent(self.config, seed=seed)
        self.tell(ev.StateLoaded(dict(self.disk), containers or {}, boot_id))
        if connected:
            self.connect()

    def connect(self, **more: object) -> None:
        self._session += 1
        self.tell(ev.MasterConnected(self._session))
        self.hear(internal.Registered(agent_id=AGENT_ID, master_id="M", silence_timeout_s=75.0, **more))

    def disconnect(self) -> None:
        self.tell(ev.MasterLost(self._session))

    def tell(self, event: ev.Event) -> list[ev.Effect]:
        """The effects of `event`; the disk takes those that are for it."""
        effects = self.agent.handle(event, self.now)
        for effect in effects:
            if isinstance(effect, ev.Checkpoint | ev.Forget):
                for key, value in effect.changes.items():
                    if value is None:
                        self.disk.pop(key, None)
                    else:
                        self.disk[key] = value
        self.effects += effects
        return effects

    def hear(self, message: internal.MasterMessage) -> list[ev.Effect]:
        return self.tell(ev.MasterSaid(message))

    def pass_time(self, seconds: float) -> list[ev.Effect]:
        self.now += seconds
        return self.tell(ev.ClockTicked())

    # ── usual events ──────────────────────────────────────────────────────────────────────────────
    def run(self, info: v1.TaskInfo | None = None, of: v1.FrameworkInfo | None = None) -> list[ev.Effect]:
        return self.hear(internal.RunTask(framework=of or framework(), task=info or task()))

    def run_group(
        self, *tasks: v1.TaskInfo, by: v1.ExecutorInfo, of: v1.FrameworkInfo | None = None
    ) -> list[ev.Effect]:
        group = v1.TaskGroupInfo(tasks=list(tasks))
        return self.hear(internal.RunTaskGroup(framework=of or framework(), executor=by, task_group=group))

    def kill(self, task_id: str = "t", policy: v1.KillPolicy | None = None) -> list[ev.Effect]:
        return self.hear(internal.KillTask(framework_id="F", task_id=task_id, kill_policy=policy))

    def started(self, container_id: str, pid: int = 42) -> list[ev.Effect]:
        return self.tell(ev.ContainerStarted(container_id, pid))

    def exited(self, container_id: str, status: int = 0) -> list[ev.Effect]:
        return self.tell(ev.ContainerExited(container_id, status))

    def acknowledge(self, status: v1.TaskStatus) -> list[ev.Effect]:
        assert status.uuid is not None
        return self.hear(
            internal.Acknowledge(framework_id="F", task_id=status.task_id.value, uuid=status.uuid)
        )

    def acknowledge_all(self) -> list[v1.TaskStatus]:
        """Acknowledge whatever is in flight until nothing is; returns the statuses in the order seen."""
        seen: list[v1.TaskStatus] = []
        coming = updates_in(self.effects)
        while coming:
            update = coming.pop(0)
            if update not in seen:
                seen.append(update)
                coming += updates_in(self.acknowledge(update))
        return seen

    def subscribe(self, stream_id: str = "s1", **subscribe: object) -> list[ev.Effect]:
        call = self.call(Call.Type.SUBSCRIBE, subscribe=Call.Subscribe(**subscribe))
        return self.tell(ev.ExecutorSubscribed(stream_id, call))

    def say(self, status: v1.TaskStatus) -> list[ev.Effect]:
        """The executor sends an update."""
        return self.tell(ev.ExecutorCalled(self.call(Call.Type.UPDATE, update=Call.Update(status))))

    @staticmethod
    def call(kind: Call.Type, **more: object) -> Call:
        return Call(framework_id=v1.FrameworkID("F"), executor_id=v1.ExecutorID("e"), type=kind, **more)

    def running(self, info: v1.TaskInfo | None = None, of: v1.FrameworkInfo | None = None) -> str:
        """Run a command task until it runs; returns its container."""
        launched = only(self.run(info, of), ev.LaunchContainer)
        self.started(launched.container_id)
        return launched.container_id


def status(task_id: str, state: TaskState, number: int = 1, **more: object) -> v1.TaskStatus:
    """A status as an executor makes it."""
    return v1.TaskStatus(
        task_id=v1.TaskID(task_id),
        state=state,
        source=v1.TaskStatus.Source.SOURCE_EXECUTOR,
        uuid=number.to_bytes(16, "big"),
        **more,
    )


def of_type(effects: Iterable[ev.Effect], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def only(effects: Iterable[ev.Effect], kind: type[E]) -> E:
    (found,) = of_type(effects, kind)
    return found


def said(effects: Iterable[ev.Effect]) -> list[internal.AgentMessage]:
    return [effect.message for effect in of_type(effects, ev.SendToMaster)]


def updates_in(effects: Iterable[ev.Effect]) -> list[v1.TaskStatus]:
    return [message.status for message in said(effects) if isinstance(message, internal.Update)]


def states_in(effects: Iterable[ev.Effect]) -> list[str]:
    return [update.state.value for update in updates_in(effects)]


def events_in(effects: Iterable[ev.Effect]) -> list[str]:
    """Types of the events sent to executors."""
    return [effect.event.type.value for effect in of_type(effects, ev.SendToExecutor) if effect.event.type]
