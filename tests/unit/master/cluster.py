"""A cluster around the core for tests: what schedulers and agents say, in one line each.

After every event all laws of the state are checked. Facts for operators are put aside in `facts`; what is
returned is what schedulers, agents and the registry get to see.
"""

from __future__ import annotations

from copy import deepcopy

from msgspec.structs import replace

from koinon.master.core import Config, Master
from koinon.master.core import events as m
from koinon.master.core.state import Agent, Framework, Offer
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState, scheduler
from koinon.mesos.v1.scheduler import Call, Event

MASTER_ID = "M"
MASTER_INFO = v1.MasterInfo(id=MASTER_ID, ip=16777343, port=5050, pid="master@127.0.0.1:5050", hostname="m")

Reason = v1.TaskStatus.Reason
Source = v1.TaskStatus.Source
Capability = v1.FrameworkInfo.Capability
Operation = v1.Offer.Operation


class Cluster:
    """A master, its clock, and a registry that stores when told to."""

    def __init__(
        self,
        registry: dict[str, bytes] | None = None,
        *,
        loaded: bool = True,
        master_id: str = MASTER_ID,
        now: float = 1000.0,
        **config: object,
    ) -> None:
        self.now = now
        #: Somebody has led before us, or the name of the cluster would be stored first.
        self.registry = {"cluster": b'"C"'} if registry is None else registry
        info = replace(MASTER_INFO, id=master_id)
        self.master = Master(Config(**config), master_info=info, seed=0, now=self.now)
        self.facts: list[m.Fact] = []
        self.unstored: list[m.Store] = []
        self.streams = 0
        self.channels = 0
        if loaded:
            self.do(m.RegistryLoaded(dict(self.registry)))

    # ── events ────────────────────────────────────────────────────────────────────────────────────
    def do(self, event: m.Event) -> list[m.Effect]:
        """Hand in the event; what the outside gets to see."""
        effects = self.master.handle(event, self.now)
        self.master.check()
        self.facts += [effect.fact for effect in effects if isinstance(effect, m.Announce)]
        self.unstored += [effect for effect in effects if isinstance(effect, m.Store)]
        return [effect for effect in effects if not isinstance(effect, m.Announce)]

    def store(self) -> list[m.Effect]:
        """The registry writes all it was asked to."""
        effects = []
        while self.unstored:
            write = self.unstored.pop(0)
            self.make_durable(write)
            effects += self.do(m.RegistryStored(write.ticket))
        return effects

    def make_durable(self, write: m.Store) -> None:
        """The registry writes, and says nothing yet."""
        for key, value in write.changes:
            if value is None:
                self.registry.pop(key, None)
            else:
                self.registry[key] = value

    def tick(self, seconds: float = 0.0) -> list[m.Effect]:
        """Time goes by, then the clock ticks. No tick that is due in between is left out."""
        end, effects = self.now + seconds, []
        while (wakeup := max(self.now, self.master.next_wakeup(self.now))) < end:
            self.now = wakeup
            effects += self.do(m.ClockTicked())
        self.now = end
        return [*effects, *self.do(m.ClockTicked())]

    # ── frameworks ────────────────────────────────────────────────────────────────────────────────
    def subscribe(self, info: v1.FrameworkInfo | None = None, **body: object) -> str:
        """A framework subscribes; returns its stream."""
        self.subscribing(info, **body)
        return f"stream-{self.streams}"

    def subscribing(self, info: v1.FrameworkInfo | None = None, **body: object) -> list[m.Effect]:
        """The same, for those who want to see the effects."""
        self.streams += 1
        info = info or framework_info()
        call = Call(
            type=Call.Type.SUBSCRIBE,
            framework_id=info.id,
            subscribe=Call.Subscribe(framework_info=info, **body),
        )
        return self.do(m.SchedulerSubscribed(f"stream-{self.streams}", call))

    def call(self, stream: str, kind: str, body: object = None) -> list[m.Effect]:
        """The framework on that stream makes a call; its body is named like its type."""
        framework = next(one for one in self.frameworks if one.stream_id == stream)
        call = Call(type=Call.Type[kind], framework_id=v1.FrameworkID(framework.id))
        if body is not None:
            setattr(call, kind.lower(), body)
        return self.do(m.SchedulerCalled(stream, call))

    def accept(self, stream: str, *operations: v1.Offer.Operation, refuse_s: float = 5.0) -> list[m.Effect]:
        """Accept all the offers it has."""
        framework = next(one for one in self.frameworks if one.stream_id == stream)
        return self.call(
            stream,
            "ACCEPT",
            Call.Accept(
                offer_ids=[v1.OfferID(offer_id) for offer_id in framework.offers],
                operations=list(operations),
                filters=v1.Filters(refuse_seconds=refuse_s),
            ),
        )

    def launch(self, stream: str, *tasks: v1.TaskInfo, refuse_s: float = 5.0) -> list[m.Effect]:
        """Accept all the offers it has with these tasks."""
        return self.accept(stream, launch(*tasks), refuse_s=refuse_s)

    def decline(self, stream: str, *offer_ids: str, refuse_s: float = 5.0) -> list[m.Effect]:
        """Decline these offers."""
        body = Call.Decline(
            offer_ids=[v1.OfferID(offer_id) for offer_id in offer_ids],
            filters=v1.Filters(refuse_seconds=refuse_s),
        )
        return self.call(stream, "DECLINE", body)

    def acknowledge(self, stream: str, task_id: str, uuid: bytes, agent_id: str = "M-S0") -> list[m.Effect]:
        """Acknowledge an update."""
        body = Call.Acknowledge(agent_id=v1.AgentID(agent_id), task_id=v1.TaskID(task_id), uuid=uuid)
        return self.call(stream, "ACKNOWLEDGE", body)

    # ── agents ────────────────────────────────────────────────────────────────────────────────────
    def join(self, message: internal.Register | None = None) -> str:
        """An agent registers and is admitted; returns its channel."""
        self.register(message)
        self.store()
        return f"channel-{self.channels}"

    def register(self, message: internal.Register | None = None) -> list[m.Effect]:
        """An agent registers."""
        self.channels += 1
        return self.do(m.AgentSaid(f"channel-{self.channels}", message or register()))

    def say(self, channel: str, message: internal.AgentMessage) -> list[m.Effect]:
        """An agent says something."""
        return self.do(m.AgentSaid(channel, message))

    def update(
        self,
        channel: str,
        task_id: str,
        state: TaskState,
        uuid: bytes | None = None,
        *,
        latest: TaskState | None = None,
        framework_id: str = "M-0000",
        **status: object,
    ) -> list[m.Effect]:
        """An agent reports a status."""
        return self.say(
            channel, update(task_id, state, uuid, latest=latest, framework_id=framework_id, **status)
        )

    # ── state ─────────────────────────────────────────────────────────────────────────────────────
    @property
    def stored_agents(self) -> list[str]:
        """Those in the registry."""
        return [key.removeprefix("agents/") for key in self.registry if key.startswith("agents/")]

    @property
    def frameworks(self) -> list[Framework]:
        return list(self.master.state.frameworks.values())

    @property
    def framework(self) -> Framework:
        """The only one."""
        (framework,) = self.frameworks
        return framework

    @property
    def agent(self) -> Agent:
        """The only one."""
        (agent,) = self.master.state.agents.values()
        return agent

    @property
    def offers(self) -> list[Offer]:
        return list(self.master.state.offers.values())


# ── messages ──────────────────────────────────────────────────────────────────────────────────────
def framework_info(
    framework_id: str | None = None, *, roles: tuple[str, ...] = (), capabilities: str = "", **fields: object
) -> v1.FrameworkInfo:
    info = v1.FrameworkInfo(user="u", name="f", roles=list(roles), **fields)
    names = capabilities.split() + (["MULTI_ROLE"] if roles else [])
    info.capabilities = [Capability(type=Capability.Type[name]) for name in names]
    if framework_id is not None:
        info.id = v1.FrameworkID(framework_id)
    return info


def resources(text: str, role: str | None = None) -> list[v1.Resource]:
    parsed = Resources.parse(text)
    return deepcopy((parsed if role is None else parsed.allocated(role)).to_v1())


def register(
    agent_id: str | None = None, text: str = "cpus:4;mem:1000;ports:[1-9]", **fields: object
) -> internal.Register:
    info = v1.AgentInfo(hostname="a", port=5051, resources=resources(text))
    if agent_id is not None:
        info.id = v1.AgentID(agent_id)
    capabilities = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "TASK_RESOURCE_LIMITS"]
    given = {"capabilities": capabilities, "version": "1.12.0", "protocol": internal.PROTOCOL, **fields}
    return internal.Register(agent_info=info, pid="slave(1)@127.0.0.1:5051", **given)


def task_info(
    task_id: str = "t", text: str = "cpus:1;mem:100", agent_id: str = "M-S0", **fields: object
) -> v1.TaskInfo:
    if "executor" not in fields:
        fields.setdefault("command", v1.CommandInfo(value="true"))
    return v1.TaskInfo(
        name=task_id,
        task_id=v1.TaskID(task_id),
        agent_id=v1.AgentID(agent_id),
        resources=resources(text),
        **fields,
    )


def executor_info(executor_id: str = "e", text: str = "cpus:0.1;mem:32", **fields: object) -> v1.ExecutorInfo:
    fields.setdefault("type", v1.ExecutorInfo.Type.CUSTOM)
    if fields["type"] is v1.ExecutorInfo.Type.CUSTOM:
        fields.setdefault("command", v1.CommandInfo(value="executor"))
    return v1.ExecutorInfo(executor_id=v1.ExecutorID(executor_id), resources=resources(text), **fields)


def launch(*tasks: v1.TaskInfo) -> v1.Offer.Operation:
    return Operation(type=Operation.Type.LAUNCH, launch=Operation.Launch(task_infos=list(tasks)))


def launch_group(executor: v1.ExecutorInfo, *tasks: v1.TaskInfo) -> v1.Offer.Operation:
    for task in tasks:
        task.command = task.command or v1.CommandInfo(value="true")
    group = Operation.LaunchGroup(executor=executor, task_group=v1.TaskGroupInfo(tasks=list(tasks)))
    return Operation(type=Operation.Type.LAUNCH_GROUP, launch_group=group)


def uuid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def update(
    task_id: str,
    state: TaskState,
    uuid: bytes | None = None,
    *,
    latest: TaskState | None = None,
    framework_id: str = "M-0000",
    **fields: object,
) -> internal.Update:
    fields.setdefault("source", Source.SOURCE_EXECUTOR)
    fields.setdefault("agent_id", v1.AgentID("M-S0"))
    status = v1.TaskStatus(task_id=v1.TaskID(task_id), state=state, uuid=uuid, timestamp=1.0, **fields)
    return internal.Update(framework_id=framework_id, status=status, latest_state=latest or state)


def status(
    task_id: str,
    state: TaskState,
    reason: Reason | None,
    message: str,
    *,
    now: float = 1000.0,
    agent_id: str | None = "M-S0",
    **fields: object,
) -> v1.TaskStatus:
    """A status made by the master."""
    return v1.TaskStatus(
        task_id=v1.TaskID(task_id),
        state=state,
        reason=reason,
        message=message,
        source=Source.SOURCE_MASTER,
        agent_id=None if agent_id is None else v1.AgentID(agent_id),
        timestamp=now,
        **fields,
    )


def sent(stream: str, kind: str, body: object = None) -> m.SendEvent:
    """The event of that type on the stream; its body is named like its type."""
    event = Event(type=Event.Type[kind])
    if body is not None:
        setattr(event, kind.lower(), body)
    return m.SendEvent(stream, event)


def sent_update(stream: str, status: v1.TaskStatus) -> m.SendEvent:
    return sent(stream, "UPDATE", Event.Update(status))


def sent_error(stream: str, message: str) -> list[m.Effect]:
    return [sent(stream, "ERROR", Event.Error(message)), m.CloseStream(stream)]


def failure(stream: str, agent_id: str, **fields: object) -> m.SendEvent:
    return sent(stream, "FAILURE", Event.Failure(agent_id=v1.AgentID(agent_id), **fields))


def rescinded(stream: str, offer_id: str) -> m.SendEvent:
    return sent(stream, "RESCIND", Event.Rescind(v1.OfferID(offer_id)))


def statuses(effects: list[m.Effect]) -> list[v1.TaskStatus]:
    """The statuses that schedulers are sent."""
    return [
        effect.event.update.status
        for effect in effects
        if isinstance(effect, m.SendEvent) and effect.event.update is not None
    ]


def refusal(cluster: Cluster, event: m.Event) -> tuple[int, str]:
    """Status and text with which the event is refused."""
    try:
        cluster.do(event)
    except m.Refused as refused:
        return refused.status, refused.message
    raise AssertionError("it was not refused")


__all__ = [name for name in dir() if not name.startswith("_") and name != "annotations"] + ["scheduler"]
