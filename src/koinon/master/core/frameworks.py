"""Frameworks: subscribed, disconnected, subscribed again, changed, removed.

    (new) ──SUBSCRIBE──▶ subscribed ◀──SUBSCRIBE── disconnected
    recovered ──────────────▲ └──── stream closed ────▲ │
        └─ known from agents    └── torn down ──▶ completed ◀── failover timeout

A second SUBSCRIBE with the same id is a *failover*: the new stream replaces the old one. *Recovered* frameworks
are known from the tasks that agents bring; no timeout runs for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from koinon.allocator import Minimum, RoleConstraints, compile_constraints, minimum_from_v1
from koinon.master.core import executors, offers, tasks
from koinon.master.core.context import Core
from koinon.master.core.events import (
    CloseStream,
    FrameworkAdded,
    FrameworkRemoved,
    FrameworkUpdated,
    Refused,
    SchedulerSubscribed,
)
from koinon.master.core.state import Framework
from koinon.master.core.tables import FRAMEWORK_MOVES, FrameworkState, OfferState, check_move
from koinon.master.core.validation.frameworks import capabilities_of, framework_problem, roles_of
from koinon.mesos import internal, v1
from koinon.mesos.states import TERMINAL
from koinon.mesos.v1.scheduler import Call, Event, OfferConstraints

HEARTBEAT = Event(type=Event.Type.HEARTBEAT)


# ── subscription ──────────────────────────────────────────────────────────────────────────────────
def subscribe(core: Core, event: SchedulerSubscribed) -> None:
    """Opens a subscription, or says ERROR on the stream and ends it."""
    body = event.call.subscribe
    assert body is not None  # checked with the form of the call
    info = body.framework_info
    if info.principal is None:
        info.principal = event.principal
    elif event.principal is not None and event.principal != info.principal:
        raise Refused(
            400, f"The framework's principal is '{info.principal}', but '{event.principal}' authenticated."
        )
    framework_id = None if info.id is None or info.id.value == "" else info.id.value
    known = None if framework_id is None else core.state.frameworks.get(framework_id)
    core.state.counters[
        "messages_register_framework" if known is None else "messages_reregister_framework"
    ] += 1
    problem = framework_problem(
        info,
        body.suppressed_roles,
        body.offer_constraints,
        root_submissions=core.config.root_submissions,
    )
    if framework_id in core.state.completed_frameworks:
        problem = "Framework has been removed"
    elif problem is None and known is not None and info.principal != known.info.principal:
        problem = "The framework's principal cannot change."
    if problem is not None:
        core.fail_stream(event.stream_id, problem)
        return
    if known is None:
        framework = _add(core, framework_id or _new_id(core), info, body)
    else:
        framework = known
        _resubscribe(core, known, info, body)
    _open_stream(core, framework, event.stream_id)


def _new_id(core: Core) -> str:
    return f"{core.master_info.id}-{core.next_number('framework'):04d}"


def _add(core: Core, framework_id: str, info: v1.FrameworkInfo, body: Call.Subscribe) -> Framework:
    info.id = v1.FrameworkID(framework_id)
    framework = make(core, info, FrameworkState.SUBSCRIBED)
    framework.suppressed = set(body.suppressed_roles)
    framework.offer_constraints = body.offer_constraints
    framework.registered_s = framework.reregistered_s = core.now
    core.state.frameworks[framework_id] = framework
    _add_to_allocator(core, framework)
    core.announce(FrameworkAdded(framework))
    return framework


def make(core: Core, info: v1.FrameworkInfo, state: FrameworkState) -> Framework:
    """A new record, in no table yet."""
    assert info.id is not None
    check_move(FRAMEWORK_MOVES, None, state, info)
    return Framework(
        id=info.id.value,
        info=info,
        roles=roles_of(info),
        suppressed=set(),
        capabilities=capabilities_of(info),
        state=state,
        completed_tasks=deque(maxlen=core.config.max_completed_tasks_per_framework),
    )


def recover(core: Core, info: v1.FrameworkInfo) -> Framework:
    """An agent brings work of a framework that has not subscribed to us."""
    framework = make(core, info, FrameworkState.RECOVERED)
    framework.registered_s = framework.reregistered_s = core.now
    core.state.frameworks[framework.id] = framework
    _add_to_allocator(core, framework)
    core.announce(FrameworkAdded(framework))
    return framework


def _resubscribe(core: Core, framework: Framework, info: v1.FrameworkInfo, body: Call.Subscribe) -> None:
    if framework.stream_id is not None:
        core.send(framework, _failed_over())
        _close_stream(core, framework)
    offers.end_all(core, framework.offers.values(), OfferState.DISCARDED)
    if framework.recovered:
        framework.registered_s = core.now
    framework.reregistered_s = core.now
    _move(framework, FrameworkState.SUBSCRIBED)
    framework.disconnected_s = 0.0
    core.alarms.cancel(give_up, framework.id)
    # These two may not change; who sends others keeps the old ones.
    info.user, info.checkpoint = framework.info.user, framework.info.checkpoint
    _change(core, framework, info, body.suppressed_roles, body.offer_constraints)
    core.allocator.activate_framework(framework.id)
    core.announce(FrameworkUpdated(framework))


def _failed_over() -> Event:
    return Event(type=Event.Type.ERROR, error=Event.Error("Framework failed over"))


def _open_stream(core: Core, framework: Framework, stream_id: str) -> None:
    framework.stream_id = stream_id
    core.streams[stream_id] = framework
    framework.counters["subscribed"] = 1
    framework.counters["calls"] += 1
    framework.counters["calls/subscribe"] += 1
    subscribed = Event.Subscribed(
        framework_id=v1.FrameworkID(framework.id),
        heartbeat_interval_seconds=core.config.heartbeat_interval_s,
        master_info=core.master_info,
    )
    core.send(framework, Event(type=Event.Type.SUBSCRIBED, subscribed=subscribed))
    core.send(framework, HEARTBEAT)
    tell_agents(core, framework)


def tell_agents(core: Core, framework: Framework) -> None:
    """Agents that work for the framework learn its info; they repeat what it has not acknowledged."""
    for agent_id in agents_of(framework):
        core.tell(core.state.agents[agent_id], internal.UpdateFramework(framework=framework.info))


def agents_of(framework: Framework) -> list[str]:
    """The agents that have tasks or executors of the framework."""
    return list(
        dict.fromkeys([task.agent_id for task in framework.tasks.values()] + list(framework.executors))
    )


def send_heartbeats(core: Core, _: str) -> None:
    """Every open subscription hears a HEARTBEAT; two of them are never further apart than the interval."""
    for framework in core.streams.values():
        core.send(framework, HEARTBEAT)
    core.alarms.set(core.now + core.config.heartbeat_interval_s, send_heartbeats)


def _close_stream(core: Core, framework: Framework) -> None:
    if framework.stream_id is not None:
        core.effects.append(CloseStream(framework.stream_id))
        forget_stream(core, framework)


def forget_stream(core: Core, framework: Framework) -> None:
    """The framework's stream is no more."""
    if framework.stream_id is not None:
        del core.streams[framework.stream_id]
        framework.stream_id = None
        framework.counters["subscribed"] = 0
        framework.questions.clear()


def disconnect(core: Core, framework: Framework, reason: str) -> None:
    """Its stream broke: no more offers, and the failover timeout runs."""
    forget_stream(core, framework)
    _move(framework, FrameworkState.DISCONNECTED)
    framework.disconnected_s = core.now
    offers.end_all(core, framework.offers.values(), OfferState.DISCARDED)
    core.allocator.deactivate_framework(framework.id)
    timeout_s = framework.info.failover_timeout
    core.decide(
        framework,
        "disconnected",
        f"disconnected{': ' + reason if reason else ''}; removed unless it is back within {timeout_s:g} s",
    )
    core.announce(FrameworkUpdated(framework))
    if timeout_s == 0.0:
        remove(core, framework)
    else:
        core.alarms.set(core.now + timeout_s, give_up, framework.id)


def give_up(core: Core, framework_id: str) -> None:
    """The failover timeout is over."""
    remove(core, core.state.frameworks[framework_id])


# ── change ────────────────────────────────────────────────────────────────────────────────────────
def update(core: Core, framework: Framework, call: Call.UpdateFramework) -> None:
    """UPDATE_FRAMEWORK: all or nothing."""
    info, old = call.framework_info, framework.info
    problem = framework_problem(
        info,
        call.suppressed_roles,
        call.offer_constraints,
        root_submissions=core.config.root_submissions,
    )
    if info.principal is None:
        info.principal = old.principal
    for field in ("principal", "user", "checkpoint"):
        if problem is None and getattr(info, field) != getattr(old, field):
            problem = f"The framework's '{field}' cannot change."
    if problem is not None:
        raise Refused(400, problem)
    _change(core, framework, info, call.suppressed_roles, call.offer_constraints)
    tell_agents(core, framework)
    core.announce(FrameworkUpdated(framework))


def _change(
    core: Core,
    framework: Framework,
    info: v1.FrameworkInfo,
    suppressed: list[str],
    constraints: OfferConstraints | None,
) -> None:
    framework.info = info
    framework.roles = roles_of(info)
    framework.capabilities = capabilities_of(info)
    framework.suppressed = set(suppressed)
    framework.offer_constraints = constraints
    foreign = [offer for offer in framework.offers.values() if offer.role not in framework.roles]
    offers.end_all(core, foreign, OfferState.RESCINDED)
    core.allocator.update_framework(
        framework.id,
        framework.roles,
        suppressed=framework.suppressed,
        capabilities=framework.capabilities,
        minima=_minima(framework),
        constraints=_constraints(framework),
    )


def _add_to_allocator(core: Core, framework: Framework) -> None:
    core.allocator.add_framework(
        framework.id,
        framework.roles,
        suppressed=framework.suppressed,
        capabilities=framework.capabilities,
        minima=_minima(framework),
        constraints=_constraints(framework),
        active=framework.active,
    )


def _minima(framework: Framework) -> Mapping[str, Minimum]:
    found = {role: minimum_from_v1(filters) for role, filters in framework.info.offer_filters.items()}
    return {role: minimum for role, minimum in found.items() if minimum is not None}


def _constraints(framework: Framework) -> Mapping[str, RoleConstraints]:
    return compile_constraints(framework.offer_constraints, framework.roles)


# ── removal ───────────────────────────────────────────────────────────────────────────────────────
def remove(core: Core, framework: Framework) -> None:
    """The framework is completed: its tasks are killed, its offers void, its stream ends."""
    for agent_id in agents_of(framework):
        core.tell(core.state.agents[agent_id], internal.ShutdownFramework(framework_id=framework.id))
    _free(core, framework)
    for task in list(framework.tasks.values()):
        agent = core.state.agents[task.agent_id]
        if task.state not in TERMINAL:
            tasks.end_by_master(
                core,
                framework,
                agent,
                task,
                v1.TaskState.TASK_KILLED,
                tasks.Reason.REASON_FRAMEWORK_REMOVED,
                "The framework was removed.",
                with_framework=True,
            )
        tasks.complete(framework, agent, task)
    tasks.forget_lost(core, framework)
    for agent_id, of_agent in list(framework.executors.items()):
        for executor in list(of_agent.values()):
            executors.remove(core, framework, core.state.agents[agent_id], executor, frees=False)
    core.alarms.cancel(give_up, framework.id)
    _close_stream(core, framework)
    _move(framework, FrameworkState.COMPLETED)
    framework.unregistered_s = core.now
    del core.state.frameworks[framework.id]
    completed = core.state.completed_frameworks
    completed[framework.id] = framework
    while len(completed) > core.config.max_completed_frameworks:
        del completed[next(iter(completed))]
    core.announce(FrameworkRemoved(framework))


def _free(core: Core, framework: Framework) -> None:
    """All that the framework holds is given back at once: task by task it would take several times as long."""
    core.allocator.remove_framework(framework.id)
    for offer in list(framework.offers.values()):
        offers.end(core, offer, OfferState.DISCARDED, returns=False)
    for agent_id in framework.used:
        del core.state.agents[agent_id].used[framework.id]
    framework.used.clear()


def _move(framework: Framework, state: FrameworkState) -> None:
    check_move(FRAMEWORK_MOVES, framework.state, state, framework.decisions)
    framework.state = state
