"""What the parts of the core share: the state, the allocator, the clock of this turn, and the way out.

The parts (frameworks, agents, offers, launch, tasks, …) are modules of functions that take a `Core` first. They
read and write `core.state` and put effects out through the verbs here. `core.now` is the time of the event
being handled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from koinon.alarms import Alarms
from koinon.allocator import Allocator, AllocatorConfig, parse_minimum
from koinon.master.core.config import Config
from koinon.master.core.events import (
    Announce,
    CloseChannel,
    CloseStream,
    Effect,
    Fact,
    SendEvent,
    SendToAgent,
    Store,
)
from koinon.master.core.state import Agent, Decision, Framework, State
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import scheduler

NOTHING = Resources()

#: Names of the counters per framework, by type of event.
_EVENTS = {kind: f"events/{kind.name.lower()}" for kind in scheduler.Event.Type}


class Core:
    """State, allocator, clock and effects of one master."""

    def __init__(self, config: Config, *, master_info: v1.MasterInfo, seed: int, now: float) -> None:
        self.config = config
        self.master_info = master_info
        self.state = State()
        self.now = now
        self.allocator = make_allocator(config, master_info, seed)
        self.alarms = Alarms()
        #: Open subscriptions and agent channels, by their ids.
        self.streams: dict[str, Framework] = {}
        self.channels: dict[str, Agent] = {}
        self.joining_channels: dict[str, str] = {}  #: agent ids
        self.effects: list[Effect] = []
        self._tickets = 0
        self._stored: dict[int, Callable[[int], None]] = {}
        self._ids = {"framework": 0, "agent": 0, "offer": 0}

    # ── ids ───────────────────────────────────────────────────────────────────────────────────────
    def next_number(self, of: str) -> int:
        """The next number for ids of "framework", "agent" or "offer", from 0."""
        number = self._ids[of]
        self._ids[of] = number + 1
        return number

    # ── effects ───────────────────────────────────────────────────────────────────────────────────
    def send(self, framework: Framework, event: scheduler.Event) -> None:
        """Puts the event on the framework's stream; drops it if there is none."""
        if framework.stream_id is None:
            return
        self.effects.append(SendEvent(framework.stream_id, event))
        counters = framework.counters
        counters["events"] += 1
        counters[_EVENTS[event.type]] += 1  # type: ignore[index]

    def fail_stream(self, stream_id: str, message: str) -> None:
        """Says ERROR on a stream and ends it."""
        self.effects.append(SendEvent(stream_id, error_event(message)))
        self.effects.append(CloseStream(stream_id))

    def tell(self, agent: Agent, message: internal.MasterMessage) -> bool:
        """Sends the message to the agent; False, and nothing sent, if it is not connected."""
        if agent.channel_id is None:
            return False
        self.effects.append(SendToAgent(agent.channel_id, message))
        return True

    def close_channel(self, agent: Agent) -> None:
        """Ends the agent's channel, if it has one."""
        if agent.channel_id is not None:
            del self.channels[agent.channel_id]
            self.effects.append(CloseChannel(agent.channel_id))
            agent.channel_id = None

    def announce(self, fact: Fact) -> None:
        """Tells the operators' event streams."""
        self.effects.append(Announce(fact))

    def store(self, changes: Sequence[tuple[str, bytes | None]], then: Callable[[int], None]) -> int:
        """Asks for the changes to be made durable; `then(ticket)` is called when they are."""
        self._tickets += 1
        self._stored[self._tickets] = then
        self.effects.append(Store(self._tickets, changes))
        return self._tickets

    def stored(self, ticket: int) -> None:
        """The changes of this ticket are durable."""
        self._stored.pop(ticket)(ticket)

    # ── resources ─────────────────────────────────────────────────────────────────────────────────
    def use(self, framework: Framework, agent: Agent, resources: Resources) -> None:
        """A task or executor of the framework holds `resources` of the agent from now on."""
        if resources:  # an executor may come without
            used = agent.used.get(framework.id, NOTHING) + resources
            agent.used[framework.id] = framework.used[agent.id] = used

    def release(self, framework: Framework, agent: Agent, resources: Resources) -> None:
        """A task or executor of the framework has given `resources` of the agent back."""
        if not resources:
            return
        rest = agent.used[framework.id] - resources
        if rest:
            agent.used[framework.id] = framework.used[agent.id] = rest
        else:
            del agent.used[framework.id], framework.used[agent.id]
        self.give_back(framework.id, agent, resources, refuse_s=None)

    def give_back(
        self, framework_id: str, agent: Agent, resources: Resources, refuse_s: float | None
    ) -> None:
        """Returns to the allocator what it allocated, with a filter of `refuse_s` seconds if there is one."""
        if agent.in_allocator and resources:
            self.allocator.recover(framework_id, agent.id, resources, refuse_s=refuse_s, now=self.now)

    # ── reasons ───────────────────────────────────────────────────────────────────────────────────
    def decide(self, framework: Framework, code: str, sentence: str) -> None:
        """Remembers a decision about the framework for the person who asks why."""
        framework.decisions.append(Decision(self.now, code, sentence))


def error_event(message: str) -> scheduler.Event:
    """The ERROR event that ends a subscription."""
    return scheduler.Event(type=scheduler.Event.Type.ERROR, error=scheduler.Event.Error(message))


def make_allocator(config: Config, master_info: v1.MasterInfo, seed: int) -> Allocator:
    """The allocator for this configuration."""
    domain = master_info.domain and master_info.domain.fault_domain
    return Allocator(
        AllocatorConfig(
            allocation_interval_s=config.allocation_interval_s,
            minimum=parse_minimum(config.min_allocatable_resources),
            filter_gpu_resources=config.filter_gpu_resources,
            excluded_resource_names=config.fair_sharing_excluded_resource_names,
            region=domain.region.name if domain else None,
        ),
        Random(seed),
    )
