"""Marathon's core: one public verb, `handle(event, now) -> effects`.

event ──▶ the part whose subject it is ──▶ state ──▶ effects
              what it touched ──▶ deployments, numbers of instances ──▶ more effects

changes      what people ask for; versions       instances/life         schedule, provision, change, end
deployments  accept, steps, finish, cancel       instances/ending       kill, give up, forget; kills: so many at once
planner      from definitions to steps           instances/health       checks of ours and of agents; readiness
courses      what an action does; canary         instances/unreachable  stand-ins, giving up
rolling      replace, as a pure function         updates                status updates, acknowledgements
selection    which ones go                       reconciliation         with the master, with what is defined
launching    offers, queue; backoff: delays      definitions            what is defined, and was
"""

from __future__ import annotations

from itertools import islice

from koinon.marathon.core import (
    canary,
    checks,
    courses,
    deployments,
    launching,
    reconciliation,
    records,
    updates,
)
from koinon.marathon.core.config import Config
from koinon.marathon.core.context import Core
from koinon.marathon.core.events import (
    CancelDeployment,
    ClockTicked,
    ContinueDeployment,
    Deploy,
    Disconnected,
    Effect,
    Event,
    KillInstances,
    Loaded,
    Offered,
    Probed,
    Refused,
    Rescinded,
    ResetDelay,
    Stored,
    Subscribed,
    Updated,
)
from koinon.marathon.core.instances import ending, health, readiness
from koinon.marathon.core.state import State
from koinon.marathon.model import Root

#: So many alarms go off in one tick, the others in the next.
_ALARMS_AT_ONCE = 500


class Marathon:
    """The state machine of the leading Marathon. Pure: time, seed and ids of deployments come from outside."""

    def __init__(self, config: Config, seed: int) -> None:
        self.config = config
        self._core = Core(config, seed)

    @property
    def state(self) -> State:
        """All there is; to be read."""
        return self._core.state

    @property
    def root(self) -> Root:
        """All definitions as they are now: what changes are computed from."""
        return self._core.state.root

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in what happened; returns what is to be done, in order. Raises Refused for requests."""
        core = self._core
        core.begin(now)
        if isinstance(event, Stored):
            return [*core.release(event.ticket), *core.end()]
        try:
            _handle(core, event)
        except Refused:
            core.give_up()
            raise
        _settle(core)
        return core.end()

    def next_wakeup(self, now: float) -> float | None:
        """When ClockTicked is due, at the latest; not after `now` if it is overdue. None: not before something happens."""
        return now if self._core.is_late else self._core.alarms.next_s()

    def check(self) -> None:
        """Raises AssertionError if a law of the state does not hold. Slow."""
        checks.check(self._core)


def _handle(core: Core, event: Event) -> None:
    if not core.state.loaded and not isinstance(event, Loaded):
        raise Refused(503, "This Marathon has not read its store yet.")
    match event:
        case Updated(status):
            updates.hear(core, status)
        case Offered(offers):
            launching.offered(core, offers)
        case Rescinded(offer_id):
            launching.rescinded(core, offer_id)
        case Probed():
            (readiness if event.key.startswith(readiness.PREFIX + "/") else health).answered(core, event)
        case ClockTicked():
            for action, subject in islice(core.alarms.go_off(core.now), _ALARMS_AT_ONCE):
                action(core, subject)
        case Deploy():
            deployments.deploy(core, event)
        case CancelDeployment():
            deployments.cancel(core, event)
        case ContinueDeployment():
            canary.go_on(core, event)
        case KillInstances():
            _kill(core, event)
        case ResetDelay(spec_id):
            launching.reset_delay(core, spec_id)
        case Subscribed():
            reconciliation.subscribed(core, event)
        case Disconnected():
            reconciliation.disconnected(core)
        case Loaded(entries):
            records.load(core.state, entries)
            reconciliation.took_over(core)
            deployments.resume(core)


def _kill(core: Core, event: KillInstances) -> None:
    for instance_id in sorted(event.instances):
        instance = core.state.instances.get(instance_id)
        if instance is None:
            continue
        if event.wipe:
            ending.decommission(core, instance)
        else:
            ending.kill(core, instance)


def _settle(core: Core) -> None:
    """Whatever has been touched goes on: with its deployment, or it is held against its definition."""
    state = core.state
    while core.touched or core.queued:
        while core.touched:
            path = next(iter(core.touched))
            del core.touched[path]
            if path in state.locks:
                deployments.look_soon(core, path)
            else:
                courses.keep(core, path)
        if core.queued:
            launching.settle(core)
