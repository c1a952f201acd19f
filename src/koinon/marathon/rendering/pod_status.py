"""What runs of a pod, as `/v2/pods/…::status` shows it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

from koinon.marathon.model import Instance, Pod, TaskFailure, ids, versions
from koinon.marathon.model.pod import PodContainer, Resources
from koinon.marathon.model.records import Condition, Task
from koinon.marathon.rendering.apps import render_pod
from koinon.marathon.rendering.tasks import state_of

Status = Literal["PENDING", "STAGING", "STABLE", "DEGRADED", "TERMINAL"]
#: The definition that an instance was made from; None if that was an app of the same id, which is on its way out.
Definition = Callable[[Instance], Pod | None]

#: Of the conditions besides Running, which depends on health.
_STATUSES: Mapping[Condition, Status] = {
    "Scheduled": "PENDING",
    "Provisioned": "PENDING",
    "Staging": "STAGING",
    "Starting": "STAGING",
    "Unreachable": "DEGRADED",
    "UnreachableInactive": "DEGRADED",
}


#: Ends of a container that bring down the others.
_FAILED: frozenset[Condition] = frozenset(("Failed", "Killed", "Error", "Gone", "Dropped", "Unknown"))


def render_pod_status(
    pod: Pod,
    instances: Collection[Instance],
    definition: Definition,
    failure: TaskFailure | None,
    now: float,
) -> dict[str, Any]:
    """A pod, with those of its instances that were placed at least once."""
    made_from = [(one, definition(one)) for one in instances if one.agent is not None]
    shown = [one for one, of in made_from if of is not None]
    rendered = [render_instance_status(one, of) for one, of in made_from if of is not None]
    stable = sum(one["status"] == "STABLE" for one in rendered)
    since = max((one.since for one in shown), default=pod.version)
    made: dict[str, Any] = {
        "id": pod.id,
        "spec": render_pod(pod),
        "status": "STABLE" if stable >= pod.instances else "DEGRADED",
        "statusSince": since,
        "instances": rendered,
        "terminationHistory": [] if failure is None else [_termination(failure)],
        "lastUpdated": versions.stamp(now),
        "lastChanged": since,
    }
    return made


def render_instance_status(instance: Instance, pod: Pod) -> dict[str, Any]:
    """One instance with its containers; `pod` is what it was made from."""
    containers = {one.name: one for one in pod.containers}
    agent = instance.agent
    made: dict[str, Any] = {
        "id": instance.id,
        "status": _status(instance),
        "statusSince": instance.since,
        "role": instance.role,
        "resources": _resources(_sum(pod)),
        "networks": _networks(instance, pod),
        "specReference": f"/v2/pods{pod.id}::versions/{instance.version}",
        "localVolumes": [],
        "containers": [
            _container(instance, task, container)
            for task in instance.tasks
            if (container := containers.get(ids.parse_task(task.id).container or "")) is not None
        ],
        "lastUpdated": instance.since,
        "lastChanged": instance.since,
    }
    if agent is not None:
        made |= {"agentHostname": agent.hostname, "agentId": agent.agent_id}
        if agent.region is not None:
            made["agentRegion"] = agent.region
        if agent.zone is not None:
            made["agentZone"] = agent.zone
    return made


def render_instance(instance: Instance, strategy: Any) -> dict[str, Any]:
    """As `DELETE …::instances` answers."""
    agent = instance.agent
    state: dict[str, Any] = {
        "condition": instance.condition,
        "since": instance.since,
        "goal": instance.goal,
    }
    if instance.active_since is not None:
        state["activeSince"] = instance.active_since
    healths = [one.healthy for one in instance.tasks if one.healthy is not None]
    if healths:
        state["healthy"] = all(healths)
    made: dict[str, Any] = {
        "instanceId": instance.id,
        "state": state,
        "runSpecVersion": instance.version,
        "unreachableStrategy": strategy,
    }
    if agent is not None:
        made["agentInfo"] = {
            "host": agent.hostname,
            "agentId": agent.agent_id,
            "attributes": [],
        }
    return made


def _status(instance: Instance) -> Status:
    if instance.condition != "Running":
        return _STATUSES.get(instance.condition, "TERMINAL")
    if any(task.healthy is False or task.condition in _FAILED for task in instance.tasks):
        return "DEGRADED"
    return "STABLE"


def _container(instance: Instance, task: Task, container: PodContainer) -> dict[str, Any]:
    since = task.started_at or task.staged_at or instance.since
    made: dict[str, Any] = {
        "name": container.name,
        "status": state_of(task),
        "statusSince": since,
        "containerId": task.id,
        "endpoints": _endpoints(task, container),
        "conditions": _conditions(task, container, since),
        "resources": _resources(container.resources),
        "lastUpdated": since,
        "lastChanged": since,
    }
    if task.message:
        made["message"] = task.message
    return made


def _endpoints(task: Task, container: PodContainer) -> list[dict[str, Any]]:
    ports = iter(task.host_ports)
    found = []
    for endpoint in container.endpoints:
        made: dict[str, Any] = {"name": endpoint.name}
        if endpoint.host_port is not None and (port := next(ports, None)) is not None:
            made["allocatedHostPort"] = port
        check = container.health_check
        if check is not None and endpoint.name in (
            check.http.endpoint if check.http is not None else None,
            check.tcp.endpoint if check.tcp is not None else None,
        ):
            made["healthy"] = bool(task.healthy)
        found.append(made)
    return found


def _conditions(task: Task, container: PodContainer, since: str) -> list[dict[str, Any]]:
    if container.health_check is None:
        return []
    reported = "health-unreported-by-mesos" if task.healthy is None else "health-reported-by-mesos"
    return [
        {
            "name": "healthy",
            "value": "true" if task.healthy else "false",
            "reason": reported,
            "lastChanged": since,
            "lastUpdated": since,
        }
    ]


def _networks(instance: Instance, pod: Pod) -> list[dict[str, Any]]:
    addresses = list(dict.fromkeys(ip for task in instance.tasks for ip in task.ip_addresses))
    if not addresses:
        return []
    names: Sequence[str | None] = [one.name for one in pod.networks if one.mode == "container"] or [None]
    return [{"addresses": addresses} | ({"name": name} if name else {}) for name in names]


def _sum(pod: Pod) -> Resources:
    each, executor = [one.resources for one in pod.containers], pod.executor_resources
    return Resources(
        cpus=round(sum(one.cpus for one in each) + executor.cpus, 3),
        mem=sum(one.mem for one in each) + executor.mem,
        disk=sum(one.disk for one in each) + executor.disk,
        gpus=sum(one.gpus for one in each),
    )


def _resources(resources: Resources) -> dict[str, float]:
    return {
        "cpus": resources.cpus,
        "mem": resources.mem,
        "disk": resources.disk,
        "gpus": resources.gpus,
    }


def _termination(failure: TaskFailure) -> dict[str, Any]:
    return {
        "instanceID": ids.parse_task(failure.task_id).instance,
        "terminatedAt": failure.timestamp,
        "message": failure.message,
        "containers": [
            {
                "containerId": failure.task_id,
                "lastKnownState": failure.state,
                "termination": {"message": failure.message},
            }
        ],
    }
