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
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from koinon.mesos import codec, v1
from koinon.mesos.v1.scheduler import Call, Event, OfferConstraints
from koinon.sdk.client import BACKOFF_MAX_S, Client, MaybeAwaitable, as_id, backoff_s, log
from koinon.sdk.detector import Detector, detector_for
from koinon.sdk.errors import ApiError, CallError, FrameworkError, Undelivered
from koinon.sdk.subscription import Api, basic_authorization, subscribe

#: Missing so many heartbeats in a row means that the master, or the way to it, is gone.
HEARTBEATS_MISSED_MAX = 5

_HEARTBEAT_INTERVAL_S = 15.0

#: How long the master may take to confirm that we leave.
_LEAVE_TIMEOUT_S = 10.0

#: Calls that must not take effect twice. A repeated ACCEPT would lose the tasks that the first one launched.
_NOT_HARMLESS = frozenset((Call.Type.ACCEPT, Call.Type.MESSAGE, Call.Type.UPDATE_FRAMEWORK))

_Type = Event.Type
_Operation = v1.Offer.Operation


class Scheduler(Client[Call, Event]):
    """A framework's end of the scheduler API. Reconnects by itself, to whichever master leads.

    `master` is `host:port` or a Detector. With `framework.id` set, it takes over that framework. `credential` is
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
            )
        )
        self.framework = framework  #: as subscribed; `id` is filled in by the master
        self.master: v1.MasterInfo | None = None  #: who leads, once subscribed
        self._detector = detector_for(master) if isinstance(master, str) else master
        self._suppressed_roles = list(suppressed_roles)
        self._offer_constraints = offer_constraints
        self._auto_acknowledge = auto_acknowledge
        self._subscribed = asyncio.Event()
        self._failed = False
        self._stopping = False
        self._failover = False
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

    # ── for authors to call; those that are not async return at once ──────────────────────────────
    def launch(
        self,
        offers: v1.Offer | Iterable[v1.Offer],
        tasks: Iterable[v1.TaskInfo],
        *,
        refuse_s: float | None = None,
    ) -> None:
        """Launches tasks on one or more offers of one agent; declines what they leave for `refuse_s`."""
        launch = _Operation.Launch(task_infos=list(tasks))
        self.accept(offers, [_Operation(type=_Operation.Type.LAUNCH, launch=launch)], refuse_s=refuse_s)

    def launch_group(
        self,
        offers: v1.Offer | Iterable[v1.Offer],
        executor: v1.ExecutorInfo,
        tasks: Iterable[v1.TaskInfo],
        *,
        refuse_s: float | None = None,
    ) -> None:
        """Launches tasks that live and die together, under one executor."""
        group = _Operation.LaunchGroup(executor=executor, task_group=v1.TaskGroupInfo(tasks=list(tasks)))
        operation = _Operation(type=_Operation.Type.LAUNCH_GROUP, launch_group=group)
        self.accept(offers, [operation], refuse_s=refuse_s)

    def accept(
        self,
        offers: v1.Offer | Iterable[v1.Offer],
        operations: Iterable[v1.Offer.Operation],
        *,
        refuse_s: float | None = None,
    ) -> None:
        """Uses offers of one agent for operations; declines what they leave."""
        accept = Call.Accept(
            offer_ids=_offer_ids(offers), operations=list(operations), filters=_filters(refuse_s)
        )
        self.send(self._call(Call.Type.ACCEPT, accept=accept))

    def decline(self, offers: v1.Offer | Iterable[v1.Offer], *, refuse_s: float | None = None) -> None:
        """Gives offers back. The same resources are not offered again for `refuse_s`, by default 5 s."""
        decline = Call.Decline(offer_ids=_offer_ids(offers), filters=_filters(refuse_s))
        self.send(self._call(Call.Type.DECLINE, decline=decline))

    def accept_inverse_offers(self, inverse_offers: Iterable[v1.InverseOffer]) -> None:
        """Promises to be gone before the maintenance begins."""
        ids = [inverse_offer.id for inverse_offer in inverse_offers]
        accept = Call.AcceptInverseOffers(inverse_offer_ids=ids)
        self.send(self._call(Call.Type.ACCEPT_INVERSE_OFFERS, accept_inverse_offers=accept))

    def decline_inverse_offers(self, inverse_offers: Iterable[v1.InverseOffer]) -> None:
        """Tells the operator that the resources will still be in use."""
        ids = [inverse_offer.id for inverse_offer in inverse_offers]
        decline = Call.DeclineInverseOffers(inverse_offer_ids=ids)
        self.send(self._call(Call.Type.DECLINE_INVERSE_OFFERS, decline_inverse_offers=decline))

    def kill(
        self,
        task_id: str | v1.TaskID,
        agent_id: str | v1.AgentID | None = None,
        *,
        grace_s: float | None = None,
    ) -> None:
        """Kills a task, giving it `grace_s` to end by itself where that differs from its own policy."""
        policy = None
        if grace_s is not None:
            policy = v1.KillPolicy(grace_period=v1.DurationInfo(round(grace_s * 10**9)))
        kill = Call.Kill(
            task_id=as_id(v1.TaskID, task_id),
            agent_id=as_id(v1.AgentID, agent_id) if agent_id is not None else None,
            kill_policy=policy,
        )
        self.send(self._call(Call.Type.KILL, kill=kill))

    def revive(self, *roles: str) -> None:
        """Asks for offers again, refused resources too; for all our roles if none is named."""
        revive = Call.Revive(roles=list(roles)) if roles else None
        self.send(self._call(Call.Type.REVIVE, revive=revive))

    def suppress(self, *roles: str) -> None:
        """No offers any more until `revive`; for all our roles if none is named."""
        suppress = Call.Suppress(roles=list(roles)) if roles else None
        self.send(self._call(Call.Type.SUPPRESS, suppress=suppress))

    def reconcile(self, tasks: Mapping[str, str | None] | None = None) -> None:
        """Asks for the state of tasks, given as task id to agent id (or None); of all the master knows if empty."""
        asked = [
            Call.Reconcile.Task(
                task_id=v1.TaskID(task_id), agent_id=v1.AgentID(agent_id) if agent_id else None
            )
            for task_id, agent_id in (tasks or {}).items()
        ]
        self.send(self._call(Call.Type.RECONCILE, reconcile=Call.Reconcile(tasks=asked)))

    def acknowledge(self, status: v1.TaskStatus) -> None:
        """Acknowledges an update. One without a uuid needs none: then this does nothing."""
        if status.uuid is not None and status.agent_id is not None:
            acknowledge = Call.Acknowledge(agent_id=status.agent_id, task_id=status.task_id, uuid=status.uuid)
            self.send(self._call(Call.Type.ACKNOWLEDGE, acknowledge=acknowledge))

    def acknowledge_operation(self, status: v1.OperationStatus) -> None:
        """Acknowledges an operation's update, as `acknowledge` does."""
        if status.uuid is not None and status.operation_id is not None:
            acknowledge = Call.AcknowledgeOperationStatus(
                agent_id=status.agent_id,
                resource_provider_id=status.resource_provider_id,
                uuid=status.uuid.value,
                operation_id=status.operation_id,
            )
            self.send(
                self._call(Call.Type.ACKNOWLEDGE_OPERATION_STATUS, acknowledge_operation_status=acknowledge)
            )

    def send_message(self, agent_id: str | v1.AgentID, executor_id: str | v1.ExecutorID, data: bytes) -> None:
        """Sends data to an executor of ours. It may get lost."""
        message = Call.Message(
            agent_id=as_id(v1.AgentID, agent_id), executor_id=as_id(v1.ExecutorID, executor_id), data=data
        )
        self.send(self._call(Call.Type.MESSAGE, message=message))

    def shutdown_executor(self, agent_id: str | v1.AgentID, executor_id: str | v1.ExecutorID) -> None:
        """Ends an executor of ours and its tasks."""
        shutdown = Call.Shutdown(
            agent_id=as_id(v1.AgentID, agent_id), executor_id=as_id(v1.ExecutorID, executor_id)
        )
        self.send(self._call(Call.Type.SHUTDOWN, shutdown=shutdown))

    async def update_framework(
        self,
        framework: v1.FrameworkInfo,
        *,
        suppressed_roles: Iterable[str] = (),
        offer_constraints: OfferConstraints | None = None,
    ) -> None:
        """Changes what we are, all or nothing. Raises ApiError when refused, Undelivered when nobody answers."""
        framework.id = self.framework.id
        suppressed_roles = list(suppressed_roles)
        update = Call.UpdateFramework(
            framework_info=framework, suppressed_roles=suppressed_roles, offer_constraints=offer_constraints
        )
        await self.call(self._call(Call.Type.UPDATE_FRAMEWORK, update_framework=update))
        self.framework = framework
        self._suppressed_roles = suppressed_roles
        self._offer_constraints = offer_constraints

    def stop(self, *, failover: bool = False) -> None:
        """Makes `run()` return: with a TEARDOWN, which kills our tasks; or, to `failover`, leaving them running
        for the next instance, which has to come back within the framework's failover timeout.
        """
        self._stopping = True
        self._failover = failover
        self._nudge()

    async def run(self) -> None:
        """Subscribes, hands events to the methods above, reconnects; until `stop`.

        Raises ApiError when the master will not have us, and whatever the methods raise.
        """
        self._failed = False
        attempt = 0
        loop = asyncio.get_running_loop()
        try:
            while not self._nothing_to_leave():
                try:
                    address = await self._detector.detect()
                    subscription = await subscribe(self._api, address, self._subscribe_call(), self._refused)
                except OSError as error:
                    why = f"cannot subscribe: {error or 'timed out'}"
                except ApiError as error:
                    if error.status < 500:
                        raise
                    why = f"cannot subscribe yet: {error}"
                else:
                    began_s = loop.time()
                    subscription.stream.watch(HEARTBEATS_MISSED_MAX * _HEARTBEAT_INTERVAL_S)
                    lost = await self._follow(subscription)
                    if lost is None:
                        await self._leave()
                        return
                    self._subscribed.clear()
                    await self._unsubscribe()
                    if (told := self.disconnected()) is not None:
                        await told
                    why = f"disconnected: {lost}"
                    if loop.time() - began_s > BACKOFF_MAX_S:
                        attempt = 0
                attempt += 1
                pause_s = backoff_s(attempt)
                log.warning("%s; trying again in %.1f s", why, pause_s)
                await self._pause(pause_s)
        finally:
            self._subscribed.clear()
            if self._subscription is not None:
                self._subscription.close()
                self._subscription = None

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

    # ── subscribing and leaving ───────────────────────────────────────────────────────────────────
    def _subscribe_call(self) -> Call:
        return self._call(
            Call.Type.SUBSCRIBE,
            subscribe=Call.Subscribe(
                framework_info=self.framework,
                suppressed_roles=self._suppressed_roles,
                offer_constraints=self._offer_constraints,
            ),
        )

    def _call(self, kind: Call.Type, **body: object) -> Call:
        return Call(framework_id=self.framework.id, type=kind, **body)  # type: ignore[arg-type]

    def _finished(self) -> bool:
        return self._failed or (self._stopping and self._subscribed.is_set())

    def _nothing_to_leave(self) -> bool:
        """Stopped while away from the master, and nothing there that a TEARDOWN would have to end."""
        never_came = self.framework.id is None or not self.framework.failover_timeout
        return self._stopping and (self._failover or never_came)

    async def _leave(self) -> None:
        """Says goodbye; what was called before is delivered before."""
        if self._subscription is None or self._failed:
            return
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                if self._failover:
                    await self._subscription.calls.drain()
                else:
                    await self._subscription.calls.call(self._call(Call.Type.TEARDOWN))
        except TimeoutError as error:
            raise Undelivered(f"the master did not answer within {_LEAVE_TIMEOUT_S:g} s") from error
        finally:
            await self._unsubscribe()

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
        return self.error(event.error.message if event.error else "")


async def _then(first: MaybeAwaitable, then: Callable[[], None]) -> None:
    if first is not None:
        await first
    then()


def _offer_ids(offers: v1.Offer | Iterable[v1.Offer]) -> list[v1.OfferID]:
    return [offers.id] if isinstance(offers, v1.Offer) else [offer.id for offer in offers]


def _filters(refuse_s: float | None) -> v1.Filters | None:
    return v1.Filters(refuse_seconds=refuse_s) if refuse_s is not None else None
