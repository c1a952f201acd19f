"""Answers of the operator API that list many objects, made in slices, in either encoding.

A *listing* is a message with lists in it (`get_tasks` with `tasks`, `completed_tasks`, …). In JSON its parts
are written one after another. In protobuf each slice is a whole message of its own: readers of protobuf merge
what comes one after another, so that nothing needs to be held back to learn its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from koinon.master.core.state import Framework, State
from koinon.master.views import SLICE, messages
from koinon.mesos import codec, v1
from koinon.mesos.v1.base import V1Message
from koinon.mesos.v1.master import Event, Response

M = TypeVar("M", bound=V1Message)

#: A framework may use thousands of agents, which are to be added up.
_FRAMEWORKS_AT_ONCE = 5
#: Writing protobuf takes ten times longer than JSON.
_SLICE_OF = {codec.JSON: SLICE, codec.PROTOBUF: SLICE // 10}


class Group(NamedTuple):
    """One list of a listing: the field's name, records, and what makes messages of them."""

    field: str
    records: Sequence[Any]
    message: Callable[[Any], V1Message]
    at_once: int = SLICE

    def slices(self, content_type: str) -> Iterator[tuple[int, Sequence[Any]]]:
        """Where each slice begins, and its records."""
        size = min(self.at_once, _SLICE_OF[content_type])
        for start in range(0, len(self.records), size):
            yield start, self.records[start : start + size]


class Listing(NamedTuple):
    """One message with lists: its field in the answer, its type, and the lists."""

    field: str
    kind: type[V1Message]
    groups: list[Group]


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
    if content_type == codec.JSON:
        yield b'{"type":"%b",' % kind.value.encode()
        yield from _in_json(listing)
        yield b"}"
    else:
        yield codec.encode(_with(Response(type=kind), listing.field, listing.kind()), content_type)
        for part in _parts(listing):
            yield codec.encode(_with(Response(), listing.field, part), content_type)


def answer_state(listings: list[Listing], content_type: str) -> Iterator[bytes]:
    """The answer to GET_STATE, in slices."""
    if content_type == codec.JSON:
        yield b'{"type":"GET_STATE","get_state":'
        yield from _state_in_json(listings)
        yield b"}"
    else:
        yield codec.encode(Response(type=Response.Type.GET_STATE), content_type)
        for state in _states(listings):
            yield codec.encode(Response(get_state=state), content_type)


def subscribed(listings: list[Listing], heartbeat_s: float, content_type: str) -> Iterator[bytes]:
    """The event SUBSCRIBED with everything in it, in slices."""
    if content_type == codec.JSON:
        yield b'{"type":"SUBSCRIBED","subscribed":{"heartbeat_interval_seconds":%b,"get_state":' % (
            str(heartbeat_s).encode()
        )
        yield from _state_in_json(listings)
        yield b"}}"
    else:
        first = Event.Subscribed(heartbeat_interval_seconds=heartbeat_s)
        yield codec.encode(Event(type=Event.Type.SUBSCRIBED, subscribed=first), content_type)
        for state in _states(listings):
            yield codec.encode(Event(subscribed=Event.Subscribed(get_state=state)), content_type)


def _state_in_json(listings: list[Listing]) -> Iterator[bytes]:
    for index, listing in enumerate(listings):
        yield b"," if index else b"{"
        yield from _in_json(listing)
    yield b"}"


def _in_json(listing: Listing) -> Iterator[bytes]:
    yield f'"{listing.field}":{{'.encode()
    for index, group in enumerate(listing.groups):
        yield f'{"," if index else ""}"{group.field}":['.encode()
        for start, records in group.slices(codec.JSON):
            piece = b",".join([codec.encode(group.message(record)) for record in records])
            yield b"," + piece if start else piece
        yield b"]"
    yield b"}"


def _states(listings: list[Listing]) -> Iterator[Response.GetState]:
    for listing in listings:
        yield _with(Response.GetState(), listing.field, listing.kind())
        for part in _parts(listing):
            yield _with(Response.GetState(), listing.field, part)


def _parts(listing: Listing) -> Iterator[V1Message]:
    """Messages that make up the listing when they are merged."""
    for group in listing.groups:
        for _, records in group.slices(codec.PROTOBUF):
            yield _with(listing.kind(), group.field, [group.message(record) for record in records])


def _with(message: M, field: str, value: object) -> M:
    setattr(message, field, value)
    return message


def _same(message: v1.AgentInfo) -> v1.AgentInfo:
    return message
