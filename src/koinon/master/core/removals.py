"""Agents that are given up, no more of them at a time than the rate limit allows.

    silent · disconnected for long · not back since the election ──▶ doomed ──its turn has come──▶ leaving
                                                                       └── heard of again ──▶ spared

Without a limit its turn comes at once. With `agent_removal_interval_s` at least so much lies between two: when a
network fails and takes half of the agents with it, their tasks are not all declared lost in the same minute.

After an election there is a second safety: if more of the agents in the registry are missing than
`recovery_agent_removal_limit`, none is given up; this master resigns, so that a person has a look.
"""

from __future__ import annotations

from itertools import islice

from koinon.master.core import departures
from koinon.master.core.context import Core
from koinon.master.core.events import Resign
from koinon.master.core.state import Agent, AgentEntry
from koinon.master.core.tables import AgentState


# ── the queue ─────────────────────────────────────────────────────────────────────────────────────
def doom(core: Core, agent_id: str) -> None:
    """The agent is to be given up when its turn comes; does nothing if it is to be already, or is coming or going."""
    state = core.state
    if agent_id in state.doomed or agent_id in state.joining or agent_id in state.leaving:
        return
    state.counters["slave_unreachable_scheduled"] += 1
    state.doomed[agent_id] = core.now
    if len(state.doomed) == 1:
        _take_turn(core)


def spare(core: Core, agent_id: str) -> None:
    """The agent was heard of again, or leaves in another way."""
    if core.state.doomed.pop(agent_id, None) is not None:
        core.state.counters["slave_unreachable_canceled"] += 1


def take_turn(core: Core, _: str) -> None:
    """It is time for the next."""
    if core.state.doomed:
        _take_turn(core)


def _take_turn(core: Core) -> None:
    doomed = core.state.doomed
    if core.now < core.state.next_removal_s:
        core.alarms.set(core.state.next_removal_s, take_turn)
        return
    agent_id = next(iter(doomed))
    del doomed[agent_id]
    if (interval_s := core.config.agent_removal_interval_s) is not None:
        core.state.next_removal_s = core.now + interval_s
    _give_up(core, agent_id)
    if doomed:
        core.alarms.set(core.state.next_removal_s, take_turn)


def _give_up(core: Core, agent_id: str) -> None:
    if (agent := core.state.agents.get(agent_id)) is not None:
        departures.leave(core, agent, departures.UNREACHABLE)
    else:
        departures.leave_known(core, agent_id, departures.UNREACHABLE)


def heard_of(core: Core, agent_id: str) -> None:
    """The agent is one of ours again: nothing of all this is to come."""
    spare(core, agent_id)
    core.alarms.cancel(give_up_disconnected, agent_id)
    core.alarms.cancel(give_up_recovered, agent_id)


# ── those that do not come back ───────────────────────────────────────────────────────────────────
def await_return(core: Core, agent: Agent) -> None:
    """The agent disconnected; it has some time to come back."""
    core.alarms.set(core.now + core.config.agent_reregister_timeout_s, give_up_disconnected, agent.id)


def give_up_disconnected(core: Core, agent_id: str) -> None:
    """It has not come back; perhaps its pings are not due for long."""
    agent = core.state.agents.get(agent_id)
    if agent is not None and agent.state is AgentState.DISCONNECTED:
        doom(core, agent_id)


def await_again(core: Core, agent_id: str, entry: AgentEntry) -> None:
    """The agent was here just now, and the registry has it as admitted; it has some time to come again."""
    core.state.recovered_agents[agent_id] = entry
    core.alarms.set(core.now + core.config.agent_reregister_timeout_s, give_up_recovered, agent_id)


def give_up_recovered(core: Core, agent_id: str) -> None:
    """It did not come."""
    if agent_id in core.state.recovered_agents:
        doom(core, agent_id)


def await_all(core: Core) -> None:
    """This master leads from now on: the agents in the registry have some time to come."""
    core.state.awaited = len(core.state.recovered_agents)
    core.alarms.set(core.now + core.config.agent_reregister_timeout_s, count_missing)


def count_missing(core: Core, _: str) -> None:
    """The time is over. Too many that are missing are a sign that something else is wrong."""
    state, limit = core.state, core.config.recovery_agent_removal_limit
    missing = {
        agent_id: entry
        for agent_id, entry in state.recovered_agents.items()
        # Some were here meanwhile, and have a time of their own.
        if agent_id not in state.joining and not core.alarms.is_set(give_up_recovered, agent_id)
    }
    if missing and len(missing) > limit * state.awaited:
        some = ", ".join(
            f"{agent_id} ({entry.info.hostname})" for agent_id, entry in islice(missing.items(), 10)
        )
        core.effects.append(
            Resign(
                f"{len(missing)} of {state.awaited} agents have not come back within"
                f" {core.config.agent_reregister_timeout_s:g} s of this master's election. That is more than"
                f" --recovery_agent_removal_limit, {limit * 100:g}%, so none is given up: find out why, or raise the"
                f" limit. Missing are {some}{', …' if len(missing) > 10 else ''}."
            )
        )
        return
    for agent_id in missing:
        core.alarms.set(core.now, give_up_recovered, agent_id)  # not all in one turn
