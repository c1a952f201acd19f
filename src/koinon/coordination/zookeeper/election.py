"""Standing for election in ZooKeeper: the shell of `Candidate`.

Contacts are transactions that change nothing: they only check that our znode is there. A transaction needs a quorum of
the servers, where a read, or a ping, is answered by one server alone, which may not know yet that it is cut off, and
that the others have ended our session.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from kazoo.exceptions import KazooException, NoAuthError, NoNodeError

from koinon import logs
from koinon.coordination import Leader
from koinon.coordination import candidate as core
from koinon.coordination.zookeeper import members
from koinon.coordination.zookeeper.session import LOST, Session, SessionState, clock_s
from koinon.coordination.zookeeper.url import Url

#: A contact that takes longer than this part of the session's timeout is tried with another server. The lease lasts
#: long enough for that server not to answer either, and for a third one.
_PATIENCE = 0.2
_PATIENCE_MIN_S = 0.3
#: Who wakes up so much later than it wanted was not waiting for others.
_LATE_S = 0.05


class Election:
    """See `koinon.coordination.Election`. `session` is shared with the store of who is elected."""

    def __init__(self, url: Url, *, timeout_s: float) -> None:
        self.session = Session(url, timeout_s, on_state=self._session_changed, hasty=True)
        self._candidate = core.Candidate()
        self._info = b""
        self._on_elected: Callable[[int], None]
        self._on_deposed: Callable[[str], None]
        self._on_leader: Callable[[Leader | None], None]
        self._log = logs.get(zookeeper=str(url))
        self._own: tuple[int, str] | None = None  #: our sequence, and the path of our znode
        self._joining: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._asking: set[asyncio.Task[None]] = set()  #: held, so that they are not collected
        self._timer: asyncio.TimerHandle | None = None
        self._held_until_s = -math.inf  #: our lease, if we lead
        self._closed = False

    def stand(
        self,
        info: bytes,
        *,
        on_elected: Callable[[int], None],
        on_deposed: Callable[[str], None],
        on_leader: Callable[[Leader | None], None],
    ) -> None:
        """See `Election.stand`."""
        self._info = info
        self._on_elected, self._on_deposed, self._on_leader = on_elected, on_deposed, on_leader
        self._loop = asyncio.get_running_loop()
        self.session.start()

    def held(self) -> bool:
        """See `Lease.held`."""
        return clock_s() < self._held_until_s

    async def close(self) -> None:
        """See `Election.close`."""
        self._closed = True
        self._held_until_s = -math.inf
        if self._timer is not None:
            self._timer.cancel()
        for task in (self._joining, self._looking, *self._asking):
            if task is not None:
                task.cancel()
        await self.session.close()

    # ── the core ──────────────────────────────────────────────────────────────────────────────────
    def _feed(self, event: core.Event) -> None:
        if self._closed:
            return
        candidate = self._candidate
        effects = candidate.handle(event, clock_s())
        # Kept apart from the core, as it is asked for before everything that a leader does.
        self._held_until_s = candidate.lease_end_s if candidate.phase is core.Phase.LEADING else -math.inf
        for effect in effects:
            match effect:
                case core.Join():
                    self._join_soon()
                case core.Confirm(sequence):
                    self._confirm_soon(sequence)
                case core.Follow(member):
                    self._on_leader(None if member is None else members.leader(member))
                case core.Lead(epoch):
                    self._on_elected(epoch)
                case core.StepDown(reason):
                    self._depose(reason)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (wakeup_s := self._candidate.next_wakeup_s()) < math.inf:
            self._timer = self._loop.call_later(
                max(wakeup_s - clock_s(), 0.0), self._feed, core.ClockTicked()
            )

    def _depose(self, reason: str) -> None:
        if not self._closed:
            self._closed = True
            self._held_until_s = -math.inf
            self._on_deposed(reason)

    # ── what happens in ZooKeeper ─────────────────────────────────────────────────────────────────
    def _session_changed(self, state: SessionState) -> None:
        match state:
            case SessionState.MADE:
                self._feed(core.SessionMade(self.session.granted_timeout_s, self.session.asked_s))
                self._look_soon()  # watches ended with the connection
            case SessionState.SUSPENDED:
                self._feed(core.SessionSuspended())
            case SessionState.LOST:
                self._feed(core.SessionLost())

    def _join_soon(self) -> None:
        # Of two, the first could still create a znode after the second has not found one.
        if self._joining is not None:
            self._joining.cancel()
        self._joining = self._loop.create_task(self._attempt(self._join))

    async def _join(self) -> None:
        session, path = self.session, self.session.url.path
        await session.ensure(path)
        # The connection may have broken between the making of our znode and the word that it is made.
        _, own = await members.read(session, watch=lambda: None)
        if own is None:
            await session.create(f"{path}/{members.PREFIX}", self._info, ephemeral=True, sequence=True)
        self._look_soon()

    def _look_soon(self) -> None:
        self._look_again = True
        if self._looking is None or self._looking.done():
            self._looking = self._loop.create_task(self._attempt(self._look))

    async def _look(self) -> None:
        while self._look_again:
            self._look_again = False
            try:
                seen, self._own = await members.read(self.session, watch=self._look_soon)
            except NoNodeError:  # nobody has ever joined
                seen, self._own = (), None
            except LOST:
                self._look_again = True
                await self.session.connected()
                continue
            self._feed(core.MembershipSeen(seen, None if self._own is None else self._own[0]))

    def _confirm_soon(self, sequence: int) -> None:
        task = self._loop.create_task(self._attempt(partial(self._confirm, sequence)))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _confirm(self, sequence: int) -> None:
        if self._own is None or self._own[0] != sequence:
            return
        sent_s = clock_s()
        question = self.session.transaction()
        question.check(self._own[1], -1)
        (answer,) = await self._patiently(self.session.commit(question))
        if isinstance(answer, NoNodeError):
            self._look_soon()
        elif isinstance(answer, KazooException):
            raise answer
        else:
            self._feed(core.ContactConfirmed(sequence, sent_s))

    async def _patiently(self, answer: asyncio.Future[list[Any]]) -> list[Any]:
        """The answer; if it does not come, we go to another server, and this one is lost."""
        patience_s = max(_PATIENCE * self.session.granted_timeout_s, _PATIENCE_MIN_S)
        for _ in range(2):
            begun_s = clock_s()
            await asyncio.wait((answer,), timeout=patience_s)
            if answer.done() or clock_s() < begun_s + patience_s + _LATE_S:
                break
            # It was ourselves who were frozen, or busy: the answer is here, and only not read yet.
        if not answer.done():
            self.session.change_server()
        return await answer

    async def _attempt(self, do: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Try; after a broken connection the core asks for it again."""
        try:
            await do()
        except LOST:
            return
        except NoAuthError:
            self._depose(
                f"ZooKeeper does not let us stand under {self.session.url}: the path belongs to others; check user and"
                " password of the URL"
            )
        except KazooException as error:
            self._depose(f"ZooKeeper refuses {self.session.url}: {type(error).__name__} {error}".rstrip())
        except Exception as error:
            self._log.exception("standing for election failed")
            self._depose(f"standing for election failed: {error!r}")
