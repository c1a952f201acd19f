"""A day of a cluster in minutes: the master's real core, and simple models of agents and schedulers, in virtual time.

Nothing waits: whatever happens next is taken from a heap. All is drawn from one seed: tasks arrive, end, fail and are
killed; channels and streams break and come back; agents leave and others join; frameworks are torn down and
others subscribe. Messages take some milliseconds, and get lost with the connection they are on.

    world = World(Load(), seed=1)
    world.run(3600.0)        # an hour
    world.heal()             # everybody comes back, everything ends; then the laws must hold
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from koinon.master.core import Config, Master
from koinon.master.core import events as m
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call, Event
from koinon.sdk import TERMINAL_STATES, framework_info, task_info

_CAPABILITIES = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "TASK_RESOURCE_LIMITS"]
_MASTER = v1.MasterInfo(id="M", ip=16777343, port=5050, pid="master@127.0.0.1:5050", hostname="m")
_EACH = Resources.parse("cpus:1;mem:100")
_SOME = v1.TaskStatus.Source.SOURCE_EXECUTOR
#: After these a framework gives a task up. Nobody knows any more what ran on an agent that left for good.
_ENDS = TERMINAL_STATES | {TaskState.TASK_UNKNOWN}


@dataclass(frozen=True)
class Load:
    """What goes on. Times are means of exponential distributions, in seconds."""

    agents: int = 60
    frameworks: int = 20
    arrivals_per_s: float = 8.0  #: tasks, of all frameworks together
    batch: int = 50  #: so many arrive at once
    task_s: float = 60.0
    killed: float = 0.03  #: of all tasks
    failed: float = 0.03
    channel_s: float = 1800.0  #: until an agent's connection breaks
    away_s: float = 60.0  #: until it is back; some are given up before
    agent_life_s: float = 6 * 3600.0
    stream_s: float = 1200.0
    framework_life_s: float = 3600.0
    config: Config = field(default_factory=Config)


class World:
    """The master and everybody around it."""

    def __init__(self, load: Load, seed: int) -> None:
        self.load = load
        self.random = Random(seed)
        self.now = 1_700_000_000.0
        self.counts: Counter[str] = Counter()
        self.calm = False  #: nothing breaks any more
        self.numbers = itertools.count(1)
        self.agents: dict[int, Agent] = {}
        self.frameworks: dict[int, Framework] = {}
        self.channels: dict[str, Agent] = {}
        self.streams: dict[str, Framework] = {}
        self.master = Master(load.config, master_info=_MASTER, seed=seed, now=self.now)
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._wake_s = math.inf
        self.tell(m.RegistryLoaded({}))
        for _ in range(load.agents):
            Agent(self).connect()
        for _ in range(load.frameworks):
            Framework(self).subscribe()
        self._arrive()

    # ── time ──────────────────────────────────────────────────────────────────────────────────────
    def run(self, duration_s: float) -> None:
        """Let so much time pass."""
        end_s = self.now + duration_s
        while self._due and self._due[0][0] <= end_s:
            self.now, _, call, arguments = heapq.heappop(self._due)
            call(*arguments)
        self.now = end_s

    def after(self, delay_s: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call then."""
        heapq.heappush(self._due, (self.now + delay_s, next(self._order), call, arguments))

    def soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call when a message would have arrived."""
        self.after(self.random.uniform(0.001, 0.02), call, *arguments)

    def sometime(self, mean_s: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call after an exponentially distributed time."""
        self.after(self.random.expovariate(1 / mean_s), call, *arguments)

    # ── the master ────────────────────────────────────────────────────────────────────────────────
    def tell(self, event: m.Event) -> None:
        """Let the master take it in; carry out what it wants."""
        for effect in self.master.handle(event, self.now):
            match effect:
                case m.SendEvent(stream_id, sent):
                    if (framework := self.streams.get(stream_id)) is not None:
                        self.soon(framework.hear, stream_id, sent)
                case m.SendToAgent(channel_id, message):
                    if (agent := self.channels.get(channel_id)) is not None:
                        self.soon(agent.hear, channel_id, message)
                case m.CloseStream(stream_id):
                    if (framework := self.streams.pop(stream_id, None)) is not None:
                        self.soon(framework.lost, stream_id)
                case m.CloseChannel(channel_id):
                    if (agent := self.channels.pop(channel_id, None)) is not None:
                        self.soon(agent.lost, channel_id)
                case m.Store(ticket, _):
                    self.after(0.002, self.tell, m.RegistryStored(ticket))
        self._wake()

    def _wake(self) -> None:
        """Have the clock tick when the core asks for it; a turn of the loop takes a millisecond."""
        due_s = max(self.master.next_wakeup(self.now), self.now + 0.001)
        if due_s < self._wake_s - 1e-6:
            self._wake_s = due_s
            self.after(due_s - self.now, self._tick, due_s)

    def _tick(self, due_s: float) -> None:
        if due_s == self._wake_s:
            self._wake_s = math.inf
            self.tell(m.ClockTicked())

    # ── the load ──────────────────────────────────────────────────────────────────────────────────
    def _arrive(self) -> None:
        if not self.calm:
            self.random.choice(list(self.frameworks.values())).want(self.load.batch)
            self.sometime(self.load.batch / self.load.arrivals_per_s, self._arrive)

    def heal(self) -> None:
        """Nothing breaks any more; all come back, all tasks end, all frameworks leave. Raises AssertionError."""
        self.calm = True
        self.run(30 * self.load.away_s + 30 * self.load.task_s)
        for framework in list(self.frameworks.values()):
            assert not framework.waiting, f"{framework.name} still waits for offers"
            assert not framework.tasks, f"{framework.name} never heard of the end of {framework.tasks}"
            framework.tear_down()
        self.run(10)
        self.master.check()
        state = self.master.state
        assert not state.frameworks
        assert not state.offers
        assert not state.unreachable_agents
        assert all(not agent.tasks and not agent.used for agent in state.agents.values())
        assert len(state.agents) == len(self.agents)


class Agent:
    """Runs tasks, and repeats the oldest update of each until it is acknowledged."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = next(world.numbers)
        world.agents[self.number] = self
        self.pid = f"slave(1)@10.{self.number >> 16}.{self.number >> 8 & 255}.{self.number & 255}:5051"
        self.info = v1.AgentInfo(
            hostname=f"host-{self.number}", port=5051, resources=Resources.parse("cpus:16;mem:1600").to_v1()
        )
        self.channel: str | None = None
        self.frameworks: dict[str, v1.FrameworkInfo] = {}
        self.tasks: dict[tuple[str, str], v1.TaskInfo] = {}
        self.states: dict[tuple[str, str], TaskState] = {}
        self.updates: dict[tuple[str, str], deque[v1.TaskStatus]] = {}
        world.sometime(world.load.agent_life_s, self._leave)

    def connect(self) -> None:
        """A new channel; its first message."""
        world = self.world
        if self.number not in world.agents or self.channel is not None:
            return
        self.channel = f"channel-{next(world.numbers)}"
        world.channels[self.channel] = self
        world.sometime(world.load.channel_s, self._break, self.channel)
        reported = []
        for (framework_id, task_id), info in self.tasks.items():
            one = internal.ReportedTask(
                framework_id=framework_id, info=info, state=self.states[framework_id, task_id]
            )
            if waiting := self.updates[framework_id, task_id]:
                one.unacknowledged_state, one.unacknowledged_uuid = waiting[0].state, waiting[0].uuid
            reported.append(one)
        self._say(
            internal.Register(
                agent_info=self.info,
                pid=self.pid,
                version="1.12.0",
                capabilities=_CAPABILITIES,
                frameworks=[self.frameworks[one] for one in dict.fromkeys(key[0] for key in self.tasks)],
                tasks=reported,
            )
        )

    def lost(self, channel: str) -> None:
        """The channel is gone."""
        if channel == self.channel:
            self.channel = None
            self.world.counts["channels broken"] += 1
            self.world.sometime(self.world.load.away_s, self.connect)

    def _break(self, channel: str) -> None:
        if self.world.channels.get(channel) is self and not self.world.calm:
            del self.world.channels[channel]
            self.world.tell(m.AgentChannelClosed(channel))
            self.lost(channel)

    def _leave(self) -> None:
        world = self.world
        if world.calm:
            return
        if self.channel is None or self.info.id is None:  # it cannot say good-bye now
            world.sometime(world.load.away_s, self._leave)
            return
        channel, self.channel = self.channel, None
        del world.agents[self.number]
        world.tell(m.AgentSaid(channel, internal.Unregister()))
        world.channels.pop(channel, None)
        world.tell(m.AgentChannelClosed(channel))
        world.counts["agents left"] += 1
        Agent(world).connect()

    def _say(self, message: internal.AgentMessage) -> None:
        if self.channel is not None:
            self.world.soon(self._arrived, self.channel, message)

    def _arrived(self, channel: str, message: internal.AgentMessage) -> None:
        if channel in self.world.channels:
            self.world.tell(m.AgentSaid(channel, message))

    def hear(self, channel: str, message: internal.MasterMessage) -> None:
        """The master said something."""
        if channel != self.channel:
            return
        match message:
            case internal.Registered():
                self.info.id = v1.AgentID(message.agent_id)
                for framework_id in message.completed_frameworks:
                    self._drop(framework_id)
                for key, waiting in self.updates.items():
                    if waiting:
                        self._send(key)
            case internal.RunTask():
                self._run(message.framework, message.task)
            case internal.KillTask():
                self._end((message.framework_id, message.task_id), TaskState.TASK_KILLED)
            case internal.Acknowledge():
                self._acknowledged((message.framework_id, message.task_id), message.uuid)
            case internal.ShutdownFramework():
                self._drop(message.framework_id)
            case internal.Ping():
                self._say(internal.Pong())

    def _run(self, framework: v1.FrameworkInfo, info: v1.TaskInfo) -> None:
        assert framework.id is not None
        key = framework.id.value, info.task_id.value
        self.frameworks[key[0]] = framework
        self.tasks[key], self.updates[key] = info, deque()
        self._update(key, TaskState.TASK_RUNNING)
        failed = self.world.random.random() < self.world.load.failed
        end = TaskState.TASK_FAILED if failed else TaskState.TASK_FINISHED
        self.world.sometime(self.world.load.task_s, self._end, key, end)

    def _end(self, key: tuple[str, str], state: TaskState) -> None:
        if key in self.tasks and self.states[key] is TaskState.TASK_RUNNING:
            self._update(key, state)

    def _update(self, key: tuple[str, str], state: TaskState) -> None:
        self.states[key] = state
        self.updates[key].append(
            v1.TaskStatus(
                task_id=v1.TaskID(key[1]),
                state=state,
                source=_SOME,
                agent_id=self.info.id,
                timestamp=self.world.now,
                uuid=next(self.world.numbers).to_bytes(16, "big"),
            )
        )
        if len(self.updates[key]) == 1:
            self._send(key)

    def _send(self, key: tuple[str, str]) -> None:
        self._say(
            internal.Update(framework_id=key[0], status=self.updates[key][0], latest_state=self.states[key])
        )
        # Lost on its way to a scheduler that is away, it is sent again.
        self.world.after(10.0, self._resend, key, self.updates[key][0].uuid)

    def _resend(self, key: tuple[str, str], uuid: bytes) -> None:
        if (waiting := self.updates.get(key)) and waiting[0].uuid == uuid and self.channel is not None:
            self._send(key)

    def _acknowledged(self, key: tuple[str, str], uuid: bytes) -> None:
        waiting = self.updates.get(key)
        if waiting and waiting[0].uuid == uuid:
            if waiting.popleft().state in TERMINAL_STATES:
                del self.tasks[key], self.states[key], self.updates[key]
            elif waiting:
                self._send(key)

    def _drop(self, framework_id: str) -> None:
        self.frameworks.pop(framework_id, None)
        for key in [key for key in self.tasks if key[0] == framework_id]:
            del self.tasks[key], self.states[key], self.updates[key]


class Framework:
    """A scheduler that wants tasks run, one per processor it is offered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = next(world.numbers)
        self.name = f"framework-{self.number}"
        world.frameworks[self.number] = self
        self.info = framework_info(
            self.name, user="nobody", failover_timeout_s=7 * 86400, checkpoint=self.number % 4 > 0
        )
        self.stream: str | None = None
        self.waiting = 0
        self.tasks: dict[str, v1.AgentID] = {}
        self.suppressed = False
        world.sometime(world.load.framework_life_s, self._end_life)

    def subscribe(self) -> None:
        """A new stream."""
        world = self.world
        if self.number not in world.frameworks or self.stream is not None:
            return
        self.stream = f"stream-{next(world.numbers)}"
        world.streams[self.stream] = self
        world.sometime(world.load.stream_s, self._break, self.stream)
        call = Call(
            type=Call.Type.SUBSCRIBE,
            framework_id=self.info.id,
            subscribe=Call.Subscribe(framework_info=self.info),
        )
        self.suppressed = False
        world.tell(m.SchedulerSubscribed(self.stream, call))

    def lost(self, stream: str) -> None:
        """The stream is gone."""
        if stream == self.stream:
            self.stream = None
            self.world.counts["streams broken"] += 1
            self.world.sometime(self.world.load.away_s, self.subscribe)

    def _break(self, stream: str) -> None:
        if self.info.id is None:  # it would never learn under which id it is known
            self.world.soon(self._break, stream)
        elif self.world.streams.get(stream) is self and not self.world.calm:
            del self.world.streams[stream]
            self.world.tell(m.SchedulerStreamClosed(stream))
            self.lost(stream)

    def _end_life(self) -> None:
        if self.world.calm:
            return
        if self.stream not in self.world.streams or self.info.id is None:
            self.world.sometime(self.world.load.away_s, self._end_life)
            return
        self.tear_down()
        Framework(self.world).subscribe()

    def tear_down(self) -> None:
        """Leave for good."""
        self.world.counts["frameworks torn down"] += 1
        self.world.counts["tasks torn down"] += len(self.tasks)
        del self.world.frameworks[self.number]
        stream = self.stream
        self._call(Call.Type.TEARDOWN)
        self.stream = None
        if stream is not None:
            self.world.streams.pop(stream, None)

    def _call(self, kind: Call.Type, **body: Any) -> None:
        if self.stream is not None and self.info.id is not None and self.stream in self.world.streams:
            self.world.tell(
                m.SchedulerCalled(self.stream, Call(type=kind, framework_id=self.info.id, **body))
            )

    def want(self, count: int) -> None:
        """Tasks more are to be run; some of those that run are not wanted any more."""
        self.waiting += count
        if self.suppressed:
            self.suppressed = False
            self._call(Call.Type.REVIVE)
        for task_id, agent_id in list(self.tasks.items())[:count]:
            if self.world.random.random() < self.world.load.killed:
                kill = Call.Kill(task_id=v1.TaskID(task_id), agent_id=agent_id)
                self._call(Call.Type.KILL, kill=kill)

    def hear(self, stream: str, event: Event) -> None:
        """The master said something."""
        if stream != self.stream:
            return
        match event.type:
            case Event.Type.SUBSCRIBED:
                assert event.subscribed is not None
                self.info.id = event.subscribed.framework_id
                self._reconcile()
            case Event.Type.OFFERS:
                assert event.offers is not None
                unused = [offer.id for offer in event.offers.offers if not self._use(offer)]
                if unused:
                    self._call(Call.Type.DECLINE, decline=Call.Decline(offer_ids=unused))
                if not self.waiting and not self.suppressed:
                    self.suppressed = True
                    self._call(Call.Type.SUPPRESS)
            case Event.Type.UPDATE:
                assert event.update is not None
                self._hear_of(event.update.status)
            case Event.Type.ERROR:
                assert event.error is not None
                raise AssertionError(f"{self.name}: {event.error.message}")

    def _reconcile(self) -> None:
        """What became of launches that went out just when the stream broke."""
        tasks = [Call.Reconcile.Task(task_id=v1.TaskID(one), agent_id=at) for one, at in self.tasks.items()]
        if tasks:
            self._call(Call.Type.RECONCILE, reconcile=Call.Reconcile(tasks=tasks))

    def _use(self, offer: v1.Offer) -> bool:
        """Launch what waits and fits; False if that is nothing."""
        cpus = (one.scalar.value for one in offer.resources if one.name == "cpus" and one.scalar)
        count = min(int(next(cpus, 0)), self.waiting)
        if not count:
            return False
        self.waiting -= count
        infos = []
        for _ in range(count):
            task_id = f"task-{next(self.world.numbers)}"
            self.tasks[task_id] = offer.agent_id
            infos.append(task_info(task_id, offer, _EACH, command="work"))
        self.world.counts["tasks launched"] += count
        operation = v1.Offer.Operation(
            type=v1.Offer.Operation.Type.LAUNCH, launch=v1.Offer.Operation.Launch(task_infos=infos)
        )
        self._call(Call.Type.ACCEPT, accept=Call.Accept(offer_ids=[offer.id], operations=[operation]))
        return True

    def _hear_of(self, status: v1.TaskStatus) -> None:
        if status.uuid is not None and status.agent_id is not None:
            acknowledge = Call.Acknowledge(agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid)
            self._call(Call.Type.ACKNOWLEDGE, acknowledge=acknowledge)
        if status.state in _ENDS and self.tasks.pop(status.task_id.value, None) is not None:
            self.world.counts["tasks ended"] += 1
            self.world.counts[status.state.name] += 1
