"""What scheduler and executor have in common: sending calls, and handing events to the author's methods.

Everything that the author's methods see comes from one task, the one that awaits `run()`: events in the
order of the stream, and refused calls between them. A method may be plain or `async`; the next event waits
until it is done. An exception in it ends `run()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeAlias, TypeVar

from koinon.mesos.v1.base import V1Message
from koinon.sdk.errors import ApiError, CallError, StreamLost, Undelivered
from koinon.sdk.subscription import Api, Subscription

C = TypeVar("C", bound=V1Message)
E = TypeVar("E", bound=V1Message)
M = TypeVar("M", bound=V1Message)

#: What a method of the author returns: nothing, or something to wait for.
MaybeAwaitable: TypeAlias = Awaitable[None] | None

#: Longest wait between two attempts to subscribe.
BACKOFF_MAX_S = 15.0

_BACKOFF_FIRST_S = 0.1

log = logging.getLogger("koinon.sdk")


class Client(Generic[C, E]):
    """One end of a v1 API. `Scheduler` and `Executor` derive from it."""

    def __init__(self, api: Api[C, E]) -> None:
        self._api = api
        self._subscription: Subscription[C, E] | None = None
        self._refusals: deque[tuple[C, CallError]] = deque()
        self._nudged = asyncio.Event()

    # ── for authors to override ───────────────────────────────────────────────────────────────────
    def call_refused(self, call: C, error: CallError) -> MaybeAwaitable:
        """A call failed: ApiError when it was refused, Undelivered when no answer came. Logs it."""
        log.warning("%s failed: %s", _name(call), error)
        return None

    def disconnected(self) -> MaybeAwaitable:
        """The subscription broke; a new one is sought. Calls are undelivered until then."""
        return None

    # ── for authors to call ───────────────────────────────────────────────────────────────────────
    def send(self, call: C) -> None:
        """Sends any call and does not wait. If it fails, `call_refused` hears of it."""
        if self._subscription is not None:
            self._subscription.calls.send(call)
        else:
            self._refused(call, Undelivered("not subscribed"))

    async def call(self, call: C) -> bytes:
        """Sends any call and waits for the answer; returns its body. Raises ApiError or Undelivered."""
        if self._subscription is None:
            raise Undelivered("not subscribed")
        try:
            return await self._subscription.calls.call(call)
        except ApiError as error:
            self._note_end_of_subscription(error)
            raise

    # ── for the two kinds ─────────────────────────────────────────────────────────────────────────
    def _handle(self, event: E) -> MaybeAwaitable:
        raise NotImplementedError

    def _finished(self) -> bool:
        """Whether to leave the subscription."""
        raise NotImplementedError

    async def _follow(self, subscription: Subscription[C, E]) -> StreamLost | None:
        """Handles events until `_finished` (then None) or until there are no more (then why)."""
        self._subscription = subscription
        try:
            while not self._finished():
                for event in await subscription.stream.next():
                    if (told := self._handle(event)) is not None:
                        await told
                    if self._finished():
                        break
                await self._report_refusals()
        except StreamLost as lost:
            return lost
        return None

    async def _unsubscribe(self) -> None:
        """Closes the subscription and reports what it leaves undelivered."""
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            subscription.close()
        await self._report_refusals()

    async def _pause(self, pause_s: float | None, until: Callable[[], bool]) -> bool:
        """Waits so long (None: for ever), or until `until`, of which `_nudge` tells; returns whether it was that."""
        loop = asyncio.get_running_loop()
        end_s = None if pause_s is None else loop.time() + pause_s
        while not until():
            if end_s is not None and loop.time() >= end_s:
                return False
            self._nudged.clear()
            await self._report_refusals()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(end_s):
                    await self._nudged.wait()
        return True

    def _nudge(self) -> None:
        """Makes `run()` look up from what it waits for."""
        self._nudged.set()
        if self._subscription is not None:
            self._subscription.stream.wake()

    def _refused(self, call: C, error: CallError) -> None:
        self._refusals.append((call, error))
        if isinstance(error, ApiError):
            self._note_end_of_subscription(error)
        self._nudge()

    def _note_end_of_subscription(self, error: ApiError) -> None:
        if error.not_subscribed and self._subscription is not None:
            self._subscription.stream.close(f"a call was refused: {error}")

    async def _report_refusals(self) -> None:
        for _ in range(len(self._refusals)):  # not those that a method makes while it hears of one
            if (told := self.call_refused(*self._refusals.popleft())) is not None:
                await told


def backoff_s(attempt: int) -> float:
    """How long to wait before attempt number `attempt` (from 1): random, doubling, at most BACKOFF_MAX_S."""
    return random.uniform(0, min(BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(attempt, 16)))


def as_id(kind: type[M], value: str | M) -> M:
    """`value` as an id message, for people who have it as text."""
    return kind(value) if isinstance(value, str) else value


def _name(call: V1Message) -> str:
    kind = getattr(call, "type", None)
    return kind.value if kind is not None else type(call).__qualname__
