"""Five hundred bad days of a cluster, and those on which it once broke a law."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

import pytest
from msgspec.structs import replace

from koinon.simulator.plan import Plan, draw
from koinon.simulator.shrink import shrink
from koinon.simulator.simulation import simulate
from tests.simulation.mutations import REVERTED, made
from tests.simulation.seeds import SEEDS, plan

SEEDS_MAX = 500
_TOGETHER = 10
#: So often a plan is tried to be made shorter before its story is told.
_TRIES = 60


def story(broken: Plan, *, chronos: str = "") -> str:
    """The seed and the story, as short as may be found in a while."""
    law = simulate(broken).violation.law
    short = shrink(
        broken,
        lambda one: (outcome := simulate(one)).violation is not None and outcome.violation.law == law,
        tries_max=_TRIES,
    )
    lines = list(simulate(short).report())
    return "\n".join(
        [*lines[:40], f"… ({len(lines)} lines: python -m koinon.simulator{chronos} --seed {broken.seed})"]
    )


@pytest.mark.parametrize("first", range(1, SEEDS_MAX + 1, _TOGETHER))
def test_no_law_is_broken(first: int) -> None:
    for seed in range(first, first + _TOGETHER):
        outcome = simulate(draw(seed))
        if outcome.violation is not None:
            pytest.fail(story(outcome.plan), pytrace=False)


@pytest.mark.parametrize("name", SEEDS)
def test_a_bug_that_was_mended_stays_so(name: str) -> None:
    for one in islice(dice(name), 5):
        outcome = simulate(one)
        assert outcome.violation is None, "\n".join(list(outcome.report())[:60])


@pytest.mark.parametrize("name", REVERTED)
def test_its_plan_brings_a_bug_about_that_is_not_mended(name: str) -> None:
    """Otherwise the plan has grown old, and says nothing: look for another one."""
    with made(REVERTED[name]):
        assert any(simulate(one).violation is not None for one in islice(dice(name), 60))


def dice(name: str) -> Iterator[Plan]:
    """The plan of that name, and the same with other dice: where a message takes longer a bug may hide."""
    first = plan(name)
    yield first
    for seed in count(1):
        yield replace(first, seed=seed)
