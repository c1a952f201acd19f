"""The classic endpoints: one path each, mostly GET."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs

import msgspec
from aiohttp import hdrs
from aiohttp.web_request import BaseRequest

from koinon.edge import Answer, HttpError, Server, answer_json
from koinon.edge.answers import EMPTY
from koinon.edge.slices import slices
from koinon.master.core import Refused, events
from koinon.master.runtime import Runtime
from koinon.master.standby import asks_for_the_place
from koinon.master.views import classic, registry
from koinon.master.views.about import About
from koinon.master.views.objects import AgentBytes
from koinon.mesos import codec, v1

#: How many tasks `/tasks` shows unless it is told.
_TASKS_LIMIT = 100

_read_weights = msgspec.json.Decoder(list[v1.WeightInfo]).decode


class Endpoints:
    """The handlers, bound to one runtime."""

    def __init__(self, runtime: Runtime, about: About) -> None:
        self._runtime = runtime
        self._state = runtime.core.state
        self._about = about
        self._agent_bytes = AgentBytes()

    def serve(self, server: Server) -> None:
        """Answer on `server`."""
        server.route("/state", self._show_state)
        server.route("/state-summary", self._show_summary)
        server.route("/slaves", self._show_agents)
        server.route("/frameworks", self._show_frameworks)
        server.route("/tasks", self._show_tasks)
        server.route("/roles", self._show_roles)
        server.route("/weights", self._weights, methods=("GET", "PUT"))
        server.route("/quota", self._show_nothing)
        server.route("/maintenance/schedule", self._show_nothing)
        server.route("/maintenance/status", self._show_nothing)
        server.route("/redirect", self._redirect)
        server.route("/registrar(1)/registry", self._show_registry)
        server.route("/teardown", self._teardown, methods=("POST",))
        server.route("/why", self._why)

    async def _show_state(self, request: BaseRequest) -> Answer:
        return _sliced(classic.state(self._about, self._state, self._agent_bytes))

    async def _show_summary(self, request: BaseRequest) -> Answer:
        return _sliced(classic.state_summary(self._about, self._state, self._agent_bytes))

    async def _show_agents(self, request: BaseRequest) -> Answer:
        return _sliced(classic.slaves(self._state, request.query.get("slave_id")))

    async def _show_frameworks(self, request: BaseRequest) -> Answer:
        return _sliced(classic.frameworks(self._state, request.query.get("framework_id")))

    async def _show_tasks(self, request: BaseRequest) -> Answer:
        return _sliced(
            classic.tasks(
                self._state,
                limit=_number(request, "limit", _TASKS_LIMIT),
                offset=max(_number(request, "offset", 0), 0),
                ascending=request.query.get("order") == "asc",
                framework_id=request.query.get("framework_id"),
                task_id=request.query.get("task_id"),
            )
        )

    async def _show_roles(self, request: BaseRequest) -> Answer:
        return _sliced(classic.roles(self._state))

    async def _weights(self, request: BaseRequest) -> Answer:
        if request.method != "PUT":
            return answer_json(
                [{"role": role, "weight": weight} for role, weight in self._state.weights.items()]
            )
        try:
            weights = _read_weights(await request.read())
        except msgspec.DecodeError as error:
            raise HttpError(400, f"The body must be a list of role and weight: {error}") from error
        return await self._feed(events.WeightsUpdated(weights))

    async def _show_nothing(self, request: BaseRequest) -> Answer:
        """Quota and maintenance cannot be set, so there is none."""
        return answer_json({})

    async def _show_registry(self, request: BaseRequest) -> Answer:
        return _sliced(registry.registry(self._about, self._state))

    async def _redirect(self, request: BaseRequest) -> Answer:
        asks_for_the_place(request)
        location = f"//{self._about.hostname}:{self._about.port}"
        return Answer(status=307, headers={hdrs.LOCATION: location})

    async def _teardown(self, request: BaseRequest) -> Answer:
        form = parse_qs((await request.read()).decode(errors="replace"))
        framework_id = form.get("frameworkId", [""])[0]
        if not framework_id:
            raise HttpError(400, "The form must name the framework: frameworkId=….")
        return await self._feed(events.TeardownRequested(framework_id))

    async def _why(self, request: BaseRequest) -> Answer:
        """Why a framework or a task has what it has, or waits."""
        framework_id = request.query.get("framework_id")
        object_id = request.query.get("task_id") or framework_id
        if not object_id:
            raise HttpError(400, "The parameter task_id or framework_id must name what is asked about.")
        decisions = self._runtime.core.why(object_id, framework_id or None)
        return answer_json(
            {
                "decisions": [
                    {"time": one.at_s, "code": one.code, "sentence": one.sentence} for one in decisions
                ]
            }
        )

    async def _feed(self, event: events.Event) -> Answer:
        try:
            await self._runtime.feed_durably(event)
        except Refused as refused:
            raise HttpError(refused.status, refused.message) from refused
        return EMPTY


def _sliced(pieces: Iterator[bytes]) -> Answer:
    return Answer(slices(pieces), content_type=codec.JSON)


def _number(request: BaseRequest, name: str, default: int) -> int:
    text = request.query.get(name)
    try:
        return default if text is None else int(text)
    except ValueError:
        raise HttpError(400, f"The parameter {name} must be a whole number, not '{text}'.") from None
