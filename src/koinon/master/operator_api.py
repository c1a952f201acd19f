"""`POST /api/v1`: people and tools look at the cluster and steer it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web
from aiohttp.web_request import BaseRequest

from koinon.edge import Answer, Files, HttpError, LogLevel, Metrics, answer_message, preferred_type, read_call
from koinon.edge.answers import EMPTY
from koinon.edge.slices import slices
from koinon.edge.system import version_info
from koinon.master.core import Refused, events
from koinon.master.runtime import Runtime
from koinon.master.views import listings
from koinon.master.views.about import About
from koinon.master.views.classic import RoleShares
from koinon.master.watchers import Watchers
from koinon.mesos import v1
from koinon.mesos.v1 import maintenance, quota
from koinon.mesos.v1.master import Call, Response

_Answerer = Callable[["_Request"], Awaitable[Answer]]

#: Calls that have a message of the same name, in lower case; it must be there.
_WITH_BODY = frozenset(kind.name for kind in Call.Type if kind.name.lower() in Call.__struct_fields__)


class _Request:
    """A call and the type its answer shall have."""

    __slots__ = ("call", "content_type")

    def __init__(self, call: Call, content_type: str) -> None:
        self.call = call
        self.content_type = content_type

    def answer(self, response: Response) -> Answer:
        return answer_message(response, self.content_type)

    def slices(self, pieces: Iterator[bytes]) -> Answer:
        return Answer(slices(pieces), content_type=self.content_type)


class OperatorApi:
    """The handler, bound to one runtime."""

    def __init__(
        self,
        runtime: Runtime,
        about: About,
        files: Files,
        metrics: Metrics,
        log_level: LogLevel,
        watchers: Watchers,
    ) -> None:
        self._runtime = runtime
        self._state = runtime.core.state
        self._about = about
        self._files = files
        self._metrics = metrics
        self._log_level = log_level
        self._watchers = watchers
        types = Call.Type
        self._answers: dict[Call.Type, _Answerer] = {
            types.GET_HEALTH: self._get_health,
            types.GET_FLAGS: self._get_flags,
            types.GET_VERSION: self._get_version,
            types.GET_METRICS: self._get_metrics,
            types.GET_LOGGING_LEVEL: self._get_logging_level,
            types.SET_LOGGING_LEVEL: self._set_logging_level,
            types.LIST_FILES: self._list_files,
            types.READ_FILE: self._read_file,
            types.GET_STATE: self._get_state,
            types.GET_AGENTS: self._get_agents,
            types.GET_FRAMEWORKS: self._get_frameworks,
            types.GET_EXECUTORS: self._get_executors,
            types.GET_OPERATIONS: self._get_operations,
            types.GET_TASKS: self._get_tasks,
            types.GET_ROLES: self._get_roles,
            types.GET_WEIGHTS: self._get_weights,
            types.UPDATE_WEIGHTS: self._update_weights,
            types.GET_MASTER: self._get_master,
            types.GET_MAINTENANCE_STATUS: self._get_maintenance_status,
            types.GET_MAINTENANCE_SCHEDULE: self._get_maintenance_schedule,
            types.GET_QUOTA: self._get_quota,
            types.TEARDOWN: self._teardown,
            types.MARK_AGENT_GONE: self._mark_agent_gone,
        }

    async def __call__(self, request: BaseRequest) -> Answer | web.StreamResponse:
        """Answer one call."""
        call = await read_call(request, Call)
        if call.type is None:
            raise HttpError(400, "The call has no type, or one that nobody knows.")
        name = call.type.value
        if name in _WITH_BODY and getattr(call, name.lower()) is None:
            raise HttpError(400, f"A call of type {name} must have the field {name.lower()}.")
        content_type = preferred_type(request.headers)
        if call.type is Call.Type.SUBSCRIBE:
            return await self._watchers.serve(request, content_type)
        if (answer := self._answers.get(call.type)) is None:
            raise HttpError(501, f"Calls of type {name} are not supported yet.")
        return await answer(_Request(call, content_type))

    # ── the master itself ─────────────────────────────────────────────────────────────────────────
    async def _get_health(self, request: _Request) -> Answer:
        return request.answer(
            Response(type=Response.Type.GET_HEALTH, get_health=Response.GetHealth(healthy=True))
        )

    async def _get_flags(self, request: _Request) -> Answer:
        flags = [v1.Flag(name=name, value=value) for name, value in self._about.flags.items()]
        return request.answer(
            Response(type=Response.Type.GET_FLAGS, get_flags=Response.GetFlags(flags=flags))
        )

    async def _get_version(self, request: _Request) -> Answer:
        found = Response.GetVersion(version_info=version_info())
        return request.answer(Response(type=Response.Type.GET_VERSION, get_version=found))

    async def _get_metrics(self, request: _Request) -> Answer:
        metrics = [v1.Metric(name=name, value=value) for name, value in self._metrics.snapshot().items()]
        found = Response.GetMetrics(metrics=metrics)
        return request.answer(Response(type=Response.Type.GET_METRICS, get_metrics=found))

    async def _get_logging_level(self, request: _Request) -> Answer:
        found = Response.GetLoggingLevel(level=self._log_level.level)
        return request.answer(Response(type=Response.Type.GET_LOGGING_LEVEL, get_logging_level=found))

    async def _set_logging_level(self, request: _Request) -> Answer:
        wanted = request.call.set_logging_level
        assert wanted is not None
        self._log_level.set(wanted.level, wanted.duration.nanoseconds / 1e9)
        return EMPTY

    async def _get_master(self, request: _Request) -> Answer:
        found = Response.GetMaster(
            master_info=self._about.master_info(),
            start_time=self._about.started_s,
            elected_time=self._state.elected_s,
        )
        return request.answer(Response(type=Response.Type.GET_MASTER, get_master=found))

    # ── files ─────────────────────────────────────────────────────────────────────────────────────
    async def _list_files(self, request: _Request) -> Answer:
        wanted = request.call.list_files
        assert wanted is not None
        found = Response.ListFiles(file_infos=await self._files.browse(wanted.path))
        return request.answer(Response(type=Response.Type.LIST_FILES, list_files=found))

    async def _read_file(self, request: _Request) -> Answer:
        wanted = request.call.read_file
        assert wanted is not None
        size, data = await self._files.read(wanted.path, wanted.offset, wanted.length)
        found = Response.ReadFile(size=size, data=data)
        return request.answer(Response(type=Response.Type.READ_FILE, read_file=found))

    # ── the cluster ───────────────────────────────────────────────────────────────────────────────
    async def _get_state(self, request: _Request) -> Answer:
        found = listings.everything(self._state, request.content_type)
        return request.slices(listings.answer_state(found, request.content_type))

    async def _get_agents(self, request: _Request) -> Answer:
        found = listings.agents(self._state, request.content_type)
        return request.slices(listings.answer(Response.Type.GET_AGENTS, found, request.content_type))

    async def _get_frameworks(self, request: _Request) -> Answer:
        found = listings.frameworks(self._state)
        return request.slices(listings.answer(Response.Type.GET_FRAMEWORKS, found, request.content_type))

    async def _get_executors(self, request: _Request) -> Answer:
        found = listings.executors(self._state)
        return request.slices(listings.answer(Response.Type.GET_EXECUTORS, found, request.content_type))

    async def _get_tasks(self, request: _Request) -> Answer:
        found = listings.tasks(self._state)
        return request.slices(listings.answer(Response.Type.GET_TASKS, found, request.content_type))

    async def _get_operations(self, request: _Request) -> Answer:
        # Operations on reservations and volumes are refused, so none is ever under way.
        return request.answer(
            Response(type=Response.Type.GET_OPERATIONS, get_operations=Response.GetOperations())
        )

    async def _get_roles(self, request: _Request) -> Answer:
        weights = self._state.weights
        shares = RoleShares()
        async for _ in slices(shares.gather(self._state)):
            pass
        roles = [
            v1.Role(
                name=name,
                weight=weights.get(name, 1.0),
                frameworks=[v1.FrameworkID(id_) for id_ in shares.frameworks.get(name, [])],
                resources=[
                    v1.Resource(name=kind, type=v1.Value.Type.SCALAR, scalar=v1.Value.Scalar(amount))
                    for kind, amount in (shares.allocated[name] + shares.offered[name]).object().items()
                ],
            )
            for name in shares.names(weights)
        ]
        return request.answer(
            Response(type=Response.Type.GET_ROLES, get_roles=Response.GetRoles(roles=roles))
        )

    # ── what operators set ────────────────────────────────────────────────────────────────────────
    async def _get_weights(self, request: _Request) -> Answer:
        infos = [v1.WeightInfo(weight=weight, role=role) for role, weight in self._state.weights.items()]
        found = Response.GetWeights(weight_infos=infos) if infos else None
        return request.answer(Response(type=Response.Type.GET_WEIGHTS, get_weights=found))

    async def _update_weights(self, request: _Request) -> Answer:
        wanted = request.call.update_weights
        assert wanted is not None
        return await self._feed(events.WeightsUpdated(wanted.weight_infos))

    async def _get_quota(self, request: _Request) -> Answer:
        found = Response.GetQuota(status=quota.QuotaStatus())
        return request.answer(Response(type=Response.Type.GET_QUOTA, get_quota=found))

    async def _get_maintenance_status(self, request: _Request) -> Answer:
        found = Response.GetMaintenanceStatus(status=maintenance.ClusterStatus())
        return request.answer(
            Response(type=Response.Type.GET_MAINTENANCE_STATUS, get_maintenance_status=found)
        )

    async def _get_maintenance_schedule(self, request: _Request) -> Answer:
        found = Response.GetMaintenanceSchedule(schedule=maintenance.Schedule())
        return request.answer(
            Response(type=Response.Type.GET_MAINTENANCE_SCHEDULE, get_maintenance_schedule=found)
        )

    async def _teardown(self, request: _Request) -> Answer:
        wanted = request.call.teardown
        assert wanted is not None
        return await self._feed(events.TeardownRequested(wanted.framework_id.value))

    async def _mark_agent_gone(self, request: _Request) -> Answer:
        wanted = request.call.mark_agent_gone
        assert wanted is not None
        return await self._feed(events.AgentGoneRequested(wanted.agent_id.value))

    async def _feed(self, event: events.Event) -> Answer:
        try:
            await self._runtime.feed_durably(event)
        except Refused as refused:
            raise HttpError(refused.status, refused.message) from refused
        return EMPTY
