"""The simulated world itself."""

from koinon.simulator.simulation import simulate


def test_the_same_seed_gives_the_same_story() -> None:
    first, second, other = simulate(1), simulate(1), simulate(2)
    assert first.world.story.digest() == second.world.story.digest()
    assert first.world.story.digest() != other.world.story.digest()
