"""What the operator API lists, and the answers that do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from koinon.edge import listings
from koinon.edge.listings import Group, Listing
from koinon.master.core.state import Framework, State
from koinon.master.views import messages
from koinon.mesos import codec, v1
from koinon.mesos.v1.master import Event, Response

#: A framework may use thousands of agents, which are to be added up.
_FRAMEWORKS_AT_ONCE = 5


# ── what is listed ────────────────────────────────────────────────────────────────────────────────
def tasks(found: State) -> Listing:
    """`get_tasks`."""
    every = [*found.frameworks.values(), *found.completed_frameworks.values()]
    return Listing(
        "get_tasks",
        Response.GetTasks,
        [
            Group("tasks", [t for one in every for t in one.tasks.values()], messages.task),
            Group(
                "unreachable_tasks",
                [t for one in every for t in one.unreachable_tasks.values()],
                messages.task,
            ),
            Group("completed_tasks", [t for one in every for t in one.completed_tasks], messages.task),
        ],
    )


def agents(found: State, content_type: str) -> Listing:
    """`get_agents`."""
    as_json = content_type == codec.JSON
    recovered = [entry.info for entry in found.recovered_agents.values()]
    return Listing(
        "get_agents",
        Response.GetAgents,
        [
            Group(
                "agents",
                list(found.agents.values()),
                messages.listed_agent if as_json else messages.agent,
            ),
            Group("recovered_agents", recovered, messages.listed if as_json else _same),
        ],
    )


def frameworks(found: State) -> Listing:
    """`get_frameworks`."""
    message = partial(_framework_with_offers, found)
    return Listing(
        "get_frameworks",
        Response.GetFrameworks,
        [
            Group("frameworks", list(found.frameworks.values()), message, _FRAMEWORKS_AT_ONCE),
            Group(
                "completed_frameworks",
                list(found.completed_frameworks.values()),
                message,
                _FRAMEWORKS_AT_ONCE,
            ),
        ],
    )


def executors(found: State) -> Listing:
    """`get_executors`."""
    running = [
        executor
        for agent in found.agents.values()
        for of_framework in agent.executors.values()
        for executor in of_framework.values()
    ]
    return Listing("get_executors", Response.GetExecutors, [Group("executors", running, messages.executor)])


def everything(found: State, content_type: str) -> list[Listing]:
    """The parts of `get_state`."""
    return [tasks(found), executors(found), frameworks(found), agents(found, content_type)]


def _framework_with_offers(found: State, framework: Framework) -> messages.FrameworkMessage:
    message = messages.framework(framework)
    message.offers = [
        messages.offer(offer, found.agents[offer.agent_id]) for offer in framework.offers.values()
    ]
    return message


# ── answers ───────────────────────────────────────────────────────────────────────────────────────
def answer(kind: Response.Type, listing: Listing, content_type: str) -> Iterator[bytes]:
    """An answer that holds one listing, in slices."""
    return listings.answer(Response, kind, listing, content_type)


def answer_state(parts: list[Listing], content_type: str) -> Iterator[bytes]:
    """The answer to GET_STATE, in slices."""
    if content_type == codec.JSON:
        yield b'{"type":"GET_STATE","get_state":'
        yield from listings.in_json(parts)
        yield b"}"
    else:
        yield codec.encode(Response(type=Response.Type.GET_STATE), content_type)
        for state in listings.in_parts(Response.GetState, parts):
            yield codec.encode(Response(get_state=state), content_type)


def subscribed(parts: list[Listing], heartbeat_s: float, content_type: str) -> Iterator[bytes]:
    """The event SUBSCRIBED with everything in it, in slices."""
    if content_type == codec.JSON:
        yield b'{"type":"SUBSCRIBED","subscribed":{"heartbeat_interval_seconds":%b,"get_state":' % (
            str(heartbeat_s).encode()
        )
        yield from listings.in_json(parts)
        yield b"}}"
    else:
        first = Event.Subscribed(heartbeat_interval_seconds=heartbeat_s)
        yield codec.encode(Event(type=Event.Type.SUBSCRIBED, subscribed=first), content_type)
        for state in listings.in_parts(Response.GetState, parts):
            yield codec.encode(Event(subscribed=Event.Subscribed(get_state=state)), content_type)


def _same(message: v1.AgentInfo) -> v1.AgentInfo:
    return message
