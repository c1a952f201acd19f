"""Mistakes made on purpose are noticed: the laws can be broken."""

from __future__ import annotations

from itertools import count, islice

import pytest

from koinon.simulator.plan import draw
from koinon.simulator.simulation import simulate
from tests.simulation.mutations import MUTATIONS, made


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_is_noticed(name: str) -> None:
    mutation = MUTATIONS[name]
    plans = (plan for plan in map(draw, count(1)) if plan.masters >= mutation.masters)
    with made(mutation):
        for plan in islice(plans, mutation.within):
            if simulate(plan).violation is not None:
                return
    pytest.fail(f"{mutation.within} seeds have not shown that {mutation.sentence}")
