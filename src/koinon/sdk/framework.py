"""What a framework says: the calls of the scheduler API, as methods, and what becomes of them when no master leads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call, Event, OfferConstraints
from koinon.sdk.client import Client, as_id
from koinon.sdk.errors import CallError, CutOff, Undelivered
from koinon.sdk.kept import ANSWERS, KEPT, KeptCalls, Questions
from koinon.sdk.subscription import Api

_Operation = v1.Offer.Operation


class Framework(Client[Call, Event]):
    """A framework as far as it speaks; `Scheduler` is the whole.

    Methods that are not async return at once. While no master leads, KILL, SHUTDOWN, SUPPRESS, REVIVE and RECONCILE wait
    for the next one; all else is refused, as Undelivered: offers ended with the master, and so did what was to be done
    with them; messages get lost. Acknowledgements are forgotten: their updates come again. When the answer to an offer gets
    lost, the subscription ends, and all offers with it: else the master would keep for us what we do not know to have.
    """

    def __init__(
        self,
        api: Api[Call, Event],
        framework: v1.FrameworkInfo,
        suppressed_roles: Iterable[str],
        offer_constraints: OfferConstraints | None,
    ) -> None:
        super().__init__(api)
        self.framework = framework  #: as subscribed; `id` is filled in by the master
        self._suppressed_roles = set(suppressed_roles)
        self._offer_constraints = offer_constraints
        self._kept = KeptCalls()
        self._questions = Questions()
        self._asking: asyncio.TimerHandle | None = None

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
        offers: v1.Offer | Iterable[v1.Offer | v1.OfferID],
        operations: Iterable[v1.Offer.Operation],
        *,
        refuse_s: float | None = None,
    ) -> None:
        """Uses offers of one agent for operations; declines what they leave."""
        accept = Call.Accept(
            offer_ids=_offer_ids(offers), operations=list(operations), filters=_filters(refuse_s)
        )
        self.send(self._call(Call.Type.ACCEPT, accept=accept))

    def decline(
        self, offers: v1.Offer | Iterable[v1.Offer | v1.OfferID], *, refuse_s: float | None = None
    ) -> None:
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
        self._suppressed_roles -= set(roles or self._roles())
        revive = Call.Revive(roles=list(roles)) if roles else None
        self.send(self._call(Call.Type.REVIVE, revive=revive))

    def suppress(self, *roles: str) -> None:
        """No offers any more until `revive`, from later masters neither; for all our roles if none is named."""
        self._suppressed_roles |= set(roles or self._roles())
        suppress = Call.Suppress(roles=list(roles)) if roles else None
        self.send(self._call(Call.Type.SUPPRESS, suppress=suppress))

    def reconcile(
        self, tasks: Mapping[str, str | None] | None = None, *, until_answered: bool = False
    ) -> None:
        """Asks for the state of tasks, given as task id to agent id (or None); of all the master knows if empty.

        Without its agent a task that is out of reach is not known (TASK_UNKNOWN).

        A master does not answer for agents that it still waits for, as a new one does. `until_answered`: those tasks
        are asked for again, with growing pauses and at every new master, until an update about them has come.
        """
        asked = [
            Call.Reconcile.Task(
                task_id=v1.TaskID(task_id), agent_id=v1.AgentID(agent_id) if agent_id else None
            )
            for task_id, agent_id in (tasks or {}).items()
        ]
        self.send(self._call(Call.Type.RECONCILE, reconcile=Call.Reconcile(tasks=asked)))
        if until_answered:
            self._questions.asked(tasks or {}, self._now_s())
            self._ask_later()

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
        suppressed = set(suppressed_roles)
        update = Call.UpdateFramework(
            framework_info=framework,
            suppressed_roles=sorted(suppressed),
            offer_constraints=offer_constraints,
        )
        await self.call(self._call(Call.Type.UPDATE_FRAMEWORK, update_framework=update))
        self.framework = framework
        self._suppressed_roles = suppressed
        self._offer_constraints = offer_constraints

    def use_roles(self, roles: Iterable[str], *, suppressed_roles: Iterable[str] = ()) -> None:
        """Changes our roles, and those for which we want no offers; does not wait.

        Without a master it is what we subscribe with.
        """
        self.framework.roles = sorted(roles)
        self._suppressed_roles = set(suppressed_roles)
        if self._subscription is not None and self.framework.id is not None:
            update = Call.UpdateFramework(
                framework_info=self.framework,
                suppressed_roles=sorted(self._suppressed_roles),
                offer_constraints=self._offer_constraints,
            )
            self.send(self._call(Call.Type.UPDATE_FRAMEWORK, update_framework=update))

    def send(self, call: Call) -> None:
        """Sends any call and does not wait. If it fails, `call_refused` hears of it."""
        if self._subscription is not None:
            self._subscription.calls.send(call)
        else:
            self._refused(call, CutOff("no master leads us"))

    # ── over the changes of masters ───────────────────────────────────────────────────────────────
    def _call(self, kind: Call.Type, **body: object) -> Call:
        return Call(framework_id=self.framework.id, type=kind, **body)  # type: ignore[arg-type]

    def _roles(self) -> list[str]:
        return self.framework.roles or [self.framework.role or "*"]

    def _subscribe_call(self) -> Call:
        return self._call(
            Call.Type.SUBSCRIBE,
            subscribe=Call.Subscribe(
                framework_info=self.framework,
                suppressed_roles=sorted(self._suppressed_roles),
                offer_constraints=self._offer_constraints,
            ),
        )

    def _refused(self, call: Call, error: CallError) -> None:
        kept = isinstance(error, CutOff) and call.type in KEPT and self._kept.keep(call)
        answers = isinstance(error, Undelivered) and call.type in ANSWERS
        if (kept or answers) and self._subscription is not None:
            # The master may wait for ever for what we believe to have said, or hear it later than what we say next.
            self._subscription.close(f"a call was not delivered: {error}")
        if not kept:
            super()._refused(call, error)

    def _say_what_was_kept(self) -> None:
        """A master has taken us in."""
        for call in self._kept.take():
            call.framework_id = self.framework.id  # calls may be older than our id
            self.send(call)
        if self._questions.open:
            self.reconcile(self._questions.open, until_answered=True)

    def _drop_what_was_kept(self) -> None:
        """There will be no master any more."""
        for call in self._kept.take():
            super()._refused(call, CutOff("no master leads us"))
        if self._asking is not None:
            self._asking.cancel()

    def _ask_later(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        if (due_s := self._questions.due_s) is not None:
            self._asking = asyncio.get_running_loop().call_at(due_s, self._ask_again)

    def _ask_again(self) -> None:
        if self._questions.open and self._subscription is not None:
            self.reconcile(self._questions.open)
            self._questions.asked_again(self._now_s())
            self._ask_later()

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


def _offer_ids(offers: v1.Offer | Iterable[v1.Offer | v1.OfferID]) -> list[v1.OfferID]:
    if isinstance(offers, v1.Offer):
        return [offers.id]
    return [one.id if isinstance(one, v1.Offer) else one for one in offers]


def _filters(refuse_s: float | None) -> v1.Filters | None:
    return v1.Filters(refuse_seconds=refuse_s) if refuse_s is not None else None
