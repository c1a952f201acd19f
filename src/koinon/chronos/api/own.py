"""`/v1/koinon/…`: what Chronos never had. Standard answers stay as clients know them.

GET  why/{job}        what a job waits for, in sentences
POST enable/{job}     let it start again; nothing else of it changes, whatever happens to it at that moment
POST disable/{job}    let it not start any more by itself
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web
from msgspec.structs import replace

from koinon.chronos.api.live import newest_runs
from koinon.chronos.api.reasons import explain
from koinon.chronos.api.shell import Shell
from koinon.chronos.core import events
from koinon.chronos.history import HistoryError, Query
from koinon.chronos.model import Job, Run, RunState
from koinon.chronos.model.problems import Refused
from koinon.service.answers import json_answer

_PREFIX = "/v1/koinon"
#: Of attempts that others come after.
_IN_VAIN: tuple[RunState, ...] = ("failed", "skipped")
#: So long we wait for what the history knows of them.
_HISTORY_S = 2.0


class Own:
    """The handlers."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        return [
            web.get(_PREFIX + "/why/{job}", self.why),
            web.post(_PREFIX + "/enable/{job}", self.enable),
            web.post(_PREFIX + "/disable/{job}", self.disable),
        ]

    async def why(self, request: web.Request) -> web.Response:
        """Why a job does what it does, or nothing."""
        name, state = self._job(request).name, self._shell.core.state
        before: list[Run] = []
        if any(run.attempt for run in state.runs_of(name)):
            with suppress(HistoryError, TimeoutError):  # the rest can be told without it
                async with asyncio.timeout(_HISTORY_S):
                    before = await newest_runs(self._shell, Query(job=name, states=_IN_VAIN))
        return json_answer(explain(state, self._job(request), self._shell.now(), before))

    async def enable(self, request: web.Request) -> web.Response:
        """Let it start again."""
        job = self._job(request)
        if job.schedule is not None and job.schedule.remaining == 0:
            raise Refused(f"job '{job.name}' has no repetition left: post it with a new schedule", 409)
        return await self._turn(job, disabled=False)

    async def disable(self, request: web.Request) -> web.Response:
        """Let it not start by itself."""
        return await self._turn(self._job(request), disabled=True)

    async def _turn(self, job: Job, *, disabled: bool) -> web.Response:
        if job.disabled is not disabled:
            self._shell.feed(events.ChangeJobs(put=(replace(job, disabled=disabled),)))
        await self._shell.settled()
        return web.Response(status=204)

    def _job(self, request: web.Request) -> Job:
        """These are no endpoints of before, so an unknown job is 404 here."""
        name = request.match_info["job"]
        if (job := self._shell.core.state.jobs.get(name)) is None:
            raise Refused(f"job '{name}' not found", 404)
        return job
