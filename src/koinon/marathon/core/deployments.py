"""Deployments: changes of definitions, accepted, carried out step by step, finished, failed, cancelled.

accept ─▶ stored, locked ─▶ step 1 … step n ─▶ success      (`courses` says what to do in a step)
                              └─ replaced by force, or cancelled ─▶ failure

A deployment looks again at an app or pod of the step where it is when something of that one has changed, never at all
of its own, let alone at all there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from koinon.marathon.core import announcements, backoff, canary, courses, definitions, planner
from koinon.marathon.core.changes import assign, stamp
from koinon.marathon.core.context import Core
from koinon.marathon.core.events import CancelDeployment, Deploy, Refused
from koinon.marathon.core.instances import ending, life, readiness, unreachable
from koinon.marathon.model import App, Deployment, Group, Pod, Root, ids, versions
from koinon.marathon.model.records import Step

#: So many instances are looked through without a rest: 1 ms.
_MANY = 100
#: The rest is some ten times what the look has cost.
_REST_PER_INSTANCE_S = 100e-6


# ── accepting ─────────────────────────────────────────────────────────────────────────────────────
def deploy(core: Core, event: Deploy) -> None:
    """A change is asked for. Raises Refused with nothing changed."""
    _accept(core, event)


def cancel(core: Core, event: CancelDeployment) -> None:
    """A deployment is to be undone, or with `force` just to stop where it is. Raises Refused."""
    deployment = core.state.deployments.get(event.cancelled)
    if deployment is None:
        raise Refused(404, f"Deployment {event.cancelled} does not exist")
    if event.force:
        fail(core, deployment, "It was stopped by force.")
        return
    target = undone(core, deployment)
    _accept(
        core,
        Deploy(target, event.deployment_id, force=True),
        undoes=deployment,
    )


def undone(core: Core, deployment: Deployment) -> Root:
    """All definitions as they are now, but for what the deployment has changed: that as it was before."""
    state = core.state
    apps, pods, groups = dict(state.root.apps), dict(state.root.pods), dict(state.root.groups)
    for path, version in deployment.before.items():
        former = None if version is None else state.definition(path, version)
        apps.pop(path, None)
        pods.pop(path, None)
        if isinstance(former, App):
            apps[path] = former
        elif isinstance(former, Pod):
            pods[path] = former
    for path in (*apps, *pods):
        # They are there when it was no deletion of their group.
        while (path := ids.parent(path)) not in groups:
            groups[path] = Group(path)
    for added in sorted(deployment.groups_added, key=len, reverse=True):
        if not any(ids.is_within(path, added) for path in (*apps, *pods, *groups) if path != added):
            groups.pop(added, None)
    return Root(apps=apps, pods=pods, groups=groups, version=state.root.version)


def _accept(
    core: Core,
    event: Deploy,
    *,
    undoes: Deployment | None = None,
) -> None:
    state, before = core.state, core.state.root
    target = assign(before, event.target, core.config.rules, state.service_ports)
    version = versions.after(before.version, core.now)
    restored = frozenset(() if undoes is None else undoes.before)
    target, changed = stamp(before, target, version, event.restart, restored)
    canary.check(target, changed)
    in_the_way = _in_the_way(core, planner.plan(before, target, changed), undoes)
    deployment = Deployment(
        id=event.deployment_id,
        version=version,
        steps=planner.plan(before, target, changed, _unfinished(core, target, in_the_way)),
        before={path: definitions.version_of(before, path) for path in changed},
        after={path: definitions.version_of(target, path) for path in changed},
        groups_added=tuple(path for path in target.groups if path not in before.groups),
        started_at=core.stamp(),
    )
    change = definitions.change(before, target, changed)
    group = event.group or announcements.group_of(changed)
    _demand_unlocked(core, deployment, in_the_way, event, group)
    for other in in_the_way:
        is_undone = other is undoes
        fail(
            core,
            other,
            "It was cancelled, and is being undone." if is_undone else "Another one took its place.",
        )
    if changed or target.groups != before.groups:
        announcements.changed(core, before, target, changed, event.origin)
        definitions.replace_root(core, target, change)
        for path in changed:
            unreachable.look_at_all(core, path)  # by another strategy, perhaps
        core.publish("group_change_success", {"groupId": group, "version": version})
    for victim in sorted(event.kill):
        if (instance := state.instances.get(victim)) is not None and instance.run_spec in deployment.after:
            ending.decommission(core, instance)
    if not deployment.steps:
        announcements.succeeded(core, deployment)
        return
    core.put_deployment(deployment)
    for path in deployment.affected:
        state.locks[path] = deployment.id
    restarted = _restarted(deployment)
    for path in changed:
        if before.run_spec(path) is None or path in restarted:
            backoff.reset(core, path)
    state.counters["deployments.started"] += 1
    _begin_step(core, deployment)


def _in_the_way(core: Core, steps: Iterable[Step], undoes: Deployment | None) -> list[Deployment]:
    """The deployments that these steps cannot run beside, and the one to be undone."""
    locks = core.state.locks
    locking = {locks.get(action.run_spec) for step in steps for action in step.actions}
    return [one for one in core.state.deployments.values() if one.id in locking or one is undoes]


def _unfinished(core: Core, target: Root, ending: Iterable[Deployment]) -> list[str]:
    """What was being replaced by deployments that are about to end, and is not wholly: somebody has to go on with it."""
    found = []
    for deployment in ending:
        for path in sorted(_restarted(deployment)):
            spec = target.run_spec(path)
            if spec is None:
                continue
            if any(not planner.is_up_to_date(one, spec) for one in core.state.instances_of(path)):
                found.append(path)
    return found


def _demand_unlocked(
    core: Core, deployment: Deployment, in_the_way: Sequence[Deployment], event: Deploy, group: str
) -> None:
    """Raises Refused if others are in the way and must not be replaced, or if there are too many."""
    state = core.state
    if in_the_way and not event.force:
        message = "App is locked by one or more deployments. Add force=true to replace them."
        _turn_away(core, deployment, group, message)
        raise Refused(409, message, deployments=[{"id": one.id} for one in in_the_way])
    if deployment.steps and len(state.deployments) - len(in_the_way) >= core.config.max_running_deployments:
        message = f"There are {len(state.deployments)} deployments already; wait until one of them has ended."
        _turn_away(core, deployment, group, message)
        raise Refused(403, message)


def _turn_away(core: Core, deployment: Deployment, group: str, reason: str) -> None:
    """Who listens hears of what is refused, too."""
    core.publish_later(
        "group_change_failed", {"groupId": group, "version": deployment.version, "reason": reason}
    )
    core.publish_later(
        "deployment_failed", {"id": deployment.id, "plan": announcements.plan(deployment), "reason": reason}
    )


def _restarted(deployment: Deployment) -> set[str]:
    return {
        action.run_spec
        for step in deployment.steps
        for action in step.actions
        if action.action.startswith("Restart")
    }


# ── going on ──────────────────────────────────────────────────────────────────────────────────────
def resume(core: Core) -> None:
    """A new leader goes on where the last one was."""
    for deployment in list(core.state.deployments.values()):
        for path in deployment.affected:
            core.state.locks[path] = deployment.id
        for step in deployment.steps[: deployment.current_step]:
            _note_courses(core, deployment, step)
        _begin_step(core, deployment)


def look_soon(core: Core, path: str) -> None:
    """Something of an app or pod has changed that is being deployed: it goes on at once.

    One with a thousand instances, which takes its time to look through, rests after that; whatever happens meanwhile
    is looked at together.
    """
    number = len(core.state.instances_of(path))
    rested_at = core.looked_at.get(path, 0.0) + number * _REST_PER_INSTANCE_S
    if number > _MANY and core.now < rested_at:
        if not core.alarms.is_set(life.touch, path):
            core.alarms.set(rested_at, life.touch, path)
        return
    core.looked_at[path] = core.now
    look(core, path)


def look(core: Core, path: str) -> None:
    """An app or pod that is being deployed goes on."""
    deployment = core.state.deployments[core.state.locks[path]]
    pending = core.pending[deployment.id]
    course = core.courses[deployment.id].get(path)
    if course is None:
        courses.keep_until_its_turn(core, deployment, path)
    elif courses.go_on(core, deployment, course) and path in pending:
        pending.discard(path)
        if course.action.startswith("Stop"):
            announcements.terminated(core, path)
        if not pending:
            _end_step(core, deployment)


def _begin_step(core: Core, deployment: Deployment) -> None:
    step = deployment.steps[deployment.current_step]
    core.pending[deployment.id] = {action.run_spec for action in step.actions}
    _note_courses(core, deployment, step)
    announcements.step_event(core, "deployment_info", deployment)
    for action in step.actions:
        core.touched[action.run_spec] = None
    if all(action.action.startswith("Start") for action in step.actions):
        _end_step(core, deployment)


def _note_courses(core: Core, deployment: Deployment, step: Step) -> None:
    """What has been begun is gone on with until the deployment has ended."""
    courses_of = core.courses.setdefault(deployment.id, {})
    courses_of.update(
        (action.run_spec, action) for action in step.actions if not action.action.startswith("Start")
    )


def _end_step(core: Core, deployment: Deployment) -> None:
    announcements.step_event(core, "deployment_step_success", deployment)
    deployment = core.state.deployments[deployment.id]
    if deployment.current_step + 1 == len(deployment.steps):
        announcements.succeeded(core, deployment)
        _finish(core, deployment)
        return
    deployment = replace(deployment, current_step=deployment.current_step + 1)
    core.put_deployment(deployment)
    _begin_step(core, deployment)


def fail(core: Core, deployment: Deployment, reason: str) -> None:
    """It goes no further; what it has done stays."""
    announcements.failed(core, deployment, reason)
    _finish(core, deployment)


def _finish(core: Core, deployment: Deployment) -> None:
    state = core.state
    del state.deployments[deployment.id]
    core.pending.pop(deployment.id, None)
    core.courses.pop(deployment.id, None)
    core.store(f"deployments/{deployment.id}", None)
    for path in deployment.affected:
        del state.locks[path]
        core.looked_at.pop(path, None)
        readiness.stop(core, path)
        courses.stop(core, path)
        core.touched[path] = None
        definitions.forget_versions(core, path)
