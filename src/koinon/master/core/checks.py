"""What must always hold of the master's state. Costs a walk over everything; for tests and simulations."""

from __future__ import annotations

from collections import Counter

from koinon.master.core.context import Core
from koinon.master.core.state import Agent, Framework
from koinon.master.core.tables import HOLDING
from koinon.mesos.resources import Resources
from koinon.mesos.states import TERMINAL


class Broken(AssertionError):
    """A law does not hold; the text says which, and of whom."""


def check(core: Core) -> None:
    """Raises Broken if a law does not hold."""
    _check_offers(core)
    for framework in core.state.frameworks.values():
        _check_framework(core, framework)
    for agent in core.state.agents.values():
        _check_agent(core, agent)
    _check_channels(core)
    _check_agent_tables(core)
    _check_allocator(core)


def _law(holds: bool, text: str) -> None:
    if not holds:
        raise Broken(text)


def _check_offers(core: Core) -> None:
    state = core.state
    by_framework = {id: offer for one in state.frameworks.values() for id, offer in one.offers.items()}
    by_agent = {id: offer for one in state.agents.values() for id, offer in one.offers.items()}
    _law(state.offers == by_framework == by_agent, "an offer is not known everywhere alike")
    for offer in state.offers.values():
        _law(state.frameworks[offer.framework_id].active, f"offer {offer.id} is to an inactive framework")
        _law(state.agents[offer.agent_id].active, f"offer {offer.id} is of an inactive agent")


def _check_framework(core: Core, framework: Framework) -> None:
    where = f"framework {framework.id}"
    _law(framework.connected == (framework.stream_id is not None), f"{where}: connected without a stream")
    _law(framework.connected or not framework.questions, f"{where}: asks without a stream")
    tables = [*framework.tasks, *framework.unreachable_tasks]
    _law(len(set(tables)) == len(tables), f"{where}: a task is in two tables")
    for task in framework.tasks.values():
        agent = core.state.agents[task.agent_id]
        _law(agent.tasks[framework.id][task.task_id] is task, f"{where}: its agent lacks task {task.task_id}")
        _law(
            task.state in HOLDING or not (task.acknowledged and task.update_state in TERMINAL),
            f"{where}: the end of task {task.task_id} is acknowledged",
        )
    for task in framework.unreachable_tasks.values():
        lost = core.state.lost_tasks.get(task.agent_id, {})
        _law(lost.get((framework.id, task.task_id)) is task, f"{where}: task {task.task_id} is not awaited")
    active = Counter(task.state for task in framework.tasks.values() if task.state not in TERMINAL)
    active.update(task.state for task in framework.unreachable_tasks.values() if task.state not in TERMINAL)
    counted = {name: n for name, n in framework.counters.items() if name.startswith("tasks/active/") and n}
    _law(
        counted == {f"tasks/active/{state.name.lower()}": n for state, n in active.items()},
        f"{where}: active tasks are counted as {counted}",
    )


def _check_agent(core: Core, agent: Agent) -> None:
    where = f"agent {agent.id}"
    _law(bool(agent.channel_id) or not agent.connected, f"{where}: connected without a channel")
    for framework_id, of_framework in agent.tasks.items():
        framework = core.state.frameworks[framework_id]
        for task_id, task in of_framework.items():
            _law(framework.tasks.get(task_id) is task, f"{where}: its framework lacks task {task_id}")
    for framework_id in {*agent.used, *agent.tasks, *agent.executors}:
        held = [
            task.resources for task in agent.tasks.get(framework_id, {}).values() if task.state in HOLDING
        ]
        held += [executor.resources for executor in agent.executors.get(framework_id, {}).values()]
        used = agent.used.get(framework_id, Resources())
        _law(
            used == Resources.sum(held),
            f"{where}: framework {framework_id} uses {used}, not what its tasks hold",
        )
        framework = core.state.frameworks[framework_id]
        _law(
            framework.used.get(agent.id, Resources()) == used,
            f"{where}: framework {framework_id} sums otherwise",
        )
    given = [*agent.used.values(), *(offer.resources for offer in agent.offers.values())]
    everything = Resources.sum(part.unallocated() for part in given)
    _law(agent.total.contains(everything), f"{where}: more is given than there is")
    pieces = [(port, part) for part in given for port in part.ports]
    _law(
        sum(end - begin + 1 for (begin, end), _ in pieces)
        == sum(end - begin + 1 for begin, end in everything.ports),
        f"{where}: a port is given twice",
    )


def _check_channels(core: Core) -> None:
    for channel_id, agent in core.channels.items():
        _law(agent.channel_id == channel_id, f"channel {channel_id} is not the one of agent {agent.id}")
        _law(core.state.agents.get(agent.id) is agent, f"channel {channel_id} is of an agent that left")
    for stream_id, framework in core.streams.items():
        _law(
            framework.stream_id == stream_id, f"stream {stream_id} is not the one of framework {framework.id}"
        )
    waiting = {joining.channel_id: agent_id for agent_id, joining in core.state.joining.items()}
    _law(waiting == core.joining_channels, "channels of joining agents are not those that wait")


def _check_agent_tables(core: Core) -> None:
    state = core.state
    tables = (state.agents, state.recovered_agents, state.unreachable_agents, state.gone_agents)
    ids = [agent_id for table in tables for agent_id in table]
    _law(len(set(ids)) == len(ids), "an agent is in two tables")
    _law(set(state.leaving) <= set(ids), "an agent is leaving that is nowhere")
    coming_or_going = set(state.joining) | set(state.leaving)
    _law(
        set(state.doomed) <= {*state.agents, *state.recovered_agents} - coming_or_going,
        "an agent is to be given up that is not here, or coming or going",
    )
    for agent_id, lost in state.lost_tasks.items():
        for framework_id, task_id in lost:
            known = task_id in state.frameworks[framework_id].unreachable_tasks
            _law(known, f"task {task_id} of agent {agent_id} is awaited, but not among the unreachable")


def _check_allocator(core: Core) -> None:
    given: Counter[str] = Counter()
    for agent in core.state.agents.values():
        for part in (*agent.used.values(), *(offer.resources for offer in agent.offers.values())):
            given.update(part.scalars)
    allocated = {name: quantity for name, quantity in core.allocator.allocated.items() if quantity}
    expected = {name: quantity for name, quantity in given.items() if quantity}
    _law(allocated == expected, f"{expected} is offered or used, but the allocator believes {allocated}")
