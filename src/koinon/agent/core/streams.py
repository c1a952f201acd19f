"""Status update streams: one per task, to the scheduler by way of the master.

At least once and in order: the first update that is not acknowledged is *in flight*, the others wait behind it. It is
sent again after 10 s, then at twice the distance, up to 10 min, and at once with every new registration. While there
is no master nothing is sent. Updates of frameworks that checkpoint are *durable*: on disk before they are sent.
"""

from __future__ import annotations

from collections.abc import Container

from msgspec import Struct

from koinon.agent.core import records
from koinon.agent.core.context import Context
from koinon.agent.core.events import Checkpoint, Forget
from koinon.mesos import internal
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1 import TaskState, TaskStatus

RESEND_FIRST_S = 10.0
RESEND_MAX_S = 600.0
#: When so many updates wait, news of checks take each other's place: the newest tells all.
PASSING_MAX = 50
PASSING = (
    TaskStatus.Reason.REASON_TASK_CHECK_STATUS_UPDATED,
    TaskStatus.Reason.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED,
)


class Stream(Struct, gc=False):
    """Updates of one task. `pending[0]` is in flight and has the number `number`."""

    framework_id: str
    task_id: str
    durable: bool
    latest_state: TaskState = TaskState.TASK_STAGING
    pending: list[TaskStatus] = []
    number: int = 0
    wait_s: float = RESEND_FIRST_S
    #: When the update in flight is sent again; 0 = not at all.
    due_s: float = 0.0


class Streams:
    """All streams of an agent."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._streams: dict[tuple[str, str], Stream] = {}
        self._open = False

    def put(
        self, framework_id: str, task_id: str, status: TaskStatus, *, durable: bool, passing: bool = False
    ) -> None:
        """Add an update, whose uuid is set. A `passing` one is worth nothing when there is a newer one."""
        key = (framework_id, task_id)
        if (stream := self._streams.get(key)) is None:
            stream = self._streams[key] = Stream(framework_id, task_id, durable)
        if passing and len(stream.pending) >= PASSING_MAX and stream.pending[-1].reason in PASSING:
            stream.pending.pop()
        if durable:
            number = stream.number + len(stream.pending)
            stored = {records.update_key(framework_id, task_id, number): records.encode(status)}
            self._context.out.append(Checkpoint(stored))
        stream.pending.append(status)
        stream.latest_state = status.state
        if len(stream.pending) == 1:
            self._send(stream)
        elif status.state in TERMINAL and stream.due_s:
            # The task holds nothing any more, and the master hears so with the next repetition: not in minutes.
            stream.wait_s = RESEND_FIRST_S
            self._plan(stream)

    def acknowledge(self, framework_id: str, task_id: str, uuid: bytes) -> TaskStatus | None:
        """The update in flight has arrived; returns it, or None when it is not the one in flight."""
        stream = self._streams.get((framework_id, task_id))
        if stream is None or not stream.pending or stream.pending[0].uuid != uuid:
            return None
        status = stream.pending.pop(0)
        stream.due_s = 0.0
        if status.state in TERMINAL:
            self.drop(framework_id, task_id)
            return status
        if stream.durable:
            changes: dict[str, bytes | None] = {records.ack_key(framework_id, task_id): b"%d" % stream.number}
            if stream.number:
                changes[records.update_key(framework_id, task_id, stream.number - 1)] = None
            self._context.out.append(Forget(changes))
        stream.number += 1
        stream.wait_s = RESEND_FIRST_S
        if stream.pending:
            self._send(stream)
        return status

    def restore(
        self, framework_id: str, task_id: str, updates: dict[int, TaskStatus], acknowledged: int
    ) -> None:
        """Take up a stream of before a restart; updates up to number `acknowledged` are history."""
        numbers = sorted(updates)
        pending = [updates[number] for number in numbers if number > acknowledged]
        latest = updates[numbers[-1]].state
        self._streams[framework_id, task_id] = Stream(
            framework_id, task_id, True, latest, pending, number=acknowledged + 1
        )

    def drop(self, framework_id: str, task_id: str) -> None:
        """Nothing more is to be said about the task."""
        stream = self._streams.pop((framework_id, task_id), None)
        if stream is None:
            return
        stream.due_s = 0.0
        if stream.durable:
            # One more on both sides: the newest acknowledged, and the one just taken off `pending`.
            numbers = range(max(stream.number - 1, 0), stream.number + len(stream.pending) + 1)
            keys = [records.update_key(framework_id, task_id, number) for number in numbers]
            self._context.forget(*keys, records.ack_key(framework_id, task_id))

    def drop_framework(self, framework_id: str) -> None:
        """Nothing more is to be said about any task of the framework."""
        for key in [key for key in self._streams if key[0] == framework_id]:
            self.drop(*key)

    @property
    def are_open(self) -> bool:
        """Whether a master listens."""
        return self._open

    def in_flight(self, framework_id: str, task_id: str) -> TaskStatus | None:
        """The first update not acknowledged."""
        stream = self._streams.get((framework_id, task_id))
        return stream.pending[0] if stream is not None and stream.pending else None

    def updates_without(self, tasks: Container[tuple[str, str]]) -> list[internal.Update]:
        """The first update not acknowledged of each task that is not among these (framework and task ids)."""
        return [
            self._update(stream)
            for key, stream in self._streams.items()
            if stream.pending and key not in tasks
        ]

    def is_known(self, framework_id: str, task_id: str, uuid: bytes) -> bool:
        """Whether an update waits already."""
        stream = self._streams.get((framework_id, task_id))
        return stream is not None and any(status.uuid == uuid for status in stream.pending)

    def resume(self) -> None:
        """A master has admitted us: send everything that is in flight."""
        self._open = True
        for stream in self._streams.values():
            stream.wait_s = RESEND_FIRST_S
            if stream.pending:
                self._send(stream)

    def resume_framework(self, framework_id: str) -> None:
        """The framework has subscribed anew: do not let it wait for our next try."""
        for stream in self._streams.values():
            if stream.framework_id == framework_id and stream.pending:
                self._send(stream)

    def pause(self) -> None:
        """There is no master."""
        self._open = False
        for stream in self._streams.values():
            stream.due_s = 0.0

    def _send(self, stream: Stream) -> None:
        if not self._open:
            return
        self._context.say(self._update(stream))
        self._plan(stream)

    def _plan(self, stream: Stream) -> None:
        stream.due_s = self._context.now + stream.wait_s
        self._context.timers.at(stream.due_s, self._resend, stream, stream.due_s)

    def _update(self, stream: Stream) -> internal.Update:
        status = stream.pending[0]
        return internal.Update(
            framework_id=stream.framework_id, status=status, latest_state=stream.latest_state
        )

    def _resend(self, stream: Stream, due_s: float) -> None:
        if stream.due_s == due_s:
            stream.wait_s = min(stream.wait_s * 2, RESEND_MAX_S)
            self._send(stream)
