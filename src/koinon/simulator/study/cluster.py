"""A whole cluster: the master's real core, and agents and frameworks around it, in virtual time.

    cluster = Cluster(study)
    cluster.run(3600.0)
    cluster.measures

Every message takes a millisecond; so does a write of the registry. What the master does takes no time, but for one
thing: between two ticks of its clock there is some. A tick makes offers of up to a thousand agents, and a real master
needs about as long for them.
"""

from __future__ import annotations

from math import inf

from koinon.master.core import Config, Master, events
from koinon.mesos import v1
from koinon.simulator.study.agents import Agent, Common, Reader
from koinon.simulator.study.clock import Clock
from koinon.simulator.study.description import Study
from koinon.simulator.study.frameworks import Framework
from koinon.simulator.study.measures import Measures

#: Between two ticks of the master's clock.
_REST_S = 0.01
#: The time at the begin; the master takes 0 for "never".
_BEGIN_S = 1_000_000.0
_MASTER = v1.MasterInfo(id="study", ip=0, port=5050, pid="master@0.0.0.0:5050", hostname="study")


class Cluster:
    """Master, agents, frameworks, and the clock of all."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.begin_s = _BEGIN_S
        self.clock = Clock(self.begin_s)
        self.amounts = Reader()
        self.measures = Measures(study, self.begin_s, lambda: self.clock.now)
        self.master = Master(_config(study), master_info=_MASTER, seed=study.seed, now=self.begin_s)
        self.frameworks = [Framework(self, framework) for framework in study.frameworks]
        groups = [Common(group) for group in study.groups]
        self.agents = [Agent(self, common, index) for common in groups for index in range(common.group.count)]
        self._streams = {framework.stream: framework for framework in self.frameworks}
        self._channels: dict[str, Agent] = {}
        self._opened = 0
        self._updates = 0
        self._rested_s = -inf
        self._start()

    def _start(self) -> None:
        self.tell(events.RegistryLoaded({}))
        if self.study.weights:
            weights = [v1.WeightInfo(role=role, weight=weight) for role, weight in self.study.weights.items()]
            self.tell(events.WeightsUpdated(weights))
        for agent in self.agents:
            agent.start()
        for framework in self.frameworks:
            framework.start()
        self._sample(None)

    def _sample(self, _: None) -> None:
        self.measures.sample({framework.name: len(framework.waiting) for framework in self.frameworks})
        self.clock.at(self.clock.now + self.study.sample_s, self._sample)

    def run(self, until_s: float) -> None:
        """Let time pass until so many seconds after the begin."""
        self.clock.run(self.begin_s + until_s, self._end_turn)

    # ── the master ────────────────────────────────────────────────────────────────────────────────
    def tell(self, event: events.Event) -> None:
        """The master takes it in; what it wants is done."""
        clock = self.clock
        for effect in self.master.handle(event, clock.now):
            kind = effect.__class__
            if kind is events.SendToAgent:
                agent = self._channels.get(effect.channel_id)  # type: ignore[union-attr]
                if agent is not None:
                    clock.post(agent.hear, (effect.channel_id, effect.message))  # type: ignore[union-attr]
            elif kind is events.SendEvent:
                clock.post(self._streams[effect.stream_id].hear, effect.event)  # type: ignore[union-attr]
            elif kind is events.Store:
                clock.post(self.tell, events.RegistryStored(effect.ticket))  # type: ignore[union-attr]
            # Nobody watches (Announce), and an agent whose channel is closed is down, or has opened another.

    def _end_turn(self) -> None:
        clock, master = self.clock, self.master
        due_s = max(master.next_wakeup(clock.now), self._rested_s)
        if due_s <= clock.now:
            self.tell(_TICK)
            self._rested_s = clock.now + _REST_S
            due_s = max(master.next_wakeup(clock.now), self._rested_s)
        clock.wake(due_s)

    # ── agents ────────────────────────────────────────────────────────────────────────────────────
    def open_channel(self, agent: Agent) -> None:
        """The agent connects."""
        self._opened += 1
        agent.channel = f"channel-{self._opened}"
        self._channels[agent.channel] = agent

    def drop_channel(self, agent: Agent) -> None:
        """Nothing reaches the agent any more; the master does not know."""
        del self._channels[agent.channel]

    def next_uuid(self) -> bytes:
        """Of a status update."""
        self._updates += 1
        return self._updates.to_bytes(16, "big")


_TICK = events.ClockTicked()


def _config(study: Study) -> Config:
    can_fail = any(group.failures is not None for group in study.groups)
    return Config(
        allocation_interval_s=study.allocation_interval_s,
        # Agents that cannot fail would answer every ping: a third of all messages, and nothing comes of them.
        agent_ping_timeout_s=study.agent_ping_timeout_s if can_fail else 2 * study.length_s,
        max_agent_ping_timeouts=study.max_agent_ping_timeouts,
        max_completed_tasks_per_framework=0,  # nobody looks at the past
    )
