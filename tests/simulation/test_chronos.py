"""Two hundred bad days of Chronos: whatever dies and whatever clocks show, each window has one start that completes."""

from __future__ import annotations

import pytest

from koinon.simulator.plan import draw_chronos
from koinon.simulator.simulation import simulate
from tests.simulation.chronos_mutations import CHRONOS_MUTATIONS, plans
from tests.simulation.mutations import made
from tests.simulation.test_seeds import story

SEEDS_MAX = 200
_TOGETHER = 10


@pytest.mark.parametrize("first", range(1, SEEDS_MAX + 1, _TOGETHER))
def test_no_law_is_broken(first: int) -> None:
    for seed in range(first, first + _TOGETHER):
        outcome = simulate(draw_chronos(seed))
        if outcome.violation is not None:
            pytest.fail(story(outcome.plan, chronos=" --chronos"), pytrace=False)


@pytest.mark.parametrize("name", CHRONOS_MUTATIONS)
def test_a_mistake_is_noticed(name: str) -> None:
    mutation = CHRONOS_MUTATIONS[name]
    with made(mutation):
        if not any(simulate(plan).violation is not None for plan in plans(mutation)):
            pytest.fail(f"{mutation.within} seeds have not shown that {mutation.sentence}")
