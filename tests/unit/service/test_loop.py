"""Events in, effects out."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from koinon.coordination import Change, Fenced, StoreError
from koinon.service.exits import Exit, Fatal
from koinon.service.loop import CoreLoop, NotLeading
from koinon.service.metrics import ServiceMetrics


class Say(NamedTuple):
    """An effect: this is said."""

    word: str


class Keep(NamedTuple):
    """An effect: this is to be stored."""

    key: str


class No(Exception):
    """The core refuses."""


class Parrot:
    """A core that says what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.wakeup: float | None = None

    def handle(self, event: str, now: float) -> Sequence[Any]:
        self.heard.append(event)
        if event == "tick":
            self.wakeup = None
            return []
        if event == "refuse":
            raise No
        if event == "fail":
            raise ZeroDivisionError
        if event.startswith("keep "):
            return [Keep(event.removeprefix("keep "))]
        if event.startswith("wake "):
            self.wakeup = now + float(event.removeprefix("wake "))
        return [Say(event)]

    def next_wakeup(self, now: float) -> float | None:
        return self.wakeup


class Memory:
    """A store that writes when it is told."""

    def __init__(self) -> None:
        self.commits: list[asyncio.Future[None]] = []

    def load(self, prefix: str = "") -> dict[str, bytes]:
        return {}

    def commit(self, changes: Sequence[Change]) -> asyncio.Future[None]:
        self.commits.append(asyncio.get_running_loop().create_future())
        return self.commits[-1]

    async def close(self) -> None:
        pass


class Shell:
    """A loop around a parrot."""

    def __init__(self) -> None:
        self.core, self.memory = Parrot(), Memory()
        self.said: list[str] = []
        self.failed: list[Fatal] = []
        self.leads = True
        self.loop = CoreLoop[str](
            self.core,
            tick="tick",
            refusals=No,
            perform={
                Say: lambda effect: self.said.append(effect.word),
                Keep: lambda effect: self.loop.store(self.memory, [(effect.key, b"")], f"kept {effect.key}"),
            },
            may_act=lambda: self.leads,
            failed=self.failed.append,
            metrics=ServiceMetrics("test"),
        )


async def test_effects_are_carried_out_at_once() -> None:
    shell = Shell()
    shell.loop.feed("a")
    shell.loop.tell("b")
    assert shell.said == ["a", "b"]


async def test_a_refusal_is_for_who_fed_the_event() -> None:
    shell = Shell()
    with pytest.raises(No):
        shell.loop.feed("refuse")
    shell.loop.feed("a")
    assert (shell.said, shell.failed) == (["a"], [])


async def test_what_is_durable_is_told_and_waited_for() -> None:
    shell = Shell()
    waiting = asyncio.create_task(shell.loop.feed_durably("keep x"))
    await asyncio.sleep(0)
    assert not waiting.done()
    shell.memory.commits[0].set_result(None)
    await waiting
    assert shell.core.heard == ["keep x", "kept x"]


@pytest.mark.parametrize(
    ("error", "status"), [(Fenced("another one"), Exit.LEADERSHIP_LOST), (StoreError("full"), Exit.UNCAUGHT)]
)
async def test_what_cannot_be_stored_ends_the_process(error: StoreError, status: Exit) -> None:
    shell = Shell()
    waiting = asyncio.create_task(shell.loop.feed_durably("keep x"))
    await asyncio.sleep(0)
    shell.memory.commits[0].set_exception(error)
    with pytest.raises(NotLeading):
        await waiting
    assert [one.status for one in shell.failed] == [status]
    with pytest.raises(NotLeading):
        shell.loop.feed("a")


async def test_a_core_that_fails_is_asked_nothing_more() -> None:
    shell = Shell()
    with pytest.raises(NotLeading):
        shell.loop.feed("fail")
    shell.loop.tell("a")
    assert (shell.core.heard, shell.said) == (["fail"], [])
    assert [one.status for one in shell.failed] == [Exit.UNCAUGHT]


async def test_an_effect_that_cannot_be_carried_out_is_a_failure_too() -> None:
    shell = Shell()
    shell.loop._perform = {}
    shell.loop.tell("a")
    assert [one.status for one in shell.failed] == [Exit.UNCAUGHT]


async def test_who_does_not_lead_does_nothing() -> None:
    shell = Shell()
    shell.leads = False
    with pytest.raises(NotLeading):
        shell.loop.feed("a")
    shell.loop.tell("b")
    assert shell.core.heard == []


async def test_a_store_that_answers_after_the_lease_is_over_changes_nothing() -> None:
    shell = Shell()
    shell.loop.feed("keep x")
    shell.leads = False
    shell.memory.commits[0].set_result(None)
    await asyncio.sleep(0)
    assert shell.core.heard == ["keep x"]


async def test_the_clock_ticks_when_the_core_wants_it() -> None:
    shell = Shell()
    shell.loop.feed("wake 0.01")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await asyncio.Event().wait()
    assert shell.core.heard == ["wake 0.01", "tick"]
    shell.loop.stop()
