"""Health of agents: who answers, and who is given up.

Agents are pinged every `agent_ping_timeout`; whoever misses `max_agent_ping_timeouts` in a row is doomed to be given
up, and spared when it answers after all. A disconnected agent misses its pings by nature.
"""

from __future__ import annotations

from koinon.master.core import removals
from koinon.master.core.context import Core
from koinon.master.core.state import Agent
from koinon.master.core.tables import AGENT_MOVES, AgentState, check_move
from koinon.mesos import internal


def watch(core: Core, agent: Agent) -> None:
    """Starts to ping an agent that has just come."""
    agent.pinged, agent.pings_missed = False, 0
    core.alarms.set(core.now + core.config.agent_ping_timeout_s, ping, agent.id)


def ping(core: Core, agent_id: str) -> None:
    """The next ping is due, or has been missed too often."""
    agent = core.state.agents.get(agent_id)
    if agent is None or agent_id in core.state.leaving:
        return
    if agent.pinged:
        agent.pings_missed += 1
        if agent.pings_missed >= core.config.max_agent_ping_timeouts:
            removals.doom(core, agent_id)
    if agent_id not in core.state.leaving:  # it may wait for its turn, and answer meanwhile
        core.tell(agent, internal.Ping())
        agent.pinged = True
        core.alarms.set(core.now + core.config.agent_ping_timeout_s, ping, agent_id)


def pong(core: Core, agent: Agent) -> None:
    """The agent answered."""
    agent.pinged, agent.pings_missed = False, 0
    removals.spare(core, agent.id)


def stay(core: Core, agent: Agent) -> None:
    """The agent came back while the registry was told that it is lost; it is not told otherwise yet."""
    check_move(AGENT_MOVES, agent.state, AgentState.DISCONNECTED, agent.id)
    agent.state = AgentState.DISCONNECTED
    agent.disconnected_s = core.now
    watch(core, agent)
    removals.await_return(core, agent)
