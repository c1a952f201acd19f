"""What the event stream is told of deployments and changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from koinon.marathon.core.context import Core
from koinon.marathon.model import App, Deployment, Root, ids
from koinon.marathon.model.records import Step


def plan(deployment: Deployment) -> dict[str, Any]:
    """The plan as events show it. Clients of before look for the roots it leads from and to; they get their names."""
    return {
        "id": deployment.id,
        "version": deployment.version,
        "original": {"id": ids.ROOT, "version": deployment.version},
        "target": {"id": ids.ROOT, "version": deployment.version},
        "steps": [step(one) for one in deployment.steps],
    }


def step(of: Step) -> dict[str, Any]:
    """Its actions, as everywhere in the API."""
    return {
        "actions": [
            {"action": one.action, ("pod" if one.action.endswith("Pod") else "app"): one.run_spec}
            for one in of.actions
        ]
    }


def step_event(core: Core, event_type: str, deployment: Deployment) -> None:
    """`deployment_info`, `deployment_step_success`: of the step where it is."""
    current = deployment.steps[deployment.current_step]
    core.publish(event_type, {"plan": plan(deployment), "currentStep": step(current)})


def succeeded(core: Core, deployment: Deployment) -> None:
    """It has reached its end."""
    core.state.counters["deployments.succeeded"] += 1
    core.publish("deployment_success", {"id": deployment.id, "plan": plan(deployment)})


def failed(core: Core, deployment: Deployment, reason: str) -> None:
    """It goes no further."""
    core.state.counters["deployments.failed"] += 1
    core.publish("deployment_failed", {"id": deployment.id, "plan": plan(deployment), "reason": reason})


def terminated(core: Core, path: str) -> None:
    """The last instance of an app or pod that was removed is gone."""
    core.publish("app_terminated_event", {"appId": path})


def changed(core: Core, before: Root, after: Root, specs: Iterable[str], origin: tuple[str, str]) -> None:
    """What people have asked for, by each app and pod: `api_post_event` and those of pods."""
    address, uri = origin
    for path in specs:
        if (app := after.apps.get(path)) is not None:
            core.publish("api_post_event", {"clientIp": address, "uri": uri, "appDefinition": app})
            _checks_changed(core, before.apps.get(path), app)
        elif path in before.pods or path in after.pods:
            kind = "deleted" if path not in after.pods else "updated" if path in before.pods else "created"
            core.publish(f"pod_{kind}_event", {"clientIp": address, "uri": uri})
        elif (former := before.apps.get(path)) is not None:
            _checks_changed(core, former, None)


def _checks_changed(core: Core, before: App | None, after: App | None) -> None:
    """Health checks that Marathon itself makes are announced when they come and go."""
    old = () if before is None else tuple(one for one in before.health_checks if not one.by_agent)
    new = () if after is None else tuple(one for one in after.health_checks if not one.by_agent)
    if old == new:
        return
    if old and before is not None:
        core.publish("remove_health_check_event", {"appId": before.id})
    for check in new:
        if after is not None:
            fields = {"appId": after.id, "version": after.version, "healthCheck": check}
            core.publish("add_health_check_event", fields)


def group_of(specs: Iterable[str]) -> str:
    """The smallest group that holds all these apps and pods."""
    common: list[str] | None = None
    for path in specs:
        parts = ids.segments(ids.parent(path))
        if common is None:
            common = parts
        else:
            same = 0
            while same < min(len(common), len(parts)) and common[same] == parts[same]:
                same += 1
            common = common[:same]
    return ids.join(common or [])
