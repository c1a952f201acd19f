"""HTTP to a service for commands. Several addresses may be given; whoever answers passes requests on to the leader."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import click

from koinon.cli.errors import Failure

#: While a leader is elected, requests are tried again for so long.
PATIENCE_S = 20.0
_PAUSE_S = 0.5
_TIMEOUT_S = 15.0

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class Away(Failure):
    """Nobody answers, or nobody leads: later perhaps."""


class Refusal(Failure):
    """The service refuses, with `status`, and `body` if that was JSON."""

    def __init__(self, sentence: str, status: int, body: dict[str, Any]) -> None:
        super().__init__(sentence)
        self.status = status
        self.body = body


class Place(NamedTuple):
    """Where one is."""

    host: str
    port: int
    credentials: str | None = None  #: `user:password`

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Service:
    """A service, at one of several places."""

    name: ClassVar[str]  #: in sentences
    default: ClassVar[str]  #: where it is, unless somebody says otherwise
    variable: ClassVar[str]  #: of the environment, that says where it is

    def __init__(self, places: Sequence[Place], *, patience_s: float = PATIENCE_S) -> None:
        self._places = list(places)
        self._patience_s = patience_s
        self._connection: http.client.HTTPConnection | None = None
        self._connected_to: Place | None = None
        self.headers: dict[str, str] = {}  #: of the last answer

    @classmethod
    def meant(cls, given: str | None) -> Self:
        """The one that is meant: `given`, else by the environment, else the usual address. Raises Failure."""
        text = given or os.environ.get(cls.variable) or cls.default
        return cls([place_of(one.strip(), cls) for one in text.split(",") if one.strip()])

    @classmethod
    def option(cls, command: CommandT) -> CommandT:
        """`--<name> HOST:PORT,…`; the command gets one of these under its name."""

        def client(context: click.Context, _parameter: click.Parameter, given: str | None) -> Service:
            service = cls.meant(given)
            context.call_on_close(service.close)
            return service

        return click.option(
            f"--{cls.name.lower()}",
            metavar="HOST:PORT,…",
            callback=client,
            help=f"Where {cls.name} is found [default: {cls.variable} or {cls.default}].",
        )(command)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at `path`. Raises Refusal, Away."""
        return self.ask("GET", path, query)

    def find(self, path: str, **query: Any) -> Any:
        """As `get`; None where nothing is."""
        try:
            return self.get(path, **query)
        except Refusal as refusal:
            if refusal.status == 404:
                return None
            raise

    def data(self, path: str, **query: Any) -> bytes:
        """What is at `path`, as it is. Raises Refusal, Away."""
        found: bytes = self.ask("GET", path, query, is_json=False)
        return found

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        *,
        is_json: bool = True,
    ) -> Any:
        """The answer's JSON, None if it is empty; its bytes if it is none. Raises Refusal, Away.

        What changes something is tried again only if it has not reached anybody who leads.
        """
        begun_s = time.monotonic()
        while True:
            try:
                return self._ask_all(method, path, query or {}, body, is_json)
            except Away:
                if time.monotonic() - begun_s >= self._patience_s or len(self._places) == 1:
                    raise
                time.sleep(_PAUSE_S)

    def _ask_all(self, method: str, path: str, query: dict[str, Any], body: Any, is_json: bool) -> Any:
        tried: list[str] = []
        for place in list(self._places):
            try:
                answer = self._ask_at(place, method, path, query, body, is_json)
            except Away as away:
                self.close()
                tried.append(str(away))
                continue
            if place != self._places[0]:
                self._places.remove(place)
                self._places.insert(0, place)
            return answer
        raise Away("; ".join(tried))

    def _ask_at(
        self, place: Place, method: str, path: str, query: dict[str, Any], body: Any, is_json: bool
    ) -> Any:
        target = quote(path, safe="/:*.") + (f"?{urlencode(query, doseq=True)}" if query else "")
        payload = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if place.credentials is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(place.credentials.encode()).decode()}"
        kept = self._connection is not None and self._connected_to == place
        if not kept:
            self.close()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(place.host, place.port, timeout=_TIMEOUT_S)
                self._connected_to = place
            self._connection.request(method, target, body=payload, headers=headers)
            response = self._connection.getresponse()
            text = response.read()
            self.headers = dict(response.headers)
        except TimeoutError:
            self.close()
            raise Failure(f"{self.name} at {place} does not answer within {_TIMEOUT_S:g} s") from None
        except ConnectionRefusedError:
            raise Away(
                f"no {self.name} at {place}: it refuses connections; start one with `koinon up`"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if kept and method == "GET":  # the connection had been closed meanwhile
                return self._ask_at(place, method, path, query, body, is_json)
            if method == "GET" or isinstance(error, socket.gaierror):
                raise Away(f"{self.name} at {place} cannot be reached: {error}") from None
            raise Failure(
                f"{self.name} at {place} broke off: {error}; whether it has taken in what was asked is not known"
            ) from None
        if not is_json and response.status < 300:
            return text
        return _read(self.name, str(place), path, response.status, text)


def _read(service: str, address: str, path: str, status: int, text: bytes) -> Any:
    try:
        value = json.loads(text) if text.strip() else None
    except ValueError:
        value = None
        if status < 300:
            raise Failure(
                f"what answers at {address} is no {service}: its answer to {path} is no JSON"
            ) from None
    if status in (502, 503):
        raise Away(f"{service} at {address}: {_message(value) or http.client.responses.get(status, status)}")
    if status >= 300:
        body = value if isinstance(value, dict) else {}
        raise Refusal(_sentence(status, body), status, body)
    return value


def _sentence(status: int, body: dict[str, Any]) -> str:
    """What is wrong, with all the problems that are told."""
    said = _message(body) or http.client.responses.get(status, str(status))
    details = body.get("details")
    if isinstance(details, str):
        return f"{said}: {details}"
    if isinstance(details, list):
        lines = [f"  {one['path']}: {error}" for one in details for error in one.get("errors", [])]
        return "\n".join([said, *lines])
    if "deployments" in body:
        locks = ", ".join(one["id"] for one in body["deployments"])
        return f"{said.rstrip('.')} (deployment {locks}; --force cancels it)"
    return said


def _message(body: Any) -> str:
    return str(body.get("message", "")) if isinstance(body, dict) else ""


def place_of(text: str, service: type[Service]) -> Place:
    """What an address says. Raises Failure."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port or int(service.default.rpartition(":")[2])
    except ValueError:
        host = None
    if not host or parts.scheme != "http":
        raise Failure(f"an address of a {service.name} must be host:port, or http://user:password@host:port")
    return Place(host, port, None if parts.username is None else f"{parts.username}:{parts.password or ''}")
