"""Events on their way from the core to whoever listens at `/v2/events`.

An event is encoded once, as the frame that goes out, and put into the queue of each listener that wants its type. A
listener that lets more than `outstanding_max` of them lie is cut off: it would miss some, and must come again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from koinon.marathon.model import App, versions
from koinon.marathon.rendering import render_app
from koinon.marathon.rendering.plain import plain

#: Only for who names them: clients of before end with an error when they meet one.
_ASKED_FOR = frozenset(
    {"scheduler_registered_event", "scheduler_reregistered_event", "scheduler_disconnected_event"}
)

Watcher = Callable[[str, Mapping[str, Any], str], None]

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Listener:
    """One reader's queue of frames. `frames` waits for some.

    `is_cut_off` once it has fallen behind; then `on_cut_off` is called, as its reader may be stuck with an earlier frame.
    """

    __slots__ = (
        "_on_cut_off",
        "_outstanding_max",
        "_queue",
        "_types",
        "_waiting",
        "is_closed",
        "is_cut_off",
    )

    def __init__(self, types: Collection[str], outstanding_max: int, on_cut_off: Callable[[], None]) -> None:
        self._on_cut_off = on_cut_off
        self._types = frozenset(types)
        self._outstanding_max = outstanding_max
        self._queue: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self.is_cut_off = False
        self.is_closed = False

    def wants(self, event_type: str) -> bool:
        """Whether events of that type are for it."""
        return event_type in self._types if self._types else event_type not in _ASKED_FOR

    def put(self, frame: bytes) -> None:
        """One more for it; too many, and it is cut off."""
        if self.is_cut_off:
            return
        if len(self._queue) >= self._outstanding_max:
            self._queue.clear()
            self.is_cut_off = True
            self._on_cut_off()
        else:
            self._queue.append(frame)
        self._wake()

    def close(self) -> None:
        """No more will come."""
        self.is_closed = True
        self._wake()

    async def frames(self, patience_s: float) -> bytes:
        """All that has gathered, joined; empty after `patience_s` without any, or when it is over."""
        if not self._queue and not self.is_cut_off and not self.is_closed:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(patience_s):
                    await self._waiting
            except TimeoutError:
                pass
            finally:
                self._waiting = None
        gathered = b"".join(self._queue)
        self._queue.clear()
        return gathered

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class EventBus:
    """Hands events to listeners."""

    def __init__(self, *, outstanding_max: int = 1024) -> None:
        self._outstanding_max = outstanding_max
        self._listeners: set[Listener] = set()
        self._watchers: list[Watcher] = []

    def __len__(self) -> int:
        return len(self._listeners)

    def listen(
        self, types: Collection[str] = (), *, on_cut_off: Callable[[], None] = lambda: None
    ) -> Listener:
        """A new listener, for events of these types; for all, if none are named. To be given to `leave`."""
        listener = Listener(types, self._outstanding_max, on_cut_off)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """It hears nothing more."""
        self._listeners.discard(listener)

    def watch(self, watcher: Watcher) -> None:
        """Tell this function of all events: their type, fields and timestamp. It belongs to this process."""
        self._watchers.append(watcher)

    def publish(self, event_type: str, fields: Mapping[str, Any], now: float) -> None:
        """Tell everybody who wants to know."""
        for watcher in self._watchers:
            watcher(event_type, fields, versions.stamp(now))
        interested = [listener for listener in self._listeners if listener.wants(event_type)]
        if interested:
            frame = frame_of(event_type, fields, now)
            for listener in interested:
                listener.put(frame)

    def close(self) -> None:
        """End all streams."""
        for listener in list(self._listeners):
            listener.close()


def frame_of(event_type: str, fields: Mapping[str, Any], now: float) -> bytes:
    """The event as it stands in the stream."""
    shown = {
        name: render_app(value) if isinstance(value, App) else plain(value) for name, value in fields.items()
    }
    body = _encode({**shown, "eventType": event_type, "timestamp": versions.stamp(now)})
    return b"event: %b\r\ndata: %b\r\n\r\n" % (event_type.encode(), body)
