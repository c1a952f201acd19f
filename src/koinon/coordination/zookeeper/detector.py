"""Following the leader that ZooKeeper knows of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from kazoo.exceptions import KazooException, NoAuthError, NoNodeError

from koinon.coordination import DetectionError, Leader
from koinon.coordination.zookeeper import members
from koinon.coordination.zookeeper.session import LOST, Session, SessionState
from koinon.coordination.zookeeper.url import Url

#: Nothing of ours is lost when the session is; a short one would only make servers busy.
_TIMEOUT_S = 10.0


class Detector:
    """See `koinon.coordination.Detector`.

    Without contact with ZooKeeper the leader known last is kept: those who are connected with it may go on.
    """

    def __init__(self, url: Url, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._session = Session(url, timeout_s, on_state=self._session_changed)
        self._started = False
        self._known = False  #: whether `_newest` was read
        self._newest: Leader | None = None
        self._failed: DetectionError | None = None
        self._news = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False

    async def leaders(self) -> AsyncIterator[Leader | None]:
        """See `Detector.leaders`."""
        if not self._started:
            self._started = True
            self._session.start()
        fresh, told = True, None
        while True:
            if self._failed is not None:
                raise self._failed
            if self._known and (fresh or self._newest != told):
                fresh, told = False, self._newest
                yield told
                continue
            self._news.clear()
            await self._news.wait()

    def suspect(self, leader: Leader) -> None:
        """ZooKeeper knows better."""

    async def close(self) -> None:
        """See `Detector.close`."""
        if self._looking is not None:
            self._looking.cancel()
        if self._started:
            await self._session.close()

    def _session_changed(self, state: SessionState) -> None:
        if state is SessionState.MADE:  # watches ended with the connection before
            self._look_soon()

    def _look_soon(self) -> None:
        self._look_again = True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            while self._look_again:
                self._look_again = False
                try:
                    await self._look_once()
                except LOST:
                    self._look_again = True
                    await self._session.connected()
        except KazooException as error:
            what = "may not be read by us" if isinstance(error, NoAuthError) else f"cannot be read: {error!r}"
            self._failed = DetectionError(f"{self._session.url} {what}")
            self._news.set()

    async def _look_once(self) -> None:
        try:
            member = await members.read_leader(self._session, watch=self._look_soon)
        except NoNodeError:
            member = None
            # Waits for the path to be made; if it was made in between there is something to see at once.
            if await self._session.exists(self._session.url.path or "/", watch=self._look_soon) is not None:
                self._look_again = True
        self._tell(None if member is None else members.leader(member))

    def _tell(self, leader: Leader | None) -> None:
        self._known, self._newest = True, leader
        self._news.set()
