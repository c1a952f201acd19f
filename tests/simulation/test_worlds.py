"""The simulated world itself."""

from koinon.simulator.plan import draw
from koinon.simulator.simulation import simulate


def test_the_same_seed_gives_the_same_story() -> None:
    first, second, other = simulate(draw(1)), simulate(draw(1)), simulate(draw(2))
    assert first.story.digest() == second.story.digest()
    assert first.story.digest() != other.story.digest()
