"""The calls of the operator API that launch, watch and end containers, and the streams of what goes in and out of them.

A session, and attached output, are answered by a stream of ProcessIO records; attached input is such a stream in the
request. Reader and container go at the same pace (`switchboard`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.web_request import BaseRequest

from koinon.agent.containers import Containers
from koinon.agent.core import events as ev
from koinon.agent.core import nested
from koinon.agent.core.state import NestedKind
from koinon.agent.runtime import Runtime
from koinon.agent.switchboard import Chunk, Observer, Switch
from koinon.edge import Answer, HttpError
from koinon.edge.answers import ACCEPTED, EMPTY
from koinon.edge.negotiation import decode_call
from koinon.mesos import codec, recordio, v1
from koinon.mesos.v1 import ContainerID
from koinon.mesos.v1.agent import Call, ProcessIO, Response

Type = Call.Type
_Input = Call.AttachContainerInput

_SIGKILL, _SIGNALS_MAX = 9, 64
#: A record of input.
_RECORD_BYTES_MAX = 4 << 20

_NESTED_ONLY = "The container_id must have a parent: for a standalone container use the call {}"


class ContainerApi:
    """The handlers, bound to one runtime."""

    def __init__(self, runtime: Runtime, heartbeat_interval_s: float) -> None:
        self._runtime = runtime
        self._state = runtime.core.state
        self._heartbeat_interval_s = heartbeat_interval_s
        #: What is answered to whole calls.
        self.answers: dict[Type, Callable[[Call], Awaitable[Response | Answer | None]]] = {
            Type.LAUNCH_CONTAINER: self._launch_container,
            Type.LAUNCH_NESTED_CONTAINER: self._launch_nested_container,
            Type.WAIT_CONTAINER: self._wait_container,
            Type.WAIT_NESTED_CONTAINER: self._wait_nested_container,
            Type.KILL_CONTAINER: self._kill_container,
            Type.KILL_NESTED_CONTAINER: self._kill_nested_container,
            Type.REMOVE_CONTAINER: self._remove_container,
            Type.REMOVE_NESTED_CONTAINER: self._remove_nested_container,
        }

    @property
    def _containers(self) -> Containers:
        return self._runtime.containers

    # ── launch ────────────────────────────────────────────────────────────────────────────────────
    async def _launch_container(self, call: Call) -> Answer | None:
        wanted = call.launch_container
        assert wanted is not None
        kind = NestedKind.NESTED if wanted.container_id.parent is not None else NestedKind.STANDALONE
        request = ev.ContainerRequested(
            kind, wanted.container_id, wanted.command, wanted.container, wanted.resources, wanted.limits
        )
        return None if await self._launch(request) else ACCEPTED

    async def _launch_nested_container(self, call: Call) -> Answer | None:
        wanted = call.launch_nested_container
        assert wanted is not None
        _check_nested(wanted.container_id, "LAUNCH_CONTAINER")
        kind = NestedKind.NESTED
        request = ev.ContainerRequested(kind, wanted.container_id, wanted.command, wanted.container)
        return None if await self._launch(request) else ACCEPTED

    async def _launch(self, request: ev.ContainerRequested) -> bool:
        """Launch a container; False if there is one of that id. Raises HttpError."""
        if nested.find(self._state, request.container_id) is not None:
            return False
        self._feed(request)
        found = nested.find(self._state, request.container_id)
        assert found is not None
        if (problem := await self._containers.launched(found.key)) is not None:
            raise HttpError(400, f"The container cannot be launched: {problem}")
        return True

    async def session(
        self, request: BaseRequest, call: Call, accept: StreamType
    ) -> web.StreamResponse | Answer:
        """Launch a container that lives as long as this connection, and answer with its output."""
        wanted = call.launch_nested_container_session
        assert wanted is not None
        container_id = wanted.container_id
        _check_nested(container_id, "LAUNCH_CONTAINER")
        kind = NestedKind.SESSION
        if nested.find(self._state, container_id) is not None:
            return ACCEPTED
        try:
            await self._launch(ev.ContainerRequested(kind, container_id, wanted.command, wanted.container))
            switch = self._switch(container_id)
            observer = switch.observe(owner=True)
            return await self._stream(request, accept, switch, observer)
        finally:
            if nested.find(self._state, container_id) is not None:
                self._end(container_id)

    def _end(self, container_id: ContainerID) -> None:
        found = nested.find(self._state, container_id)
        if found is not None and found.nested is not None and not found.nested.ended:
            self._runtime.tell(ev.SignalRequested(container_id, _SIGKILL))

    # ── wait, kill, remove ────────────────────────────────────────────────────────────────────────
    async def _wait_container(self, call: Call) -> Response:
        assert call.wait_container is not None
        end = await self._wait(call.wait_container.container_id)
        found = Response.WaitContainer(**_told(end))
        return Response(type=Response.Type.WAIT_CONTAINER, wait_container=found)

    async def _wait_nested_container(self, call: Call) -> Response:
        assert call.wait_nested_container is not None
        container_id = call.wait_nested_container.container_id
        _check_nested(container_id, "WAIT_CONTAINER")
        end = await self._wait(container_id)
        found = Response.WaitNestedContainer(**_told(end))
        return Response(type=Response.Type.WAIT_NESTED_CONTAINER, wait_nested_container=found)

    async def _wait(self, container_id: ContainerID) -> ev.ContainerGone:
        found = self._find(container_id)
        if found.nested is not None and found.nested.ended:
            return ev.ContainerGone(found.key, found.nested.status, found.nested.message)
        return await self._containers.gone(found.key)

    async def _kill_container(self, call: Call) -> None:
        assert call.kill_container is not None
        self._kill(call.kill_container.container_id, call.kill_container.signal)

    async def _kill_nested_container(self, call: Call) -> None:
        wanted = call.kill_nested_container
        assert wanted is not None
        _check_nested(wanted.container_id, "KILL_CONTAINER")
        self._kill(wanted.container_id, wanted.signal)

    def _kill(self, container_id: ContainerID, number: int | None) -> None:
        _check_id(container_id)
        if number is not None and not 1 <= number <= _SIGNALS_MAX:
            raise HttpError(400, f"The signal must be between 1 and {_SIGNALS_MAX}, not {number}.")
        self._feed(ev.SignalRequested(container_id, _SIGKILL if number is None else number))

    async def _remove_container(self, call: Call) -> None:
        assert call.remove_container is not None
        self._remove(call.remove_container.container_id)

    async def _remove_nested_container(self, call: Call) -> None:
        assert call.remove_nested_container is not None
        _check_nested(call.remove_nested_container.container_id, "REMOVE_CONTAINER")
        self._remove(call.remove_nested_container.container_id)

    def _remove(self, container_id: ContainerID) -> None:
        _check_id(container_id)
        self._feed(ev.RemovalRequested(container_id))

    # ── output ────────────────────────────────────────────────────────────────────────────────────
    async def attach_output(self, request: BaseRequest, call: Call, accept: StreamType) -> web.StreamResponse:
        """Answer with what a container writes from now on."""
        assert call.attach_container_output is not None
        switch = self._switch(call.attach_container_output.container_id)
        return await self._stream(request, accept, switch, switch.observe())

    async def _stream(
        self, request: BaseRequest, accept: StreamType, switch: Switch, observer: Observer
    ) -> web.StreamResponse:
        try:
            response = web.StreamResponse(headers={hdrs.SERVER: "Koinon", **accept.headers})
            if request.version >= HttpVersion11:
                response.enable_chunked_encoding()
            await response.prepare(request)
            loop = asyncio.get_running_loop()
            heartbeat = accept.frame(_heartbeat(self._heartbeat_interval_s))
            heartbeat_due_s = loop.time() + self._heartbeat_interval_s
            while True:
                try:
                    async with asyncio.timeout_at(heartbeat_due_s):
                        chunks = await observer.take()
                except TimeoutError:
                    heartbeat_due_s = loop.time() + self._heartbeat_interval_s
                    await response.write(heartbeat)
                    continue
                if not chunks:
                    break
                await response.write(b"".join(accept.frame(_output(chunk)) for chunk in chunks))
            if observer.cut_off and request.transport is not None:
                request.transport.abort()  # so that nobody takes it for the end
            await response.write_eof()
            return response
        finally:
            switch.leave(observer)

    # ── input ─────────────────────────────────────────────────────────────────────────────────────
    async def attach_input(self, request: BaseRequest) -> Answer:
        """Give a container the input that the request brings, until this ends or the container does."""
        content_type = request.headers.get(MESSAGE_CONTENT_TYPE)
        if content_type is None:
            raise HttpError(400, f"A request of {codec.RECORDIO} must say its {MESSAGE_CONTENT_TYPE}.")
        if content_type not in (codec.JSON, codec.PROTOBUF):
            raise HttpError(415, f"{MESSAGE_CONTENT_TYPE} must be {codec.JSON} or {codec.PROTOBUF}.")
        records = _records(request, content_type)
        first = await anext(records, None)
        if first is None or first.type is not _Input.Type.CONTAINER_ID or first.container_id is None:
            raise HttpError(
                400, "The first record must be of type CONTAINER_ID, with the field container_id."
            )
        switch = self._switch(first.container_id)
        if switch.has_input:
            raise HttpError(409, "Somebody else has attached the container's input.")
        switch.has_input = True
        feeding = asyncio.create_task(_feed(switch, records))
        try:
            await asyncio.wait((feeding, switch.closed), return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                await feeding
        finally:
            switch.has_input = False
            feeding.cancel()
        return EMPTY

    # ── helpers ───────────────────────────────────────────────────────────────────────────────────
    def _find(self, container_id: ContainerID) -> nested.Found:
        _check_id(container_id)
        if (found := nested.find(self._state, container_id)) is None:
            raise HttpError(404, "The container cannot be found.")
        return found

    def _switch(self, container_id: ContainerID) -> Switch:
        found = self._find(container_id)
        if (switch := self._containers.switchboard.get(found.key)) is None:
            if found.nested is not None and found.nested.ended:
                raise HttpError(404, "The container has ended.")
            raise HttpError(
                400,
                "The container has no terminal and is no session, so its input and output cannot be attached.",
            )
        return switch

    def _feed(self, event: ev.Event) -> None:
        try:
            self._runtime.feed(event)
        except ev.Refused as refused:
            raise HttpError(refused.status, refused.message) from refused


MESSAGE_CONTENT_TYPE = "Message-Content-Type"


class StreamType:
    """What a streamed answer is in: `content_type` of the whole, `message_type` of one record."""

    def __init__(self, content_type: str, message_type: str) -> None:
        self.headers: dict[str, str] = {hdrs.CONTENT_TYPE: content_type}
        if content_type == codec.RECORDIO:
            self.headers[MESSAGE_CONTENT_TYPE] = message_type
        self._message_type = message_type

    def frame(self, message: ProcessIO) -> bytes:
        """One record."""
        return recordio.frame(codec.encode(message, self._message_type))


def _told(end: ev.ContainerGone) -> dict[str, Any]:
    """Fields of the answer to who waited."""
    told: dict[str, Any] = {"exit_status": end.status, "message": end.message or None}
    if not end.launched:
        reason = v1.TaskStatus.Reason.REASON_CONTAINER_LAUNCH_FAILED
        told |= {"state": v1.TaskState.TASK_FAILED, "reason": reason}
    return told


def _output(chunk: Chunk) -> ProcessIO:
    return ProcessIO(type=ProcessIO.Type.DATA, data=ProcessIO.Data(type=chunk.kind, data=chunk.data))


def _heartbeat(interval_s: float) -> ProcessIO:
    Control = ProcessIO.Control
    heartbeat = Control.Heartbeat(interval=v1.DurationInfo(int(interval_s * 1e9)))
    control = Control(type=Control.Type.HEARTBEAT, heartbeat=heartbeat)
    return ProcessIO(type=ProcessIO.Type.CONTROL, control=control)


def _check_id(container_id: ContainerID) -> None:
    try:
        nested.check_id(container_id)
    except ev.Refused as refused:
        raise HttpError(refused.status, refused.message) from refused


def _check_nested(container_id: ContainerID, other: str) -> None:
    if container_id.parent is None:
        raise HttpError(400, _NESTED_ONLY.format(other))


async def _records(request: BaseRequest, content_type: str) -> AsyncIterator[_Input]:
    """The records of attached input. Raises HttpError."""
    decoder = recordio.RecordDecoder(_RECORD_BYTES_MAX)
    while data := await request.content.readany():
        try:
            records = decoder.feed(data)
        except recordio.RecordError as error:
            raise HttpError(400, f"The request is no RecordIO: {error}.") from error
        for record in records:
            call = decode_call(Call, record, content_type)
            if call.type is not Type.ATTACH_CONTAINER_INPUT:
                raise HttpError(415, f"Only ATTACH_CONTAINER_INPUT comes as {codec.RECORDIO}.")
            if call.attach_container_input is None:
                raise HttpError(400, "A call of this type must have the field attach_container_input.")
            yield call.attach_container_input


async def _feed(switch: Switch, records: AsyncIterator[_Input]) -> None:
    async for record in records:
        if record.type is not _Input.Type.PROCESS_IO or record.process_io is None:
            raise HttpError(400, "All records but the first must be of type PROCESS_IO, with that field.")
        io = record.process_io
        if io.data is not None and io.data.type is ProcessIO.Data.Type.STDIN:
            if io.data.data:
                await switch.write(io.data.data)
            else:
                switch.end_input()
        elif io.control is not None and io.control.type is not None:
            info = io.control.tty_info
            if info is not None and info.window_size is not None:
                switch.resize(info.window_size.rows, info.window_size.columns)
        else:
            raise HttpError(400, "Input is DATA of type STDIN, or CONTROL with the field control.")
