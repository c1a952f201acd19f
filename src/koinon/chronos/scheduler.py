"""Chronos as a framework: what masters say, as events of the core; what the core says, as calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from koinon.chronos.core import events
from koinon.chronos.flags import ChronosFlags
from koinon.mesos import v1
from koinon.service.driver import Driver
from koinon.service.exits import Fatal


class ChronosScheduler(Driver):
    """Driven from `begin` to `end`. Events go to `tell`."""

    def __init__(
        self,
        flags: ChronosFlags,
        framework: v1.FrameworkInfo,
        *,
        tell: Callable[[events.Event], None],
        may_act: Callable[[], bool],
        failed: Callable[[Fatal], None],
    ) -> None:
        super().__init__(
            flags.master, framework, may_act=may_act, failed=failed, credential=flags.credential()
        )
        self._tell = tell

    # ── what the master says ──────────────────────────────────────────────────────────────────────
    def subscribed(self, framework_id: str) -> None:
        """See `Scheduler.subscribed`."""
        self._log.info("subscribed", master=self.master_address, framework_id=framework_id)
        self._tell(events.Subscribed(framework_id, self.master_address or ""))

    def disconnected(self) -> None:
        """See `Client.disconnected`."""
        self._tell(events.Disconnected())

    def offers(self, offers: list[v1.Offer]) -> None:
        """See `Scheduler.offers`."""
        self._tell(events.Offered(offers))

    def rescinded(self, offer_id: v1.OfferID) -> None:
        """See `Scheduler.rescinded`."""
        self._tell(events.Rescinded(offer_id.value))

    def update(self, status: v1.TaskStatus) -> None:
        """See `Scheduler.update`."""
        self._tell(events.Updated(status))

    # ── what the core says ────────────────────────────────────────────────────────────────────────
    def performers(self) -> Mapping[type, Callable[..., None]]:
        """What to do for effects that are calls."""
        return {
            events.Accept: self._accept,
            events.Decline: lambda effect: self.decline(effect.offer_ids, refuse_s=effect.refuse_s),
            events.Revive: lambda effect: self.revive(),
            events.Suppress: lambda effect: self.suppress(),
            events.Kill: lambda effect: self.kill(effect.task_id, effect.agent_id),
            # A new master does not know all at once: the SDK asks again for those that it says nothing about.
            events.Reconcile: lambda effect: self.reconcile(effect.tasks, until_answered=bool(effect.tasks)),
            events.Acknowledge: lambda effect: self.acknowledge(effect.status),
        }

    def _accept(self, effect: events.Accept) -> None:
        self.accept(effect.offer_ids, effect.operations, refuse_s=effect.refuse_s)


def framework_of(
    flags: ChronosFlags, *, framework_id: str | None, hostname: str, webui_url: str
) -> v1.FrameworkInfo:
    """What we tell the master about ourselves."""
    kind = v1.FrameworkInfo.Capability.Type
    capabilities = [kind.PARTITION_AWARE, kind.MULTI_ROLE]
    if flags.gpu_resources:
        capabilities.append(kind.GPU_RESOURCES)
    return v1.FrameworkInfo(
        id=None if framework_id is None else v1.FrameworkID(framework_id),
        name=flags.mesos_framework_name,
        user=flags.task_user,
        roles=[flags.mesos_role],
        failover_timeout=float(flags.failover_timeout),
        checkpoint=flags.mesos_checkpoint,
        hostname=hostname,
        webui_url=webui_url,
        principal=flags.mesos_authentication_principal,
        capabilities=[v1.FrameworkInfo.Capability(type=one) for one in capabilities],
    )
