"""The second act of a cluster with Chronoses: everything is healed, and what was promised must be true before long.

- *What is due in peace is done at its time*, whatever clocks have shown before.
- *No window is lost*: each slot has come to a task that completed: its own, with `missedRuns: all`; or one that made up for
  it; or it was given up where the job wants that.
- *What was accepted* is there, and has been done.
- *Nothing is stuck*: nothing that has ended waits for the history, which knows what really happened.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from koinon.master.core import events as master
from koinon.simulator.clients import Clients
from koinon.simulator.cluster import Cluster
from koinon.simulator.frameworks import Mood
from koinon.simulator.peace import set_mood, wait
from koinon.simulator.plan import JobPlan
from koinon.simulator.windows import Accepted, ChronosLaws

#: How long it may take until all is made up for.
MAKING_UP_S = 4000.0
#: What has been due for so long is late.
_LATE_S = 15.0
#: How long it is looked at how things go on in peace.
_LOOK_S = 35.0

_Matter = tuple[str, str]


def make_peace_of_chronos(cluster: Cluster, clients: Clients, laws: ChronosLaws) -> float:
    """Waits until nothing is open; returns how long that took. Raises Violation."""
    world = cluster.world
    begun_s = world.now
    clients.resting = True
    set_mood(cluster, Mood.LEAVING)  # others, whose tasks may take all there is
    _declare_gone(cluster)
    promises = _Promises(cluster, clients, laws)
    wait(cluster, "no window is lost", MAKING_UP_S, promises.open_matters)
    peace_s = world.now - begun_s
    promises.begin()
    world.run(world.now + _LOOK_S)
    wait(cluster, "nothing is stuck", MAKING_UP_S, promises.open_matters)
    promises.check_history()
    return peace_s


def _declare_gone(cluster: Cluster) -> None:
    """Operators say which agents will not come back: those whose ids no agent has any more."""
    world = cluster.world
    world.after(5.0, _declare_gone, cluster)
    leader = cluster.leader
    if leader is None or leader.core is None or leader.runtime is None or leader.process is None:
        return
    there = {one.core.state.agent_id for one in cluster.agents.values() if one.core is not None}
    if len(there) == len(cluster.agents):
        for agent_id in [*leader.core.state.unreachable_agents]:
            if agent_id not in there:
                leader.process.within(leader.runtime.tell, master.AgentGoneRequested(agent_id))


class _Promises:
    """What must be true in the end."""

    def __init__(self, cluster: Cluster, clients: Clients, laws: ChronosLaws) -> None:
        self._cluster = cluster
        self._clients = clients
        self._laws = laws
        self._begun_s = 0.0
        self._begun_ms = math.inf  #: the same by the clock of who leads

    def begin(self) -> None:
        """From now on what comes due is done at its time."""
        node = self._cluster.leading_chronos
        if node is not None:
            self._begun_s, self._begun_ms = self._cluster.world.now, 1000 * node.machine.wall()

    def open_matters(self) -> Iterator[_Matter]:
        """What is not yet as it must be."""
        node = self._cluster.leading_chronos
        if node is None or node.chronos is None:
            yield "no Chronos leads", "chronos"
            return
        runtime = node.chronos.runtime
        state = runtime.core.state
        if state.master is None:
            yield f"no master hears {node.name}", node.name
        now = node.machine.wall()
        for name in self._clients.waiting:
            yield f"{name} is asked for, and nobody answers", name
        for name in self._clients.accepted:
            if name not in state.jobs:
                yield f"{name} was accepted, and {node.name} does not know it", name
                return
            yield from self._missing(self._laws.jobs[name], now)
        for name in self._clients.deleted:
            if name in state.jobs:
                yield f"{name} was deleted, and {node.name} knows it", name
            if any(one.lives for windows in self._laws.attempts.get(name, {}).values() for one in windows):
                yield f"{name} was deleted, and runs", name
        for token, name in self._clients.by_hand.items():
            if not any(self._laws.completed(name, token)):
                yield f"{token} of {name} was accepted, and has not completed", name
        for run in state.ended.values():
            if run.ended is not None and run.ended < now - _LATE_S:
                yield f"{run.id} has ended, and waits for the history", run.job

    def _missing(self, job: Accepted, now: float) -> Iterator[_Matter]:
        plan = job.plan
        if plan.parents:
            yield from self._missing_of_child(plan)
            return
        made_up = self._laws.made_up.get(plan.name, {}).values()
        for due_ms in range(job.first_ms, int(1000 * (now - _LATE_S)), 1000 * plan.period_s):
            if any(self._laws.completed(plan.name, str(due_ms))):
                continue
            # What is due in peace is not made up for by what a clock that was wrong had done before.
            told_s = self._begun_s if due_ms > self._begun_ms else 0.0
            if plan.missed == "all" or not any(
                one.first_ms <= due_ms <= one.last_ms and one.told_s >= told_s for one in made_up
            ):
                yield f"nothing has completed for the slot {due_ms} of {plan.name}", plan.name
                return

    def _missing_of_child(self, plan: JobPlan) -> Iterator[_Matter]:
        """Windows that are whole are run for; or a newer one, if that is enough."""
        late_s, since_s = self._cluster.world.now - _LATE_S, self._laws.jobs[plan.name].since_s
        done = [
            window
            for window in self._laws.attempts.get(plan.name, {})
            if any(self._laws.completed(plan.name, window))
        ]
        newest = max(map(int, done), default=0)
        for window in self._laws.attempts.get(plan.parents[0], {}):
            ended = [
                min((one.ended_s for one in self._laws.completed(parent, window)), default=math.inf)
                for parent in plan.parents
            ]
            is_done = window in done if plan.missed == "all" else int(window) <= newest
            if since_s < min(ended) and max(ended) < late_s and not is_done:
                yield f"{plan.name} has not completed for {window}, and its parents have", plan.name
                return

    def check_history(self) -> None:
        """It knows what really happened, and nothing else."""
        told = self._cluster.database.runs
        node = self._cluster.leading_chronos
        assert node is not None
        assert node.chronos is not None
        state = node.chronos.runtime.core.state
        for name, windows in self._laws.attempts.items():
            for attempt in (one for attempts in windows.values() for one in attempts):
                run = (
                    told.get(attempt.task_id)
                    or state.runs.get(attempt.task_id)
                    or state.ended.get(attempt.task_id)
                )
                if run is None:
                    self._accuse(f"{attempt.task_id} ran, and is not in the history", name)
                elif (run.state == "succeeded") > attempt.completed:
                    self._accuse(f"{attempt.task_id} is said to have succeeded, and has not", name)

    def _accuse(self, text: str, subject: str) -> None:
        self._cluster.world.accuse("the history is true", text, subject)
