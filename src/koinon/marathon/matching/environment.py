"""The variables that tasks find in their environment.

Of an app: what is told of it < HOST and ports < the app's own. Of a pod the other way round: the pod's own < the
container's own < what is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from koinon.marathon.matching.settings import Settings
from koinon.marathon.matching.wanted import PortWish, is_on_host
from koinon.marathon.model.app import App, SecretRef
from koinon.marathon.model.pod import Pod, PodContainer
from koinon.mesos.v1 import Environment

_LABEL = "MARATHON_APP_LABEL_"
#: Names and values of variables of labels are shorter than this; labels that are not are left out.
_LENGTH_MAX = 512


class SecretsUnsupported(ValueError):
    """A variable refers to a secret, and there is nobody to ask for it."""


def to_v1(variables: Mapping[str, str]) -> Environment:
    """As it stands in a command."""
    return Environment(
        variables=[Environment.Variable(name=name, value=value) for name, value in variables.items()]
    )


# ── apps ──────────────────────────────────────────────────────────────────────────────────────────
def of_app(
    app: App,
    *,
    task_id: str,
    hostname: str,
    wishes: Sequence[PortWish],
    assigned: Sequence[int],
    enforce_role: bool,
    settings: Settings,
) -> dict[str, str]:
    """Variables of an app's task; `assigned`: a port for each declared one. Raises SecretsUnsupported."""
    told = {
        "MESOS_TASK_ID": task_id,
        "MARATHON_APP_ID": app.id,
        "MARATHON_APP_VERSION": app.version,
        "MARATHON_APP_RESOURCE_CPUS": decimal(app.cpus),
        "MARATHON_APP_RESOURCE_MEM": decimal(app.mem),
        "MARATHON_APP_RESOURCE_DISK": decimal(app.disk),
        "MARATHON_APP_RESOURCE_GPUS": str(app.gpus),
        "MARATHON_APP_ENFORCE_GROUP_ROLE": _truth(enforce_role),
        **of_labels(app.labels),
    }
    container = app.container
    if container is not None and container.type == "DOCKER" and container.docker is not None:
        told["MARATHON_APP_DOCKER_IMAGE"] = container.docker.image
    reached = {"HOST": hostname, **_ports(app, wishes, assigned)}
    prefixed = {settings.env_vars_prefix + name: value for name, value in reached.items()}
    return told | prefixed | plain(app.env)


def _ports(app: App, wishes: Sequence[PortWish], assigned: Sequence[int]) -> dict[str, str]:
    if not assigned:
        return {}
    variables = {f"PORT{index}": str(port) for index, port in enumerate(assigned)}
    for (number, name), port in zip(_declared(app), assigned, strict=True):
        variables[f"PORT_{number or port}"] = str(port)
        if name:
            variables[f"PORT_{name.upper()}"] = str(port)
    variables["PORT"] = str(assigned[0])
    variables["PORTS"] = ",".join(map(str, assigned))
    return variables


def _declared(app: App) -> list[tuple[int, str | None]]:
    """Number and name of each declared port; of a mapping the container's."""
    if is_on_host(app):
        return [(one.port, one.name) for one in app.port_definitions or ()]
    mappings = app.container.port_mappings if app.container is not None else None
    return [(one.container_port, one.name) for one in mappings or ()]


def of_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """`MARATHON_APP_LABELS` names them, each has its own."""
    clean = {
        re.sub("[^a-zA-Z0-9_]+", "_", key).upper(): value
        for key, value in labels.items()
        if len(key) < _LENGTH_MAX - len(_LABEL) and len(value) < _LENGTH_MAX and "\0" not in value
    }
    return {"MARATHON_APP_LABELS": " ".join(clean)} | {_LABEL + key: value for key, value in clean.items()}


# ── pods ──────────────────────────────────────────────────────────────────────────────────────────
def of_container(
    pod: Pod,
    container: PodContainer,
    *,
    task_id: str,
    executor_id: str,
    hostname: str,
    endpoints: Mapping[str, str],
    enforce_role: bool,
) -> dict[str, str]:
    """Variables of one container; `endpoints` are those that `of_endpoints` makes. Raises SecretsUnsupported."""
    needs = container.resources
    return {
        **plain(pod.environment),
        **plain(container.environment),
        "HOST": hostname,
        "MESOS_TASK_ID": task_id,
        "MESOS_EXECUTOR_ID": executor_id,
        "MARATHON_APP_ID": pod.id,
        "MARATHON_APP_VERSION": pod.version,
        "MARATHON_APP_ENFORCE_GROUP_ROLE": _truth(enforce_role),
        "MARATHON_CONTAINER_ID": container.name,
        "MARATHON_CONTAINER_RESOURCE_CPUS": decimal(needs.cpus),
        "MARATHON_CONTAINER_RESOURCE_MEM": decimal(needs.mem),
        "MARATHON_CONTAINER_RESOURCE_DISK": decimal(needs.disk),
        "MARATHON_CONTAINER_RESOURCE_GPUS": str(needs.gpus),
        **of_labels({**pod.labels, **container.labels}),
        **endpoints,
    }


def of_endpoints(
    pod: Pod,
    wishes: Sequence[PortWish],
    host_ports: Sequence[int | None],
    assigned: Sequence[int],
    prefix: str,
) -> dict[str, str]:
    """`ENDPOINT_…`, `EP_HOST_…` and `EP_CONTAINER_…` of all endpoints of the pod: each container sees all."""
    variables: dict[str, str] = {}
    prefix = prefix.upper()
    names = [endpoint.name for container in pod.containers for endpoint in container.endpoints]
    for name, wish, host, port in zip(names, wishes, host_ports, assigned, strict=True):
        suffix = re.sub("[^A-Z0-9_]+", "_", name.upper())
        inside = None if wish.inside is None else wish.inside or port
        variables[f"{prefix}ENDPOINT_{suffix}"] = str(host if inside is None else inside)
        if host is not None:
            variables[f"{prefix}EP_HOST_{suffix}"] = str(host)
        if inside is not None:
            variables[f"{prefix}EP_CONTAINER_{suffix}"] = str(inside)
    return variables


# ── values ────────────────────────────────────────────────────────────────────────────────────────
def plain(variables: Mapping[str, str | SecretRef]) -> dict[str, str]:
    """Variables that a person wrote. Raises SecretsUnsupported."""
    found = {}
    for name, value in variables.items():
        if isinstance(value, SecretRef):
            raise SecretsUnsupported(f"variable '{name}' refers to the secret '{value.secret}'")
        found[name] = value
    return found


def decimal(value: float) -> str:
    """`1.0`, `0.25`."""
    return repr(float(value))


def _truth(value: bool) -> str:
    return "TRUE" if value else "FALSE"
