"""Reading the store: what the last leader has left.

    apps/<id>  pods/<id>  groups/<id>  versions/<id>/<version>  changes/<version>     definitions, now and before
    instances/<id>  deployments/<id>  failures/<app>  framework                       what runs and goes on

In keys `_` stands for `/`. Entries under other names belong to others.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import json

from koinon.marathon.core.state import HealthResult, State
from koinon.marathon.model import App, Deployment, Group, Instance, Pod, Root, TaskFailure, ids
from koinon.marathon.model.records import Change


def load(state: State, entries: Mapping[str, bytes]) -> None:
    """Fills an empty state with what is stored. Raises msgspec.ValidationError if it is not ours."""
    apps: dict[str, App] = {}
    pods: dict[str, Pod] = {}
    groups = {ids.ROOT: Group(ids.ROOT)}
    for key in sorted(entries):
        value = entries[key]
        match key.split("/"):
            case ["apps", _]:
                app = json.decode(value, type=App)
                apps[app.id] = app
                state.service_ports.update(app.service_ports)
            case ["pods", _]:
                pod = json.decode(value, type=Pod)
                pods[pod.id] = pod
            case ["groups", _]:
                group = json.decode(value, type=Group)
                groups[group.id] = group
            case ["versions", name, version]:
                state.history.setdefault(ids.from_key(name), {})[version] = value
            case ["changes", version]:
                state.changes[version] = json.decode(value, type=Change)
            case ["failures", _]:
                failure = json.decode(value, type=TaskFailure)
                state.failures[failure.app_id] = failure
            case ["framework"]:
                state.framework_id = json.decode(value, type=str)
    for path in sorted([*apps, *pods]):
        while (path := ids.parent(path)) not in groups:
            groups[path] = Group(path)
    version = max(state.changes, default="")
    state.root = Root(apps=apps, pods=pods, groups=groups, version=version)
    found = [
        json.decode(value, type=Instance) for key, value in entries.items() if key.startswith("instances/")
    ]
    for instance in sorted(found, key=_age):
        state.put(instance)
        _restore_health(state, instance)
    going_on = [
        json.decode(value, type=Deployment)
        for key, value in entries.items()
        if key.startswith("deployments/")
    ]
    for deployment in sorted(going_on, key=lambda one: one.version):
        state.deployments[deployment.id] = deployment
    state.loaded = True


def _age(instance: Instance) -> tuple[str, str]:
    return (instance.since, instance.id)


def _restore_health(state: State, instance: Instance) -> None:
    """What agents have found is stored with the tasks."""
    if instance.condition != "Running" or all(task.healthy is None for task in instance.tasks):
        return
    spec = state.definition_of(instance)
    for number, task in enumerate(instance.tasks):
        if task.healthy is not None:
            if isinstance(spec, App):
                number = next((at for at, check in enumerate(spec.health_checks) if check.by_agent), 0)
            state.set_health(instance, number, HealthResult(alive=task.healthy))
