"""Bytes that are no request: each gets its status and one clear line, and the server goes on."""

from __future__ import annotations

import gzip
import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from koinon.mesos import internal
from tests.cluster.harness import Cluster, Role
from tests.cluster.raw import (
    EXECUTOR,
    OPERATOR,
    SCHEDULER,
    Answer,
    request,
)
from tests.cluster.refusals import goes_on, refused

__all__ = ["goes_on"]

JSON, PROTOBUF, RECORDIO = "application/json", "application/x-protobuf", "application/recordio"
BODY_BYTES_MAX = 64 * 1024 * 1024
NOBODY = {"framework_id": {"value": "nobody"}, "executor_id": {"value": "nothing"}}


class Api(NamedTuple):
    """A v1 API: `call` is one that is well formed, and `status` its answer."""

    role: str
    path: str
    call: dict[str, Any]
    status: int

    def address(self, cluster: Cluster) -> str:
        return cluster.master_address if self.role == "master" else cluster.agents[0].address


APIS = [
    Api("master", SCHEDULER, {"type": "REVIVE", "framework_id": {"value": "nobody"}}, 400),
    Api("master", OPERATOR, {"type": "GET_HEALTH"}, 200),
    Api("agent", OPERATOR, {"type": "GET_HEALTH"}, 200),
    Api("agent", EXECUTOR, {"type": "HEARTBEAT", **NOBODY}, 202),
]


@pytest.fixture(params=APIS, ids=lambda api: f"{api.role}{api.path}")
def api(request: pytest.FixtureRequest) -> Api:
    found: Api = request.param
    return found


def send(api: Api, cluster: Cluster, body: Any, content_type: str | None = JSON, **headers: str) -> Answer:
    if content_type is not None:
        headers["Content_Type"] = content_type
    return request(api.address(cluster), "POST", api.path, body, **headers)


def converse(address: str, data: bytes, *, breaks_off: bool = False) -> bytes:
    """What the server says to these bytes until it closes the connection."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        found = b""
        with suppress(ConnectionError):  # it did not read the rest
            connection.sendall(data)
        if breaks_off:
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while data := connection.recv(1 << 16):
                found += data
        return found


# ── bodies ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"GET_HEALTH"',
        b"\xff\xfe",
        b'{"type": "GET_HEALTH"} {}',
        b'{"type": ["GET_HEALTH", 7]}',
        b'{"type": {"a": 1}}',
        b'{"type": 3}',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"type": "\xed\xa0\x80"}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_malformed_json_is_refused(api: Api, cluster: Cluster, body: bytes) -> None:
    refused(send(api, cluster, body), 400)


@pytest.mark.parametrize("body", [b"", b"\xff" * 20, b"\x08", b"\x12\x7f", b"\x0a\x02\xff\xfe"], ids=repr)
def test_malformed_protobuf_is_refused(api: Api, cluster: Cluster, body: bytes) -> None:
    refused(send(api, cluster, body, PROTOBUF), 400)


@pytest.mark.parametrize(
    ("call", "status"),
    [({"type": "FLY"}, 400), ({"type": "UNKNOWN"}, 501), ({}, 400), ({"type": None}, 400)],
    ids=["no such call", "UNKNOWN", "none", "null"],
)
def test_calls_that_nobody_knows_are_refused(
    api: Api, cluster: Cluster, call: dict[str, Any], status: int
) -> None:
    refused(send(api, cluster, json.dumps({**api.call, **call} if call else call)), status)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 400),
        ("", 415),
        ("text/plain", 415),
        ("application/json; charset=utf-8", 415),
        ("application/JSON", 415),
        ("application/x-www-form-urlencoded", 415),
        (RECORDIO, 415),
    ],
)
def test_bodies_of_other_types_are_refused(
    api: Api, cluster: Cluster, content_type: str | None, status: int
) -> None:
    if (api.role, api.path, content_type) == ("agent", OPERATOR, RECORDIO):
        status = 400  # it has a call that comes so
    refused(send(api, cluster, json.dumps(api.call), content_type), status, "Content-Type")


@pytest.mark.parametrize("records", [b"5\n{}", b"x\n", b"99999999999999999999\n{}", b"-1\n{}"])
def test_malformed_recordio_is_refused(cluster: Cluster, records: bytes) -> None:
    headers = {"Content_Type": RECORDIO, "Message_Content_Type": JSON, "Accept": JSON}
    refused(request(cluster.agents[0].address, "POST", OPERATOR, records, **headers), 400)


@pytest.mark.parametrize("accept", ["text/html", "application/recordio", "application/json;q=0", "image/*"])
def test_answers_that_nobody_can_give_are_refused(api: Api, cluster: Cluster, accept: str) -> None:
    call = api.call
    if api.path == SCHEDULER:
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "root", "name": "n"}}}
    elif api.path == EXECUTOR:
        call = {"type": "SUBSCRIBE", **NOBODY, "subscribe": {}}
    refused(send(api, cluster, json.dumps(call), Accept=accept), 406, "Accept")


# ── how bodies travel ─────────────────────────────────────────────────────────────────────────────
def test_chunked_and_compressed_bodies_are_read(api: Api, cluster: Cluster) -> None:
    body = json.dumps(api.call).encode()
    assert send(api, cluster, iter([body[:5], body[5:]])).status == api.status
    assert send(api, cluster, gzip.compress(body), Content_Encoding="gzip").status == api.status
    assert send(api, cluster, iter([gzip.compress(body)]), Content_Encoding="gzip").status == api.status


@pytest.mark.parametrize(
    "body",
    [b"this is no gzip", gzip.compress(b'{"type": "GET_HEALTH"}')[:-12], b"", gzip.compress(b"{")],
    ids=["plain", "cut", "empty", "malformed inside"],
)
def test_broken_compression_is_refused(api: Api, cluster: Cluster, body: bytes) -> None:
    refused(send(api, cluster, body, Content_Encoding="gzip"), 400)


def test_an_encoding_that_nobody_knows_is_refused(api: Api, cluster: Cluster) -> None:
    refused(send(api, cluster, b"\x00" * 100, Content_Encoding="rot13"), 400)


def test_oversized_bodies_are_refused(api: Api, cluster: Cluster) -> None:
    piece = b" " * (1 << 20)
    count = BODY_BYTES_MAX // len(piece) + 1

    def head(*lines: str) -> bytes:
        start = (
            f"POST {api.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        )
        return (start + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode()

    told = converse(api.address(cluster), head(f"Content-Length: {count * len(piece)}") + piece * count)
    assert told.startswith(b"HTTP/1.1 413 ")
    assert b"67108864 bytes at most" in told
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for _ in range(count))
    told = converse(api.address(cluster), head("Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 413 ")


def memory_kb(role: Role) -> int:
    """The most that the process had in memory since the last time we asked."""
    lines = Path(f"/proc/{role.pid}/status").read_text().splitlines()
    Path(f"/proc/{role.pid}/clear_refs").write_text("5")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def test_a_bomb_in_a_body_does_no_harm(api: Api, cluster: Cluster) -> None:
    role = cluster.master if api.role == "master" else cluster.agents[0]
    memory_kb(role)
    before_kb = memory_kb(role)
    bomb = gzip.compress(bytes(1 << 28), compresslevel=1)
    refused(send(api, cluster, bomb, Content_Encoding="gzip"), 413, "bytes at most")
    assert memory_kb(role) - before_kb < 200_000


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused_with_the_right_one(api: Api, cluster: Cluster, method: str) -> None:
    answer = request(api.address(cluster), method, api.path)
    refused(answer, 405, "POST")
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"HELLO\r\n\r\n",
        b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"GET /state HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["tls", "words", "length", "negative", "lengths", "both", "chunk", "header", "path"],
)
def test_what_is_no_http_is_refused(cluster: Cluster, data: bytes) -> None:
    for role in cluster.roles:
        told = converse(role.address, data)
        assert told[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 414", b"HTTP/1.1 431", b"HTTP/1.0 400"), told[:100]
        assert told.count(b"\r\n\r\n") == 1
        assert b"Traceback" not in told


def test_requests_that_break_off_are_forgotten(api: Api, cluster: Cluster) -> None:
    head = f"POST {api.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    whole = head.encode() + b'{"type":'
    for cut in (10, 60, len(head), len(whole)):
        assert not converse(api.address(cluster), whole[:cut], breaks_off=True).startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize(
    "frame",
    [b"", b"{", b"{}", b"[7]", b'[["nothing", {}]]', b'[{"type": "Register"}]', b"\xff\xff", "text"],
    ids=repr,
)
async def test_agents_that_send_what_is_no_message_are_cut_off(cluster: Cluster, frame: bytes | str) -> None:
    url = f"http://{cluster.master_address}{internal.PATH}"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as channel:
        await (channel.send_str(frame) if isinstance(frame, str) else channel.send_bytes(frame))
        answer = await channel.receive(10)
        assert answer.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert cluster.registered_agents() == 1
