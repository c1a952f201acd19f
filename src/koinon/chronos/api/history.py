"""`/v1/history/…`, which Chronos never had: every run, what became of it, and the end of what it wrote.

GET runs?job&state&since&until&before&limit    newest first, a page
GET runs/{task}                                one
GET runs/{task}/output                         the end of what it wrote, or has written so far, as JSON
GET runs/{task}/stdout, runs/{task}/stderr     the same, as text
GET jobs/{job}                                 as `runs?job=…`, and how long its runs take
"""

from __future__ import annotations

from typing import Any, cast, get_args

from aiohttp import web
from msgspec.structs import asdict

from koinon.chronos.api.live import find_run, newest_runs
from koinon.chronos.api.requests import count, moment
from koinon.chronos.api.shell import Shell
from koinon.chronos.history import Output, Query
from koinon.chronos.model import Run, RunState, ids
from koinon.chronos.model.problems import Refused
from koinon.chronos.rendering import render_run
from koinon.service.answers import json_answer

_PREFIX = "/v1/history"
_STATES: tuple[RunState, ...] = get_args(RunState)
#: Runs of one page, unless asked for otherwise, and at most.
_LIMIT, _LIMIT_MAX = 100, 1000


class RunHistory:
    """The handlers."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        return [
            web.get(_PREFIX + "/runs", self.runs),
            web.get(_PREFIX + "/runs/{task}", self.run),
            web.get(_PREFIX + "/runs/{task}/output", self.output),
            web.get(_PREFIX + "/runs/{task}/{file:stdout|stderr}", self.file),
            web.get(_PREFIX + "/jobs/{job}", self.job),
        ]

    async def runs(self, request: web.Request) -> web.Response:
        """A page of runs."""
        return json_answer(await self._page(_query(request, request.query.get("job") or None)))

    async def job(self, request: web.Request) -> web.Response:
        """A page of the runs of one job; also of one that is deleted, as long as something is remembered."""
        name = request.match_info["job"]
        if "\0" in name:
            raise Refused("no job has such a name", 404)
        page = await self._page(_query(request, name))
        job = self._shell.core.state.jobs.get(name)
        percentiles = await self._shell.history.percentiles(name, job.created if job is not None else 0.0)
        if not page["runs"] and not percentiles.count and job is None:
            raise Refused(f"nothing is known of a job '{name}'", 404)
        return json_answer({"job": name, "seconds": asdict(percentiles), **page})

    async def run(self, request: web.Request) -> web.Response:
        """One run."""
        return json_answer(render_run(await self._run(request)))

    async def output(self, request: web.Request) -> web.Response:
        """The ends of both files. What is no UTF-8 is replaced."""
        kept = await self._kept(request)
        return json_answer(
            {
                "taskId": request.match_info["task"],
                "stdout": kept.stdout.decode(errors="replace"),
                "stderr": kept.stderr.decode(errors="replace"),
                "stdoutSize": kept.stdout_size,
                "stderrSize": kept.stderr_size,
            }
        )

    async def file(self, request: web.Request) -> web.Response:
        """The end of one file, byte by byte. `X-Size` is how long it was as a whole."""
        kept, name = await self._kept(request), request.match_info["file"]
        body, size = (kept.stdout, kept.stdout_size) if name == "stdout" else (kept.stderr, kept.stderr_size)
        # Browsers must not take for a page what a task has written.
        headers = {"X-Size": str(size), "X-Content-Type-Options": "nosniff"}
        return web.Response(body=body, content_type="text/plain", charset="utf-8", headers=headers)

    async def _kept(self, request: web.Request) -> Output:
        run = await self._run(request)
        if (kept := await self._shell.output(run)) is None:
            raise Refused(f"nothing is kept of what task '{run.id}' wrote", 404)
        return kept

    async def _run(self, request: web.Request) -> Run:
        task = request.match_info["task"]
        # A database may have no text with that in it, nor be asked for one.
        if "\0" in task or (run := await find_run(self._shell, task)) is None:
            raise Refused(f"nothing is known of a task '{task}'", 404)
        return run

    async def _page(self, query: Query) -> dict[str, Any]:
        # One more than asked for tells whether there is another page.
        limit = query.limit
        found = await newest_runs(self._shell, _with_limit(query, limit + 1))
        made: dict[str, Any] = {"runs": [render_run(run) for run in found[:limit]]}
        if len(found) > limit:
            made["before"] = found[limit - 1].id
        return made


def _query(request: web.Request, job: str | None) -> Query:
    before = request.query.get("before", "")
    if before:
        try:
            ids.parse_task(before)
        except ValueError as error:
            raise Refused(f"before must be a task id: {error}") from None
    if "\0" in before or (job is not None and "\0" in job):
        raise Refused("job and before must not hold a NUL character")
    return Query(
        job=job,
        states=_states(request),
        since=moment(request, "since"),
        until=moment(request, "until"),
        before=before,
        limit=count(request, "limit", _LIMIT, _LIMIT_MAX),
    )


def _with_limit(query: Query, limit: int) -> Query:
    return Query(**{**asdict(query), "limit": limit})


def _states(request: web.Request) -> tuple[RunState, ...]:
    """`state=failed,killed`, or several of them."""
    asked = [one for given in request.query.getall("state", []) for one in given.split(",") if one]
    if wrong := [one for one in asked if one not in _STATES]:
        raise Refused(f"state must be among {', '.join(_STATES)}, not '{wrong[0][:60]}'")
    return tuple(dict.fromkeys(cast(list[RunState], asked)))
