"""`graph/…`, `stats/…`, `job/stat/…`: who runs after whom, and how long it takes."""

from __future__ import annotations

import asyncio

from aiohttp import web

from koinon.chronos.api.activity import activity_of
from koinon.chronos.api.live import newest_runs
from koinon.chronos.api.shell import Shell
from koinon.chronos.history import Query
from koinon.chronos.model import RunState
from koinon.chronos.model.problems import Unknown
from koinon.chronos.rendering import csv, dot, job_stat, times
from koinon.service.answers import json_answer

#: Runs of which `job/stat` tells.
_WITH_TASKS: tuple[RunState, ...] = ("launching", "running", "succeeded", "failed", "killed")


class Graph:
    """The handlers, under one prefix."""

    def __init__(self, shell: Shell, prefix: str) -> None:
        self._shell = shell
        self._prefix = prefix

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        prefix = self._prefix
        return [
            web.get(f"{prefix}/graph/dot", self.dot),
            web.get(f"{prefix}/graph/csv", self.csv),
            web.get(f"{prefix}/stats/{{percentile}}", self.stats),
            web.get(f"{prefix}/job/stat/{{job}}", self.job_stat),
        ]

    async def dot(self, request: web.Request) -> web.Response:
        """For Graphviz."""
        jobs = list(self._shell.core.state.jobs.values())
        # Nothing here but frozen jobs, so that another thread may do it: it takes long, and cannot be taken apart.
        return web.Response(text=await asyncio.to_thread(dot, jobs))

    async def csv(self, request: web.Request) -> web.Response:
        """For the page and for scripts."""
        state = self._shell.core.state
        return web.Response(text=await asyncio.to_thread(csv, list(state.jobs.values()), activity_of(state)))

    async def stats(self, request: web.Request) -> web.Response:
        """How long each job takes."""
        jobs = list(self._shell.core.state.jobs.values())
        known = await self._shell.history.all_percentiles({job.name: job.created for job in jobs})
        return json_answer(await asyncio.to_thread(times, request.match_info["percentile"], jobs, known))

    async def job_stat(self, request: web.Request) -> web.Response:
        """How long one job takes, and its newest runs."""
        name, shell = request.match_info["job"], self._shell
        if (job := shell.core.state.jobs.get(name)) is None:
            raise Unknown(name)
        percentiles = await shell.history.percentiles(name, job.created)
        limit = shell.flags.job_history_limit
        runs = await newest_runs(shell, Query(job=name, states=_WITH_TASKS, limit=limit)) if limit > 0 else []
        # Another job of that name may have been before.
        own = [run for run in runs if run.launched is None or run.launched >= job.created]
        return json_answer(job_stat(job, percentiles, own))
