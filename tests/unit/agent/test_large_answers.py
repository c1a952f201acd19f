"""Answers about many tasks are made in small pieces, and are whole all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from koinon.agent.core import events as ev
from koinon.agent.views import classic, containers, messages
from koinon.agent.views.about import About
from koinon.edge.listings import SLICE
from koinon.mesos import codec, v1
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.agent import Response
from tests.unit.agent.bench import Bench, executor, of_type, status, task

COUNT = 3 * SLICE + 1
ABOUT = About(pid="slave(1)@127.0.0.1:5051", flags={}, started_s=0.0, master=lambda: None)


def commands(bench: Bench) -> None:
    for number in range(COUNT):
        bench.running(task(f"t{number}"))


def one_custom_executor(bench: Bench) -> None:
    for number in range(COUNT):
        bench.run(task(f"t{number}", executor=executor()))
    bench.subscribe()
    for number in range(COUNT):
        bench.say(status(f"t{number}", TaskState.TASK_RUNNING, number))


def one_default_executor(bench: Bench) -> None:
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    group = [task(f"t{number}") for number in range(COUNT)]
    for launched in of_type(bench.run_group(*group, by=by), ev.LaunchContainer):
        bench.started(launched.container_id)


@pytest.fixture(params=[commands, one_custom_executor, one_default_executor])
def bench(request) -> Bench:
    bench = Bench()
    request.param(bench)
    bench.effects.clear()
    return bench


def whole(pieces: Iterator[bytes], word: bytes) -> bytes:
    """What the pieces make, none of which has more than a slice of the objects that `word` is in once."""
    made = list(pieces)
    assert max(piece.count(word) for piece in made) <= SLICE
    return b"".join(made)


def test_the_state_has_all_tasks(bench):
    state = json.loads(whole(classic.state(bench.agent.state, ABOUT), b'"slave_id"'))
    found = [one["id"] for each in state["frameworks"][0]["executors"] for one in each["tasks"]]
    assert found == [f"t{number}" for number in range(COUNT)]
    assert state["unreserved_resources_allocated"]["mem"] == 32 * COUNT


@pytest.mark.parametrize("content_type", [codec.JSON, codec.PROTOBUF])
def test_the_operator_api_has_all_tasks(bench, content_type):
    state, streams = bench.agent.state, bench.agent.streams
    listing = messages.tasks(state, streams)
    pieces = messages.answer(Response.Type.GET_TASKS, listing, content_type)
    answer = codec.decode(Response, whole(pieces, b'"status_update_uuid"'), content_type)
    assert answer.type is Response.Type.GET_TASKS
    assert answer.get_tasks is not None
    assert len(answer.get_tasks.launched_tasks) == COUNT
    pieces = messages.answer_state(state, streams, content_type)
    answer = codec.decode(Response, whole(pieces, b'"status_update_uuid"'), content_type)
    assert answer.get_state is not None
    assert answer.get_state.get_tasks is not None
    assert answer.get_state.get_executors is not None
    assert len(answer.get_state.get_tasks.launched_tasks) == COUNT
    assert len(answer.get_state.get_executors.executors) == len(state.frameworks["F"].executors)


def test_all_containers_are_shown(bench):
    state = bench.agent.state
    found = containers.find(state)
    shown = json.loads(whole(containers.classic(found, {}, 1.0), b'"statistics"'))
    measured = json.loads(whole(containers.statistics(found, {}, 1.0), b'"statistics"'))
    assert len(shown) == len(measured) == len(state.frameworks["F"].executors)
    assert sum(one["statistics"]["mem_soft_limit_bytes"] for one in shown) == 32 * COUNT << 20
    listing = containers.listing(containers.find(state, nested=True), {}, 1.0)
    pieces = messages.answer(Response.Type.GET_CONTAINERS, listing, codec.JSON)
    answer = codec.decode(Response, whole(pieces, b'"resource_statistics"'), codec.JSON)
    assert answer.get_containers is not None
    assert len(answer.get_containers.containers) >= len(state.containers)
