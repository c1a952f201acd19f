"""Health of agents: who answers, and who is given up.

Connected agents are pinged every `agent_ping_timeout`; whoever misses `max_agent_ping_timeouts` in a row is
given up. A disconnected agent misses its pings by nature. Those known from the registry only have
`agent_reregister_timeout` from the election on.
"""

from __future__ import annotations

from koinon.master.core import departures
from koinon.master.core.context import Core
from koinon.master.core.state import Agent, AgentEntry
from koinon.master.core.tables import AGENT_MOVES, AgentState, check_move
from koinon.mesos import internal


def watch(core: Core, agent: Agent) -> None:
    """Starts to ping an agent that has just come."""
    agent.pinged, agent.pings_missed = False, 0
    core.alarms.set(core.now + core.config.agent_ping_timeout_s, ping, agent.id)


def ping(core: Core, agent_id: str) -> None:
    """The next ping is due, or has been missed too often."""
    agent, config = core.state.agents.get(agent_id), core.config
    if agent is None or agent.state is AgentState.LEAVING:
        return
    if agent.pinged:
        agent.pings_missed += 1
    waited_s = core.now - agent.disconnected_s if agent.state is AgentState.DISCONNECTED else 0.0
    if agent.pings_missed >= config.max_agent_ping_timeouts or waited_s >= config.agent_reregister_timeout_s:
        core.state.counters["slave_unreachable_scheduled"] += 1
        departures.leave(core, agent, departures.UNREACHABLE)
        return
    core.tell(agent, internal.Ping())
    agent.pinged = True
    core.alarms.set(core.now + config.agent_ping_timeout_s, ping, agent_id)


def pong(agent: Agent) -> None:
    """The agent answered."""
    agent.pinged, agent.pings_missed = False, 0


def stay(core: Core, agent: Agent) -> None:
    """The agent came back while the registry was told that it is lost; it is not told otherwise yet."""
    check_move(AGENT_MOVES, agent.state, AgentState.DISCONNECTED, agent.id)
    agent.state = AgentState.DISCONNECTED
    agent.disconnected_s = core.now
    watch(core, agent)


def await_recovered(core: Core, agent_id: str, entry: AgentEntry) -> None:
    """The registry knows an agent as admitted; it has some time to come."""
    core.state.recovered_agents[agent_id] = entry
    core.alarms.set(core.now + core.config.agent_reregister_timeout_s, give_up_recovered, agent_id)


def give_up_recovered(core: Core, agent_id: str) -> None:
    """It did not come."""
    if agent_id not in core.state.recovered_agents or agent_id in core.state.leaving:
        return
    core.state.counters["slave_unreachable_scheduled"] += 1
    departures.leave_known(core, agent_id, departures.UNREACHABLE)
