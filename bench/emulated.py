"""Emulated agents: thousands in one process, over real sockets, without the work.

    python -m bench.emulated --master 127.0.0.1:5050 --agents 1000 --resources 'cpus:4;mem:4096'

Each speaks what a real agent speaks to the master (`koinon.mesos.internal` over a WebSocket of its own): it
registers, answers pings, runs tasks, sends each update again after a reconnection until it is acknowledged, one per
task at a time, and comes back with its tasks when the master was away, or when another one leads: after a random pause, as
real ones do. `--master` is what a real agent takes; ZooKeeper has one session with all of them. A task with the command `sleep S` runs
for S seconds, `sleep inf` until it is killed; any other finishes as soon as TASK_RUNNING is acknowledged. What tasks wrote
can be read, as from real agents: it is always nothing.

The WebSocket is written by hand, as far as needed: this process must cost less than the master it loads.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import itertools
import os
import random
import resource
import struct
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from koinon import MESOS_VERSION, logs
from koinon.coordination import Leader
from koinon.coordination.detection import detect
from koinon.coordination.following import Following
from koinon.mesos import internal, v1
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import TaskState

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_CAPABILITIES = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "TASK_RESOURCE_LIMITS"]
#: As `--registration_backoff_factor` of a real agent, and the longest pause.
_BACKOFF_S = 1.0
_PAUSE_MAX_S = 60.0

#: A version 4 uuid is 16 random bytes to all who read it; a counter behind a random prefix is cheaper.
_UUID_PREFIX = os.urandom(8)
_uuids = itertools.count()


class Task:
    """A task on an emulated agent: its updates leave one by one, each after the one before is acknowledged."""

    __slots__ = ("framework_id", "info", "state", "status", "timer", "unacknowledged")

    def __init__(self, framework_id: str, info: v1.TaskInfo) -> None:
        self.framework_id = framework_id
        self.info = info
        self.state = TaskState.TASK_STAGING
        self.status: v1.TaskStatus  #: the newest
        self.unacknowledged: deque[v1.TaskStatus] = deque()
        self.timer: asyncio.TimerHandle | None = None


class EmulatedAgent(asyncio.Protocol):
    """One agent. `fleet` holds what all share."""

    def __init__(self, fleet: Fleet, index: int) -> None:
        self._fleet = fleet
        self._index = index
        self._info = v1.AgentInfo(hostname=f"agent-{index}", port=5051, resources=fleet.resources)
        self._frameworks: dict[str, v1.FrameworkInfo] = {}
        self._tasks: dict[tuple[str, str], Task] = {}
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._open = False
        self._outgoing: list[internal.AgentMessage] = []
        self._failed = 0  #: channels in a row that were not opened
        self._spread_s = _BACKOFF_S
        self._receive: dict[type, Callable[[Any], None]] = {
            internal.Registered: self._registered,
            internal.Refused: self._refused,
            internal.RunTask: self._run_task,
            internal.RunTaskGroup: self._run_task_group,
            internal.KillTask: self._kill_task,
            internal.Acknowledge: self._acknowledge,
            internal.ShutdownFramework: self._shutdown_framework,
            internal.Ping: lambda message: self._send(internal.Pong()),
        }

    async def connect(self, pause_s: float) -> None:
        """Opens the channel after a random pause; the master may not be there yet, or not any more."""
        fleet = self._fleet
        while True:
            if pause_s and await fleet.pause(random.uniform(0, pause_s)):
                pause_s = self._spread_s  # another one leads
                continue
            if (leader := fleet.leader) is None:
                await fleet.pause(None)
                pause_s = self._spread_s
                continue
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, leader.host, leader.port)
                return
            except OSError:
                pause_s = min(2 * max(pause_s, _BACKOFF_S / 2), _PAUSE_MAX_S)

    def leave(self) -> None:
        """Ends the channel, if it is open: another master leads."""
        if self._transport is not None:
            self._transport.abort()

    # ── messages ──────────────────────────────────────────────────────────────────────────────────
    def _register(self) -> None:
        tasks = []
        for task in self._tasks.values():
            first = task.unacknowledged[0] if task.unacknowledged else None
            reported = internal.ReportedTask(
                framework_id=task.framework_id, info=task.info, state=task.state, statuses=[task.status]
            )
            if first is not None:
                reported.unacknowledged_state, reported.unacknowledged_uuid = first.state, first.uuid
            tasks.append(reported)
        self._send(
            internal.Register(
                agent_info=self._info,
                pid=f"slave({self._index})@127.0.0.1:{self._fleet.port}",
                version=MESOS_VERSION,
                protocol=internal.PROTOCOL,
                capabilities=_CAPABILITIES,
                frameworks=list(self._frameworks.values()),
                tasks=tasks,
            )
        )

    def _registered(self, message: internal.Registered) -> None:
        self._info.id = v1.AgentID(message.agent_id)
        self._failed = 0
        self._spread_s = max(_BACKOFF_S, message.return_within_s)
        self._fleet.one_registered()
        for framework_id in message.completed_frameworks:
            self._forget_framework(framework_id)
        for task in self._tasks.values():
            if task.unacknowledged:
                self._send_update(task)

    def _refused(self, message: internal.Refused) -> None:
        raise SystemExit(f"the master refused agent {self._index}: {message.message}")

    def _run_task(self, message: internal.RunTask) -> None:
        self._start(message.framework, message.task)

    def _run_task_group(self, message: internal.RunTaskGroup) -> None:
        for info in message.task_group.tasks:
            self._start(message.framework, info)

    def _start(self, framework: v1.FrameworkInfo, info: v1.TaskInfo) -> None:
        assert framework.id is not None
        framework_id = framework.id.value
        self._frameworks[framework_id] = framework
        task = self._tasks[framework_id, info.task_id.value] = Task(framework_id, info)
        self._fleet.one_started(info)
        self._update(task, TaskState.TASK_RUNNING)
        if (seconds := _seconds(info)) is None:
            self._update(task, TaskState.TASK_FINISHED)
        elif seconds != float("inf"):
            loop = asyncio.get_running_loop()
            task.timer = loop.call_later(seconds, self._update, task, TaskState.TASK_FINISHED)

    def _kill_task(self, message: internal.KillTask) -> None:
        task = self._tasks.get((message.framework_id, message.task_id))
        if task is not None and task.state is TaskState.TASK_RUNNING:
            if task.timer is not None:
                task.timer.cancel()
            self._update(task, TaskState.TASK_KILLED)

    def _shutdown_framework(self, message: internal.ShutdownFramework) -> None:
        self._forget_framework(message.framework_id)

    def _forget_framework(self, framework_id: str) -> None:
        self._frameworks.pop(framework_id, None)
        for key in [key for key in self._tasks if key[0] == framework_id]:
            task = self._tasks.pop(key)
            if task.timer is not None:
                task.timer.cancel()

    def _update(self, task: Task, state: TaskState) -> None:
        task.state = state
        status = task.status = v1.TaskStatus(
            task_id=task.info.task_id,
            state=state,
            source=v1.TaskStatus.Source.SOURCE_EXECUTOR,
            agent_id=self._info.id,
            executor_id=v1.ExecutorID(task.info.task_id.value),
            timestamp=time.time(),
            uuid=_UUID_PREFIX + next(_uuids).to_bytes(8, "big"),
        )
        task.unacknowledged.append(status)
        if len(task.unacknowledged) == 1:
            self._send_update(task)

    def _send_update(self, task: Task) -> None:
        self._send(
            internal.Update(
                framework_id=task.framework_id, status=task.unacknowledged[0], latest_state=task.state
            )
        )

    def _acknowledge(self, message: internal.Acknowledge) -> None:
        key = message.framework_id, message.task_id
        task = self._tasks.get(key)
        if task is None or not task.unacknowledged or task.unacknowledged[0].uuid != message.uuid:
            return
        task.unacknowledged.popleft()
        if task.unacknowledged:
            self._send_update(task)
        elif task.state is not TaskState.TASK_RUNNING:
            del self._tasks[key]
            self._fleet.ended += 1

    # ── the channel ───────────────────────────────────────────────────────────────────────────────
    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._buffer.clear()
        self._outgoing.clear()
        self._open = False
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {internal.PATH} HTTP/1.1\r\nHost: master\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fleet.one_lost(registered=self._open)
        pause_s = self._spread_s
        if self._failed:
            pause_s = min(_BACKOFF_S * 2 ** (self._failed - 1), _PAUSE_MAX_S)
        self._fleet.connect_later(self, pause_s)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._open:
            head, separator, _ = buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self._failed += 1  # it does not lead, or not yet
                self.leave()
                return
            del buffer[: len(head) + 4]
            self._open = True
            self._register()
        for opcode, payload in _frames(buffer):
            if opcode in (_TEXT, _BINARY):
                for message in internal.decode_from_master(payload):
                    receive = self._receive.get(type(message))
                    if receive is not None:
                        receive(message)
            elif opcode == _PING:
                self._write(_frame(_PONG, payload))
            elif opcode == _CLOSE and self._transport is not None:
                self._transport.close()

    def _send(self, message: internal.AgentMessage) -> None:
        if self._transport is not None:
            if not self._outgoing:
                self._fleet.flush_later(self)
            self._outgoing.append(message)

    def flush(self) -> None:
        """Sends what gathered in this turn of the loop as one frame."""
        if self._outgoing and self._open:
            self._write(_frame(_BINARY, internal.encode(self._outgoing)))
        self._outgoing.clear()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


class _Files(asyncio.Protocol):
    """The API of agents, as far as it reads what a task wrote."""

    _NOTHING = b'{"data":"","offset":0}'

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        *requests, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write((head % len(self._NOTHING) + self._NOTHING) * len(requests))


class Fleet:
    """All emulated agents of this process. Each task that starts is noted in the file `starts`: when, and its id."""

    def __init__(self, master: str, agents: int, resources: str, starts: Path | None = None) -> None:
        self.port = 0  #: where all of them are reached
        self._starts = starts.open("w", buffering=1) if starts is not None else None
        self.resources = Resources.parse(resources).to_v1()
        self.started = 0  #: tasks
        self.ended = 0  #: tasks, whose end is acknowledged
        self.registered = 0  #: agents
        self.all_registered = asyncio.Event()
        self._agents = [EmulatedAgent(self, index) for index in range(agents)]
        self._loop = asyncio.get_running_loop()
        self._to_flush: list[EmulatedAgent] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._following = Following(detect(master), self._leader_changed)
        self._changed = asyncio.Event()

    @property
    def leader(self) -> Leader | None:
        """The master to be at."""
        return self._following.leader

    async def register(self, at_once: int = 200) -> None:
        """Connects all agents, `at_once` side by side, and waits until the master has registered them."""
        server = await self._loop.create_server(_Files, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._following.start()
        agents = iter(self._agents)

        async def connect_some() -> None:
            for agent in agents:
                await agent.connect(0.0)

        await asyncio.gather(*(connect_some() for _ in range(at_once)))
        await self.all_registered.wait()

    async def pause(self, pause_s: float | None) -> bool:
        """Waits so long, or until another master leads, and then returns True."""
        changed = self._changed
        try:
            async with asyncio.timeout(pause_s):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    def _leader_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        for agent in self._agents:
            agent.leave()

    def one_started(self, info: v1.TaskInfo) -> None:
        """A task runs."""
        self.started += 1
        if self._starts is not None:
            self._starts.write(f"{time.time():.6f} {info.task_id.value}\n")

    def one_registered(self) -> None:
        """An agent is registered."""
        self.registered += 1
        if self.registered == len(self._agents):
            self.all_registered.set()

    def one_lost(self, *, registered: bool) -> None:
        """An agent's channel broke."""
        if registered:
            self.registered -= 1
            self.all_registered.clear()

    def connect_later(self, agent: EmulatedAgent, pause_s: float) -> None:
        """Brings an agent back after a while."""
        task = self._loop.create_task(agent.connect(pause_s))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def flush_later(self, agent: EmulatedAgent) -> None:
        """Flushes `agent` at the end of this turn of the loop."""
        if not self._to_flush:
            self._loop.call_soon(self._flush)
        self._to_flush.append(agent)

    def _flush(self) -> None:
        agents, self._to_flush = self._to_flush, []
        for agent in agents:
            agent.flush()


def _seconds(info: v1.TaskInfo) -> float | None:
    text = info.command.value if info.command is not None else None
    return float(text.removeprefix("sleep ")) if text is not None and text.startswith("sleep ") else None


# ── WebSocket frames: unmasked in, masked with zeros out; the master never fragments ──────────────────
def _frames(buffer: bytearray) -> list[tuple[int, bytes]]:
    """Takes the whole frames out of `buffer`."""
    frames, start = [], 0
    while len(buffer) - start >= 2:
        opcode, length, at = buffer[start] & 15, buffer[start + 1], start + 2
        if length >= 126:
            width, code = (2, "!H") if length == 126 else (8, "!Q")
            if len(buffer) < at + width:
                break
            (length,) = struct.unpack_from(code, buffer, at)
            at += width
        if len(buffer) < at + length:
            break
        frames.append((opcode, bytes(buffer[at : at + length])))
        start = at + length
    del buffer[:start]
    return frames


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 128 | opcode, 128 | length)
    elif length < 65536:
        head = struct.pack("!BBH", 128 | opcode, 254, length)
    else:
        head = struct.pack("!BBQ", 128 | opcode, 255, length)
    return head + b"\0\0\0\0" + payload


def allow_many_files() -> None:
    """Raises this process's limit of open files as far as it may; child processes inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def run(master: str, agents: int, resources: str, starts: Path | None = None) -> None:
    """Registers the agents, says `ready`, and lets them be agents until it is cancelled."""
    began_s = time.perf_counter()
    fleet = Fleet(master, agents, resources, starts)
    await fleet.register()
    print(f"ready: {agents} agents in {time.perf_counter() - began_s:.1f} s", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Emulated agents.")
    parser.add_argument("--master", required=True, help="host:port,… or zk://…")
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--resources", default="cpus:4;mem:128", help="of each agent")
    parser.add_argument("--starts", type=Path, help="note here when which task started")
    arguments = parser.parse_args()
    allow_many_files()
    logs.configure("WARNING")
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run(arguments.master, arguments.agents, arguments.resources, arguments.starts))


if __name__ == "__main__":
    main()
