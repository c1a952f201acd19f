"""HTTP to masters and agents for commands that ask and leave.

Blocking and from the standard library, so that a listing starts at once. An address is `host:port`. Everything that is
asked here may be asked again: commands look, or name what they do.
"""

from __future__ import annotations

import http.client
import json
import socket
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from koinon.cli.errors import Failure

_REDIRECTS_MAX = 3


class Away(Failure):
    """Nobody answers there, or it is no leader and knows none: another one may be it, or the same one later."""

    def __init__(self, sentence: str, *, why: str, answered: bool = False) -> None:
        super().__init__(sentence)
        self.why = why  #: said of the address: "refuses connections"
        self.answered = answered  #: somebody did: the cluster is alive


class Client:
    """One master or agent. Keeps its connection until closed; follows a standby master's redirect to the leader."""

    def __init__(self, address: str, *, what: str = "master", timeout_s: float | None = 10.0) -> None:
        self.address = address
        self._what = what
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ping(self) -> None:
        """Raises Failure unless there is a master (or agent) that answers."""
        self._ask("GET", "/health")

    def get(self, path: str, /, **query: str | int) -> Any:
        """The JSON at `path`. Raises Failure."""
        return self._read_json(path, self._ask("GET", path, query=query))

    def call(self, call: dict[str, Any], path: str = "/api/v1") -> Any:
        """Answer of a v1 call, None when it has no body. Raises Failure."""
        body = self._ask("POST", path, body=json.dumps(call).encode())
        return self._read_json(path, body) if body else None

    def read(self, path: str, offset: int, length: int = 1 << 16) -> tuple[bytes, int]:
        """Some bytes of a file from `offset` on, and its size now. Raises Failure."""
        wanted = {"path": path, "offset": offset, "length": length}
        answer = self.call({"type": "READ_FILE", "read_file": wanted})["read_file"]
        return b64decode(answer.get("data", "")), int(answer["size"])

    def exists(self, path: str, /, **query: str | int) -> bool:
        """Whether `path` answers with 200. Raises Failure when nobody answers."""
        return self._send("GET", path, query, None)[0] == 200

    def redirect(self, path: str) -> str | None:
        """Where `path` redirects to, if it does. Raises Failure when nobody answers."""
        status, _, location = self._send("GET", path, {}, None)
        if status == 503:
            raise self._leaderless()
        return location

    def _read_json(self, path: str, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError:
            raise Failure(
                f"what answers at {self.address} is no {self._what}: its answer to {path} is no JSON"
            ) from None

    def _ask(
        self, method: str, path: str, query: dict[str, Any] | None = None, body: bytes | None = None
    ) -> bytes:
        redirected = False
        for _ in range(_REDIRECTS_MAX):
            try:
                status, text, location = self._send(method, path, query or {}, body)
            except Away as away:
                away.answered |= redirected
                raise
            if status == 307 and location:
                self.address = urlsplit(location).netloc
                self.close()
                redirected = True
                continue
            if status < 300:
                return text
            if status == 503 and self._what == "master":
                raise self._leaderless()
            reason = text.decode(errors="replace").strip() or http.client.responses.get(status, "")
            raise Failure(
                f"{self._what} at {self.address} answered {path} with {status}: {reason.rstrip('.')}"
            )
        raise self._leaderless()

    def _send(
        self, method: str, path: str, query: dict[str, Any], body: bytes | None
    ) -> tuple[int, bytes, str | None]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"} if body else {}
        target = f"{path}?{urlencode(query)}" if query else path

        def send() -> tuple[int, bytes, str | None]:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self.address, timeout=self._timeout_s)
            self._connection.request(method, target, body=body, headers=headers)
            response = self._connection.getresponse()
            return response.status, response.read(), response.getheader("Location")

        fresh = self._connection is None
        return self._guarded(send, path, retry=not fresh)

    def _guarded(
        self, send: Callable[[], tuple[int, bytes, str | None]], path: str, *, retry: bool
    ) -> tuple[int, bytes, str | None]:
        try:
            return send()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if retry and not isinstance(error, TimeoutError):  # the kept connection had been closed
                return self._guarded(send, path, retry=False)
            raise self._unreachable(error, path) from None

    def _leaderless(self) -> Away:
        why = "knows no leader"
        return Away(f"the {self._what} at {self.address} {why}", why=why, answered=True)

    def _unreachable(self, error: Exception, path: str) -> Failure:
        begin = f"{self._what} at {self.address}"
        if isinstance(error, ConnectionRefusedError):
            advice = ": start one with `koinon up`" if self._what == "master" else ""
            return Away(f"no {begin}{advice}", why="refuses connections")
        if isinstance(error, TimeoutError):
            why = f"does not answer within {self._timeout_s or 0:g} s"
            return Away(f"{begin} {why}", why=why)
        if isinstance(error, http.client.IncompleteRead):
            why = f"broke off in the middle of its answer to {path}"
            return Away(f"{begin} {why}: try again", why=why)
        if isinstance(error, http.client.RemoteDisconnected):
            why = f"closed the connection without an answer to {path}"
            return Away(f"{begin} {why}: try again", why=why)
        if isinstance(error, socket.gaierror):
            return Away(f"no {begin}: there is no such host", why="is no known host")
        if isinstance(error, OSError):
            why = f"cannot be reached: {error.strerror or error}"
            return Away(f"{begin} {why}", why=why)
        return Failure(f"what answers at {self.address} is no {self._what}")

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def agent_address(pid: str) -> str:
    """`ip:port` of an agent's or a master's pid, such as `slave(1)@10.0.0.1:5051`."""
    return pid.rpartition("@")[2]
