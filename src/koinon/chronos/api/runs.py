"""`job/{job}`, `task/…`: runs by hand, kills, and what others tell about runs."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from koinon.chronos import reading
from koinon.chronos.api.requests import LINES, json_of
from koinon.chronos.api.shell import Shell
from koinon.chronos.core import events
from koinon.chronos.model import ids
from koinon.chronos.model.problems import Refused, Unknown

_ELEMENTS_MAX = 2**53
#: Names the task of the first attempt of a run by hand.
_TASK = "Chronos-Task-Id"


class Runs:
    """The handlers, under one prefix."""

    def __init__(self, shell: Shell, prefix: str) -> None:
        self._shell = shell
        self._prefix = prefix

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        prefix = self._prefix
        found: list[web.AbstractRouteDef] = [
            web.put(f"{prefix}/job/success/{{job}}", self.mark),
            web.put(f"{prefix}/job/{{job}}", self.run),
            web.post(f"{prefix}/job/{{job}}/task/{{task}}/progress", self.progress),
            web.delete(f"{prefix}/task/kill/{{job}}", self.kill),
            web.put(f"{prefix}/task/{{task}}", self.complete),
        ]
        if LINES[prefix] == "2.x":
            found.append(web.delete(f"{prefix}/task/all", self.purge))
        return found

    async def run(self, request: web.Request) -> web.Response:
        """Run a job now, disabled or not."""
        name = request.match_info["job"]
        arguments = reading.arguments(request.query.get("arguments", "").strip())
        self._shell.feed(events.RunNow(name, arguments))
        # It has just got the latest due time of all.
        task = ids.task_id(name, self._shell.core.state.jobs[name].latest_due_ms)
        await self._shell.settled()
        return web.Response(status=204, headers={_TASK: task})

    async def kill(self, request: web.Request) -> web.Response:
        """Kill what runs of a job."""
        return await self._done(events.KillRuns(request.match_info["job"]))

    async def purge(self, request: web.Request) -> web.Response:
        """Forget all that waits to run: not what runs, and not the schedules."""
        return await self._done(events.DropWaiting())

    async def mark(self, request: web.Request) -> web.Response:
        """Count a success of a job, and start its children. An unknown one is told in the text only: clients know that."""
        name = request.match_info["job"]
        try:
            self._shell.feed(events.MarkSucceeded(name))
        except Unknown:
            return web.Response(text=f"marked job {name} as successful: false")
        await self._shell.settled()
        return web.Response(text=f"marked job {name} as successful: true")

    async def complete(self, request: web.Request) -> web.Response:
        """The run of an asynchronous job has ended so."""
        status = _whole(await json_of(request), "statusCode")
        return await self._done(events.Complete(request.match_info["task"], status == 0))

    async def progress(self, request: web.Request) -> web.Response:
        """A task of a data processing job has got so much further."""
        name, task = request.match_info["job"], request.match_info["task"]
        if (job := self._shell.core.state.jobs.get(name)) is None:
            raise Unknown(name)
        if not job.data_processing_job_type:
            raise Refused(f"job '{name}' is no data processing job (dataProcessingJobType)")
        try:
            place = ids.parse_task(task)
        except ValueError as error:
            raise Refused(str(error)) from None
        if place.job != name:
            raise Refused(f"task '{task}' is none of job '{name}'")
        more = _whole(await json_of(request), "numAdditionalElementsProcessed")
        if not 0 <= more <= _ELEMENTS_MAX:
            raise Refused(f"numAdditionalElementsProcessed must be a number from 0, not {more}")
        return await self._done(events.Processed(task, more))

    async def _done(self, event: events.Event) -> web.Response:
        self._shell.feed(event)
        await self._shell.settled()
        return web.Response(status=204)


def _whole(body: Any, field: str) -> int:
    """A whole number in a body; as a string, too, as everywhere in this API. Raises Refused."""
    value = body.get(field) if isinstance(body, dict) else None
    if isinstance(value, str) and len(value) < 20:
        try:
            value = int(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(f"the body must be a JSON object with a whole number as its {field}")
    return value
