"""`/registrar(1)/registry`: what the registry holds, in the shape of Mesos's message Registry.

Everything in it is durable. Messages in it are those of the first API version, whose names for what is shown here are
the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

import msgspec

from koinon.edge.listings import SLICE
from koinon.master.core.state import AgentEntry, State
from koinon.master.views import messages
from koinon.master.views.about import About
from koinon.master.views.objects import Object, encode
from koinon.mesos import codec, v1
from koinon.mesos.resources import Resources

T = TypeVar("T")


def registry(about: About, found: State) -> Iterator[bytes]:
    """The whole, in slices."""
    admitted = [agent.info for agent in found.agents.values()]
    admitted += [entry.info for entry in found.recovered_agents.values()]
    unreachable, gone = list(found.unreachable_agents.items()), list(found.gone_agents.items())
    weights = [{"info": {"weight": weight, "role": role}} for role, weight in found.weights.items()]
    yield b'{"master":{"info":%b},"slaves":{"slaves":' % codec.encode(about.master_info())
    yield from _array(admitted, _slave)
    yield b"}"
    for name, entries in ((b"unreachable", unreachable), (b"gone", gone)):
        if entries:
            yield b',"%b":{"slaves":' % name
            yield from _array(entries, _departed)
            yield b"}"
    if weights:
        yield b',"weights":' + encode(weights)
    yield b"}"


def _slave(info: v1.AgentInfo) -> Object:
    shown = messages.listed(info)
    resources = Resources.from_v1(info.resources).to_v1("endpoint")
    return {"info": msgspec.structs.replace(shown, resources=resources)}


def _departed(entry: tuple[str, AgentEntry]) -> Object:
    agent_id, found = entry
    return {"id": {"value": agent_id}, "timestamp": {"nanoseconds": int(found.since_s * 1e9)}}


def _array(items: Iterable[T], render: Callable[[T], Object]) -> Iterator[bytes]:
    left = iter(items)
    separator = b"["
    for first in left:
        some = chain((first,), islice(left, SLICE - 1))
        yield separator + b",".join([encode(render(item)) for item in some])
        separator = b","
    yield b"]" if separator == b"," else b"[]"
