"""Launching: instances that wait and offers that come are brought together.

    offers ──▶ held ──┐                           ┌─▶ Accept: instances provisioned, stored, launched
                      ├─▶ rounds, app after app ──┤
    Scheduled ▶ queue ┘                           └─▶ Decline: nobody here has a use for it

A *round* gives each app one instance in turn, until no app finds a place any more, or no launch tokens are left. A round
over many offers and apps goes on for several turns, so that none of them takes long. What it places is noted with the
held offers; only at its end, when all that goes to an agent is known, the offers are accepted.

Whether offers are wanted at all is told the master role by role: see `wishes.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec.structs import replace

from koinon.marathon.core import backoff, wishes
from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Accept, Decline, Refused
from koinon.marathon.core.instances import life
from koinon.marathon.core.queue import Held, Placed, Waiting
from koinon.marathon.matching import Match, Placements, Unmatched, launch_operation, match, wanted_of
from koinon.marathon.model import Instance, ids
from koinon.marathon.model.root import RunSpec
from koinon.mesos import v1

_Operation = v1.Offer.Operation

#: How much is tried in one turn: so many refusals take some 10 ms.
_SLICE = 4_000
#: What a placement costs, in refusals.
_PLACING = 20
#: And to take in an offer.
_HOLDING = 10
#: Until the next turn of a round: others have theirs meanwhile.
_PAUSE_S = 0.001
#: So long after something was wanted last offers are kept that nobody needs: more may be wanted, and have them at once.
_LINGER_S = 1.0
#: No offer is kept longer than that.
_PATIENCE_S = 5.0
#: What is left of an offer that was used is offered again within that time, most likely.
_RETURN_S = 0.5


# ── what happens ──────────────────────────────────────────────────────────────────────────────────
def offered(core: Core, offers: Iterable[v1.Offer]) -> None:
    """Offers have come."""
    core.state.launches.incoming.update((offer.id.value, offer) for offer in offers)
    settle(core)


def rescinded(core: Core, offer_id: str) -> None:
    """An offer is void. What is left of its agent's goes back, and comes again."""
    core.state.launches.incoming.pop(offer_id, None)
    held = core.state.launches.offers.get(offer_id)
    if held is not None:
        left = [offer.id for offer in held.offers if offer.id.value != offer_id]
        _let_go(core, held)
        if left:
            core.effects.append(Decline(left, 0.0))


def subscribed(core: Core) -> None:
    """A master has taken us in; it knows nothing of what we wanted of another one."""
    disconnected(core)
    core.state.launches.settings = replace(core.config.matching, region=core.state.region)
    wishes.begin(core)
    _refresh_tokens(core)
    settle(core)


def disconnected(core: Core) -> None:
    """No master hears us: all offers are void."""
    core.state.launches.incoming.clear()
    for held in list(core.state.launches.held.values()):
        _let_go(core, held)


def reset_delay(core: Core, spec_id: str) -> None:
    """It is launched at once, whatever happened before. Raises Refused (404) if nothing of it waits."""
    if spec_id not in core.state.scheduled:
        raise Refused(404, f"Nothing of '{spec_id}' waits to be launched")
    backoff.reset(core, spec_id)


def settle(core: Core) -> None:
    """What waits has changed, or offers are there: the queue is brought up to date, and what can be placed is."""
    _update_queue(core)
    _place(core)
    _update_queue(core)
    wishes.tell(core)


# ── the queue ─────────────────────────────────────────────────────────────────────────────────────
def _update_queue(core: Core) -> None:
    while core.queued:
        spec_id, _ = core.queued.popitem()
        _update_spec(core, spec_id)


def _update_spec(core: Core, spec_id: str) -> None:
    state = core.state
    by_config: dict[str, list[str]] = {}
    for instance_id in state.scheduled.get(spec_id, ()):
        by_config.setdefault(state.instances[instance_id].config, []).append(instance_id)
    known = state.launches.queue.get(spec_id, {})
    for config in known.keys() - by_config.keys():
        waiting = known.pop(config)
        waiting.instances.clear()
        wishes.note(core, waiting)
    for config, waiting_ids in by_config.items():
        spec = life.definition_to_launch(core, state.instances[waiting_ids[0]])
        if spec is None:
            continue
        waiting = known.get(config) or _new_waiting(core, spec, config)
        known[config] = waiting
        if waiting.spec is not spec:
            _redefine(core, waiting, spec)
        waiting.placed.intersection_update(waiting_ids)
        waiting.instances = deque(one for one in waiting_ids if one not in waiting.placed)
        waiting.delayed_until = backoff.delayed_until(core, spec_id, config)
        wishes.note(core, waiting)
        _rotate(core, waiting)
    if known:
        state.launches.queue[spec_id] = known
    else:
        state.launches.queue.pop(spec_id, None)


def _new_waiting(core: Core, spec: RunSpec, config: str) -> Waiting:
    return Waiting(spec=spec, config=config, wanted=wanted_of(spec, core.config.matching), since=core.now)


def _redefine(core: Core, waiting: Waiting, spec: RunSpec) -> None:
    """Its number of instances has changed, which GROUP_BY looks at."""
    waiting.spec, waiting.wanted = spec, wanted_of(spec, core.config.matching)
    waiting.placements = None


def _rotate(core: Core, waiting: Waiting) -> None:
    """It takes part in the round, if there is something to place."""
    if waiting.instances and not waiting.rotates and waiting.delayed_until is None:
        waiting.rotates = True
        core.state.launches.rotation.append(waiting)


# ── a round ───────────────────────────────────────────────────────────────────────────────────────
def _place(core: Core) -> None:
    launches = core.state.launches
    launches.in_round = False
    budget = _take_in(core, _SLICE)
    if not launches.held:
        _forget_round(core)
        return
    while (launches.rotation and launches.tokens > 0) or launches.incoming:
        if budget <= 0:
            launches.in_round = True
            core.alarms.set(core.now + _PAUSE_S, _go_on)
            return
        waiting = launches.rotation.popleft()
        waiting.rotates = False
        budget -= _place_one(core, waiting, budget)
    _end_round(core)


def _take_in(core: Core, budget: int) -> int:
    """Hold offers that have come, as many as there is time for; what is left of it."""
    launches = core.state.launches
    if not launches.incoming:
        return budget
    while launches.incoming and budget > 0:
        launches.hold(launches.incoming.pop(next(iter(launches.incoming))), core.now)
        budget -= _HOLDING
    for waiting in launches.waiting():
        _rotate(core, waiting)
    return budget


def _go_on(core: Core, _: str) -> None:
    settle(core)


def _place_one(core: Core, waiting: Waiting, budget: int) -> int:
    """Look for a place for one instance; if there may be one for another, its turn comes again. What it cost."""
    launches = core.state.launches
    if not waiting.instances:
        return 0
    if waiting.placements is None:
        waiting.placements = _placements(core, waiting)
        launches.tried.append(waiting)
    cost = 0
    while waiting.instances and waiting.delayed_until is None:
        if cost >= budget:
            _rotate(core, waiting)
            break
        if (held := launches.next_held(waiting, core.random)) is None:
            break
        if held.remaining.taken >= core.config.max_instances_per_offer:
            continue
        cost += 1
        outcome = match(
            held.remaining,
            waiting.wanted,
            placed=waiting.placements,
            settings=core.state.launches.settings or core.config.matching,
            random=core.random,
            now=core.now,
        )
        if isinstance(outcome, Match):
            _note_place(core, waiting, held, outcome)
            _rotate(core, waiting)
            return cost + _PLACING
        _note_refusal(core, waiting, held, outcome)
    return cost


def _placements(core: Core, waiting: Waiting) -> Placements:
    if not any(rule.looks_at_placements for rule in waiting.wanted.rules):
        return Placements()
    placements = Placements(core.state.instances_of(waiting.spec.id), waiting.wanted.config)
    for held in core.state.launches.held.values():
        for placed in held.placed:
            if placed.waiting is waiting:
                placements.add(placed.match.agent)
    return placements


def _note_place(core: Core, waiting: Waiting, held: Held, found: Match) -> None:
    instance_id = waiting.instances.popleft()
    waiting.placed.add(instance_id)
    if not held.placed:
        core.state.launches.used.append(held)
    held.placed.append(Placed(instance_id, waiting, waiting.spec, found))
    core.state.launches.tokens -= 1
    waiting.used(held.agent, held.offers[0], core.now)
    waiting.again.append(held)
    waiting.again.extend(waiting.later)
    waiting.later = []
    waiting.shifted |= any(rule.operator == "GROUP_BY" for rule in waiting.wanted.rules)
    wishes.note(core, waiting)


def _note_refusal(core: Core, waiting: Waiting, held: Held, outcome: Unmatched) -> None:
    waiting.refused(held.agent, held.offers[0], outcome, core.now)
    may_change = outcome.refusals[-1].reason == "UnfulfilledConstraint"
    if may_change and any(rule.operator == "GROUP_BY" for rule in waiting.wanted.rules):
        waiting.later.append(held)


# ── its end ───────────────────────────────────────────────────────────────────────────────────────
def _end_round(core: Core) -> None:
    """Offers with something placed on them are accepted; others are kept as long as there may be use for them."""
    launches = core.state.launches
    for held in launches.used:
        if held.number >= 0:
            _accept(core, held)
    launches.used = []
    was_starved, launches.starved = launches.starved, bool(launches.rotation)
    if core.now >= launches.kept_until or launches.starved != was_starved:
        _give_up_offers(core)
    _forget_round(core)


def _give_up_offers(core: Core) -> None:
    """Offers that were kept for long enough go back."""
    launches = core.state.launches
    launches.kept_until = 0.0
    unused: list[v1.OfferID] = []
    for held in list(launches.held.values()):
        keep_until = _keep_until(core, held)
        if core.now < keep_until:
            launches.kept_until = min(keep_until, launches.kept_until or keep_until)
        else:
            unused += [offer.id for offer in held.offers]
            launches.let_go(held)
    if unused:
        core.effects.append(Decline(unused, _refusal_s(core)))
        if launches.starved:
            wishes.ask_again(core)
    if launches.kept_until:
        core.alarms.set(launches.kept_until + _PAUSE_S, _go_on)


def _keep_until(core: Core, held: Held) -> float:
    """Offers are kept a little after something was wanted, since more is wanted then often; and for launch tokens."""
    launches = core.state.launches
    longest = held.since + _PATIENCE_S
    return longest if launches.starved else min(longest, launches.wanted_at + _LINGER_S)


def _refusal_s(core: Core) -> float:
    """How long others may have what goes back now, before it is offered to us again."""
    launches = core.state.launches
    is_busy = launches.starved or core.now < launches.wanted_at + _LINGER_S
    return _LINGER_S if is_busy else core.config.decline_offer_duration_s


def _forget_round(core: Core) -> None:
    """The next round counts anew where instances are."""
    launches = core.state.launches
    if not launches.held:
        while launches.rotation:
            launches.rotation.popleft().rotates = False
    for waiting in launches.tried:
        if waiting.shifted and waiting.demands:
            wishes.ask_again(core, waiting.wanted.role)
        waiting.again.clear()
        waiting.later, waiting.placements, waiting.shifted = [], None, False
    launches.tried = []


def _accept(core: Core, held: Held) -> None:
    """What was placed on the offers is launched."""
    launches = core.state.launches
    launches.let_go(held)
    offer_ids = [offer.id for offer in held.offers]
    tasks: list[v1.TaskInfo] = []
    operations: list[_Operation] = []
    for placed in held.placed:
        placed.waiting.placed.discard(placed.instance)
        instance = core.state.instances.get(placed.instance)
        if instance is None or not _still_waits(placed, instance):
            _give_back(core, placed)
            continue
        operation = _launch(core, placed, instance)
        if operation.launch is not None:
            tasks += operation.launch.task_infos
        else:
            operations.append(operation)
        _drop_if_done(core, placed.waiting)
    if tasks:
        launch = _Operation.Launch(task_infos=tasks)
        operations.insert(0, _Operation(type=_Operation.Type.LAUNCH, launch=launch))
    # What is left comes back at once: somebody may have a use for it.
    launches.returning_until = core.now + _RETURN_S
    if operations:
        core.effects.append(Accept(offer_ids, operations, 0.0))
    else:
        core.effects.append(Decline(offer_ids, 0.0))


def _still_waits(placed: Placed, instance: Instance) -> bool:
    """It is wanted, and as what it was placed as."""
    return (
        instance.condition == "Scheduled"
        and instance.goal == "Running"
        and instance.config == placed.waiting.config
    )


def _launch(core: Core, placed: Placed, instance: Instance) -> _Operation:
    """The instance is provisioned; the operation launches it."""
    spec, found = placed.spec, placed.match
    marked = spec.id in core.queued
    provisioned = life.provision(core, instance, spec, found.agent, found.ports_by_container(spec))
    if not marked:
        core.queued.pop(spec.id, None)  # the queue knows of it, and need not look through all that wait
    return launch_operation(
        found, spec, provisioned, core.config.matching, enforce_role=_enforces_role(core, spec)
    )


def _enforces_role(core: Core, spec: RunSpec) -> bool:
    segments = ids.segments(spec.id)
    group = core.state.root.groups.get(ids.join(segments[:1])) if len(segments) > 1 else None
    return group is not None and group.enforce_role


def _let_go(core: Core, held: Held) -> None:
    """It is not ours any more; what was placed on it waits again."""
    core.state.launches.let_go(held)
    for placed in held.placed:
        placed.waiting.placed.discard(placed.instance)
        placed.waiting.placements = None
        _give_back(core, placed)


def _give_back(core: Core, placed: Placed) -> None:
    launches = core.state.launches
    launches.tokens = min(
        launches.tokens + 1, core.config.launch_tokens
    )  # there may be all of them again since
    core.queued[placed.spec.id] = None


def _drop_if_done(core: Core, waiting: Waiting) -> None:
    """Nothing of it waits any more."""
    if waiting.instances or waiting.placed:
        return
    of_spec = core.state.launches.queue.get(waiting.spec.id, {})
    if of_spec.get(waiting.config) is waiting:
        del of_spec[waiting.config]
        if not of_spec:
            del core.state.launches.queue[waiting.spec.id]


# ── launch tokens ─────────────────────────────────────────────────────────────────────────────────
def _refresh_tokens(core: Core, _: str = "") -> None:
    """Now and then there are all of them again; else one comes back when an instance runs."""
    core.state.launches.tokens = core.config.launch_tokens
    core.alarms.set(core.now + core.config.launch_token_refresh_interval_s, _refresh_tokens)
    if core.state.launches.starved:
        settle(core)
