"""What an action of a deployment does to its app or pod, each time that something of it has changed."""

from __future__ import annotations

from collections.abc import Collection

from koinon.marathon.core import canary, planner, rolling, selection
from koinon.marathon.core.context import Core
from koinon.marathon.core.instances import ending, life, readiness
from koinon.marathon.core.rolling import Seen, Standing
from koinon.marathon.core.state import COMING, LOST, State, is_meant
from koinon.marathon.model import App, Deployment, Instance
from koinon.marathon.model.records import Action
from koinon.marathon.model.root import RunSpec


def go_on(core: Core, deployment: Deployment, action: Action) -> bool:
    """The next moves. Whether the action has reached its end; it may be asked to go on after that."""
    path = action.run_spec
    spec = core.state.root.run_spec(path)
    if spec is None or action.action.startswith("Stop"):
        for instance in list(core.state.instances_of(path)):
            ending.decommission(core, instance)
        return path not in core.state.by_spec
    if action.action.startswith("Restart"):
        return _replace(core, deployment, spec)
    return _scale(core, deployment, spec)


def keep(core: Core, path: str) -> None:
    """Nothing is being deployed: the number of instances is put right, if it is wrong. Orphans have to go."""
    spec = core.state.root.run_spec(path)
    if spec is None:
        for instance in list(core.state.instances_of(path)):
            ending.decommission(core, instance)
    elif core.state.meant[path] != spec.instances:
        _adjust(core, spec, spec.instances)


def keep_until_its_turn(core: Core, deployment: Deployment, path: str) -> None:
    """Its step has not come yet. If instances have been lost for good, others take their place."""
    spec = core.state.root.run_spec(path)
    former = core.state.definition(path, deployment.before.get(path) or "")
    if spec is not None and former is not None:
        missing = min(spec.instances, former.instances) - core.state.meant[path]
        life.schedule(core, spec, max(0, missing))


def stop(core: Core, path: str) -> None:
    """Its deployment has ended."""
    canary.stop(core, path)


# ── scaling ───────────────────────────────────────────────────────────────────────────────────────
def _scale(core: Core, deployment: Deployment, spec: RunSpec) -> bool:
    _adjust(core, spec, spec.instances)
    return (
        all(
            _ran_before(one, deployment) or standing(core, one, spec) is Standing.WELL
            for one in core.state.instances_of(spec.id)
            if one.condition != "UnreachableInactive"
        )
        and core.state.meant[spec.id] == spec.instances
    )


def _ran_before(instance: Instance, deployment: Deployment) -> bool:
    """It is none of those that scaling brings or takes: if it is ill, or lost, the others are not to wait for it."""
    stays = instance.goal == "Running" and instance.kill_asked_at is None
    return stays and instance.active_since is not None and instance.active_since < deployment.started_at


def _adjust(core: Core, spec: RunSpec, number: int) -> None:
    state = core.state
    surplus = state.meant[spec.id] - number
    if surplus < 0:
        life.schedule(core, spec, -surplus)
    elif surplus > 0:
        meant = [one for one in state.instances_of(spec.id) if is_meant(one)]
        for instance in selection.choose(meant, surplus, spec):
            ending.decommission(core, instance)


# ── replacing ─────────────────────────────────────────────────────────────────────────────────────
def _replace(core: Core, deployment: Deployment, spec: RunSpec) -> bool:
    old: list[Instance] = []
    new: list[Instance] = []
    for instance in selection.by_preference(core.state.instances_of(spec.id), spec):
        if not planner.is_up_to_date(instance, spec):
            old.append(instance)
        elif instance.condition != "UnreachableInactive":
            new.append(instance)
    strategy = spec.upgrade_strategy if isinstance(spec, App) else spec.scheduling.upgrade
    bounds = rolling.bounds(spec.instances, strategy.minimum_health_capacity, strategy.maximum_over_capacity)
    moves = rolling.moves(
        spec.instances, bounds, _seen(core, old), _seen(core, new), limit=canary.limit(core, spec)
    )
    for instance_id in moves.kill:
        ending.decommission(core, core.state.instances[instance_id])
    life.schedule(core, spec, moves.launch)
    canary.halted(core, core.state.deployments[deployment.id], spec, moves.halted)
    return moves.done


def _seen(core: Core, of: Collection[Instance]) -> list[Seen]:
    definitions: dict[str, RunSpec | None] = {}
    seen = []
    for instance in of:
        if instance.version not in definitions:
            definitions[instance.version] = core.state.definition_of(instance)
        seen.append(Seen(instance.id, standing(core, instance, definitions[instance.version])))
    return seen


def standing(core: Core, instance: Instance, spec: RunSpec | None) -> Standing:
    """How the instance, which was made from `spec`, stands. New ones are asked whether they are ready."""
    if instance.goal != "Running":
        return Standing.DYING
    if instance.condition == "Scheduled":
        return Standing.WAITING
    if instance.condition in COMING:
        return Standing.COMING
    if instance.condition in LOST or instance.condition != "Running" or instance.kill_asked_at is not None:
        return Standing.UNWELL
    found = _health(core.state, instance, spec)
    if found is Standing.WELL and not readiness.is_ready(core, instance):
        return Standing.UNKNOWN
    return found


def _health(state: State, instance: Instance, spec: RunSpec | None) -> Standing:
    if spec is None:
        return Standing.WELL
    if isinstance(spec, App):
        checks = len(spec.health_checks)
    else:
        checks = sum(one.health_check is not None for one in spec.containers)
    results = state.health.get(instance.id, {})
    if any(not one.alive for one in results.values()):
        return Standing.UNWELL
    return Standing.WELL if len(results) >= checks else Standing.UNKNOWN
