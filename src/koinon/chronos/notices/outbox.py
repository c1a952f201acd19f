"""Sends what happened to whom it concerns: stored first, then tried until it was taken."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from koinon import logs
from koinon.chronos.notices.backlog import Backlog
from koinon.chronos.notices.delivery import Channel, Delivery, compose
from koinon.chronos.notices.notice import Notice
from koinon.chronos.notices.senders import Later, MailSender, Refused, Sender, Unreachable, WebhookSender
from koinon.chronos.notices.settings import Settings
from koinon.coordination import Store, StoreError

#: Where deliveries are stored.
PREFIX = "notices/"

#: One message takes at most so long, whatever its server does.
_SEND_S = 60.0
#: The clock on the wall may be set meanwhile: it is looked at so often.
_LOOK_S = 60.0
#: After that nobody wants to know any more.
_PATIENCE_S = 3 * 86400.0
#: So many wait on one channel; what comes then is dropped.
_WAITING_MAX = 10_000


class Outbox:
    """The messages of a leader. `start` it with what its predecessor has left, and `close` it.

    Everything is called from one event loop. Raises OSError if the file of a mail server's authorities cannot be read. What is counted: `sent`, `refused` and `dropped` by channel.
    """

    def __init__(self, store: Store, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._log = logs.get()
        self._posts = {
            channel: _Post(channel, sender, self._forget, clock)
            for channel, sender in _senders(settings).items()
        }
        self.counts: Counter[tuple[Channel, str]] = Counter()
        for post in self._posts.values():
            post.counts = self.counts

    def __len__(self) -> int:
        """How many messages wait."""
        return sum(len(post.backlog) for post in self._posts.values())

    def start(self, left: Mapping[str, bytes] | None = None) -> None:
        """Send what was `left` in the store by whoever led before: its entries under `PREFIX`, looked up if not given.

        Raises StoreError.
        """
        waiting: list[Delivery] = []
        for key, value in (self._store.load(PREFIX) if left is None else left).items():
            try:
                delivery = msgspec.json.decode(value, type=Delivery)
            except msgspec.DecodeError as error:
                self._log.error(f"a message is lost: {error}", key=key)
                self._forget(key.removeprefix(PREFIX))
                continue
            if delivery.channel in self._posts:
                waiting.append(delivery)
            else:  # the operator does not want it any more
                self._forget(delivery.id)
        for delivery in sorted(waiting, key=lambda one: one.at):
            self._posts[delivery.channel].put(delivery)
        for post in self._posts.values():
            post.start()

    def post(self, notice: Notice) -> None:
        """Tell everybody whom it concerns. Its place in the store is before whatever is committed next."""
        deliveries = []
        for delivery in compose(notice, self._settings):
            if len(self._posts[delivery.channel].backlog) >= _WAITING_MAX:
                self.counts[delivery.channel, "dropped"] += 1
                self._log.error(
                    "too many messages wait: one is dropped", channel=delivery.channel, job=notice.job.name
                )
            elif delivery.id not in self._posts[delivery.channel].backlog:
                deliveries.append(delivery)
        if not deliveries:
            return

        def stored(done: asyncio.Future[None]) -> None:
            if done.cancelled() or done.exception() is not None:
                return  # then nothing of what it tells of was stored either, and this process ends
            for delivery in deliveries:
                self._posts[delivery.channel].put(delivery)

        try:
            written = self._store.commit([(PREFIX + one.id, msgspec.json.encode(one)) for one in deliveries])
        except StoreError:  # closed
            return
        written.add_done_callback(stored)

    async def close(self) -> None:
        """Send no more. What waits stays in the store."""
        await asyncio.gather(*(post.close() for post in self._posts.values()))

    def _forget(self, delivery_id: str) -> None:
        try:
            self._store.commit([(PREFIX + delivery_id, None)]).add_done_callback(_ignore)
        except StoreError:
            return  # closed: it will be sent once more


class _Post:
    """One channel: its backlog, and the task that works it off."""

    def __init__(
        self, channel: Channel, sender: Sender, forget: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self.backlog = Backlog(patience_s=_PATIENCE_S)
        self.counts: Counter[tuple[Channel, str]] = Counter()
        self._channel = channel
        self._sender = sender
        self._forget = forget
        self._clock = clock
        self._log = logs.get()
        self._came = asyncio.Event()
        self._is_out = False  #: said already that it does not work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work(), name=f"notices by {self._channel}")

    def put(self, delivery: Delivery) -> None:
        self.backlog.add(delivery, self._clock())
        self._came.set()

    async def close(self) -> None:
        while self._task is not None and not self._task.done():
            self._task.cancel()  # which `asyncio.wait_for` in libraries may swallow
            await asyncio.wait([self._task], timeout=0.1)
        await self._sender.rest()

    async def _work(self) -> None:
        while True:
            now = self._clock()
            delivery = self.backlog.take(now)
            if delivery is not None:
                await self._try(delivery)
                continue
            await self._sender.rest()
            due = self.backlog.next_try()
            self._came.clear()
            try:
                async with asyncio.timeout(None if due is None else min(max(due - now, 0.01), _LOOK_S)):
                    await self._came.wait()
            except TimeoutError:
                pass

    async def _try(self, delivery: Delivery) -> None:
        try:
            async with asyncio.timeout(_SEND_S):
                await self._sender.send(delivery)
        except Refused as error:
            self._log.error(f"a message was refused: {error}", channel=self._channel, to=delivery.to)
            self._end(delivery, "refused")
        except Later as error:
            if not self.backlog.later(delivery, self._clock()):
                self._drop(delivery, error)
        except Exception as error:  # of a library: as if its server had not been there
            if not self._is_out:
                self._log.warning(f"messages wait: {error or type(error).__name__}", channel=self._channel)
            self._is_out = True
            if not isinstance(error, (Unreachable, TimeoutError)):
                self._log.exception("a message could not be sent", channel=self._channel)
            if not self.backlog.unreachable(delivery, self._clock()):
                self._drop(delivery, error)
        else:
            self._end(delivery, "sent")

    def _end(self, delivery: Delivery, how: str) -> None:
        if self._is_out:
            self._is_out = False
            self._log.info("messages are taken again", channel=self._channel)
        self.counts[self._channel, how] += 1
        self.backlog.done(delivery)
        self._forget(delivery.id)

    def _drop(self, delivery: Delivery, error: Exception) -> None:
        self._log.error(
            f"a message is too old to be tried again: {error}", channel=self._channel, to=delivery.to
        )
        self.counts[self._channel, "dropped"] += 1
        self._forget(delivery.id)


def _senders(settings: Settings) -> dict[Channel, Sender]:
    found: dict[Channel, Sender] = {}
    if settings.mail is not None:
        found["mail"] = MailSender(settings.mail)
    if settings.slack is not None:
        found["slack"] = WebhookSender(settings.slack)
    if settings.mattermost is not None:
        found["mattermost"] = WebhookSender(settings.mattermost)
    if settings.http is not None:
        found["http"] = WebhookSender(settings.http)
    return found


def _ignore(done: asyncio.Future[None]) -> None:
    # Whoever led meanwhile has it, and forgets it in its turn.
    if not done.cancelled():
        done.exception()
