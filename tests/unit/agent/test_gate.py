"""The gate: what follows a checkpoint waits until it is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from koinon.agent import checkpoint
from koinon.agent.checkpoint import Gate
from koinon.agent.core.events import (
    Checkpoint,
    DestroyContainer,
    Effect,
    Forget,
    ForgetContainer,
    TerminateContainer,
)
from koinon.coordination import Change, StoreError


class SlowStore:
    """Commits when the test says so."""

    def __init__(self) -> None:
        self.commits: list[tuple[dict[str, bytes | None], asyncio.Future[None]]] = []

    def commit(self, changes: Iterable[Change]) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.commits.append((dict(changes), done))
        return done

    def load(self, prefix: str = "") -> dict[str, bytes]:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class Setting:
    def __init__(self) -> None:
        self.store = SlowStore()
        self.done: list[str] = []
        self.gate = Gate(self.store, self._perform)

    def _perform(self, effect: Effect) -> None:
        assert isinstance(effect, ForgetContainer | TerminateContainer | DestroyContainer)
        self.done.append(effect.container_id)

    async def turn(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def finish(self, number: int, error: Exception | None = None) -> None:
        """Commit `number` is durable, or has failed."""
        done = self.store.commits[number][1]
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
        await self.turn()


@pytest.fixture
async def setting() -> Setting:
    return Setting()


def step(name: str) -> ForgetContainer:
    return ForgetContainer(name)


def write(key: str, value: bytes = b"1") -> Checkpoint:
    return Checkpoint({key: value})


async def test_without_a_checkpoint_nothing_waits(setting):
    setting.gate.take([step("1"), step("2")])
    assert setting.done == ["1", "2"]


async def test_what_follows_a_checkpoint_waits_for_the_disk(setting):
    setting.gate.take([step("1"), write("a"), step("2")])
    setting.gate.take([step("3")])
    await setting.turn()
    assert setting.done == ["1"]
    await setting.finish(0)
    assert setting.done == ["1", "2", "3"]


async def test_what_comes_in_one_turn_is_written_together(setting):
    setting.gate.take([write("a"), step("1")])
    setting.gate.take([write("b"), step("2")])
    await setting.turn()
    assert [changes for changes, _ in setting.store.commits] == [{"a": b"1", "b": b"1"}]


async def test_what_comes_during_a_commit_goes_into_the_next(setting):
    setting.gate.take([write("a"), step("1")])
    await setting.turn()
    setting.gate.take([step("2"), write("b"), step("3")])
    await setting.turn()
    assert len(setting.store.commits) == 1
    await setting.finish(0)
    assert setting.done == ["1", "2"]
    await setting.finish(1)
    assert setting.done == ["1", "2", "3"]


async def test_of_two_changes_to_a_key_the_later_counts(setting):
    setting.gate.take([Forget({"a": None}), write("a", b"2"), write("b"), Forget({"b": None})])
    await setting.turn()
    assert [changes for changes, _ in setting.store.commits] == [{"a": b"2", "b": None}]


async def test_nothing_waits_for_what_is_forgotten_and_it_is_written_soon(setting, monkeypatch):
    monkeypatch.setattr(checkpoint, "_FORGET_S", 0.01)
    setting.gate.take([Forget({"a": None}), step("1")])
    assert setting.done == ["1"]
    while not setting.store.commits:  # noqa: ASYNC110 - a timer is what is tested
        await asyncio.sleep(0.005)
    assert setting.store.commits[0][0] == {"a": None}


async def test_when_the_disk_is_full_everything_waits_and_is_tried_again(setting, monkeypatch):
    monkeypatch.setattr(checkpoint, "_RETRY_S", 0.01)
    setting.gate.take([write("a"), step("1")])
    await setting.turn()
    setting.gate.take([write("b"), step("2")])
    await setting.finish(0, StoreError("full"))
    setting.gate.take([step("3")])
    assert setting.done == []
    while len(setting.store.commits) < 2:  # noqa: ASYNC110 - a timer is what is tested
        await asyncio.sleep(0.005)
    assert setting.store.commits[1][0] == {"a": b"1", "b": b"1"}
    await setting.finish(1)
    assert setting.done == ["1", "2", "3"]


async def test_a_full_disk_keeps_nobody_from_killing_what_fills_it(setting, monkeypatch):
    monkeypatch.setattr(checkpoint, "_RETRY_S", 0.01)
    setting.gate.take([write("a"), step("1"), TerminateContainer("2")])
    await setting.turn()
    assert setting.done == []
    await setting.finish(0, StoreError("full"))
    assert setting.done == ["2"]
    setting.gate.take([write("b"), step("3"), DestroyContainer("4")])
    assert setting.done == ["2", "4"]
    while len(setting.store.commits) < 2:  # noqa: ASYNC110 - a timer is what is tested
        await asyncio.sleep(0.005)
    await setting.finish(1)
    setting.gate.take([write("c"), TerminateContainer("5")])
    assert setting.done == ["2", "4", "1", "3"]


async def test_draining_writes_what_is_left(setting):
    setting.gate.take([Forget({"a": None})])
    draining = asyncio.create_task(setting.gate.drain())
    await setting.turn()
    await setting.finish(0)
    await draining
