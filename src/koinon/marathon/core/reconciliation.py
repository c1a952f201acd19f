"""Agreement with the master about what runs, and the periodic look whether all is as it should be."""

from __future__ import annotations

from koinon.marathon.core import launching
from koinon.marathon.core.context import Core
from koinon.marathon.core.events import Reconcile, Resign, Subscribed
from koinon.marathon.core.instances import ending, life, probes, unreachable
from koinon.marathon.core.state import LAUNCHED, LOST, TERMINAL
from koinon.marathon.model import Instance

#: Exit status: the framework's id is lost while instances of it exist.
_FRAMEWORK_ID_MISSING = 108


def took_over(core: Core) -> None:
    """The store has been read: whatever waits for time or for answers begins to wait again."""
    state = core.state
    if state.framework_id is None and any(one.condition in LAUNCHED for one in state.instances.values()):
        reason = "There are instances, but the id of the framework that launched them is not in the store."
        core.effects.append(Resign(_FRAMEWORK_ID_MISSING, reason))
        return
    for instance in list(state.instances.values()):
        if instance.condition in LOST:
            unreachable.resume(core, instance)
        elif instance.condition == "Running":
            probes.start(core, instance)
        elif instance.condition in TERMINAL:
            life.end(core, instance)  # not stored by us, but it would be stuck
        else:
            life.watch_launch(core, instance)
    core.queued.update(dict.fromkeys(state.scheduled))
    core.alarms.set(core.now + core.config.scale_apps_initial_delay_s, check_scales)
    core.alarms.set(core.now + core.config.reconciliation_initial_delay_s, reconcile_all)


def subscribed(core: Core, event: Subscribed) -> None:
    """A master has taken us in. It may not know what the last one knew."""
    state = core.state
    state.master = event.master
    state.region = event.region
    if state.framework_id is None:
        core.publish(
            "scheduler_registered_event", {"frameworkId": event.framework_id, "master": event.master}
        )
    else:
        core.publish("scheduler_reregistered_event", {"master": event.master})
    if state.framework_id != event.framework_id:
        state.framework_id = event.framework_id
        core.store("framework", event.framework_id)
    ending.resume(core)
    _ask(core, [one for one in state.instances.values() if one.condition in LAUNCHED])
    launching.subscribed(core)


def disconnected(core: Core) -> None:
    """No master hears us."""
    if core.state.master is not None:
        core.state.master = None
        core.publish("scheduler_disconnected_event", {})
    launching.disconnected(core)


def reconcile_all(core: Core, _: str) -> None:
    """Time to compare all that runs."""
    state = core.state
    core.alarms.set(core.now + core.config.reconciliation_interval_s, reconcile_all)
    if state.master is not None:
        # Of what is just being launched the master may not have heard yet.
        known = [one for one in state.instances.values() if one.condition in LAUNCHED]
        _ask(core, [one for one in known if one.condition != "Provisioned"])
        core.effects.append(Reconcile({}))


def check_scales(core: Core, _: str) -> None:
    """Time to look whether each app has as many instances as it should."""
    core.alarms.set(core.now + core.config.scale_apps_interval_s, check_scales)
    for spec in core.state.root.run_specs():
        core.touched[spec.id] = None
    core.touched.update(dict.fromkeys(core.state.by_spec))  # of some there are only instances


def _ask(core: Core, known: list[Instance]) -> None:
    tasks = {
        task.id: one.agent.agent_id if one.agent else None
        for one in known
        for task in one.tasks
        if task.condition not in TERMINAL
    }
    if tasks:
        core.effects.append(Reconcile(tasks))
