"""A subscription: the event stream with one server, and the calls that belong to it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from koinon.mesos import codec
from koinon.mesos.v1.base import V1Message
from koinon.sdk.addresses import Address, parse_address
from koinon.sdk.calls import CallChannel
from koinon.sdk.errors import CallError
from koinon.sdk.stream import EventStream, Redirected

C = TypeVar("C", bound=V1Message)
E = TypeVar("E", bound=V1Message)

#: Masters that send us around in circles are having an election.
_REDIRECTS_MAX = 5


class Api(NamedTuple, Generic[C, E]):
    """One of the two APIs, and how we speak it."""

    path: str
    call: type[C]
    event: type[E]
    #: Whether a call may take effect twice without harm.
    harmless: Callable[[C], bool]
    content_type: str
    #: Value of the Authorization header, if any.
    authorization: str | None
    #: Whether we repeat what the server has not confirmed by an event, so that it need not be safe when answered.
    repeats: bool = False


class Subscription(Generic[C, E]):
    """What `subscribe` opened."""

    def __init__(self, address: Address, stream: EventStream[E], calls: CallChannel[C]) -> None:
        self.address = address  #: whose it is, after all redirections
        self.stream = stream
        self.calls = calls

    def close(self, reason: str = "closed") -> None:
        """Closes both connections; what has arrived can still be taken from the stream."""
        self.stream.close(reason)
        self.calls.close()


async def subscribe(
    api: Api[C, E], address: Address, call: C, refused: Callable[[C, CallError], None]
) -> Subscription[C, E]:
    """Subscribes with the server at `address`, or with the one it redirects to.

    Raises ApiError when refused, OSError when nobody answers.
    """
    body = codec.encode(call, api.content_type)
    for _ in range(_REDIRECTS_MAX):
        request = b"%b%d\r\n\r\n%b" % (_head(api, address, None), len(body), body)
        try:
            stream = await EventStream.open(address, request, api.event, api.content_type)
        except Redirected as redirected:
            try:
                address = parse_address(redirected.location, address.port)
            except ValueError as error:
                raise ConnectionError(f"{address} redirects to nowhere: {error}") from error
        else:
            head = _head(api, address, stream.stream_id)
            calls = CallChannel(address, head, api.content_type, refused=refused, harmless=api.harmless)
            return Subscription(address, stream, calls)
    raise ConnectionError(f"redirected {_REDIRECTS_MAX} times, last to {address}")


def basic_authorization(principal: str, secret: str) -> str:
    """The Authorization header of HTTP's basic scheme."""
    return "Basic " + base64.b64encode(f"{principal}:{secret}".encode()).decode()


def _head(api: Api[C, E], address: Address, stream_id: str | None) -> bytes:
    """The head of a request, up to the value of Content-Length."""
    lines = [
        f"POST {api.path} HTTP/1.1",
        f"Host: {address}",
        f"Content-Type: {api.content_type}",
        f"Accept: {api.content_type}",
    ]
    if api.authorization is not None:
        lines.append(f"Authorization: {api.authorization}")
    if api.repeats:
        lines.append("Prefer: respond-async")
    if stream_id is not None:
        lines.append(f"Mesos-Stream-Id: {stream_id}")
    return "\r\n".join([*lines, "Content-Length: "]).encode("latin-1")
