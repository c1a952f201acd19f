"""One agent's operator API for containers, as a client uses it: calls, sessions, attached streams."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from koinon.mesos import internal, recordio
from tests.unit.agent.bench import task
from tests.unit.agent.shell import AgentProcess, url

JSON, RECORDIO = "application/json", "application/recordio"
_ids = (f"n{number}" for number in itertools.count())


class Api:
    """One agent's API, and the container of one task."""

    def __init__(self, agent: AgentProcess, master: Any, register: internal.Register) -> None:
        self.agent = agent
        self.master = master
        self.url = url(register, "/api/v1")
        self.http = aiohttp.ClientSession()

    async def run(self, command: str = "sleep 1000", task_id: str = "t", **more: Any) -> dict[str, Any]:
        """Run a task; returns the id of its container."""
        await self.master.run(task(task_id, command=command, **more))
        return await self.container_of(task_id)

    async def container_of(self, task_id: str) -> dict[str, Any]:
        status = await self.master.reaches(task_id, "RUNNING")
        found = status.container_status.container_id
        outer = {"parent": {"value": found.parent.value}} if found.parent is not None else {}
        return {"value": found.value, **outer}

    async def call(self, kind: str, _headers: dict[str, str] | None = None, **fields: Any) -> tuple[int, Any]:
        body = {"type": kind, **({kind.lower(): fields} if fields else {})}
        async with self.http.post(self.url, json=body, headers=_headers) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text and answer.status == 200 else text.decode()

    async def ok(self, kind: str, **fields: Any) -> Any:
        status, found = await self.call(kind, **fields)
        assert status == 200, found
        return found

    async def wait(self, container_id: dict[str, Any]) -> int:
        """The exit code of a container."""
        found = await self.ok("WAIT_CONTAINER", container_id=container_id)
        return os.waitstatus_to_exitcode(found["wait_container"]["exit_status"])

    @asynccontextmanager
    async def waiting(self, container_id: dict[str, Any]) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        """Ask how a container will have ended; the question has reached the agent when this is entered."""
        call = {"type": "WAIT_CONTAINER", "wait_container": {"container_id": container_id}}
        body = json.dumps(call).encode()
        there = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(there.hostname, there.port)
        head = (
            f"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        await self.ok("GET_HEALTH")

        async def exit_code() -> int:
            async with asyncio.timeout(20):
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 200"), answer
                length = int(answer.lower().partition(b"content-length:")[2].split()[0])
                found = json.loads(await reader.readexactly(length))
            return os.waitstatus_to_exitcode(found["wait_container"]["exit_status"])

        yield exit_code
        writer.close()

    async def containers(self, **shown: bool) -> dict[str, dict[str, Any]]:
        found = await self.ok("GET_CONTAINERS", **shown)
        return {one["container_id"]["value"]: one for one in found["get_containers"].get("containers", [])}

    @asynccontextmanager
    async def session(self, parent: dict[str, Any], command: Any, tty: Any = None) -> AsyncIterator[Session]:
        container_id = {"value": next(_ids), "parent": parent}
        if isinstance(command, str):
            command = {"value": command}
        wanted = {"container_id": container_id, "command": command}
        if tty is not None:
            wanted["container"] = {"type": "MESOS", "tty_info": tty}
        call = {"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session": wanted}
        headers = {"Content-Type": JSON, "Accept": RECORDIO, "Message-Accept": JSON}
        async with self.http.post(self.url, json=call, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.headers["Content-Type"] == RECORDIO
            assert answer.headers["Message-Content-Type"] == JSON
            yield Session(self, container_id, answer)

    @asynccontextmanager
    async def output(self, container_id: dict[str, Any]) -> AsyncIterator[Session]:
        call = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": container_id}}
        headers = {"Content-Type": JSON, "Accept": RECORDIO, "Message-Accept": JSON}
        async with self.http.post(self.url, json=call, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            yield Session(self, container_id, answer)


class Session:
    """The output of a container, and a way to give it input."""

    def __init__(self, api: Api, container_id: dict[str, Any], answer: aiohttp.ClientResponse) -> None:
        self.api = api
        self.container_id = container_id
        self.answer = answer
        self.heartbeats = 0
        self._decoder = recordio.RecordDecoder()
        self._pending: list[dict[str, Any]] = []

    async def record(self) -> dict[str, Any] | None:
        while not self._pending:
            async with asyncio.timeout(20):
                data = await self.answer.content.readany()
            if not data:
                return None
            self._pending = [json.loads(one) for one in self._decoder.feed(data)]
        return self._pending.pop(0)

    async def data(self, kind: str) -> bytes | None:
        while (record := await self.record()) is not None:
            if record["type"] == "CONTROL":
                self.heartbeats += 1
            elif record["data"]["type"] == kind:
                return base64.b64decode(record["data"]["data"])
        return None

    async def all(self, kind: str = "STDOUT") -> bytes:
        found = []
        while (data := await self.data(kind)) is not None:
            found.append(data)
        return b"".join(found)

    async def until(self, expected: bytes, kind: str = "STDOUT") -> bytes:
        found = b""
        while expected not in found:
            data = await self.data(kind)
            assert data is not None, found
            found += data
        return found

    def attach(self) -> Input:
        """Give it input."""
        return Input(self)


def stdin(data: bytes) -> dict[str, Any]:
    return {"type": "DATA", "data": {"type": "STDIN", "data": base64.b64encode(data).decode()}}


def window(rows: int, columns: int) -> dict[str, Any]:
    size = {"window_size": {"rows": rows, "columns": columns}}
    return {"type": "CONTROL", "control": {"type": "TTY_INFO", "tty_info": size}}


HEARTBEAT = {
    "type": "CONTROL",
    "control": {"type": "HEARTBEAT", "heartbeat": {"interval": {"nanoseconds": 30_000_000_000}}},
}


class Input:
    """A request that gives a container input, as the Apache command line does."""

    def __init__(self, session: Session) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._session = session

    async def __aenter__(self) -> Input:
        self._put({"type": "CONTAINER_ID", "container_id": self._session.container_id})
        headers = {"Content-Type": RECORDIO, "Message-Content-Type": JSON, "Accept": JSON}
        self._posting = asyncio.create_task(self._post(headers))
        return self

    async def _post(self, headers: dict[str, str]) -> int:
        async with self._session.api.http.post(
            self._session.api.url, data=self._chunks(), headers=headers
        ) as answer:
            return answer.status

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._queue.get()) is not None:
            yield chunk

    def _put(self, given: dict[str, Any]) -> None:
        call = {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": given}
        self._queue.put_nowait(recordio.frame(json.dumps(call).encode()))

    def give(self, io: dict[str, Any]) -> None:
        self._put({"type": "PROCESS_IO", "process_io": io})

    async def end(self) -> int:
        self._queue.put_nowait(None)
        async with asyncio.timeout(20):
            return await self._posting

    async def __aexit__(self, *_: object) -> None:
        self._queue.put_nowait(None)
        self._posting.cancel()


def sandbox(agent: AgentProcess, task_id: str = "t") -> Path:
    """Sandbox of a command task."""
    return agent.work_dir / f"slaves/latest/frameworks/F/executors/{task_id}/runs/latest"
