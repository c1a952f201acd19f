"""HTTP to Marathon for commands. Several addresses may be given; whoever answers passes requests on to the leader."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import click

from koinon.cli.errors import Failure

DEFAULT_MARATHON = "127.0.0.1:8080"
#: While a leader is elected, requests are tried again for so long.
PATIENCE_S = 20.0
_PAUSE_S = 0.5
_TIMEOUT_S = 15.0

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class Away(Failure):
    """Nobody answers, or nobody leads: later perhaps."""


class Refusal(Failure):
    """Marathon refuses, with `status`, and `body` if that was JSON."""

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


class Marathon:
    """A Marathon, at one of several places."""

    def __init__(self, places: Sequence[Place], *, patience_s: float = PATIENCE_S) -> None:
        self._places = list(places)
        self._patience_s = patience_s
        self._connection: http.client.HTTPConnection | None = None
        self._connected_to: Place | None = None
        self.deployment_id = ""  #: what the last answer says is its deployment

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

    def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """The answer's JSON, None if it is empty. Raises Refusal, Away.

        What changes something is tried again only if it has not reached anybody who leads.
        """
        begun_s = time.monotonic()
        while True:
            try:
                return self._ask_all(method, path, query or {}, body)
            except Away:
                if time.monotonic() - begun_s >= self._patience_s or len(self._places) == 1:
                    raise
                time.sleep(_PAUSE_S)

    def _ask_all(self, method: str, path: str, query: dict[str, Any], body: Any) -> Any:
        tried: list[str] = []
        for place in list(self._places):
            try:
                answer = self._ask_at(place, method, path, query, body)
            except Away as away:
                self.close()
                tried.append(str(away))
                continue
            if place != self._places[0]:
                self._places.remove(place)
                self._places.insert(0, place)
            return answer
        raise Away("; ".join(tried))

    def _ask_at(self, place: Place, method: str, path: str, query: dict[str, Any], body: Any) -> Any:
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
            self.deployment_id = response.getheader("Marathon-Deployment-Id", "")
        except TimeoutError:
            self.close()
            raise Failure(f"Marathon at {place} does not answer within {_TIMEOUT_S:g} s") from None
        except ConnectionRefusedError:
            raise Away(
                f"no Marathon at {place}: it refuses connections; start one with `koinon up`"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if kept and method == "GET":  # the connection had been closed meanwhile
                return self._ask_at(place, method, path, query, body)
            if method == "GET" or isinstance(error, socket.gaierror):
                raise Away(f"Marathon at {place} cannot be reached: {error}") from None
            raise Failure(
                f"Marathon at {place} broke off: {error}; whether it has taken in what was asked is not known"
            ) from None
        return _read(str(place), path, response.status, text)


def _read(address: str, path: str, status: int, text: bytes) -> Any:
    try:
        value = json.loads(text) if text.strip() else None
    except ValueError:
        value = None
        if status < 300:
            raise Failure(
                f"what answers at {address} is no Marathon: its answer to {path} is no JSON"
            ) from None
    if status in (502, 503):
        raise Away(f"Marathon at {address}: {_message(value) or http.client.responses.get(status, status)}")
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


def marathon_option(command: CommandT) -> CommandT:
    """`--marathon HOST:PORT,…`; the command gets a `Marathon` as `marathon`."""
    return click.option(
        "--marathon",
        metavar="HOST:PORT,…",
        callback=_client,
        help=f"Where Marathon is found [default: KOINON_MARATHON or {DEFAULT_MARATHON}].",
    )(command)


def marathons(given: str | None) -> Marathon:
    """The Marathon that is meant: `given`, else KOINON_MARATHON, else the usual address. Raises Failure."""
    text = given or os.environ.get("KOINON_MARATHON") or DEFAULT_MARATHON
    return Marathon([_place(one.strip()) for one in text.split(",") if one.strip()])


def _client(context: click.Context, _parameter: click.Parameter, given: str | None) -> Marathon:
    marathon = marathons(given)
    context.call_on_close(marathon.close)
    return marathon


def _place(text: str) -> Place:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port or 8080
    except ValueError:
        host = None
    if not host or parts.scheme != "http":
        raise Failure("an address of a Marathon must be host:port, or http://user:password@host:port")
    return Place(host, port, None if parts.username is None else f"{parts.username}:{parts.password or ''}")


def absolute(app: str) -> str:
    """An app's id as the API has it."""
    return "/" + app.strip("/")
