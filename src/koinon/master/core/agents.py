"""Agents: registered, known again, connected and disconnected.

    (new) ──Register──▶ stored ──▶ connected ◀──Register── disconnected · recovered · unreachable
                                       └── channel closed ──▶ disconnected

An agent is admitted when the registry has it, and hears of it only then. It keeps its id for as long as it has
its work directory; with the id it brings all the work that it has, and what it brings is what there is (see
`reports`). An agent that opens a second channel is on the second.
"""

from __future__ import annotations

from functools import partial

from koinon.master.core import departures, executors, health, offers, registry, removals, reports
from koinon.master.core.context import Core
from koinon.master.core.events import AgentAdded, CloseChannel, SendToAgent
from koinon.master.core.state import Agent, AgentEntry, Joining, Standing
from koinon.master.core.tables import AGENT_MOVES, AgentState, OfferState, check_move
from koinon.master.core.validation.agents import agent_problem
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources

#: So many agents, each with some tasks, a new master takes in with half a processor.
_RETURNS_PER_S = 1000


# ── registration ──────────────────────────────────────────────────────────────────────────────────
def register(core: Core, channel_id: str, message: internal.Register) -> None:
    """An agent wants in. It is refused, let in at once, or after the registry has it."""
    if channel_id in core.channels or channel_id in core.joining_channels:
        return  # one registration for each channel
    if not core.state.recovered:
        core.effects.append(CloseChannel(channel_id))
        return
    info = message.agent_info
    returns = info.id is not None and info.id.value != ""
    core.state.counters["messages_reregister_slave" if returns else "messages_register_slave"] += 1
    if (problem := agent_problem(message, core.master_info, core.config)) is not None:
        refusal = internal.Refused(message=problem)
        core.effects += (SendToAgent(channel_id, refusal), CloseChannel(channel_id))
        return
    if not returns:
        info.id = v1.AgentID(f"{core.master_info.id}-S{core.next_number('agent')}")
    assert info.id is not None
    agent_id = info.id.value
    if agent_id in core.state.gone_agents:
        # Its tasks have been declared gone, so they must not go on.
        message_to_gone = internal.Shutdown(message=departures.GONE.sentence.format(agent_id))
        core.effects += (SendToAgent(channel_id, message_to_gone), CloseChannel(channel_id))
        return
    if (leaving := core.state.leaving.get(agent_id)) is not None and leaving.gone:
        core.effects.append(CloseChannel(channel_id))  # nobody may hear of it before the registry has it
        return
    _replace_joining(core, agent_id)
    removals.spare(core, agent_id)
    if returns and _stands_as(core, agent_id, info):
        _admit(core, channel_id, message, new=False)
        return
    change = registry.agent_change(agent_id, info, Standing.ADMITTED, core.now)
    ticket = core.store((change,), partial(_stored, core, agent_id))
    core.state.joining[agent_id] = Joining(channel_id, message, ticket, new=not returns)
    core.joining_channels[channel_id] = agent_id


def _replace_joining(core: Core, agent_id: str) -> None:
    """An older registration of the same agent, on another channel, is void."""
    if (older := core.state.joining.pop(agent_id, None)) is not None:
        del core.joining_channels[older.channel_id]
        core.effects.append(CloseChannel(older.channel_id))


def _stands_as(core: Core, agent_id: str, info: v1.AgentInfo) -> bool:
    """Does the registry hold the agent as admitted, just like this? If it was leaving, it no longer is."""
    state = core.state
    agent = state.agents.get(agent_id)
    if state.leaving.pop(agent_id, None) is not None:
        state.counters["slave_unreachable_canceled"] += 1
        if agent is not None:
            health.stay(core, agent)
        return False
    if agent is not None:
        return agent.info == info
    recovered = state.recovered_agents.get(agent_id)
    return recovered is not None and recovered.info == info


def _stored(core: Core, agent_id: str, ticket: int) -> None:
    joining = core.state.joining.get(agent_id)
    if joining is not None and joining.ticket == ticket:
        del core.state.joining[agent_id], core.joining_channels[joining.channel_id]
        _admit(core, joining.channel_id, joining.message, new=joining.new)
        for message in joining.exits:
            executors.exited(core, core.state.agents[agent_id], message)


def hear_joining(core: Core, channel_id: str, message: internal.AgentMessage) -> None:
    """An agent that is not admitted yet says more. What it says only once is kept until it is.

    Updates come again; messages of executors may get lost. On a channel that was replaced nothing counts.
    """
    agent_id = core.joining_channels.get(channel_id)
    if agent_id is not None and isinstance(message, internal.ExecutorExited):
        core.state.joining[agent_id].exits.append(message)


def channel_closed(core: Core, channel_id: str) -> None:
    """The agent's connection ended."""
    if (agent := core.channels.pop(channel_id, None)) is not None:
        agent.channel_id = None
        if agent.state is AgentState.CONNECTED:
            _disconnect(core, agent)
    elif (agent_id := core.joining_channels.pop(channel_id, None)) is not None:
        _abandon(core, agent_id, core.state.joining.pop(agent_id))


def _abandon(core: Core, agent_id: str, joining: Joining) -> None:
    """It went away while the registry was being told that it is here."""
    state = core.state
    if joining.new:
        # It never heard its id, so nobody will ever come back with it.
        core.store((registry.agent_removal(agent_id),), lambda ticket: None)
    elif agent_id not in state.agents:
        # It stands as admitted, so it is awaited like those we know from the registry.
        state.unreachable_agents.pop(agent_id, None)
        entry = AgentEntry(info=joining.message.agent_info, standing=Standing.ADMITTED, since_s=core.now)
        removals.await_again(core, agent_id, entry)


# ── admission ─────────────────────────────────────────────────────────────────────────────────────
def _admit(core: Core, channel_id: str, message: internal.Register, *, new: bool) -> None:
    """The registry has the agent: now it is one of ours. `new`: it has never had another id."""
    state, info = core.state, message.agent_info
    assert info.id is not None
    agent_id = info.id.value
    agent = state.agents.get(agent_id)
    had = agent is not None or agent_id in state.unreachable_agents
    # Of agents that this master has waited for since its election nobody was told anything.
    missed = not new and agent_id not in state.recovered_agents
    if agent is None:
        agent = state.agents[agent_id] = _make(core, message)
        state.unreachable_agents.pop(agent_id, None)
        state.recovered_agents.pop(agent_id, None)
    else:
        _take_from_allocator(core, agent)
        _describe(agent, message)
    removals.heard_of(core, agent_id)
    state.counters["slave_registrations" if new else "slave_reregistrations"] += 1
    if not new:
        agent.reregistered_s = core.now
    core.close_channel(agent)
    agent.channel_id = channel_id
    core.channels[channel_id] = agent
    if agent.state is not AgentState.CONNECTED:
        check_move(AGENT_MOVES, agent.state, AgentState.CONNECTED, agent.id)
        agent.state = AgentState.CONNECTED
    agent.disconnected_s = 0.0
    core.tell(agent, _welcome(core, agent, message))
    reports.take(core, agent, message, had=had, missed=missed)
    _give_to_allocator(core, agent)
    reports.resend_kills(core, agent)
    health.watch(core, agent)
    core.announce(AgentAdded(agent))


def _welcome(core: Core, agent: Agent, message: internal.Register) -> internal.Registered:
    config = core.config
    completed = core.state.completed_frameworks
    return internal.Registered(
        agent_id=agent.id,
        master_id=core.master_info.id,
        silence_timeout_s=config.agent_ping_timeout_s * config.max_agent_ping_timeouts,
        completed_frameworks=[
            info.id.value for info in message.frameworks if info.id is not None and info.id.value in completed
        ],
        cluster=core.state.cluster,
        epoch=core.state.epoch,
        return_within_s=(len(core.state.agents) + len(core.state.recovered_agents)) // _RETURNS_PER_S,
    )


def _make(core: Core, message: internal.Register) -> Agent:
    info = message.agent_info
    assert info.id is not None
    check_move(AGENT_MOVES, None, AgentState.CONNECTED, info)
    return Agent(
        id=info.id.value,
        info=info,
        hostname=info.hostname,
        port=info.port,
        pid=message.pid,
        version=message.version,
        capabilities=frozenset(message.capabilities),
        attributes=info.attributes,
        total=Resources.from_v1(info.resources),
        url=_url(message),
        state=AgentState.CONNECTED,
        registered_s=core.now,
    )


def _describe(agent: Agent, message: internal.Register) -> None:
    """The agent came back, and may not be what it was."""
    info = message.agent_info
    agent.info, agent.hostname, agent.port, agent.attributes = info, info.hostname, info.port, info.attributes
    agent.pid, agent.version, agent.url = message.pid, message.version, _url(message)
    agent.capabilities = frozenset(message.capabilities)
    agent.total = Resources.from_v1(info.resources)


def _url(message: internal.Register) -> v1.URL:
    """Where the agent answers; its pid is `slave(1)@ip:port`."""
    name, _, address = message.pid.partition("@")
    ip, _, port = address.rpartition(":")
    return v1.URL(
        scheme="http",
        address=v1.Address(
            hostname=message.agent_info.hostname,
            ip=ip or None,
            port=int(port) if port.isdecimal() else message.agent_info.port,
        ),
        path=f"/{name}",
    )


def _give_to_allocator(core: Core, agent: Agent) -> None:
    core.allocator.add_agent(
        agent.id,
        hostname=agent.hostname,
        total=agent.total,
        attributes=agent.attributes,
        used=agent.used,
        capabilities=agent.capabilities,
        domain=agent.info.domain,
    )
    agent.in_allocator = True


def _take_from_allocator(core: Core, agent: Agent) -> None:
    offers.end_all(core, agent.offers.values(), OfferState.RESCINDED)
    core.allocator.remove_agent(agent.id)
    agent.in_allocator = False


# ── disconnection ─────────────────────────────────────────────────────────────────────────────────
def _disconnect(core: Core, agent: Agent) -> None:
    """Its channel broke: nothing of it is offered until it is back."""
    check_move(AGENT_MOVES, agent.state, AgentState.DISCONNECTED, agent.id)
    agent.state = AgentState.DISCONNECTED
    agent.disconnected_s = core.now
    removals.await_return(core, agent)
    core.allocator.deactivate_agent(agent.id)
    offers.end_all(core, agent.offers.values(), OfferState.RESCINDED)
    departures.lose_volatile(core, agent)
