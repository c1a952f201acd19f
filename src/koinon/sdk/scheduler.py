"""Write a framework: subclass `Scheduler`, override what you care about, `await run()`.

    class Hello(Scheduler):
        def offers(self, offers): ...
        def update(self, status): ...

    asyncio.run(Hello("127.0.0.1:5050", framework_info("hello")).run())

*Offer*: resources of one agent that are ours until we accept, decline, or hear that they are *rescinded*.
*Update*: the state of a task changed; it is sent again until it is *acknowledged*, which happens by itself when
`update` has returned. *Reconcile*: ask the master for the state of tasks, as updates. *Suppress*, *revive*: stop
and restart offers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from koinon.coordination import Detector, Leader
from koinon.coordination.detection import Masters
from koinon.coordination.following import Following
from koinon.mesos import codec, v1
from koinon.mesos.v1.scheduler import Call, Event, OfferConstraints
from koinon.sdk.addresses import Address
from koinon.sdk.client import BACKOFF_MAX_S, MaybeAwaitable, backoff_s, log
from koinon.sdk.errors import ApiError, CallError, FrameworkError, Undelivered
from koinon.sdk.framework import Framework
from koinon.sdk.subscription import Api, Subscription, basic_authorization, subscribe

#: Missing so many heartbeats in a row means that the master, or the way to it, is gone.
HEARTBEATS_MISSED_MAX = 5

_HEARTBEAT_INTERVAL_S = 15.0

#: How long the master may take to confirm that we leave.
_LEAVE_TIMEOUT_S = 10.0

#: Calls that must not take effect twice. A repeated ACCEPT would lose the tasks that the first one launched.
_NOT_HARMLESS = frozenset((Call.Type.ACCEPT, Call.Type.MESSAGE, Call.Type.UPDATE_FRAMEWORK))

_Type = Event.Type


class Scheduler(Framework):
    """A framework's end of the scheduler API. Reconnects by itself, to whichever master leads.

    `master` is `host:port`, several of them divided by commas, `zk://host:port,host:port/path`, `file:///path` of a file
    with one of these, or a Detector. With `framework.id` set, it takes over that framework. `credential` is
    principal and secret. With `auto_acknowledge` off, call `acknowledge` for each update that has a uuid.

    `async with scheduler:` runs it in the background: entered when subscribed, torn down at the end.
    """

    def __init__(
        self,
        master: str | Detector,
        framework: v1.FrameworkInfo,
        *,
        credential: tuple[str, str] | None = None,
        suppressed_roles: Iterable[str] = (),
        offer_constraints: OfferConstraints | None = None,
        auto_acknowledge: bool = True,
        content_type: str = codec.JSON,
    ) -> None:
        super().__init__(
            Api(
                path="/api/v1/scheduler",
                call=Call,
                event=Event,
                harmless=lambda call: call.type not in _NOT_HARMLESS,
                content_type=content_type,
                authorization=basic_authorization(*credential) if credential else None,
            ),
            framework,
            suppressed_roles,
            offer_constraints,
        )
        self.master: v1.MasterInfo | None = None  #: who leads, once subscribed
        self._masters = Masters.parse(master) if isinstance(master, str) else master
        self._following: Following
        self._subscribing: asyncio.Task[Subscription[Call, Event]] | None = None
        self._auto_acknowledge = auto_acknowledge
        self._subscribed = asyncio.Event()
        self._failed = False
        self._stopping = False
        self._failover = False
        self._said_goodbye = False
        self._running: asyncio.Task[None] | None = None
        self._handlers: dict[Event.Type | None, Callable[[Event], MaybeAwaitable]] = {
            _Type.SUBSCRIBED: self._on_subscribed,
            _Type.OFFERS: lambda event: self.offers(event.offers.offers) if event.offers else None,
            _Type.INVERSE_OFFERS: self._on_inverse_offers,
            _Type.RESCIND: lambda event: self.rescinded(event.rescind.offer_id) if event.rescind else None,
            _Type.RESCIND_INVERSE_OFFER: self._on_rescind_inverse_offer,
            _Type.UPDATE: self._on_update,
            _Type.UPDATE_OPERATION_STATUS: self._on_operation_update,
            _Type.MESSAGE: self._on_message,
            _Type.FAILURE: self._on_failure,
            _Type.ERROR: self._on_error,
        }

    # ── for authors to override, plain or async ───────────────────────────────────────────────────
    def subscribed(self, framework_id: str) -> MaybeAwaitable:
        """The master knows us, for the first time or again. After a reconnection earlier offers are void."""
        return None

    def offers(self, offers: list[v1.Offer]) -> MaybeAwaitable:
        """Resources are offered. Unless overridden, they are declined."""
        self.decline(offers)
        return None

    def inverse_offers(self, inverse_offers: list[v1.InverseOffer]) -> MaybeAwaitable:
        """Resources are asked back, for a maintenance."""
        return None

    def rescinded(self, offer_id: v1.OfferID) -> MaybeAwaitable:
        """An offer is no longer valid."""
        return None

    def inverse_offer_rescinded(self, offer_id: v1.OfferID) -> MaybeAwaitable:
        """An inverse offer is no longer valid."""
        return None

    def update(self, status: v1.TaskStatus) -> MaybeAwaitable:
        """A task's state. The same update may come again. It is acknowledged when this method is done."""
        return None

    def operation_update(self, status: v1.OperationStatus) -> MaybeAwaitable:
        """An operation's state; acknowledged as updates are."""
        return None

    def message(self, agent_id: v1.AgentID, executor_id: v1.ExecutorID, data: bytes) -> MaybeAwaitable:
        """An executor of ours sent data."""
        return None

    def failure(
        self, agent_id: v1.AgentID | None, executor_id: v1.ExecutorID | None, status: int | None
    ) -> MaybeAwaitable:
        """An executor ended, with a wait status; or, without `executor_id`, an agent was removed."""
        return None

    def error(self, message: str) -> MaybeAwaitable:
        """The master ended the subscription for good. Raises FrameworkError; else `run()` just returns."""
        raise FrameworkError(message)

    def call_refused(self, call: Call, error: CallError) -> MaybeAwaitable:
        """A call failed: ApiError when it was refused, Undelivered when no answer came. Logs it.

        An acknowledgement without answer is not worth a warning: the update comes again.
        """
        if call.type is Call.Type.ACKNOWLEDGE and isinstance(error, Undelivered):
            return None
        return super().call_refused(call, error)

    # ── for authors to call, besides the calls of `Framework` ─────────────────────────────────────
    def stop(self, *, failover: bool = False) -> None:
        """Makes `run()` return: with a TEARDOWN, which kills our tasks; or, to `failover`, leaving them running
        for the next instance, which has to come back within the framework's failover timeout.
        """
        self._stopping = True
        self._failover = failover
        if self._subscribing is not None and self._nothing_to_leave():
            self._subscribing.cancel()
        self._nudge()

    async def run(self) -> None:
        """Subscribes, hands events to the methods above, reconnects; until `stop`.

        Raises ApiError when the master will not have us, DetectionError when no master can ever be found, and whatever
        the methods raise.
        """
        self._failed = False
        masters = self._masters
        detector = masters.detector() if isinstance(masters, Masters) else masters
        self._following = Following(detector, self._leader_changed)
        self._following.start()
        try:
            await self._visit_leaders()
        finally:
            self._subscribed.clear()
            if self._subscription is not None:
                self._subscription.close()
                self._subscription = None
            await self._following.close()
        self._drop_what_was_kept()
        await self._report_refusals()

    async def _visit_leaders(self) -> None:
        following, loop = self._following, asyncio.get_running_loop()
        attempt = 0
        while not self._nothing_to_leave():
            if (leader := following.look()) is None:
                await self._pause(None, until=lambda: following.news or self._nothing_to_leave())
                attempt = 1
                continue
            if attempt and await self._pause(
                backoff_s(attempt), until=lambda: following.news or self._nothing_to_leave()
            ):
                attempt = 1
                continue
            began_s = loop.time()
            why = await self._visit(leader)
            if why is None:
                return
            following.suspect(leader)
            # A subscription that lasted is a success.
            attempt = 1 if loop.time() - began_s > BACKOFF_MAX_S else attempt + 1
            log.warning("%s; %s", why, "trying again" if following.leader else "no master leads")

    async def _visit(self, leader: Leader) -> str | None:
        """One subscription, or the attempt. Returns why it ended; None when there is nothing more to do."""
        try:
            subscription = await self._subscribe(leader)
        except OSError as error:
            return f"cannot subscribe: {error or 'timed out'}"
        except ApiError as error:
            if error.status < 500:
                raise
            return f"cannot subscribe yet: {error}"
        if subscription is None:
            return f"no need to subscribe with {leader.address} any more"
        self._subscription = subscription
        if self._following.news:
            self._leader_changed()
        subscription.stream.watch(HEARTBEATS_MISSED_MAX * _HEARTBEAT_INTERVAL_S)
        lost: Exception | None = await self._follow(subscription)
        if lost is None and (lost := await self._leave()) is None:
            return None
        self._subscribed.clear()
        await self._unsubscribe()
        if (told := self.disconnected()) is not None:
            await told
        return f"disconnected: {lost}"

    async def _subscribe(self, leader: Leader) -> Subscription[Call, Event] | None:
        """None when it becomes pointless."""
        address = Address(leader.host, leader.port)
        self._subscribing = asyncio.create_task(
            subscribe(self._api, address, self._subscribe_call(), self._refused)
        )
        try:
            await asyncio.wait((self._subscribing,))
        finally:
            if self._subscribing.cancel():  # we are cancelled
                await asyncio.wait((self._subscribing,))
        return None if self._subscribing.cancelled() else self._subscribing.result()

    def _leader_changed(self) -> None:
        """Leave at once who leads no more: what is not sent yet is refused, or waits for the next one."""
        leader = self._following.leader
        if self._subscription is not None:
            if leader is None or leader.address != str(self._subscription.address):
                self._subscription.close("no master leads" if leader is None else f"{leader.address} leads")
        elif self._subscribing is not None:
            self._subscribing.cancel()
        self._nudge()

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.run())
        subscribed = asyncio.create_task(self._subscribed.wait())
        await asyncio.wait((self._running, subscribed), return_when=asyncio.FIRST_COMPLETED)
        subscribed.cancel()
        if self._running.done():
            await self._running
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._stopping:
            self.stop()
        if self._running is not None:
            await self._running

    # ── leaving ───────────────────────────────────────────────────────────────────────────────────
    def _finished(self) -> bool:
        return self._failed or (self._stopping and self._subscribed.is_set())

    def _nothing_to_leave(self) -> bool:
        """Stopped while away from the master, and nothing there that a TEARDOWN would have to end."""
        never_came = self.framework.id is None or not self.framework.failover_timeout
        return self._stopping and (self._failover or never_came)

    async def _leave(self) -> CallError | None:
        """Says goodbye; what was called before is delivered before. Returns why it was not heard, if it was not."""
        if self._subscription is None or self._failed:
            return None
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                if self._failover:
                    await self._subscription.calls.drain()
                else:
                    self._said_goodbye = True
                    await self._subscription.calls.call(self._call(Call.Type.TEARDOWN))
        except TimeoutError as error:
            raise Undelivered(f"the master did not answer within {_LEAVE_TIMEOUT_S:g} s") from error
        except Undelivered as error:
            return error
        except ApiError as error:
            if not error.not_subscribed:
                raise
            return error
        await self._unsubscribe()
        return None

    # ── events ────────────────────────────────────────────────────────────────────────────────────
    def _handle(self, event: Event) -> MaybeAwaitable:
        handler = self._handlers.get(event.type)
        return handler(event) if handler is not None else None

    def _on_subscribed(self, event: Event) -> MaybeAwaitable:
        if event.subscribed is None or self._subscription is None:
            return None
        self.framework.id = event.subscribed.framework_id
        self.master = event.subscribed.master_info
        interval_s = event.subscribed.heartbeat_interval_seconds or _HEARTBEAT_INTERVAL_S
        self._subscription.stream.watch(HEARTBEATS_MISSED_MAX * interval_s)
        self._subscribed.set()
        self._say_what_was_kept()
        return self.subscribed(event.subscribed.framework_id.value)

    def _on_inverse_offers(self, event: Event) -> MaybeAwaitable:
        return self.inverse_offers(event.inverse_offers.inverse_offers) if event.inverse_offers else None

    def _on_rescind_inverse_offer(self, event: Event) -> MaybeAwaitable:
        rescind = event.rescind_inverse_offer
        return self.inverse_offer_rescinded(rescind.inverse_offer_id) if rescind else None

    def _on_update(self, event: Event) -> MaybeAwaitable:
        if event.update is None:
            return None
        status = event.update.status
        self._questions.answered(status.task_id.value)
        told = self.update(status)
        if not self._auto_acknowledge:
            return told
        if told is None:
            self.acknowledge(status)
            return None
        return _then(told, lambda: self.acknowledge(status))

    def _on_operation_update(self, event: Event) -> MaybeAwaitable:
        if event.update_operation_status is None:
            return None
        status = event.update_operation_status.status
        told = self.operation_update(status)
        if not self._auto_acknowledge:
            return told
        if told is None:
            self.acknowledge_operation(status)
            return None
        return _then(told, lambda: self.acknowledge_operation(status))

    def _on_message(self, event: Event) -> MaybeAwaitable:
        message = event.message
        return self.message(message.agent_id, message.executor_id, message.data) if message else None

    def _on_failure(self, event: Event) -> MaybeAwaitable:
        failure = event.failure
        return self.failure(failure.agent_id, failure.executor_id, failure.status) if failure else None

    def _on_error(self, event: Event) -> MaybeAwaitable:
        self._failed = True
        if self._said_goodbye:  # to a master that was going, or removed us: there is nothing left to end
            return None
        return self.error(event.error.message if event.error else "")


async def _then(first: MaybeAwaitable, then: Callable[[], None]) -> None:
    if first is not None:
        await first
    then()
