"""A master in this process, with agents and frameworks that do what the test says, over real sockets."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from koinon.master.flags import MasterFlags
from koinon.master.registry import MemoryStore
from koinon.master.server import MasterProcess
from koinon.mesos import codec, internal, v1
from koinon.mesos.recordio import RecordDecoder
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import master as master_api
from koinon.mesos.v1 import scheduler

WAIT_S = 10.0
CAPABILITIES = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"]


@asynccontextmanager
async def running_master(**flags: Any) -> AsyncIterator[MasterProcess]:
    """A master on a free port that forgets everything at the end."""
    master = MasterProcess(MasterFlags(port=0, registry="in_memory", **flags), MemoryStore())
    await master.start()
    try:
        yield master
    finally:
        await master.stop()


class Agent:
    """An agent on a channel. `received` holds the messages of the master that it did not answer by itself."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.id = ""
        self.received: asyncio.Queue[internal.MasterMessage] = asyncio.Queue()
        self.ended = asyncio.Event()  #: the master has closed the channel

    async def say(self, *messages: internal.AgentMessage) -> None:
        await self.socket.send_bytes(internal.encode(list(messages)))

    async def hear(self, kind: type) -> Any:
        """The next message of that kind; others are passed over."""
        while True:
            message = await asyncio.wait_for(self.received.get(), WAIT_S)
            if isinstance(message, kind):
                return message

    async def update(self, framework_id: str, task_id: str, state: v1.TaskState, **more: Any) -> bytes:
        """Say that a task changed; returns the update's uuid."""
        status = v1.TaskStatus(
            task_id=v1.TaskID(task_id),
            agent_id=v1.AgentID(self.id),
            state=state,
            uuid=uuid.uuid4().bytes,
            timestamp=1_700_000_000.5,
            source=v1.TaskStatus.Source.SOURCE_EXECUTOR,
            container_status=v1.ContainerStatus(
                container_id=v1.ContainerID(value=str(uuid.uuid4())),
                network_infos=[
                    v1.NetworkInfo(ip_addresses=[v1.NetworkInfo.IPAddress(ip_address="127.0.0.1")])
                ],
            ),
            **more,
        )
        await self.say(internal.Update(framework_id=framework_id, status=status, latest_state=state))
        assert status.uuid is not None
        return status.uuid

    async def _read(self) -> None:
        async for frame in self.socket:
            for message in internal.decode_from_master(frame.data):
                if isinstance(message, internal.Ping):
                    await self.say(internal.Pong())
                else:
                    self.received.put_nowait(message)
        self.ended.set()


@asynccontextmanager
async def agent_of(master: MasterProcess, hostname: str = "host-1", **more: Any) -> AsyncIterator[Agent]:
    """A registered agent."""
    resources = Resources.parse("cpus:8;mem:8192;disk:1000;ports:[31000-32000];cpus(ads):2")
    info = v1.AgentInfo(
        hostname=hostname,
        resources=resources.to_v1(),
        attributes=[
            v1.Attribute(name="rack", type=v1.Value.Type.TEXT, text=v1.Value.Text("r1")),
        ],
    )
    register = internal.Register(
        agent_info=info, pid=f"slave(1)@127.0.0.1:{5051}", version="1.11.0", capabilities=CAPABILITIES, **more
    )
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{master.about.port}{internal.PATH}") as socket,
    ):
        agent = Agent(socket)
        reader = asyncio.create_task(agent._read())
        await agent.say(register)
        agent.id = (await agent.hear(internal.Registered)).agent_id
        try:
            yield agent
        finally:
            reader.cancel()


class Framework:
    """A framework on its stream, which keeps the events."""

    def __init__(self, session: aiohttp.ClientSession, content_type: str) -> None:
        self._session = session
        self._content_type = content_type
        self._decoder = RecordDecoder()
        self._waiting: list[scheduler.Event] = []
        self.id = ""
        self.stream_id = ""
        self.events: list[scheduler.Event] = []
        self.response: aiohttp.ClientResponse

    async def event(self, kind: str) -> scheduler.Event:
        """The next event of that type; others are passed over."""
        while True:
            while self._waiting:
                event = self._waiting.pop(0)
                if event.type is scheduler.Event.Type[kind]:
                    return event
            data = await asyncio.wait_for(self.response.content.readany(), WAIT_S)
            assert data, f"the stream ended before {kind}"
            found = [
                codec.decode(scheduler.Event, record, self._content_type)
                for record in self._decoder.feed(data)
            ]
            self._waiting += found
            self.events += found

    async def call(self, kind: str, **body: Any) -> tuple[int, str]:
        """Make a call; status and text of the answer."""
        call = scheduler.Call(type=scheduler.Call.Type[kind], framework_id=v1.FrameworkID(self.id), **body)
        headers = {"Content-Type": self._content_type, "Mesos-Stream-Id": self.stream_id}
        body_bytes = codec.encode(call, self._content_type)
        async with self._session.post("/api/v1/scheduler", data=body_bytes, headers=headers) as response:
            return response.status, await response.text()

    async def launch(self, offer: v1.Offer, *tasks: v1.TaskInfo) -> None:
        """Accept an offer with tasks on it."""
        operation = v1.Offer.Operation(
            type=v1.Offer.Operation.Type.LAUNCH,
            launch=v1.Offer.Operation.Launch(task_infos=list(tasks)),
        )
        accept = scheduler.Call.Accept(
            offer_ids=[offer.id], operations=[operation], filters=v1.Filters(refuse_seconds=0.0)
        )
        status, text = await self.call("ACCEPT", accept=accept)
        assert status == 202, text

    async def acknowledge(self, status: v1.TaskStatus) -> None:
        assert status.agent_id is not None
        assert status.uuid is not None
        answer, text = await self.call(
            "ACKNOWLEDGE",
            acknowledge=scheduler.Call.Acknowledge(
                agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid
            ),
        )
        assert answer == 202, text


@asynccontextmanager
async def framework_of(
    master: MasterProcess, info: v1.FrameworkInfo, content_type: str = codec.JSON
) -> AsyncIterator[Framework]:
    """A subscribed framework."""
    call = scheduler.Call(
        type=scheduler.Call.Type.SUBSCRIBE,
        framework_id=info.id,
        subscribe=scheduler.Call.Subscribe(framework_info=info),
    )
    headers = {"Content-Type": content_type, "Accept": content_type}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{master.about.port}") as session:
        framework = Framework(session, content_type)
        async with session.post(
            "/api/v1/scheduler", data=codec.encode(call, content_type), headers=headers
        ) as response:
            assert response.status == 200, await response.text()
            framework.response = response
            framework.stream_id = response.headers["Mesos-Stream-Id"]
            subscribed = (await framework.event("SUBSCRIBED")).subscribed
            assert subscribed is not None
            framework.id = subscribed.framework_id.value
            yield framework


def labels() -> v1.Labels:
    return v1.Labels(labels=[v1.Label(key="k", value="v"), v1.Label(key="bare")])


def rich_framework() -> v1.FrameworkInfo:
    """Every optional field set, several roles."""
    capability = v1.FrameworkInfo.Capability
    return v1.FrameworkInfo(
        user="nobody",
        name="rich one",
        roles=["ads", "web"],
        hostname="h",
        webui_url="http://h/",
        failover_timeout=100.0,
        checkpoint=True,
        labels=labels(),
        capabilities=[
            capability(type=capability.Type.MULTI_ROLE),
            capability(type=capability.Type.RESERVATION_REFINEMENT),
        ],
    )


def plain_framework() -> v1.FrameworkInfo:
    return v1.FrameworkInfo(user="nobody", name="plain")


def task(task_id: str, agent_id: str, resources: str = "cpus:0.5;mem:64", **more: Any) -> v1.TaskInfo:
    """A command task."""
    info: dict[str, Any] = {
        "name": f"name of {task_id}",
        "task_id": v1.TaskID(task_id),
        "agent_id": v1.AgentID(agent_id),
        "resources": Resources.parse(resources).to_v1(),
        "command": v1.CommandInfo(value="sleep 1"),
    }
    return v1.TaskInfo(**info | more)


def rich_task(task_id: str, agent_id: str) -> v1.TaskInfo:
    """Labels, discovery, health check, container, kill policy."""
    return task(
        task_id,
        agent_id,
        "cpus:0.5;mem:64;ports:[31000-31001]",
        labels=labels(),
        discovery=v1.DiscoveryInfo(
            visibility=v1.DiscoveryInfo.Visibility.CLUSTER,
            name="d",
            environment="e",
            location="l",
            version="1",
            ports=v1.Ports(
                ports=[
                    v1.Port(
                        number=31000,
                        name="http",
                        protocol="tcp",
                        visibility=v1.DiscoveryInfo.Visibility.CLUSTER,
                        labels=labels(),
                    )
                ]
            ),
            labels=labels(),
        ),
        health_check=v1.HealthCheck(type=v1.HealthCheck.Type.COMMAND, command=v1.CommandInfo(value="true")),
        container=v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS),
        kill_policy=v1.KillPolicy(grace_period=v1.DurationInfo(5_000_000_000)),
    )


async def get(master: MasterProcess, path: str, **options: Any) -> Any:
    """The JSON that the master answers to GET."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{master.about.port}{path}", **options) as response,
    ):
        assert response.status == 200, await response.text()
        return json.loads(await response.read())


async def operate(
    master: MasterProcess, kind: str, content_type: str = codec.JSON, **body: Any
) -> tuple[int, bytes]:
    """Make a call of the operator API; status and body of the answer."""
    call = {"type": kind, **body}
    encoded = codec.encode(codec.decode(master_api.Call, json.dumps(call).encode()), content_type)
    headers = {"Content-Type": content_type, "Accept": content_type}
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"http://127.0.0.1:{master.about.port}/api/v1", data=encoded, headers=headers
        ) as response,
    ):
        return response.status, await response.read()
