"""`POST /api/v1`: people and tools look at the agent, and have containers run."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import hdrs, web
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from koinon.agent.container_api import MESSAGE_CONTENT_TYPE, ContainerApi, StreamType
from koinon.agent.runtime import Runtime
from koinon.agent.views import containers, messages
from koinon.agent.views.about import About
from koinon.edge import Answer, Files, HttpError, LogLevel, Metrics, answer_message, preferred_type
from koinon.edge.answers import EMPTY
from koinon.edge.negotiation import content_type_of, decode_call
from koinon.edge.slices import slices
from koinon.edge.system import version_info
from koinon.mesos import codec, v1
from koinon.mesos.v1.agent import Call, Response

Type = Response.Type

#: Calls whose message of the same name, in lower case, must be there.
_WITH_BODY = frozenset(
    (
        "GET_METRICS", "SET_LOGGING_LEVEL", "LIST_FILES", "READ_FILE", "LAUNCH_CONTAINER", "WAIT_CONTAINER",
        "KILL_CONTAINER", "REMOVE_CONTAINER", "LAUNCH_NESTED_CONTAINER", "WAIT_NESTED_CONTAINER",
        "KILL_NESTED_CONTAINER", "REMOVE_NESTED_CONTAINER", "LAUNCH_NESTED_CONTAINER_SESSION",
        "ATTACH_CONTAINER_OUTPUT", "ADD_RESOURCE_PROVIDER_CONFIG", "UPDATE_RESOURCE_PROVIDER_CONFIG",
        "REMOVE_RESOURCE_PROVIDER_CONFIG", "MARK_RESOURCE_PROVIDER_GONE",
    )
)  # fmt: skip

_STREAMED = (Call.Type.LAUNCH_NESTED_CONTAINER_SESSION, Call.Type.ATTACH_CONTAINER_OUTPUT)
_MESSAGE_ACCEPT = "Message-Accept"
_TYPES = (codec.JSON, codec.PROTOBUF, codec.RECORDIO)

_NO_PROVIDERS = "This agent has no resource providers."


class OperatorApi:
    """The handler, bound to one runtime."""

    def __init__(
        self,
        runtime: Runtime,
        about: About,
        files: Files,
        metrics: Metrics,
        log_level: LogLevel,
        heartbeat_interval_s: float,
    ) -> None:
        self._containers = ContainerApi(runtime, heartbeat_interval_s)
        self._runtime = runtime
        self._state = runtime.core.state
        self._about = about
        self._files = files
        self._metrics = metrics
        self._log_level = log_level
        self._answers: dict[Call.Type, Callable[[Call], Awaitable[Response | Answer | None]]] = {
            Call.Type.GET_HEALTH: self._get_health,
            Call.Type.GET_FLAGS: self._get_flags,
            Call.Type.GET_VERSION: self._get_version,
            Call.Type.GET_METRICS: self._get_metrics,
            Call.Type.GET_LOGGING_LEVEL: self._get_logging_level,
            Call.Type.SET_LOGGING_LEVEL: self._set_logging_level,
            Call.Type.LIST_FILES: self._list_files,
            Call.Type.READ_FILE: self._read_file,
            Call.Type.GET_OPERATIONS: self._get_operations,
            Call.Type.GET_AGENT: self._get_agent,
            Call.Type.GET_RESOURCE_PROVIDERS: self._get_resource_providers,
            Call.Type.ADD_RESOURCE_PROVIDER_CONFIG: self._refuse_provider,
            Call.Type.UPDATE_RESOURCE_PROVIDER_CONFIG: self._refuse_provider,
            Call.Type.REMOVE_RESOURCE_PROVIDER_CONFIG: self._refuse_provider,
            Call.Type.MARK_RESOURCE_PROVIDER_GONE: self._refuse_provider,
            Call.Type.PRUNE_IMAGES: self._prune_images,
            **self._containers.answers,
        }
        #: Answers that may be large: they are made in slices.
        self._listings: dict[Call.Type, Callable[[Call, str], Awaitable[Iterator[bytes]]]] = {
            Call.Type.GET_STATE: self._get_state,
            Call.Type.GET_CONTAINERS: self._get_containers,
            Call.Type.GET_FRAMEWORKS: self._get_frameworks,
            Call.Type.GET_EXECUTORS: self._get_executors,
            Call.Type.GET_TASKS: self._get_tasks,
        }

    async def __call__(self, request: BaseRequest) -> Answer | web.StreamResponse:
        """Answer one call."""
        content_type = content_type_of(request.headers, _TYPES)
        if content_type == codec.RECORDIO:
            _accepted(request, streamed=False)
            return await self._containers.attach_input(request)
        if MESSAGE_CONTENT_TYPE in request.headers:
            raise HttpError(415, f"{MESSAGE_CONTENT_TYPE} is for requests of {codec.RECORDIO} only.")
        call = decode_call(Call, await request.read(), content_type)
        if call.type is None:
            raise HttpError(400, "The call has no type, or one that nobody knows.")
        name = call.type.value
        if name in _WITH_BODY and getattr(call, name.lower()) is None:
            raise HttpError(400, f"A call of type {name} must have the field {name.lower()}.")
        if call.type is Call.Type.ATTACH_CONTAINER_INPUT:
            raise HttpError(415, f"A call of type {name} comes as {codec.RECORDIO}.")
        accept = _accepted(request, streamed=call.type in _STREAMED)
        if call.type is Call.Type.LAUNCH_NESTED_CONTAINER_SESSION:
            return await self._containers.session(request, call, StreamType(*accept))
        if call.type is Call.Type.ATTACH_CONTAINER_OUTPUT:
            return await self._containers.attach_output(request, call, StreamType(*accept))
        if (listing := self._listings.get(call.type)) is not None:
            return Answer(slices(await listing(call, accept[0])), content_type=accept[0])
        if (answer := self._answers.get(call.type)) is None:
            raise HttpError(501, f"Calls of type {name} cannot be answered.")
        response = await answer(call)
        if response is None:
            return EMPTY
        return response if isinstance(response, Answer) else answer_message(response, accept[0])

    # ── the agent itself ──────────────────────────────────────────────────────────────────────────
    async def _get_health(self, call: Call) -> Response:
        return Response(type=Type.GET_HEALTH, get_health=Response.GetHealth(healthy=True))

    async def _get_flags(self, call: Call) -> Response:
        flags = [v1.Flag(name=name, value=value) for name, value in self._about.flags.items()]
        return Response(type=Type.GET_FLAGS, get_flags=Response.GetFlags(flags=flags))

    async def _get_version(self, call: Call) -> Response:
        return Response(type=Type.GET_VERSION, get_version=Response.GetVersion(version_info()))

    async def _get_metrics(self, call: Call) -> Response:
        metrics = [v1.Metric(name=name, value=value) for name, value in self._metrics.snapshot().items()]
        return Response(type=Type.GET_METRICS, get_metrics=Response.GetMetrics(metrics=metrics))

    async def _get_logging_level(self, call: Call) -> Response:
        found = Response.GetLoggingLevel(level=self._log_level.level)
        return Response(type=Type.GET_LOGGING_LEVEL, get_logging_level=found)

    async def _set_logging_level(self, call: Call) -> None:
        wanted = call.set_logging_level
        assert wanted is not None
        self._log_level.set(wanted.level, wanted.duration.nanoseconds / 1e9)

    async def _get_agent(self, call: Call) -> Response:
        found = Response.GetAgent(agent_info=self._state.agent_info)
        return Response(type=Type.GET_AGENT, get_agent=found)

    # ── files ─────────────────────────────────────────────────────────────────────────────────────
    async def _list_files(self, call: Call) -> Response:
        assert call.list_files is not None
        infos = await self._files.browse(call.list_files.path)
        return Response(type=Type.LIST_FILES, list_files=Response.ListFiles(file_infos=infos))

    async def _read_file(self, call: Call) -> Response:
        wanted = call.read_file
        assert wanted is not None
        size, data = await self._files.read(wanted.path, wanted.offset, wanted.length)
        return Response(type=Type.READ_FILE, read_file=Response.ReadFile(size=size, data=data))

    # ── what runs ─────────────────────────────────────────────────────────────────────────────────
    async def _get_state(self, call: Call, content_type: str) -> Iterator[bytes]:
        return messages.answer_state(self._state, self._runtime.core.streams, content_type)

    async def _get_tasks(self, call: Call, content_type: str) -> Iterator[bytes]:
        found = messages.tasks(self._state, self._runtime.core.streams)
        return messages.answer(Type.GET_TASKS, found, content_type)

    async def _get_executors(self, call: Call, content_type: str) -> Iterator[bytes]:
        return messages.answer(Type.GET_EXECUTORS, messages.listed_executors(self._state), content_type)

    async def _get_frameworks(self, call: Call, content_type: str) -> Iterator[bytes]:
        return messages.answer(Type.GET_FRAMEWORKS, messages.listed_frameworks(self._state), content_type)

    async def _get_containers(self, call: Call, content_type: str) -> Iterator[bytes]:
        usage = await self._runtime.containers.containerizer.usage()
        wanted = call.get_containers or Call.GetContainers()
        chosen = containers.find(
            self._state, nested=bool(wanted.show_nested), standalone=bool(wanted.show_standalone)
        )
        found = containers.listing(chosen, usage, time.time())
        return messages.answer(Type.GET_CONTAINERS, found, content_type)

    async def _get_operations(self, call: Call) -> Response:
        return Response(type=Type.GET_OPERATIONS, get_operations=Response.GetOperations())

    async def _refuse_provider(self, call: Call) -> None:
        raise HttpError(400, _NO_PROVIDERS)

    async def _prune_images(self, call: Call) -> None:
        """There are no images, so none is left."""

    async def _get_resource_providers(self, call: Call) -> Response:
        found = Response.GetResourceProviders()
        return Response(type=Type.GET_RESOURCE_PROVIDERS, get_resource_providers=found)


def _accepted(request: BaseRequest, *, streamed: bool) -> tuple[str, str]:
    """The content type of the answer, and that of each of its messages. Raises HttpError 406."""
    accept = preferred_type(request.headers, _TYPES)
    given = request.headers.getall(_MESSAGE_ACCEPT, ())
    if accept != codec.RECORDIO:
        if given:
            raise HttpError(406, f"{_MESSAGE_ACCEPT} is for answers of {codec.RECORDIO} only.")
        return accept, accept
    if not streamed:
        raise HttpError(406, f"The Accept header wants {codec.RECORDIO}, by which this call is not answered.")
    try:
        return accept, preferred_type(CIMultiDict((hdrs.ACCEPT, one) for one in given))
    except HttpError as error:
        raise HttpError(406, f"{_MESSAGE_ACCEPT}: {error.text}") from error
