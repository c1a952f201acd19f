"""Ending: instances are killed, given up and forgotten, and what they failed of is remembered."""

from __future__ import annotations

from msgspec.structs import replace

from koinon.marathon.core import announcements, backoff
from koinon.marathon.core.context import Core
from koinon.marathon.core.instances import kills, probes
from koinon.marathon.core.state import COMING, LOST, TERMINAL
from koinon.marathon.model import Instance, TaskFailure, ids


def kill(core: Core, instance: Instance) -> None:
    """The instance shall end. What comes after that its goal says."""
    if instance.condition in LOST:
        decommission(core, instance)
    elif instance.condition != "Scheduled":
        if instance.kill_asked_at is None:
            core.put(instance := replace(instance, kill_asked_at=core.stamp()))
        kills.ask(core, instance)


def decommission(core: Core, instance: Instance) -> None:
    """It is wanted no more: it is killed, and forgotten when it has ended, at once if it cannot be asked."""
    if instance.condition == "Scheduled" or instance.condition in LOST or instance.condition in TERMINAL:
        forget(core, instance)
    else:
        if instance.goal != "Decommissioned":
            core.put(replace(instance, goal="Decommissioned"))
        kill(core, core.state.instances[instance.id])


def forget(core: Core, instance: Instance) -> None:
    """It is no more. What may be left of it is killed when it turns up."""
    state = core.state
    core.alarms.cancel(give_up_launch, instance.id)
    kills.ended(core, instance)
    probes.stop(core, instance)
    core.drop(instance)
    path = instance.run_spec
    if path not in state.by_spec and state.root.run_spec(path) is None:
        backoff.reset(core, path)
        if path not in state.locks:
            announcements.terminated(core, path)


def give_up_launch(core: Core, instance_id: str) -> None:
    """It should run by now."""
    instance = core.state.instances.get(instance_id)
    if instance is not None and instance.condition in COMING:
        kill(core, instance)


def resume(core: Core) -> None:
    """A master hears us: who was to die is asked again."""
    kills.begin_anew(core)
    for instance in list(core.state.instances.values()):
        if instance.goal == "Decommissioned" or instance.kill_asked_at is not None:
            kill(core, instance)


def note_failure(core: Core, instance: Instance, message: str | None = None) -> None:
    """Remembers what an instance of an app ended with; `message`: we ended it, for that reason."""
    if core.state.root.apps.get(instance.run_spec) is None:
        return
    task = next((one for one in instance.tasks if one.condition == instance.condition), instance.tasks[0])
    failure = TaskFailure(
        app_id=instance.run_spec,
        task_id=task.id,
        state="TASK_KILLED" if message is not None else task.mesos_state or "TASK_FAILED",
        message=task.message or "" if message is None else message,
        host=instance.agent.hostname if instance.agent else "",
        version=instance.version,
        timestamp=core.stamp(),
        slave_id=instance.agent.agent_id if instance.agent else None,
    )
    core.state.failures[failure.app_id] = failure
    core.store(f"failures/{ids.key(failure.app_id)}", failure)
