"""Clients of Chronos: they define jobs, want one run now and then, and take a job away.

Whoever gets no answer asks again, as clients do: first whether it was done after all. What is accepted is noted, since it
must be true from then on whoever leads.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

from koinon.chronos import reading
from koinon.chronos.core import events
from koinon.chronos.model.problems import Refused
from koinon.chronos.server import ChronosProcess
from koinon.service.loop import NotLeading
from koinon.simulator.plan import JobPlan
from koinon.simulator.windows import Accepted, ChronosLaws

if TYPE_CHECKING:
    from koinon.simulator.cluster import Cluster

#: How long after a request that came to nothing the next is made.
_AGAIN_S = 1.0
#: The first slot is so long after a job was defined.
_AHEAD_S = 3.0


class Clients:
    """All clients."""

    def __init__(self, cluster: Cluster, laws: ChronosLaws) -> None:
        assert cluster.plan.chronos is not None
        self._cluster = cluster
        self._laws = laws
        self._world = cluster.world
        self._plan = cluster.plan.chronos
        self._random = cluster.world.random("clients")
        self._numbers = count(1)
        self.accepted: dict[str, JobPlan] = {}  #: jobs that must be there
        self.deleted: set[str] = set()  #: those that must not be there
        self.by_hand: dict[str, str] = {}  #: runs that were accepted and must complete, and of which job
        parents = {name for job in self._plan.jobs for name in job.parents}
        self._in_chains = parents | {job.name for job in self._plan.jobs if job.parents}
        self._leaving: set[str] = set()
        self.resting = False  #: they want nothing more

    def start(self) -> None:
        """Begin to ask."""
        for job in self._plan.jobs:
            self._world.after(0.1, self._define, job)
        self._later(self._run_one)

    def _later(self, call: Callable[[], None]) -> None:
        self._world.after(self._random.expovariate(1 / self._plan.by_hand_s), call)

    # ── what they want ────────────────────────────────────────────────────────────────────────────
    def _define(self, job: JobPlan) -> None:
        if job.name not in self.accepted and job.name not in self._leaving:
            self._world.after(_AGAIN_S, self._define, job)
            if set(job.parents) <= self.accepted.keys():
                self._ask(lambda chronos: self._put(chronos, job))

    def _delete(self, name: str) -> None:
        self._leaving.add(name)
        self.accepted.pop(name, None)
        self.by_hand = {token: of for token, of in self.by_hand.items() if of != name}
        if name not in self.deleted:
            self._world.after(_AGAIN_S, self._delete, name)
            self._ask(lambda chronos: self._take_away(chronos, name))

    def _run_one(self) -> None:
        if self.resting:
            return
        self._later(self._run_one)
        # What is run by hand belongs to no window: children would run more often than theirs.
        alone = sorted(name for name in self.accepted if name not in self._in_chains)
        if alone:
            name = self._random.choice(alone)
            self._ask(lambda chronos: self._run(chronos, name, f"hand-{next(self._numbers)}"))

    # ── requests ──────────────────────────────────────────────────────────────────────────────────
    async def _put(self, chronos: ChronosProcess, job: JobPlan) -> None:
        runtime = chronos.runtime
        if job.name not in runtime.core.state.jobs:
            now = runtime.now()
            period_s = job.period_s or 1
            # A cron job is due at whole minutes, the others at whole seconds.
            grid_s = period_s if job.cron else 1
            first_s = grid_s * math.ceil((now + (0.0 if job.cron else _AHEAD_S)) / grid_s)
            if first_s == now:
                first_s += grid_s
            self._laws.jobs[job.name] = Accepted(job, 1000 * first_s)
            found = reading.job(
                body_of(job, first_s),
                asked="dependency" if job.parents else "iso8601",
                line="3.x",
                jobs=runtime.core.state.jobs,
                defaults=runtime.defaults,
                now=now,
            )
            runtime.feed(events.ChangeJobs(put=(found,)))
        await runtime.settled()
        self._world.tell("clients", f"{job.name} is accepted")
        if job.name in self.accepted or job.name in self._leaving:
            return  # it was, at an earlier request
        self.accepted[job.name] = job
        self._laws.jobs[job.name].since_s = self._world.now
        if job.lasts_s is not None:
            self._world.after(job.lasts_s, self._delete, job.name)

    async def _take_away(self, chronos: ChronosProcess, name: str) -> None:
        jobs = chronos.runtime.core.state.jobs
        if name in jobs:
            deletion = reading.deleted(jobs, name)
            chronos.runtime.feed(events.ChangeJobs(put=deletion.changed, deleted=(name,)))
        await chronos.runtime.settled()
        self._world.tell("clients", f"{name} is deleted")
        self.deleted.add(name)

    async def _run(self, chronos: ChronosProcess, name: str, token: str) -> None:
        chronos.runtime.feed(events.RunNow(name, token))
        await chronos.runtime.settled()
        self._world.tell("clients", f"{token} of {name} is accepted")
        if name not in self._leaving:
            self.by_hand[token] = name

    def _ask(self, do: Callable[[ChronosProcess], Awaitable[None]]) -> None:
        """Ask who leads. Without an answer nobody knows what came of it."""

        async def ask(chronos: ChronosProcess) -> None:
            try:
                await do(chronos)
            except (NotLeading, Refused, TimeoutError) as error:
                self._world.tell("clients", f"no answer: {error!r}")

        node = self._cluster.leading_chronos
        if node is not None and node.chronos is not None and node.process is not None:
            node.process.within(_begin, ask(node.chronos))


def _begin(work: Coroutine[None, None, None]) -> None:
    asyncio.get_running_loop().create_task(work)


def body_of(job: JobPlan, first_s: int) -> dict[str, object]:
    """What is posted."""
    body: dict[str, object] = {
        "name": job.name,
        "command": f"work {job.mean_s:g} {job.failing:g}",
        "cpus": 0.5,
        "mem": 32,
        "retries": 1_000_000,
        "missedRuns": job.missed,
        "overlap": job.overlap,
    }
    if job.parents:
        return body | {"parents": list(job.parents)}
    if job.cron:
        return body | {"cron": "* * * * *"}
    start = datetime.fromtimestamp(first_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return body | {"schedule": f"R/{start}/PT{job.period_s}S"}
