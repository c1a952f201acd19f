"""The master's core: one public verb, `handle(event, now) -> effects`.

event ──▶ the part whose subject it is ──▶ state, allocator ──▶ effects
                                                ClockTicked ──▶ alarms, offers

frameworks   subscribe, fail over, disconnect, remove     agents       register, admit, disconnect
offers       make, decline, rescind                       reports      what a returning agent brings
launch       accept                                       health       ping; removals: give up
tasks        tables and statuses of tasks                 departures   unreachable, gone, unregistered
updates      status updates, acknowledgements             operators    teardown, weights, the registry's care
calls        kill, message, revive, …                     why          reasons, for people
"""

from __future__ import annotations

from itertools import islice

from koinon.allocator import Allocator
from koinon.master.core import (
    agents,
    calls,
    checks,
    departures,
    executors,
    frameworks,
    health,
    launch,
    offers,
    operators,
    reconciliation,
    updates,
)
from koinon.master.core import why as reasons
from koinon.master.core.config import Config
from koinon.master.core.context import Core
from koinon.master.core.events import (
    AgentChannelClosed,
    AgentGoneRequested,
    AgentSaid,
    ClockTicked,
    Effect,
    Event,
    Refused,
    RegistryLoaded,
    RegistryStored,
    SchedulerCalled,
    SchedulerHasRoom,
    SchedulerStreamClosed,
    SchedulerSubscribed,
    TeardownRequested,
    WeightsUpdated,
    WhitelistChanged,
)
from koinon.master.core.state import Decision, Framework, State
from koinon.master.core.tables import AgentState
from koinon.master.core.validation.calls import check_call
from koinon.mesos import internal, v1
from koinon.mesos.v1.scheduler import Call

#: So many alarms go off in one tick, the others in the next: ten thousand agents are not pinged in one breath.
_ALARMS_AT_ONCE = 500

_CALL_COUNTERS = {kind: f"calls/{kind.name.lower()}" for kind in Call.Type}


class Master:
    """The state machine of the leading master. Pure: time, seed and ids come from outside."""

    def __init__(self, config: Config, *, master_info: v1.MasterInfo, seed: int, now: float) -> None:
        self.config = config
        self.master_info = master_info
        self._core = Core(config, master_info=master_info, seed=seed, now=now)

    @property
    def state(self) -> State:
        """All records; to be read."""
        return self._core.state

    @property
    def allocator(self) -> Allocator:
        """Shares, order, totals; to be read."""
        return self._core.allocator

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in what happened; returns what is to be done, in order. Raises Refused for bad calls."""
        core = self._core
        core.now = now
        core.effects = []
        _handle(core, event)
        return core.effects

    @property
    def allocation_wanted(self) -> bool:
        """Something changed that may lead to offers: hand in ClockTicked before this loop turn ends."""
        core = self._core
        return core.state.recovered and core.allocator.next_wakeup(core.now) <= core.now

    def next_wakeup(self, now: float) -> float:
        """When the next ClockTicked is due, at the latest; not after `now` if it is overdue."""
        core = self._core
        alarm_s = core.alarms.next_s()
        allocation_s = core.allocator.next_wakeup(now)
        return allocation_s if alarm_s is None else min(alarm_s, allocation_s)

    def why(self, object_id: str, framework_id: str | None = None) -> list[Decision]:
        """Why the framework, or the task (of `framework_id`, or of any), with this id has what it has, or waits.

        Empty if there is none.
        """
        return reasons.why(self._core, object_id, framework_id)

    def check(self) -> None:
        """Raises AssertionError if a law of the state does not hold. Slow."""
        checks.check(self._core)


def _handle(core: Core, event: Event) -> None:
    match event:
        case SchedulerCalled():
            _call(core, event)
        case AgentSaid(channel_id, message):
            _hear(core, channel_id, message)
        case ClockTicked():
            _tick(core)
        case RegistryStored(ticket):
            core.stored(ticket)
        case SchedulerSubscribed():
            _demand_recovered(core)
            check_call(event.call)
            frameworks.subscribe(core, event)
        case SchedulerStreamClosed(stream_id, reason):
            if (framework := core.streams.get(stream_id)) is not None:
                frameworks.disconnect(core, framework, reason)
        case SchedulerHasRoom(stream_id):
            if (framework := core.streams.get(stream_id)) is not None:
                reconciliation.answer_some(core, framework)
        case AgentChannelClosed(channel_id):
            agents.channel_closed(core, channel_id)
        case RegistryLoaded(entries, epoch):
            operators.load(core, entries, epoch)
        case TeardownRequested():
            operators.tear_down(core, event)
        case WeightsUpdated():
            operators.set_weights(core, event)
        case WhitelistChanged(hostnames):
            core.allocator.set_whitelist(hostnames)
        case AgentGoneRequested():
            operators.declare_gone(core, event)


def _demand_recovered(core: Core) -> None:
    if not core.state.recovered:
        raise Refused(503, "The master has not read the registry yet.")


def _tick(core: Core) -> None:
    for action, subject in islice(core.alarms.go_off(core.now), _ALARMS_AT_ONCE):
        action(core, subject)
    if core.state.recovered and core.allocator.next_wakeup(core.now) <= core.now:
        offers.allocate(core)


# ── scheduler calls ───────────────────────────────────────────────────────────────────────────────
def _call(core: Core, event: SchedulerCalled) -> None:
    _demand_recovered(core)
    call = event.call
    check_call(call)
    framework = _caller(core, event)
    framework.counters["calls"] += 1
    framework.counters[_CALL_COUNTERS[call.type]] += 1  # type: ignore[index]
    # check_call has seen to it that the body is there.
    match call.type:
        case Call.Type.ACKNOWLEDGE:
            updates.acknowledge(core, framework, call.acknowledge)  # type: ignore[arg-type]
        case Call.Type.ACCEPT:
            launch.accept(core, framework, call.accept)  # type: ignore[arg-type]
        case Call.Type.DECLINE:
            offers.decline(core, framework, call.decline)  # type: ignore[arg-type]
        case Call.Type.KILL:
            calls.kill(core, framework, call.kill)  # type: ignore[arg-type]
        case Call.Type.REVIVE:
            calls.revive(core, framework, call.revive)
        case Call.Type.SUPPRESS:
            calls.suppress(core, framework, call.suppress)
        case Call.Type.RECONCILE:
            reconciliation.reconcile(core, framework, call.reconcile)  # type: ignore[arg-type]
        case Call.Type.RECONCILE_OPERATIONS:
            reconciliation.reconcile_operations(core, framework, call.reconcile_operations)  # type: ignore[arg-type]
        case Call.Type.MESSAGE:
            calls.message_to_executor(core, framework, call.message)  # type: ignore[arg-type]
        case Call.Type.SHUTDOWN:
            calls.shut_down_executor(core, framework, call.shutdown)  # type: ignore[arg-type]
        case Call.Type.UPDATE_FRAMEWORK:
            frameworks.update(core, framework, call.update_framework)  # type: ignore[arg-type]
        case Call.Type.TEARDOWN:
            core.state.counters["messages_unregister_framework"] += 1
            core.decide(framework, "torn_down", "torn down by itself")
            frameworks.remove(core, framework)
        case _:
            # REQUEST is passed over by this allocator; there are no inverse offers, nor operations, to answer.
            calls.note_without_effect(core, call)


def _caller(core: Core, event: SchedulerCalled) -> Framework:
    """The subscribed framework that makes the call. Raises Refused."""
    framework_id = event.call.framework_id
    assert framework_id is not None
    framework = core.state.frameworks.get(framework_id.value)
    if framework is None:
        raise Refused(400, f"Framework {framework_id.value} is not known: subscribe first.")
    principal = framework.info.principal
    if event.principal is not None and principal is not None and event.principal != principal:
        raise Refused(
            400, f"The framework's principal is '{principal}', but '{event.principal}' authenticated."
        )
    if framework.stream_id is None:
        raise Refused(403, f"Framework {framework.id} is not subscribed.")
    if event.stream_id is None:
        raise Refused(400, "Every call but SUBSCRIBE must carry the header 'Mesos-Stream-Id'.")
    if event.stream_id != framework.stream_id:
        raise Refused(400, f"'{event.stream_id}' is not the Mesos-Stream-Id of the framework's subscription.")
    return framework


# ── agents ────────────────────────────────────────────────────────────────────────────────────────
def _hear(core: Core, channel_id: str, message: internal.AgentMessage) -> None:
    if isinstance(message, internal.Register):
        agents.register(core, channel_id, message)
        return
    agent = core.channels.get(channel_id)
    if agent is None:  # not admitted yet, or replaced by a younger channel
        agents.hear_joining(core, channel_id, message)
        return
    match message:
        case internal.Update():
            updates.update(core, agent, message)
        case internal.Pong():
            health.pong(core, agent)
        case internal.ExecutorMessage():
            calls.message_to_scheduler(core, agent, message)
        case internal.ExecutorExited():
            executors.exited(core, agent, message)
        case internal.Unregister():
            core.state.counters["messages_unregister_slave"] += 1
            # A younger process of it may be registering on another channel; then it is that one's word that counts.
            if agent.state is AgentState.CONNECTED and agent.id not in core.state.joining:
                departures.leave(core, agent, departures.UNREGISTERED)
