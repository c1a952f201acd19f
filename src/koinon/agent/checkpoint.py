"""The gate between the core's effects and the world: what follows a `Checkpoint` waits until it is on disk.

One commit is under way at a time; what the core wants written meanwhile gathers and goes into the next. So a thousand
tasks that come at once cost a few disk flushes, and order is kept without effort. When the disk refuses (it is full),
the same changes are tried again: what depends on them waits, everything promised before stays promised. Only signals
to containers overtake then, since what fills the disk may be the very task that is to be killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from koinon import logs
from koinon.agent.core.events import Checkpoint, DestroyContainer, Effect, Forget, TerminateContainer
from koinon.coordination import Store

#: How long changes that nothing waits for may wait for company.
_FORGET_S = 1.0
_RETRY_S = 1.0

#: They go to containers that run; no one else's order matters to them.
_SIGNALS = (TerminateContainer, DestroyContainer)


class Gate:
    """Passes effects on to `perform`, in order."""

    def __init__(self, store: Store, perform: Callable[[Effect], None]) -> None:
        self._store = store
        self._perform = perform
        self._loop = asyncio.get_running_loop()
        self._log = logs.get(role="agent")
        self._changes: dict[str, bytes | None] = {}  #: to be in the next commit
        self._behind_next: list[Effect] | None = None  #: what waits for it; None: nothing has to
        self._behind_current: list[Effect] | None = None  #: what waits for the commit under way
        self._commit_planned = False
        self._refused = False  #: whether the disk took nothing when it was asked last

    def take(self, effects: Iterable[Effect]) -> None:
        """Carry out what need not wait; keep the rest."""
        for effect in effects:
            if isinstance(effect, Checkpoint):
                self._changes.update(effect.changes)
                if self._behind_next is None:
                    self._behind_next = []
                    self._plan(0.0)
            elif isinstance(effect, Forget):
                self._changes.update(effect.changes)
                self._plan(_FORGET_S)
            elif self._refused and isinstance(effect, _SIGNALS):
                self._perform(effect)
            elif self._behind_next is not None:
                self._behind_next.append(effect)
            elif self._behind_current is not None:
                self._behind_current.append(effect)
            else:
                self._perform(effect)

    async def drain(self) -> None:
        """Wait until everything is written and done; for the end of the process."""
        while self._changes or self._behind_current is not None:
            if self._behind_current is None:
                self._commit()
            await asyncio.sleep(0.005)

    def _plan(self, wait_s: float) -> None:
        if self._behind_current is not None:
            return  # the end of the commit under way will see to it
        if not wait_s:
            self._loop.call_soon(self._commit)  # at the end of this turn, with all that it brings
        elif not self._commit_planned:
            self._commit_planned = True
            self._loop.call_later(wait_s, self._commit_forgotten)

    def _commit_forgotten(self) -> None:
        self._commit_planned = False
        if self._changes:
            self._commit()

    def _commit(self) -> None:
        if self._behind_current is not None:
            return
        changes, self._changes = self._changes, {}
        self._behind_current, self._behind_next = self._behind_next or [], None
        if not changes:
            self._release()
            return
        done = self._store.commit(changes.items())
        done.add_done_callback(lambda done: self._committed(changes, done.exception()))

    def _committed(self, changes: dict[str, bytes | None], error: BaseException | None) -> None:
        if error is None:
            if self._refused:
                self._log.warning("checkpoint written at last")
            self._refused = False
            self._release()
            return
        if not self._refused:
            self._log.error("checkpoint failed; trying again and again", error=str(error))
        self._refused = True
        self._changes = {**changes, **self._changes}
        waiting = [*(self._behind_current or ()), *(self._behind_next or ())]
        self._behind_current = None
        self._behind_next = [effect for effect in waiting if not isinstance(effect, _SIGNALS)]
        self._loop.call_later(_RETRY_S, self._commit)
        for effect in waiting:
            if isinstance(effect, _SIGNALS):
                self._perform(effect)

    def _release(self) -> None:
        effects, self._behind_current = self._behind_current or [], None
        for effect in effects:
            self._perform(effect)
        if self._behind_next is not None:
            self._commit()
        elif self._changes:
            self._plan(_FORGET_S)
