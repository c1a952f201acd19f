"""The v1 APIs over plain sockets: http.client and threads, nothing of ours, so that tests can say what they like.

    with Framework(master, checkpoint=True) as framework:       # subscribes; acknowledges what it is sent
        framework.launch([task("a", "exit 3")])
        framework.wait_state("a", "TASK_FAILED")

Messages are dictionaries as in JSON. A `Coding` says how they travel.
"""

from __future__ import annotations

import getpass
import http.client
import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

SCHEDULER, OPERATOR, EXECUTOR = "/api/v1/scheduler", "/api/v1", "/api/v1/executor"
TERMINAL = frozenset(
    [
        "TASK_FINISHED",
        "TASK_FAILED",
        "TASK_KILLED",
        "TASK_ERROR",
        "TASK_LOST",
        "TASK_DROPPED",
        "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    ]
)

T = TypeVar("T")


class Coding:
    """JSON. Others say the same by other bytes; `path` tells which messages are meant."""

    content_type = "application/json"

    def encode(self, path: str, message: dict[str, Any]) -> bytes:
        """A call as bytes."""
        return json.dumps(message).encode()

    def decode(self, path: str, data: bytes) -> dict[str, Any]:
        """An event as a dictionary."""
        decoded: dict[str, Any] = json.loads(data)
        return decoded


JSON = Coding()


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def request(
    address: str, method: str, path: str, body: Any = None, timeout_s: float = 20.0, **headers: str
) -> Answer:
    """One request on a connection of its own; `Content_Type=…` is the header Content-Type."""
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def post(address: str, path: str, message: dict[str, Any], coding: Coding = JSON, **headers: str) -> Answer:
    """A call."""
    types = {"Content_Type": coding.content_type, "Accept": coding.content_type}
    return request(address, "POST", path, coding.encode(path, message), **{**types, **headers})


def frames(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The records in a stream of bytes."""
    buffer = b""
    for piece in pieces:
        buffer += piece
        while True:
            length, newline, rest = buffer.partition(b"\n")
            if not newline or len(rest) < int(length):
                break
            yield rest[: int(length)]
            buffer = rest[int(length) :]


class Stream:
    """A subscription: from `read` on events are read by a thread, given to `hear`, and kept."""

    def __init__(
        self,
        address: str,
        path: str,
        call: dict[str, Any],
        coding: Coding = JSON,
        hear: Callable[[dict[str, Any]], None] = lambda event: None,
    ) -> None:
        self.coding, self._path, self._hear = coding, path, hear
        self.events: list[dict[str, Any]] = []
        self.ended = False
        self.changed = threading.Condition()
        connection = http.client.HTTPConnection(address, timeout=60)
        headers = {"Content-Type": coding.content_type, "Accept": coding.content_type}
        connection.request("POST", path, coding.encode(path, call), headers)
        self._socket = connection.sock
        self._response = connection.getresponse()
        self.status, self.headers = self._response.status, self._response.headers
        if self.status != 200:
            text = self._response.read().decode()
            connection.close()
            raise RuntimeError(f"{path} refuses {call['type']}: {self.status} {text}")
        self._reader = threading.Thread(target=self._read, daemon=True)

    def read(self) -> Stream:
        """Begin to read; until then the other side waits."""
        self._reader.start()
        return self

    def pieces(self) -> Iterator[bytes]:
        """What comes, as it comes; for who reads by hand."""
        with suppress(
            OSError, http.client.HTTPException, ValueError
        ):  # the other side was killed, or we closed
            while data := self._response.read1(1 << 20):
                yield data

    def _read(self) -> None:
        for record in frames(self.pieces()):
            event = self.coding.decode(self._path, record)
            self._hear(event)
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of that type that came."""
        return [event for event in self.events if event["type"] == kind]

    def wait(self, holds: Callable[[], T], what: str, timeout_s: float = 15.0) -> T:
        """The first true answer of `holds`, asked after each event."""
        return wait_on(self.changed, holds, what, timeout_s)

    def close(self) -> None:
        """Break the connection."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._reader.is_alive():
            self._reader.join(10)
        self._response.close()
        self._socket.close()


def wait_on(changed: threading.Condition, holds: Callable[[], T], what: str, timeout_s: float) -> T:
    """The first true answer of `holds`, asked whenever `changed` says so."""
    deadline_s = time.monotonic() + timeout_s
    with changed:
        while not (answer := holds()):
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"not within {timeout_s:g} s: {what}"
            changed.wait(min(left_s, 0.5))
        return answer


class Framework:
    """A scheduler that remembers all it is told.

    `info` is its FrameworkInfo, with `id` one that subscribes again. Updates of a task are kept once each, however
    often they come.
    """

    def __init__(
        self,
        address: str,
        *,
        coding: Coding = JSON,
        acknowledges: bool = True,
        reads: bool = True,
        **info: Any,
    ) -> None:
        self.address, self.coding, self.acknowledges, self.reads = address, coding, acknowledges, reads
        self.info = {"user": getpass.getuser(), "name": "raw", **info}
        self.offers: dict[str, dict[str, Any]] = {}
        self.updates: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.events: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        self.stream: Stream
        self.stream_id: str
        self._lock = threading.Lock()
        self._calls: http.client.HTTPConnection | None = None

    def __enter__(self) -> Framework:
        self.subscribe()
        return self

    def __exit__(self, *failure: object) -> None:
        self.disconnect()

    # ── the subscription ──────────────────────────────────────────────────────────────────────────
    @property
    def id(self) -> str:
        value: str = self.info["id"]["value"]
        return value

    def subscribe(self, **more: Any) -> None:
        """Open the stream, for the first time or again."""
        call: dict[str, Any] = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self.info, **more}}
        if "id" in self.info:
            call["framework_id"] = self.info["id"]
        self.offers.clear()
        self.stream = Stream(self.address, SCHEDULER, call, self.coding, self._hear)
        self.stream_id = self.stream.headers["Mesos-Stream-Id"]
        if self.reads:
            self.stream.read()
            self.stream.wait(lambda: self.stream.events, "the first event")
            first = self.stream.events[0]
            assert first["type"] == "SUBSCRIBED", first

    def subscribe_again(self, timeout_s: float = 20.0) -> None:
        """To a master that may not be there yet."""
        deadline_s = time.monotonic() + timeout_s
        self.disconnect()
        while True:
            try:
                return self.subscribe()
            except (OSError, RuntimeError, http.client.HTTPException):
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)

    def disconnect(self) -> None:
        """Break the connections."""
        self.stream.close()
        with self._lock:
            if self._calls is not None:
                self._calls.close()
                self._calls = None

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────
    def call(self, kind: str, **body: Any) -> Answer:
        """Send a call, whatever comes of it."""
        message = {"type": kind, "framework_id": self.info["id"], **body}
        data = self.coding.encode(SCHEDULER, message)
        headers = {
            "Content-Type": self.coding.content_type,
            "Accept": self.coding.content_type,
            "Mesos-Stream-Id": self.stream_id,
        }
        with self._lock:
            if self._calls is None:
                self._calls = http.client.HTTPConnection(self.address, timeout=60)
            try:
                self._calls.request("POST", SCHEDULER, data, headers)
                response = self._calls.getresponse()
                return Answer(response.status, response.headers, response.read())
            except (OSError, http.client.HTTPException):
                self._calls.close()
                self._calls = None
                raise

    def do(self, kind: str, **body: Any) -> None:
        """Send a call that must be taken."""
        answer = self.call(kind, **body)
        assert answer.status in (200, 202), (kind, answer.status, answer.text)

    def accept(
        self, offers: Iterable[dict[str, Any]], tasks: list[dict[str, Any]], refuse_s: float = 0.0
    ) -> None:
        """Launch tasks on offers of one agent."""
        offers = list(offers)
        agent_id = offers[0]["agent_id"]
        launch = {"task_infos": [{"agent_id": agent_id, **one} for one in tasks]}
        self.do(
            "ACCEPT",
            accept={
                "offer_ids": [offer["id"] for offer in offers],
                "operations": [{"type": "LAUNCH", "launch": launch}],
                "filters": {"refuse_seconds": refuse_s},
            },
        )

    def launch(self, tasks: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
        """Launch tasks on the next offer, as `take_offer` takes it; returns the offer."""
        offer = self.take_offer(**wanted)
        self.accept([offer], tasks)
        return offer

    def decline(self, offer: dict[str, Any], refuse_s: float = 5.0) -> None:
        """Give an offer back."""
        self.offers.pop(offer["id"]["value"], None)
        self.do("DECLINE", decline={"offer_ids": [offer["id"]], "filters": {"refuse_seconds": refuse_s}})

    def rest(self) -> None:
        """Want nothing more, and give back what is offered."""
        self.do("SUPPRESS")
        while True:
            with self.changed:
                offers = list(self.offers.values())
            for offer in offers:
                self.decline(offer)
            shown = json.loads(request(self.address, "GET", f"/frameworks?framework_id={self.id}").body)
            if not shown["frameworks"][0]["offers"]:
                return
            time.sleep(0.01)

    def kill(self, task_id: str, **more: Any) -> None:
        """Have a task killed."""
        self.do("KILL", kill={"task_id": {"value": task_id}, **more})

    def acknowledge(self, status: dict[str, Any]) -> None:
        """Confirm an update that has a uuid."""
        body = {name: status[name] for name in ("agent_id", "task_id", "uuid")}
        self.do("ACKNOWLEDGE", acknowledge=body)

    # ── what is heard ─────────────────────────────────────────────────────────────────────────────
    def _hear(self, event: dict[str, Any]) -> None:
        status = None
        with self.changed:
            self.events.append(event)
            match event["type"]:
                case "SUBSCRIBED":
                    self.info["id"] = event["subscribed"]["framework_id"]
                case "OFFERS":
                    for offer in event["offers"]["offers"]:
                        self.offers[offer["id"]["value"]] = offer
                case "RESCIND":
                    self.offers.pop(event["rescind"]["offer_id"]["value"], None)
                case "UPDATE":
                    status = event["update"]["status"]
                    known = self.updates[status["task_id"]["value"]]
                    if "uuid" not in status or all(one.get("uuid") != status["uuid"] for one in known):
                        known.append(status)
            self.changed.notify_all()
        if status is not None and self.acknowledges and "uuid" in status:
            # A lost one is asked for again by the update that comes again.
            with suppress(OSError, http.client.HTTPException):
                self._acknowledge_on(status)

    def _acknowledge_on(self, status: dict[str, Any]) -> None:
        body = {name: status[name] for name in ("agent_id", "task_id", "uuid")}
        self.call("ACKNOWLEDGE", acknowledge=body)

    def states(self, task_id: str) -> list[str]:
        """The states that a task was reported in, in order."""
        return [status["state"] for status in self.updates[task_id]]

    def ends(self, task_id: str) -> list[dict[str, Any]]:
        """The terminal updates of a task."""
        return [status for status in self.updates[task_id] if status["state"] in TERMINAL]

    def wait(self, holds: Callable[[], T], what: str, timeout_s: float = 15.0) -> T:
        """The first true answer of `holds`, asked after each event."""
        return wait_on(self.changed, holds, what, timeout_s)

    def wait_state(self, task_id: str, state: str, timeout_s: float = 15.0) -> dict[str, Any]:
        """The update that says it."""

        def found() -> dict[str, Any] | None:
            return next((one for one in self.updates[task_id] if one["state"] == state), None)

        update = self.wait(found, f"{task_id} is {state}", timeout_s)
        assert update is not None
        return update

    def wait_end(self, task_id: str, timeout_s: float = 15.0) -> dict[str, Any]:
        """The first terminal update."""
        return self.wait(lambda: self.ends(task_id), f"{task_id} ends", timeout_s)[0]

    def take_offer(self, timeout_s: float = 15.0, *, cpus: float = 0.1) -> dict[str, Any]:
        """The oldest offer with so many CPUs, which is used up."""

        def found() -> str | None:
            large = (id_ for id_, one in self.offers.items() if amount(one["resources"], "cpus") >= cpus)
            return next(large, None)

        with self.changed:
            offer_id = self.wait(found, "an offer", timeout_s)
            assert offer_id is not None
            return self.offers.pop(offer_id)


# ── messages ──────────────────────────────────────────────────────────────────────────────────────
def scalars(**amounts: float) -> list[dict[str, Any]]:
    """`cpus=1, mem=32` as resources."""
    return [{"name": name, "type": "SCALAR", "scalar": {"value": amount}} for name, amount in amounts.items()]


def task(task_id: str, command: str | dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A TaskInfo, but for the agent. The command is for the shell, or a CommandInfo."""
    described = {"name": task_id, "task_id": {"value": task_id}, "resources": scalars(cpus=0.1, mem=16)}
    if command is not None:
        described["command"] = {"value": command} if isinstance(command, str) else command
    return {**described, **fields}


def amount(resources: list[dict[str, Any]], name: str) -> float:
    """How much of a scalar."""
    return sum(one["scalar"]["value"] for one in resources if one["name"] == name)


PARTITION_AWARE = {"capabilities": [{"type": "PARTITION_AWARE"}]}
