"""The life of instances, from the wish to have one more until it is forgotten.

    schedule ─▶ Scheduled ─provision─▶ Provisioned ─▶ Staging ─▶ Starting ─▶ Running ─┐
                    ▲                                                                 │ end
                    └───────────────── goal Running ◀─────────────────────────────────┤
                                       goal Decommissioned ─▶ forgotten  ◀────────────┘

Tasks come and go, an instance stays: each launch is its next *incarnation*.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from koinon.marathon.core import backoff, planner
from koinon.marathon.core.context import Core
from koinon.marathon.core.instances import ending, kills, probes, unreachable
from koinon.marathon.core.state import LOST, TERMINAL
from koinon.marathon.model import Instance, Pod, ids
from koinon.marathon.model.records import AgentInfo, Condition, Task
from koinon.marathon.model.root import RunSpec

#: Ends that say that something is wrong with the app, or with where it ran.
COUNTED: frozenset[Condition] = frozenset(("Failed", "Error", "Dropped", "Gone", "Finished"))
#: What `lastTaskFailure` tells of.
_TOLD: frozenset[Condition] = frozenset(("Failed", "Error", "Dropped", "Gone", "Unknown"))


_SCHEDULED_AT_ONCE = 500


# ── beginning ─────────────────────────────────────────────────────────────────────────────────────
def schedule(core: Core, spec: RunSpec, number: int) -> None:
    """So many more are wanted: some now, the others in the next turns."""
    for _ in range(min(number, _SCHEDULED_AT_ONCE)):
        core.put(core.new_instance(spec))
    if number > _SCHEDULED_AT_ONCE:
        core.alarms.set(core.now + 0.001, touch, spec.id)


def touch(core: Core, path: str) -> None:
    """There is more to do for an app or pod."""
    core.touched[path] = None


def definition_to_launch(core: Core, instance: Instance) -> RunSpec | None:
    """What the instance is to be launched as; None if nobody knows any more.

    That is its spec as it is now; only while an upgrade has not come to it yet, as it was.
    """
    current = core.state.root.run_spec(instance.run_spec)
    if current is not None and planner.is_up_to_date(instance, current):
        return current
    return core.state.definition_of(instance)


def provision(
    core: Core,
    instance: Instance,
    spec: RunSpec,
    agent: AgentInfo,
    host_ports: Mapping[str | None, tuple[int, ...]],
) -> Instance:
    """The instance is about to be launched on the agent as `spec`, with these host ports per container.

    Returns it with its new tasks. What launches it has to go out after this call.
    """
    incarnation = instance.incarnation + 1
    names = [one.name for one in spec.containers] if isinstance(spec, Pod) else [None]
    now = core.stamp()
    provisioned = replace(
        instance,
        version=spec.version,
        config=planner.config_of(spec),
        condition="Provisioned",
        incarnation=incarnation,
        agent=agent,
        role=spec.role,
        tasks=tuple(
            Task(
                id=ids.task_id(instance.id, incarnation, name),
                host_ports=host_ports.get(name, ()),
                staged_at=now,
            )
            for name in names
        ),
        since=now,
        active_since=None,
    )
    core.put(provisioned)
    backoff.progressed(core, provisioned)
    core.alarms.set(core.now + core.config.task_launch_confirm_timeout_s, ending.give_up_launch, instance.id)
    return provisioned


def watch_launch(core: Core, instance: Instance) -> None:
    """Its time to come up runs from now on, if it is on its way."""
    match instance.condition:
        case "Provisioned":
            patience_s = core.config.task_launch_confirm_timeout_s
        case "Staging" | "Starting":
            patience_s = core.config.task_launch_timeout_s
        case _:
            core.alarms.cancel(ending.give_up_launch, instance.id)
            return
    core.alarms.set(core.now + patience_s, ending.give_up_launch, instance.id)


# ── change ────────────────────────────────────────────────────────────────────────────────────────
def change(core: Core, instance: Instance, tasks: tuple[Task, ...], *, launched: bool = True) -> None:
    """What is known of the instance's tasks has changed. `launched`: no master has heard of them, if not."""
    before = instance
    condition = worst(tasks)
    if condition == "Unreachable" and before.condition == "UnreachableInactive":
        condition = before.condition
    changed = replace(instance, tasks=tasks)
    if condition != before.condition:
        active_since = changed.active_since
        if condition == "Running" and active_since is None:
            active_since = core.stamp()
        changed = replace(
            changed,
            condition=condition,
            since=core.stamp(),
            active_since=active_since,
            unreachable_since=(before.unreachable_since or core.stamp()) if condition in LOST else None,
        )
    core.put(changed)
    if condition in TERMINAL:
        end(core, changed, launched=launched)
        return
    if condition != before.condition:
        _went_over(core, before, changed)
    elif condition == "Running" and [one.ip_addresses for one in tasks] != [
        one.ip_addresses for one in before.tasks
    ]:
        probes.start(core, changed)  # now it can be asked
        core.touched[changed.run_spec] = None
    ended = next((task.condition for task in tasks if task.condition in TERMINAL - {"Finished"}), None)
    left = core.state.instances.get(instance.id)
    if ended is not None and left is not None and left.kill_asked_at is None:
        # Of a pod all containers live, or none. What follows is our doing, so this is what counts.
        if ended in COUNTED:
            _count_failure(core, left)
        ending.kill(core, left)


def _went_over(core: Core, before: Instance, changed: Instance) -> None:
    """From one condition to another; it lives in both."""
    condition = changed.condition
    watch_launch(core, changed)
    backoff.progressed(core, changed)
    if condition in LOST:
        probes.stop(core, before)
        unreachable.lost(core, changed)
    else:
        if before.condition in LOST:
            unreachable.found(core, changed)
        if condition == "Running":
            probes.start(core, changed)
        elif condition == "Killing":
            kills.heard(core, changed)


#: Of a pod's containers the condition that comes first here is the pod's.
_LIVE_WORST_FIRST: tuple[Condition, ...] = (
    "Unreachable",
    "UnreachableInactive",
    "Killing",
    "Provisioned",
    "Staging",
    "Starting",
    "Running",
)
_ENDED_WORST_FIRST: tuple[Condition, ...] = (
    "Error",
    "Failed",
    "Gone",
    "Dropped",
    "Unknown",
    "Killed",
    "Finished",
)


def worst(tasks: tuple[Task, ...]) -> Condition:
    """The condition of an instance with these tasks: it lives as long as one of them does."""
    conditions = {task.condition for task in tasks}
    for condition in (*_LIVE_WORST_FIRST, *_ENDED_WORST_FIRST):
        if condition in conditions:
            return condition
    raise ValueError(f"no condition that a task can have: {conditions}")


# ── end ───────────────────────────────────────────────────────────────────────────────────────────
def end(core: Core, instance: Instance, *, launched: bool = True) -> None:
    """All its tasks have ended, or were not launched after all."""
    core.state.counters[f"tasks.{instance.condition.lower()}"] += 1
    core.alarms.cancel(ending.give_up_launch, instance.id)
    is_failure = launched and instance.kill_asked_at is None
    kills.ended(core, instance)
    probes.stop(core, instance)
    core.state.set_health(instance, 0, None)
    core.state.readiness.pop(instance.id, None)
    spec = core.state.root.run_spec(instance.run_spec)
    if launched and instance.condition in _TOLD:
        ending.note_failure(core, instance)
    if instance.goal == "Decommissioned" or spec is None:
        ending.forget(core, instance)
        return
    if is_failure and instance.condition in COUNTED:
        _count_failure(core, instance)
    core.put(reschedule(core, instance, spec))


def _count_failure(core: Core, instance: Instance) -> None:
    spec = core.state.root.run_spec(instance.run_spec)
    if spec is not None and planner.is_up_to_date(instance, spec):
        backoff.failed(core, spec)


def reschedule(core: Core, instance: Instance, spec: RunSpec) -> Instance:
    """The instance is to be launched again: as it is defined now, unless its upgrade waits with a few new ones."""
    state = core.state
    deployment = state.deployments.get(state.locks.get(spec.id, ""))
    stays_old = deployment is not None and spec.id in deployment.canaries_since
    if not stays_old:
        instance = replace(instance, version=spec.version, config=planner.config_of(spec))
    return replace(
        instance,
        condition="Scheduled",
        since=core.stamp(),
        active_since=None,
        unreachable_since=None,
        kill_asked_at=None,
    )
