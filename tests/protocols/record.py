"""Records a conversation of master and agents in the version of the protocol that this code speaks.

    python -m tests.protocols.record tests/protocols/protocol_1.jsonl

Real processes: a master, agents that reach it through a proxy of ours, and frameworks that we play. Everything that can
be said between master and agent is said at least once. A line of the recording is a JSON object: `at` (seconds since
the beginning), `who` and what that one did, in the order in which it happened:

    {"who": "agent", "channel": 1, "said": […]}             a frame as it was on the wire
    {"who": "master", "channel": 1, "said": […]}
    {"who": "agent", "channel": 1, "closed": true}
    {"who": "framework", "stream": 1, "call": {…}}          SUBSCRIBE opens the stream
    {"who": "framework", "stream": 1, "closed": true}
    {"who": "master", "stream": 1, "event": {…}}
    {"who": "operator", "call": {…}}

The first line says whose code spoke. Recordings are made before the protocol changes and never made again.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

import koinon
from koinon.mesos import internal

Object = dict[str, Any]

_MASTER_FLAGS = ["--registry=in_memory", "--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=10"]
_AGENT_FLAGS = [
    "--hostname=agent.example",
    "--resources=cpus:4;mem:1024;disk:1024;ports:[31000-31009]",
    "--attributes=rack:a;height:3",
    "--registration_backoff_factor=100ms",
]
#: What stands in the recording for the folder in which it was made.
_FOLDER = "/srv/recording"


class Recorder:
    """The proxy, the frameworks, and the lines."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lines: list[Object] = []
        self.changed = asyncio.Event()
        self.master_port, self.proxy_port = _free_port(), _free_port()
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.http: aiohttp.ClientSession
        self._begun_s = time.monotonic()
        self._channels = self._streams = 0

    def note(self, who: str, **what: Any) -> None:
        """One more line."""
        self.lines.append({"at": round(time.monotonic() - self._begun_s, 3), "who": who, **deepcopy(what)})
        self.changed.set()

    async def until(self, holds: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
        """Returns when it holds; asked after each line."""
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise SystemExit(f"not within {timeout_s:g} s: {what}") from None

    def said(self, kind: str, *, since: int = 0) -> list[Object]:
        """The messages of that type, from line `since` on."""
        return [
            message
            for line in self.lines[since:]
            for message in line.get("said", ())
            if message["type"] == kind
        ]

    # ── processes ─────────────────────────────────────────────────────────────────────────────────
    async def start(self, name: str, *arguments: str) -> None:
        """`koinon ARGUMENTS`."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "koinon", *arguments, stdout=log, stderr=log
            )

    async def start_agent(self, name: str) -> None:
        """Returns when it is registered."""
        since = len(self.lines)
        work_dir = self.directory / name
        await self.start(
            name,
            "agent",
            f"--master=127.0.0.1:{self.proxy_port}",
            f"--work_dir={work_dir}",
            "--port=0",
            *_AGENT_FLAGS,
        )
        await self.until(
            lambda: self.said("Registered", since=since) or self.said("Refused", since=since),
            f"{name} is registered",
        )
        await asyncio.sleep(0.5)  # for what follows from it, its id on disk among them

    async def end(self, name: str, number: int = signal.SIGKILL) -> None:
        """Ends it by that signal; 0: it ends by itself."""
        process = self.processes.pop(name)
        if number:
            process.send_signal(number)
        async with asyncio.timeout(20):
            await process.wait()
        await asyncio.sleep(0.3)

    # ── the channel ───────────────────────────────────────────────────────────────────────────────
    async def relay(self, request: web.Request) -> web.WebSocketResponse:
        """An agent's channel."""
        self._channels += 1
        number = self._channels
        from_agent = web.WebSocketResponse(max_msg_size=0)
        await from_agent.prepare(request)
        url = f"http://127.0.0.1:{self.master_port}{internal.PATH}"
        async with self.http.ws_connect(url, max_msg_size=0) as to_master:

            async def pass_on(who: str, source: Any, target: Any) -> None:
                async for frame in source:
                    if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                        self.note(who, channel=number, said=json.loads(frame.data))
                        with suppress(ConnectionError, aiohttp.ClientError):
                            await target.send_bytes(frame.data)

            ways = [
                asyncio.ensure_future(pass_on("agent", from_agent, to_master)),
                asyncio.ensure_future(pass_on("master", to_master, from_agent)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if ways[0].done():
                self.note("agent", channel=number, closed=True)
            await to_master.close()
            await from_agent.close()
            await asyncio.wait(ways)
        return from_agent

    async def operate(self, **call: Any) -> None:
        """An operator's call."""
        self.note("operator", call=call)
        async with self.http.post(f"http://127.0.0.1:{self.master_port}/api/v1", json=call) as answer:
            assert answer.status == 200, await answer.text()


class Framework:
    """A scheduler. Acknowledges what it is sent, but for the tasks in `silent_about`."""

    def __init__(self, recorder: Recorder, name: str, **info: Any) -> None:
        self._recorder = recorder
        self.info: Object = {"user": "root", "name": name, "roles": ["here"], **info}
        kinds = ["MULTI_ROLE", "RESERVATION_REFINEMENT", "TASK_KILLING_STATE", "PARTITION_AWARE"]
        self.info["capabilities"] = [{"type": kind} for kind in kinds]
        self.offers: dict[str, Object] = {}
        self.statuses: list[Object] = []
        self.silent_about: set[str] = set()
        self._stream = 0
        self._stream_id = ""
        self._reading: asyncio.Task[None] | None = None

    async def subscribe(self) -> None:
        """For the first time, or in place of the stream of before."""
        recorder = self._recorder
        recorder._streams += 1
        self._stream = recorder._streams
        call: Object = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self.info}}
        if "id" in self.info:
            call["framework_id"] = self.info["id"]
        recorder.note("framework", stream=self._stream, call=call)
        answer = await recorder.http.post(
            f"http://127.0.0.1:{recorder.master_port}/api/v1/scheduler",
            json=call,
            headers={"Accept": "application/json"},
        )
        assert answer.status == 200, await answer.text()
        self._stream_id = answer.headers["Mesos-Stream-Id"]
        since = len(recorder.lines)
        self._reading = asyncio.ensure_future(self._read(self._stream, answer))
        await recorder.until(
            lambda: any(line.get("stream") == self._stream for line in recorder.lines[since:]), "SUBSCRIBED"
        )
        await asyncio.sleep(0.3)

    async def call(self, kind: str, **body: Any) -> None:
        """Any other call."""
        recorder = self._recorder
        call = {"type": kind, "framework_id": self.info["id"], **body}
        recorder.note("framework", stream=self._stream, call=call)
        async with recorder.http.post(
            f"http://127.0.0.1:{recorder.master_port}/api/v1/scheduler",
            json=call,
            headers={"Mesos-Stream-Id": self._stream_id},
        ) as answer:
            assert answer.status == 202, await answer.text()

    async def accept(self, *operations: Object) -> None:
        """All that is on offer, for these."""
        await self._recorder.until(lambda: self.offers, "an offer")
        offers, self.offers = self.offers, {}
        await self.call(
            "ACCEPT",
            accept={
                "offer_ids": [{"value": offer_id} for offer_id in offers],
                "operations": list(operations),
                "filters": {"refuse_seconds": 0.0},
            },
        )

    async def until(self, task_id: str, state: str) -> None:
        """Returns when it has heard so."""
        await self._recorder.until(
            lambda: any(
                one["task_id"]["value"] == task_id and one["state"] == state for one in self.statuses
            ),
            f"{task_id} is {state}",
        )
        await asyncio.sleep(0.3)  # for the acknowledgement

    async def _read(self, stream: int, answer: aiohttp.ClientResponse) -> None:
        with suppress(aiohttp.ClientError):
            while size := await answer.content.readline():
                event = json.loads(await answer.content.readexactly(int(size)))
                await self._hear(stream, event)

    async def _hear(self, stream: int, event: Object) -> None:
        if event["type"] == "HEARTBEAT":
            return
        match event["type"]:
            case "SUBSCRIBED":
                self.info["id"] = event["subscribed"]["framework_id"]
            case "OFFERS":
                self.offers |= {offer["id"]["value"]: offer for offer in event["offers"]["offers"]}
            case "RESCIND":
                self.offers.pop(event["rescind"]["offer_id"]["value"], None)
        self._recorder.note("master", stream=stream, event=event)
        if event["type"] == "UPDATE":
            status = event["update"]["status"]
            self.statuses.append(status)
            if "uuid" in status and status["task_id"]["value"] not in self.silent_about:
                await self.acknowledge(status)

    async def acknowledge(self, status: Object) -> None:
        """Confirm an update."""
        body = {name: status[name] for name in ("agent_id", "task_id", "uuid")}
        await self.call("ACKNOWLEDGE", acknowledge=body)


# ── messages ──────────────────────────────────────────────────────────────────────────────────────
def _scalars(**amounts: float) -> list[Object]:
    return [{"name": name, "type": "SCALAR", "scalar": {"value": amount}} for name, amount in amounts.items()]


def _task(task_id: str, command: str = "", **fields: Any) -> Object:
    described: Object = {
        "name": task_id,
        "task_id": {"value": task_id},
        "agent_id": {"value": fields.pop("agent_id")},
        "resources": _scalars(cpus=0.1, mem=32),
    }
    if command:
        described["command"] = {"value": command}
    return {**described, **fields}


def _launch(*tasks: Object) -> Object:
    return {"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# ── the conversation ──────────────────────────────────────────────────────────────────────────────
async def _converse(recorder: Recorder) -> None:
    framework = Framework(recorder, "kept", checkpoint=True, failover_timeout=3600.0)
    await recorder.start_agent("first")
    await framework.subscribe()
    await recorder.until(lambda: framework.offers, "an offer")
    agent_id = next(iter(framework.offers.values()))["agent_id"]["value"]

    # Tasks of every kind.
    quick = _task("quick", "true", agent_id=agent_id, labels={"labels": [{"key": "k", "value": "v"}]})
    await framework.accept(_launch(quick, _task("slow", "sleep 1000", agent_id=agent_id)))
    await framework.until("quick", "TASK_FINISHED")
    await framework.until("slow", "TASK_RUNNING")
    group_executor = {
        "type": "DEFAULT",
        "executor_id": {"value": "group"},
        "framework_id": framework.info["id"],
        "resources": _scalars(cpus=0.1, mem=32, disk=32),
    }
    group = [_task(task_id, "sleep 1000", agent_id=agent_id) for task_id in ("left", "right")]
    await framework.accept(
        {
            "type": "LAUNCH_GROUP",
            "launch_group": {"executor": group_executor, "task_group": {"tasks": group}},
        }
    )
    await framework.until("left", "TASK_RUNNING")
    await framework.until("right", "TASK_RUNNING")
    echo = {
        "type": "CUSTOM",
        "executor_id": {"value": "echo"},
        "framework_id": framework.info["id"],
        "command": {"value": str(recorder.directory / "program")},
        "resources": _scalars(cpus=0.1, mem=64),
    }
    await framework.accept(_launch(*[_task(id_, agent_id=agent_id, executor=echo) for id_ in ("e1", "e2")]))
    await framework.until("e1", "TASK_RUNNING")
    await framework.until("e2", "TASK_RUNNING")

    # Messages, kills, a failover of the framework.
    at = {"agent_id": {"value": agent_id}, "executor_id": {"value": "echo"}}
    await framework.call("MESSAGE", message={**at, "data": base64.b64encode(b"hello").decode()})
    await recorder.until(lambda: recorder.said("ExecutorMessage"), "the executor answers")
    policy = {"grace_period": {"nanoseconds": 2_000_000_000}}
    await framework.call("KILL", kill={"task_id": {"value": "slow"}, "kill_policy": policy})
    await framework.until("slow", "TASK_KILLED")
    await framework.call("KILL", kill={"task_id": {"value": "e1"}, "agent_id": {"value": agent_id}})
    await framework.until("e1", "TASK_KILLED")
    framework.info["name"] = "renamed"
    framework.offers.clear()
    await framework.subscribe()

    # A task that comes too late, and an agent that is killed while an update of it is not acknowledged.
    framework.silent_about |= {"late", "long"}
    await framework.accept(_launch(_task("long", "sleep 1000", agent_id=agent_id)))
    await framework.until("long", "TASK_STARTING")
    await recorder.until(lambda: framework.offers, "an offer of the rest")
    await framework.call("SHUTDOWN", shutdown=at)
    await framework.accept(_launch(_task("late", agent_id=agent_id, executor=echo)))
    await recorder.until(
        lambda: any(one["task_id"]["value"] == "late" for one in framework.statuses), "it comes too late"
    )
    await recorder.end("first")
    framework.offers.clear()
    await recorder.start_agent("first")
    framework.silent_about.clear()
    for task_id in ("late", "long"):
        await framework.acknowledge(
            next(one for one in framework.statuses if one["task_id"]["value"] == task_id)
        )
    await framework.until("long", "TASK_RUNNING")
    await recorder.until(lambda: recorder.said("ExecutorExited"), "the executor has ended")
    await asyncio.sleep(2.5)  # pings and their answers

    # The framework ends while the agent is away.
    await recorder.end("first")
    framework.offers.clear()
    await framework.call("TEARDOWN")
    await recorder.start_agent("first")
    await asyncio.sleep(1)

    # A framework that does not checkpoint: its task dies with the agent; and it ends while the agent is there.
    other = Framework(recorder, "volatile", failover_timeout=3600.0)
    await other.subscribe()
    await other.accept(_launch(_task("v1", "sleep 1000", agent_id=agent_id)))
    await other.until("v1", "TASK_RUNNING")
    await recorder.end("first")
    other.offers.clear()
    await recorder.start_agent("first")
    await other.accept(_launch(_task("v2", "sleep 1000", agent_id=agent_id)))
    await other.until("v2", "TASK_RUNNING")
    await other.call("TEARDOWN")
    await asyncio.sleep(1)

    # Leaving: one agent takes its leave, one is declared gone and comes back all the same.
    await recorder.start_agent("second")
    await recorder.end("second", signal.SIGUSR1)
    shutil.copytree(recorder.directory / "first" / "meta", recorder.directory / "kept")
    await recorder.operate(type="MARK_AGENT_GONE", mark_agent_gone={"agent_id": {"value": agent_id}})
    await recorder.end("first", 0)
    shutil.rmtree(recorder.directory / "first" / "meta")
    shutil.copytree(recorder.directory / "kept", recorder.directory / "first" / "meta")
    await recorder.start_agent("first")
    await recorder.end("first", 0)


def _check_complete(recorder: Recorder) -> None:
    tags = [*internal.AgentMessage.__args__, *internal.MasterMessage.__args__]  # type: ignore[attr-defined]
    missing = [tag.__name__ for tag in tags if not recorder.said(tag.__name__)]
    if missing:
        raise SystemExit(f"nobody said {', '.join(missing)}")


async def _record() -> str:
    directory = Path(tempfile.mkdtemp(prefix="recording-", dir="/var/tmp"))
    (directory / "program").write_text(
        f"#!/bin/sh\nPYTHONPATH={Path(koinon.__file__).parents[1]}"
        f" exec {sys.executable} {Path(__file__).with_name('program.py')}\n"
    )
    (directory / "program").chmod(0o755)
    recorder = Recorder(directory)
    app = web.Application()
    app.router.add_get(internal.PATH, recorder.relay)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", recorder.proxy_port).start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as recorder.http:
        try:
            await recorder.start("master", "master", f"--port={recorder.master_port}", *_MASTER_FLAGS)
            while True:
                with suppress(aiohttp.ClientError):
                    async with recorder.http.get(f"http://127.0.0.1:{recorder.master_port}/state") as answer:
                        master_id = (await answer.json())["id"]
                        break
                await asyncio.sleep(0.05)
            await _converse(recorder)
        finally:
            for process in recorder.processes.values():
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
    await runner.cleanup()
    _check_complete(recorder)
    first = {
        "koinon": koinon.__version__,
        "protocol": internal.PROTOCOL,
        "master_id": master_id,
        "flags": _MASTER_FLAGS,
    }
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in [first, *recorder.lines])
    shutil.rmtree(directory)
    return text.replace(str(directory), _FOLDER).replace(os.uname().nodename, "agent.example")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(asyncio.run(_record()))
