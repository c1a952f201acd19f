"""Launching: runs that may start and offers that come are brought together.

    offers ──▶ held ──┐                  ┌─▶ the run is `launching`, stored with its job ─▶ Accept
                      ├─▶ run after run ─┤
    due ──▶ queue ────┘                  └─▶ Decline: nobody here has a use for it

A round is cut into turns, each with a commit of its own: the first tasks are on their way while others are still placed.

Jobs of high priority first, then whoever waits longest. Nobody stands in the way of others: who finds no room waits, and the
next is tried. What one job found no room for has none for a job that wants the same, until more is offered.

Offers are kept a little after they were of use, since jobs tend to be due together; then they go back, so that others have them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from msgspec.structs import replace

from koinon.chronos.core import due
from koinon.chronos.core.context import Core
from koinon.chronos.core.events import Accept, Decline, Revive, Suppress
from koinon.chronos.core.state import Held, Waiting
from koinon.chronos.model import Job
from koinon.mesos import v1

_Operation = v1.Offer.Operation

#: How many places are tried in one turn: some 10 ms.
_SLICE = 1_000
#: Once it has launched so many a turn begins with no other agent. What it has used of is offered again only later.
_LAUNCHES = 100
_PAUSE_S = 0.001
#: So long after something was wanted last offers are kept.
_LINGER_S = 1.0
#: No offer is kept longer than that while it is of no use.
_PATIENCE_S = 5.0
#: Revivals that may go out one after another.
_CREDIT = 5.0
#: Reasons kept of one run.
_REASONS_MAX = 20


# ── what happens ──────────────────────────────────────────────────────────────────────────────────
def offered(core: Core, offers: Iterable[v1.Offer]) -> None:
    """Offers have come."""
    known = core.state.offers
    for offer in offers:
        agent_id = offer.agent_id.value
        held = known.held.get(agent_id)
        if held is None:
            held = known.held[agent_id] = Held(core.room(offer), since=core.now)
        else:
            held.room.add(offer)
            held.refused.clear()
        held.offer_ids.append(offer.id)
        known.agents[offer.id.value] = agent_id
    core.unsettled = True


def rescinded(core: Core, offer_id: str) -> None:
    """An offer is void. What else there is of its agent's goes back, and comes again."""
    agent_id = core.state.offers.agents.get(offer_id)
    if agent_id is not None:
        left = [one for one in _let_go(core, agent_id) if one.value != offer_id]
        if left:
            core.effects.append(Decline(left, 0.0))


def subscribed(core: Core) -> None:
    """A master has taken us in; it sends offers until it is told otherwise."""
    disconnected(core)
    core.state.offers.suppressed = False
    core.unsettled = True


def disconnected(core: Core) -> None:
    """No master hears us: all offers are void."""
    core.state.offers.held.clear()
    core.state.offers.agents.clear()


def settle(core: Core, _: str = "") -> None:
    """What waits has changed, or what is offered: whatever fits is launched."""
    core.unsettled = False
    if core.state.master is None:
        return
    if _place(core):
        _give_back(core)
        _tell_wishes(core)
    else:
        core.alarms.set(core.now + _PAUSE_S, settle)


# ── a round ───────────────────────────────────────────────────────────────────────────────────────
def _place(core: Core) -> bool:
    """Launches what fits; False if it has to go on in another turn, which tries nothing again that found no room."""
    offers = core.state.offers
    if core.state.queue:
        offers.wanted_at = core.now
    else:
        offers.reasons.clear()
    rooms = list(offers.held.values())
    tried: dict[Hashable, int] = {}  # by what is wanted: so many of the rooms have no place for that
    budget, launches = _SLICE, 0
    # What may start because something was launched is in the queue then, and has its turn in the next round.
    for waiting in _in_order(core) if rooms else ():
        job = core.state.jobs[waiting.run.job]
        wants = _wants(job)
        waiting.reasons = offers.reasons.setdefault(wants, {})
        at = tried.get(wants, 0)
        while at < len(rooms) and budget > 0:
            held = rooms[at]
            if launches >= _LAUNCHES and not held.tasks:
                budget = 0
                break
            if wants not in held.refused:
                budget -= 1
                if _launch(core, waiting, job, held):
                    launches += 1
                    break
                held.refused.add(wants)
            at += 1
        tried[wants] = at
        if budget <= 0:
            break
    _accept(core)
    return budget > 0


def _in_order(core: Core) -> Iterable[Waiting]:
    urgent, queue = core.state.urgent, core.state.queue
    yield from list(urgent.values())
    for run_id in list(queue):
        # Whoever was launched since is in neither.
        if run_id not in urgent and (waiting := queue.get(run_id)) is not None:
            yield waiting


def _wants(job: Job) -> Hashable:
    """Jobs that are alike in this find room in the same places."""
    return (job.cpus, job.mem, job.disk, job.gpus, job.constraints)


def _launch(core: Core, waiting: Waiting, job: Job, held: Held) -> bool:
    """Whether there is room; if so, the intent is noted."""
    run = waiting.run
    if not waiting.stored:
        job, run = due.launched(core, run)
    found = held.room.place(job, run)
    if isinstance(found, str):
        _note_reason(waiting, held.room.hostname, found)
        return False
    assert found.task_id.value == run.id, f"{found.task_id.value} is not {run.id}"
    if not waiting.stored:
        core.put_job(job)
    core.put_run(
        replace(
            run,
            state="launching",
            launched=core.wall,
            agent_id=held.room.agent_id,
            hostname=held.room.hostname,
        )
    )
    core.sent[run.id] = core.now
    held.tasks.append(found)
    return True


def _note_reason(waiting: Waiting, hostname: str, reason: str) -> None:
    waiting.reasons.pop(hostname, None)
    waiting.reasons[hostname] = reason
    if len(waiting.reasons) > _REASONS_MAX:
        del waiting.reasons[next(iter(waiting.reasons))]


def _accept(core: Core) -> None:
    """What was placed is launched; what is left of the offers comes back at once."""
    for agent_id, held in list(core.state.offers.held.items()):
        if held.tasks:
            launch = _Operation.Launch(task_infos=held.tasks)
            operation = _Operation(type=_Operation.Type.LAUNCH, launch=launch)
            core.effects.append(Accept(_let_go(core, agent_id), [operation], 0.0))


def _let_go(core: Core, agent_id: str) -> list[v1.OfferID]:
    held = core.state.offers.held.pop(agent_id)
    for offer_id in held.offer_ids:
        del core.state.offers.agents[offer_id.value]
    return held.offer_ids


# ── offers that are of no use ─────────────────────────────────────────────────────────────────────
def _give_back(core: Core) -> None:
    offers = core.state.offers
    unused: list[v1.OfferID] = []
    keep_until: list[float] = []
    for agent_id, held in list(offers.held.items()):
        until = min(offers.wanted_at + _LINGER_S, held.since + _PATIENCE_S)
        if core.now < until:
            keep_until.append(until)
        else:
            unused += _let_go(core, agent_id)
    if unused:
        # While something waits others may have them for a moment only.
        refuse_s = _LINGER_S if core.state.queue else core.config.decline_offer_duration_s
        core.effects.append(Decline(unused, refuse_s))
    if keep_until:
        core.alarms.set(min(keep_until) + _PAUSE_S, settle)


# ── what the master is told ───────────────────────────────────────────────────────────────────────
def _tell_wishes(core: Core) -> None:
    """Offers are wanted when something waits and nothing is at hand; none are when nothing has waited for a while."""
    offers = core.state.offers
    if core.state.queue:
        core.alarms.cancel(_suppress)
        if not offers.held and _may_revive(core):
            offers.suppressed = False
            core.effects.append(Revive())
            # It may be lost on the way: said again if it is still true then.
            core.alarms.set(core.now + max(core.config.min_revive_offers_interval_s, _LINGER_S), settle)
    elif not offers.suppressed and not core.alarms.is_set(_suppress):
        core.alarms.set(core.now + core.config.min_revive_offers_interval_s, _suppress)


def _may_revive(core: Core) -> bool:
    offers, interval_s = core.state.offers, core.config.min_revive_offers_interval_s
    if interval_s <= 0:
        return True
    passed = _CREDIT if offers.credited_at is None else (core.now - offers.credited_at) / interval_s
    offers.credit = max(0.0, min(_CREDIT, offers.credit + passed))
    offers.credited_at = core.now
    if offers.credit >= 1.0:
        offers.credit -= 1.0
        return True
    core.alarms.set(core.now + (1.0 - offers.credit) * interval_s + _PAUSE_S, settle)
    return False


def _suppress(core: Core, _: str) -> None:
    """Nothing has waited for a while."""
    if core.state.master is not None and not core.state.queue:
        core.state.offers.suppressed = True
        core.effects.append(Suppress())
