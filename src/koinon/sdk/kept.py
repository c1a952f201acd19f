"""Calls that wait for the next subscription, and questions that wait for their answers.

What a framework says while it has no master, or says in vain to one that is going, falls into three kinds:

- what the next master must hear as much as this one (kill, shutdown, suppress, revive, reconcile): it is *kept*, and sent
  as soon as there is one; said twice it does no harm;
- what ends with the master (offers, and so what is done with them), and messages, which may get lost: refused, so that
  the author hears of it;
- acknowledgements: forgotten, since the update comes again.

Pure: time comes in.
"""

from __future__ import annotations

from collections.abc import Mapping

from koinon.mesos import codec
from koinon.mesos.v1.scheduler import Call

#: Calls of these types are kept.
KEPT = frozenset(
    (Call.Type.KILL, Call.Type.SHUTDOWN, Call.Type.SUPPRESS, Call.Type.REVIVE, Call.Type.RECONCILE)
)
#: Calls that answer offers.
ANSWERS = frozenset(
    (
        Call.Type.ACCEPT,
        Call.Type.DECLINE,
        Call.Type.ACCEPT_INVERSE_OFFERS,
        Call.Type.DECLINE_INVERSE_OFFERS,
    )
)
#: More calls than this are not kept: somebody repeats himself in other words.
KEPT_MAX = 100_000

_PAUSE_FIRST_S = 1.0
_PAUSE_MAX_S = 30.0


class KeptCalls:
    """Calls in the order in which they were last made, each once."""

    def __init__(self) -> None:
        self._calls: dict[bytes, Call] = {}

    def keep(self, call: Call) -> bool:
        """Keep `call`; False if there are too many already."""
        key = codec.encode(call, codec.JSON)
        self._calls.pop(key, None)
        if len(self._calls) >= KEPT_MAX:
            return False
        self._calls[key] = call
        return True

    def take(self) -> list[Call]:
        """All of them; none is left."""
        calls, self._calls = self._calls, {}
        return list(calls.values())


class Questions:
    """Tasks whose state is asked for again and again until it is told: a master does not know all at once.

    While an agent has not come back to a new master, nobody answers for its tasks.
    """

    def __init__(self) -> None:
        self.open: dict[str, str | None] = {}  #: task id to agent id, if that is known
        self.due_s: float | None = None  #: when to ask again; None when nothing is open
        self._pause_s = _PAUSE_FIRST_S

    def asked(self, tasks: Mapping[str, str | None], now_s: float) -> None:
        """The master was just asked for `tasks`."""
        self.open.update(tasks)
        self._pause_s = _PAUSE_FIRST_S
        self.due_s = now_s + self._pause_s if self.open else None

    def asked_again(self, now_s: float) -> None:
        """It was just asked for all that is open, because that was due."""
        self._pause_s = min(2 * self._pause_s, _PAUSE_MAX_S)
        self.due_s = now_s + self._pause_s

    def answered(self, task_id: str) -> None:
        """The state of this one was told."""
        if task_id in self.open:
            del self.open[task_id]
            if not self.open:
                self.due_s = None
