"""`jobs`, `job/{job}`, `iso8601`, `dependency`: what jobs there are, and how they are defined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aiohttp import web

from koinon.chronos import reading
from koinon.chronos.api.activity import activity_of
from koinon.chronos.api.requests import LINES, json_of
from koinon.chronos.api.shell import Shell
from koinon.chronos.core import events
from koinon.chronos.model import Job, Line
from koinon.chronos.model.problems import Unknown
from koinon.chronos.rendering import Listing, Search, Summary
from koinon.service.lists import send

_JSON = "application/json"


class Shown:
    """What was made of jobs for earlier answers. One for all prefixes."""

    def __init__(self) -> None:
        self.listings: dict[Line, Listing] = {line: Listing(line) for line in LINES.values()}
        self.summary = Summary()

    def forget(self, name: str) -> None:
        """There is no such job any more."""
        for listing in self.listings.values():
            listing.forget(name)
        self.summary.forget(name)


class Jobs:
    """The handlers, under the prefix of one line."""

    def __init__(self, shell: Shell, shown: Shown, prefix: str, line: Line) -> None:
        self._shell = shell
        self._shown = shown
        self._prefix = prefix
        self._line: Line = line
        self._listing = shown.listings[line]

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        prefix = self._prefix
        verbs = (web.post, web.put) if self._line == "2.x" else (web.post,)
        return [
            web.get(f"{prefix}/jobs", self.list_all),
            web.get(f"{prefix}/jobs/search", self.search),
            web.get(f"{prefix}/jobs/summary", self.summary),
            web.get(f"{prefix}/job/{{job}}", self.show),
            web.delete(f"{prefix}/job/{{job}}", self.delete),
            *(verb(f"{prefix}/iso8601", self.put_scheduled) for verb in verbs),
            *(verb(f"{prefix}/dependency", self.put_dependent) for verb in verbs),
        ]

    # ── to look ───────────────────────────────────────────────────────────────────────────────────
    async def list_all(self, request: web.Request) -> web.StreamResponse:
        """Every job."""
        return await send(request, self._listing.array(list(self._jobs.values())))

    async def search(self, request: web.Request) -> web.StreamResponse:
        """Jobs whose name or command has something in it."""
        found = Search.asked(request.query).found(self._jobs)
        return await send(request, self._listing.array(found))

    async def summary(self, request: web.Request) -> web.StreamResponse:
        """A line of each job: how it went, and what it is at."""
        state = self._shell.core.state
        pieces: Iterator[bytes] = self._shown.summary.page(list(state.jobs.values()), activity_of(state))
        return await send(request, pieces)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One job."""
        name = request.match_info["job"]
        if (job := self._jobs.get(name)) is None:
            raise Unknown(name)
        return web.Response(body=self._listing.one(job), content_type=_JSON)

    # ── to change ─────────────────────────────────────────────────────────────────────────────────
    async def put_scheduled(self, request: web.Request) -> web.StreamResponse:
        """A job that time starts, created or replaced."""
        return await self._put(request, "iso8601")

    async def put_dependent(self, request: web.Request) -> web.StreamResponse:
        """A job that others start, created or replaced."""
        return await self._put(request, "dependency")

    async def _put(self, request: web.Request, asked: reading.Asked) -> web.StreamResponse:
        content, shell = await json_of(request), self._shell
        # From here to the core in one turn: the job has in it what is remembered of the one that it replaces.
        job = reading.job(
            content,
            asked=asked,
            line=self._line,
            jobs=self._jobs,
            defaults=shell.defaults,
            now=shell.now(),
        )
        shell.feed(events.ChangeJobs(put=(job,)))
        await shell.settled()
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """A job no more. Its tasks are killed, its children get its parents or its schedule."""
        name = request.match_info["job"]
        deletion = reading.deleted(self._jobs, name)
        self._shell.feed(events.ChangeJobs(put=deletion.changed, deleted=(name,)))
        self._shown.forget(name)
        await self._shell.settled()
        return web.Response(status=204)

    @property
    def _jobs(self) -> Mapping[str, Job]:
        return self._shell.core.state.jobs
