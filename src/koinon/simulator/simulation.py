"""One seed, from the first moment to the last: a first act in which everything may fail, and a second in peace.

outcome = simulate(draw(seed))
print(outcome.report())
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

from msgspec import Struct

from koinon.simulator.chronoses import chronoses_simulated
from koinon.simulator.clients import Clients
from koinon.simulator.cluster import Cluster
from koinon.simulator.faults import Faults
from koinon.simulator.laws import Laws
from koinon.simulator.peace import make_peace
from koinon.simulator.plan import Plan
from koinon.simulator.promises import make_peace_of_chronos
from koinon.simulator.story import Story
from koinon.simulator.surroundings import simulated
from koinon.simulator.windows import ChronosLaws
from koinon.simulator.world import Violation, World

#: So often everything is looked at in the first act.
_LOOK_S = 1.0


class Outcome(Struct):
    """What came of a plan."""

    plan: Plan
    violation: Violation | None
    story: Story
    tasks: int
    peace_s: float  #: how long the second act took
    events: int

    def report(self, *, everything: bool = False) -> Iterator[str]:
        """The seed and, if a law was broken, the story of those concerned; or the story of everybody."""
        broken = self.violation
        yield f"seed {self.plan.seed}: {broken or 'no law was broken'}"
        yield from (f"  {fault}" for fault in self.plan.faults)
        if everything or broken is not None:
            yield from self.story.lines(() if everything or broken is None else broken.subjects)


def simulate(plan: Plan) -> Outcome:
    """Play a plan."""
    world = World(plan.seed)
    laws = Laws(world) if plan.chronos is None else ChronosLaws(world)
    cluster = laws.cluster = Cluster(plan, world, laws)
    violation: Violation | None = None
    peace_s = 0.0
    collecting = gc.isenabled()
    gc.disable()  # there is little garbage, and much that is not
    try:
        with simulated(world), chronoses_simulated(cluster.database):
            try:
                peace_s = _play(plan, cluster, laws)
            except Violation as broken:
                violation = broken
            world.story.closed = True
            for process in list(world.processes):
                process.kill("the world is over", silently=True)
                process.loop.bury()
    finally:
        if collecting:
            gc.enable()
    return Outcome(plan, violation, world.story, len(laws.tasks), peace_s, world.events)


def _play(plan: Plan, cluster: Cluster, laws: Laws) -> float:
    if not isinstance(laws, ChronosLaws):
        _first_act(plan, cluster, laws)
        return make_peace(cluster)
    clients = Clients(cluster, laws)
    clients.start()
    _first_act(plan, cluster, laws)
    return make_peace_of_chronos(cluster, clients, laws)


def _first_act(plan: Plan, cluster: Cluster, laws: Laws) -> None:
    faults = Faults(cluster)
    cluster.start()
    faults.plan(plan.faults)
    world = cluster.world
    while world.now < plan.act_s:
        world.run(min(world.now + _LOOK_S, plan.act_s))
        laws.look()
    world.tell("-", "*** peace")
    faults.heal()
